"""Profile: what a person or a campaign needs to know of each user, in ``user_profile``."""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import functions as F

from behavior_spark.features.profile import (
    most_frequent_label,
    next_action,
    preferred_category,
    segment,
)
from behavior_spark.features.targets import outcome_of
from behavior_spark.io.failures import spark_errors
from behavior_spark.pipelines.users.features import Prepared
from behavior_spark.runs.run import Run
from behavior_spark.runs.stages import StageResult, stage
from behavior_spark.schemas import EVENTS, ITEMS, USER_FEATURES, USER_PROFILE, USER_PROPENSITY


@dataclass(frozen=True)
class Profiled(StageResult):
    """Whether profiles were written."""

    written: bool


@stage(
    "profile",
    does="features and predictions to a row for people: intent, emotion, segment, next action",
    reads=(EVENTS, ITEMS, USER_FEATURES, USER_PROPENSITY),
    writes=(USER_PROFILE,),
)
def profile_stage(run: Run, prepared: Prepared) -> Profiled:
    """Write one row for each user of the night."""
    if not run.settings.features.built("sessions"):
        run.note("no profiles: segments rest on the group sessions, which features.groups lacks")
        return Profiled(False)
    windows = run.settings.features.windows_days
    longest = windows[-1]
    features = run.warehouse.require(USER_FEATURES, made_by="build-features")
    predictions = run.warehouse.require(USER_PROPENSITY, made_by="predict")
    tonight = F.col("as_of") == F.lit(run.as_of)
    labels = prepared.inputs.head_labels
    said = {
        head: most_frequent_label(head, labels[head], window_days=longest)
        if head in labels and run.settings.features.built("texts")
        else F.lit(None).cast("string")
        for head in ("intent", "emotion")
    }
    frame = features.where(tonight).select(
        "user_id",
        "as_of",
        said["intent"].alias("intent"),
        said["emotion"].alias("emotion"),
        segment(windows).alias("segment"),
    )
    bots = features.where(tonight & F.col("is_bot")).select("user_id")
    # That something will not happen is no action.
    not_done = [n for n, target in run.settings.targets.items() if not outcome_of(target).happens]
    actions = predictions.where(tonight & ~F.col("target").isin(not_done))
    frame = frame.join(next_action(actions, bots=bots), "user_id", "left")
    if prepared.inputs.items is not None:
        preferred = preferred_category(
            prepared.inputs.events, prepared.inputs.items, run.as_of, window_days=longest
        )
        frame = frame.join(preferred, "user_id", "left")
    with run.step("profile"), spark_errors("writing user_profile"):
        run.warehouse.replace(frame, USER_PROFILE, where=f"as_of = DATE'{run.as_of}'")
    return Profiled(True)
