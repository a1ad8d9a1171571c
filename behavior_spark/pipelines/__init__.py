"""One function a command: settings in, result out. Notebooks start with ``behavior_spark.open``.

from behavior_spark.config import load_settings
from behavior_spark.pipelines import nightly

result = nightly(load_settings(["mine.yaml"]), as_of=date(2024, 5, 31))
"""

from behavior_spark.pipelines.audience_commands import audience, audiences
from behavior_spark.pipelines.commands import (
    alerts,
    build_features,
    check,
    clean_scores,
    ingest,
    nightly,
    predict,
    predict_items,
    profile,
    score_texts,
    train_propensity,
)
from behavior_spark.pipelines.model_commands import (
    annotate,
    check_labels,
    evaluate,
    finetune,
    models,
    pretrain,
    promote,
    rollback,
    words,
)
from behavior_spark.pipelines.planning import plan
from behavior_spark.pipelines.report_commands import check_leakage, funnel, report, sql
from behavior_spark.pipelines.service_commands import service, service_queue
from behavior_spark.pipelines.texts.functions import similar_to, text_functions
from behavior_spark.pipelines.users.describing import Described, describe_features
from behavior_spark.pipelines.users.leakage import assert_no_leakage, find_leaks
from behavior_spark.pipelines.view_commands import views
from behavior_spark.runs.commands import COMMANDS
from behavior_spark.runs.result import Result

__all__ = [
    "COMMANDS", "Described", "Result", "alerts", "annotate", "assert_no_leakage", "audience",
    "audiences", "build_features", "check", "check_labels", "check_leakage", "clean_scores",
    "describe_features", "evaluate", "find_leaks", "finetune", "funnel", "ingest", "models",
    "nightly", "plan", "predict", "predict_items", "pretrain", "profile", "promote", "report",
    "rollback", "score_texts", "service", "service_queue", "similar_to", "sql", "text_functions",
    "train_propensity", "views", "words",
]  # fmt: skip
