"""The text model of a run. If its precision was not chosen before, choose and record it."""

from __future__ import annotations

import json
from dataclasses import replace

from pyspark.sql import DataFrame

from behavior_spark.io.failures import spark_errors
from behavior_spark.model.encoder.model_folder import backbone_digest
from behavior_spark.model.registry.store import ModelStore
from behavior_spark.pipelines.texts.active_model import (
    ActiveTextModel,
    active_text_model,
    recipe_of,
)
from behavior_spark.runs.run import Run
from behavior_spark.scoring.embedding import check_on_worker

SAMPLE = 2_000


def checked_text_model(run: Run, texts: DataFrame) -> ActiveTextModel | None:
    """The active text model; a worker chooses the precision of an encoder without one.

    Args:
        run: The run.
        texts: ``text_hash, text`` to be scored; up to ``SAMPLE`` of them are used for the check.

    Raises:
        ModelError: The encoder cannot be used.
    """
    model = active_text_model(run.settings, run.as_of)
    if model is None or not model.unchecked:
        return model
    options = replace(model.options, precision="fp32")
    digest = backbone_digest(model.source, options)
    recipe = recipe_of(replace(model, options=options, digest=digest), run.settings.text)
    with run.step("check precision"), spark_errors("checking the encoder's precision"):
        row = check_on_worker(texts.limit(SAMPLE), recipe).first()
    choice = json.loads(row["found"]) if row else {}
    if choice:
        run.note(f"the encoder runs in {choice['precision']}: {choice['reason']}")
    if choice.get("settled"):
        ModelStore(run.settings.models_path).record_precision(digest, choice)
    return active_text_model(run.settings, run.as_of)
