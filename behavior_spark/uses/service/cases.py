"""Past texts that are like a text, as a list that a person can look at."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F


def past_cases(past: DataFrame, *, most: int) -> DataFrame:
    """``text_hash, case_id``: the latest text of each distinct past one, at most so many.

    Of more, those of the smallest hashes: a sample that a rerun takes again.

    Args:
        past: ``text_hash, text_id, arrived_at``.
        most: Distinct texts.
    """
    latest = F.max(F.struct("arrived_at", "text_id"))["text_id"].alias("case_id")
    return past.groupBy("text_hash").agg(latest).orderBy("text_hash").limit(most)


def listed_cases(
    matches: DataFrame, cases: DataFrame, labels: DataFrame | None, *, least_similarity: float
) -> DataFrame:
    """``text_hash, similar_cases``: one row per text that has a similar case.

    Args:
        matches: As ``similar_texts`` gives them: ``query_id, match_id, rank, similarity``.
        cases: As ``past_cases`` gives them.
        labels: ``text_hash, need``; None: needs are not known.
        least_similarity: Least cosine.
    """
    near = matches.where(F.col("similarity") >= least_similarity).join(
        cases.withColumnRenamed("text_hash", "match_id"), "match_id"
    )
    if labels is None:
        near = near.withColumn("need", F.lit(None).cast("string"))
    else:
        known = labels.select(F.col("text_hash").alias("match_id"), "need")
        near = near.join(known, "match_id", "left")
    case = F.struct(
        F.col("case_id").alias("text_id"),
        "need",
        F.col("similarity").cast("double").alias("similarity"),
    )
    ordered = F.array_sort(F.collect_list(F.struct("rank", case.alias("case"))))
    return near.groupBy(F.col("query_id").alias("text_hash")).agg(
        F.transform(ordered, lambda entry: entry["case"]).alias("similar_cases")
    )
