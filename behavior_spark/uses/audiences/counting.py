"""Counts of audiences, as aggregates: what came in, who is in, who was left out and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from behavior_spark.uses.audiences.arms import HOLDOUT, REACHED
from behavior_spark.uses.audiences.foretold import HOW, NEXT
from behavior_spark.uses.audiences.membership import LEFT_OUT, REASONS


def measures_of(audiences: Iterable[str]) -> dict[str, Column]:
    """Aggregates over the rows of ``choose``, by name: ``<audience>.<measure>``.

    Counts, and of the arm reached the sums of p (expected), p (1 - p) (variance) and profit.
    """
    measures: dict[str, Column] = {}
    for name in audiences:
        is_this = F.col("audience") == name
        member = is_this & F.col(LEFT_OUT).isNull()
        reached = member & (F.col("arm") == REACHED)
        p = F.col("probability")
        counted = {reason: F.count_if(is_this & (F.col(LEFT_OUT) == reason)) for reason in REASONS}
        counted |= {
            REACHED: F.count_if(reached),
            HOLDOUT: F.count_if(member & (F.col("arm") == HOLDOUT)),
            "expected": F.sum(F.when(reached, p)),
            "variance": F.sum(F.when(reached, p * (1 - p))),
            "profit": F.sum(F.when(reached, F.col("expected_profit"))),
        }
        measures |= {f"{name}.{key}": value for key, value in counted.items()}
    return measures


def item_measures_of(audiences: Iterable[str]) -> dict[str, Column]:
    """Aggregates over members with ``item_sources``, by name: ``<audience>.<measure>``.

    ``items_<how>`` counts items that were found in that way, ``members_next_items`` the members
    who have any of the sequence model's.
    """
    sources, measures = F.col("item_sources"), {}
    for name in audiences:
        is_this = F.col("audience") == name
        for how in HOW:
            count = F.size(sources) - F.size(F.array_remove(sources, how))
            measures[f"{name}.items_{how}"] = F.sum(F.when(is_this & sources.isNotNull(), count))
        has_next = F.coalesce(F.array_contains(sources, NEXT), F.lit(False))
        measures[f"{name}.members_next_items"] = F.count_if(is_this & has_next)
    return measures


def by_audience(values: Mapping[str, float | None]) -> dict[str, dict[str, float]]:
    """Values of measures named ``<audience>.<measure>``, by both; null is 0."""
    grouped: dict[str, dict[str, float]] = {}
    for key, value in values.items():
        name, _, measure = key.partition(".")
        grouped.setdefault(name, {})[measure] = float(value or 0.0)
    return grouped


def prediction_facts(predictions: DataFrame) -> DataFrame:
    """One row per target: what there is to choose by.

    Columns: ``target, users, mean`` (of the probabilities), ``probabilities`` (users who have
    one), ``least``, ``most``, ``deciles`` (users who have one), ``model_digest``.
    """
    return predictions.groupBy("target").agg(
        F.count(F.lit(1)).alias("users"),
        F.avg("probability").alias("mean"),
        F.count("probability").alias("probabilities"),
        F.min("probability").alias("least"),
        F.max("probability").alias("most"),
        F.count("decile").alias("deciles"),
        F.max("model_digest").alias("model_digest"),
    )


def arm_counts(
    members: DataFrame, outcomes: DataFrame, labels: Mapping[str, tuple[str, float]]
) -> DataFrame:
    """Members and conversions of each audience, night and arm.

    Args:
        members: Table ``audience_members``.
        outcomes: ``as_of, user_id`` and a column of outcomes for each target.
        labels: By target, the column of its outcomes, and the outcome of users without a row.

    Returns:
        ``audience, as_of, target, valid_until, arm, members, conversions, expected``.
    """
    outcome = F.lit(0.0)
    for target, (column, otherwise) in labels.items():
        known = F.coalesce(F.col(column).cast("double"), F.lit(float(otherwise)))
        outcome = F.when(F.col("target") == target, known).otherwise(outcome)
    return (
        members.join(outcomes, ["as_of", "user_id"], "left")
        .groupBy("audience", "as_of", "target", "valid_until", "arm")
        .agg(
            F.count(F.lit(1)).alias("members"),
            F.count_if(outcome > 0).alias("conversions"),
            F.sum("probability").alias("expected"),
        )
    )
