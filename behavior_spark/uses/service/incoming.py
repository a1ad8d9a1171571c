"""Texts that come in on a night, past texts beside them, and what is known of both."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

COLUMNS = ("text_id", "user_id", "arrived_at", "kind", "text", "text_hash")


@dataclass(frozen=True)
class ServiceTexts:
    """Texts as they were visible at as_of: ``text_id, user_id, arrived_at, kind, text, text_hash``.

    Attributes:
        incoming: Those that arrived within ``days`` before as_of.
        past: Those that arrived before these.
    """

    incoming: DataFrame
    past: DataFrame


def service_texts(
    versions: DataFrame, as_of: dt.date, *, condition: str, days: int
) -> ServiceTexts:
    """Split texts by the day of arrival; a later version of a text replaces the earlier one.

    A text counts by when it arrived, not by when it was written: one that came late, or with a
    wrong clock, waits for an answer too.

    Args:
        versions: Contract ``texts`` with ``superseded_at``, of what had arrived before as_of.
        as_of: The night.
        condition: SQL condition on a text.
        days: Days before as_of of texts that come in.
    """
    first = as_of - dt.timedelta(days=days)
    visible = versions.where(F.col("superseded_at").isNull()).where(F.expr(f"({condition})"))
    is_new = F.col("arrived_day") >= F.lit(first)
    return ServiceTexts(
        visible.where(is_new).select(*COLUMNS), visible.where(~is_new).select(*COLUMNS)
    )


def labels_by_text(scores: DataFrame, heads: Mapping[str, str]) -> DataFrame:
    """``text_hash`` and, of each head, a struct ``<head>`` of label, probability, probabilities.

    Args:
        scores: Contract ``text_scores``; of several rows of a text and head the newest counts.
        heads: Digest of each head, by the name of its column.
    """
    parts = F.struct("label", F.col("probability").cast("double").alias("probability"),
                     "probabilities")  # fmt: skip
    columns = [
        F.max_by(
            parts, F.when(F.col("head_digest") == digest, F.struct("scored_at", "label"))
        ).alias(name)
        for name, digest in heads.items()
    ]
    return (
        scores.where(F.col("head_digest").isin(*heads.values())).groupBy("text_hash").agg(*columns)
    )
