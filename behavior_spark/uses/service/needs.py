"""What a text needs: one need, or a stated reason for which there is none."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

NOT_SCORED, OTHER_LANGUAGE, UNLIKE_KNOWN = "not_scored", "other_language", "unlike_known"
TWO_NEEDS, LOW_CONFIDENCE = "two_needs", "low_confidence"
# In the order in which they are asked; each text has the first that is true.
ABSTAINED = (NOT_SCORED, OTHER_LANGUAGE, UNLIKE_KNOWN, TWO_NEEDS, LOW_CONFIDENCE)


def with_need(
    frame: DataFrame,
    *,
    scores: str,
    least_confidence: float,
    languages: Sequence[str] = (),
) -> DataFrame:
    """Add what a text needs, where the head is sure enough; else why not.

    The need is the label that the head gives, which by its thresholds may be another one than the
    most probable; where it gives none, the likeliest need is the most probable label. A text fits
    two needs where neither is sure and both together are: the sum of the probabilities of the
    likeliest need and of the most probable other one reaches the least confidence. Probabilities
    of the head are of exclusive labels.

    Args:
        frame: With ``language`` (null: not known) and a struct of the head's answer.
        scores: Name of that struct, as ``labels_by_text`` gives it; null where there is none.
        least_confidence: Probability that a need has to reach.
        languages: Languages that the encoder knows; none: not looked at.

    Returns:
        The frame with ``need, need_confidence, likeliest_need, second_need, abstained_because``.
    """
    answer = F.col(scores)
    given = answer["label"]
    ranked = F.array_sort(
        F.transform(
            F.map_entries(answer["probabilities"]),
            lambda e: F.struct(
                F.coalesce(e["key"] != given, F.lit(True)).alias("is_other"),
                (-e["value"].cast("double")).alias("p"),
                e["key"].alias("need"),
            ),
        )
    )
    frame = frame.withColumn("_ranked", ranked)
    first, second = F.get("_ranked", F.lit(0)), F.get("_ranked", F.lit(1))
    best, next_best = -first["p"], F.coalesce(-second["p"], F.lit(0.0))
    foreign = F.lit(False)
    if languages:
        foreign = F.coalesce(~F.col("language").isin(*languages), F.lit(False))
    # Sums of float32 numbers are a little off.
    both = best + next_best >= least_confidence - 1e-6
    because = (
        F.when(answer.isNull() | first.isNull(), NOT_SCORED)
        .when(foreign, OTHER_LANGUAGE)
        .when(given.isNull(), UNLIKE_KNOWN)
        .when(best >= least_confidence, F.lit(None))
        .when(both, TWO_NEEDS)
        .otherwise(LOW_CONFIDENCE)
    )
    return (
        frame.withColumn("abstained_because", because)
        .withColumns(
            {
                "need": F.when(F.col("abstained_because").isNull(), first["need"]),
                "need_confidence": best,
                "likeliest_need": first["need"],
                "second_need": F.when(F.col("abstained_because") == TWO_NEEDS, second["need"]),
            }
        )
        .drop("_ranked")
    )


def needs_to_answer() -> Column:
    """Needs that an answer must fit: the need; of a text that fits two both; else null."""
    return F.when(F.col("need").isNotNull(), F.array("need")).when(
        F.col("abstained_because") == TWO_NEEDS, F.array("likeliest_need", "second_need")
    )


def is_label(scores: str, labels: Sequence[str], *, at_least: float = 0.0) -> Column:
    """Whether a head's label is one of some; false where there is none."""
    answer = F.col(scores)
    hit = answer["label"].isin(*labels) & (answer["probability"] >= at_least)
    return F.coalesce(hit, F.lit(False)) if labels else F.lit(False)
