"""Contracts of labels by a language model, and of the challenger's labels in shadow."""

from __future__ import annotations

from pyspark.sql.types import (
    ArrayType,
    DateType,
    FloatType,
    LongType,
    MapType,
    StringType,
    TimestampType,
)

from behavior_spark.schemas.contract import Contract, column

_STRING, _LONG = StringType(), LongType()
_TIME, _DAY = TimestampType(), DateType()

ANNOTATIONS = Contract(
    name="annotations",
    comment="One row per text, task and annotator, ever: a language model's label",
    columns=(
        column("text_hash", _STRING, "SHA-256 of the clean text", required=True),
        column("task", _STRING, "what the labels are about (config: annotate)", required=True),
        column("label", _STRING, "the label most prompts vote for"),
        column("confidence", FloatType(), "share of the prompts that vote for it"),
        column("probability", FloatType(), "its mean probability over the prompts"),
        column("votes", ArrayType(_STRING, False), "label of each prompt, in the config's order"),
        column("probabilities", MapType(_STRING, FloatType(), False), "mean of every label"),
        column(
            "annotator_digest",
            _STRING,
            "digest of the language model, its prompts, and the labels and their words",
            required=True,
        ),
        column("annotated_at", _TIME, "when the model ran, UTC"),
    ),
    key=("text_hash", "task", "annotator_digest"),
    cluster_by=("task", "annotator_digest"),
)

SHADOW_DISAGREEMENT = Contract(
    name="shadow_disagreement",
    comment="One row per night, head and pair of labels: the challenger beside the champion",
    columns=(
        column("as_of", _DAY, "night", required=True),
        column("head", _STRING, "intent, emotion, spam, ...", required=True),
        column("champion_digest", _STRING, "the champion's head", required=True),
        column("challenger_digest", _STRING, "the challenger's head", required=True),
        column("champion_label", _STRING, "its label; null where it abstains"),
        column("challenger_label", _STRING, "its label; null where it abstains"),
        column("texts", _LONG, "distinct texts of the sample with this pair of labels"),
    ),
    key=("as_of", "head", "champion_digest", "challenger_digest", "champion_label",
         "challenger_label"),
    cluster_by=("as_of",),
)  # fmt: skip
