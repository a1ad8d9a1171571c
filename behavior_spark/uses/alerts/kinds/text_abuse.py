"""Users with several texts that a head reads as spam or abuse."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

from pyspark.sql import Column, Window
from pyspark.sql import functions as F

from behavior_spark.config.alerts import TextAbuse as Rule
from behavior_spark.uses.alerts.kind import (
    USER,
    AlertInputs,
    Candidates,
    by_name,
    first_members,
    number,
    quoted,
    sentence,
)


class TextAbuse:
    """Abuse by one user, as many texts as the head's probabilities let expect.

    What a head is not sure of counts in part: probabilities are calibrated, so their sum is the
    number of abusive texts to expect, whatever the label that each got. Texts below the smallest
    probability count as none, so that who writes much is not alerted for it.
    """

    does = "texts of one user that a head reads as spam or abuse"

    def lacks(self, inputs: AlertInputs) -> str | None:
        """Texts, and one of the heads of the config."""
        wanted = inputs.settings.text_abuse.labels
        if inputs.texts is None or inputs.labels is None:
            return "there are no texts that a head has read"
        if not inputs.heads & set(wanted):
            return f"no head {', '.join(wanted)} is in use"
        return None

    def candidates(self, inputs: AlertInputs) -> Candidates:
        """One row for each user with such a text, of which at least one is recent."""
        rule = inputs.settings.text_abuse
        assert inputs.texts is not None and inputs.labels is not None
        window = F.datediff(F.lit(inputs.as_of), F.to_date("text_time")) <= rule.days
        abuse = (
            inputs.labels.select("text_hash", "head", _abuse(rule).alias("probability"))
            .where(F.col("probability") >= rule.probability)
            .groupBy("text_hash")
            .agg(F.max("probability").alias("probability"), F.max_by("head", "probability")
                 .alias("head"))
        )  # fmt: skip
        texts = inputs.texts.where(window).join(abuse, "text_hash", "left")
        read_so = F.col("probability").isNotNull()
        in_order = Window.partitionBy("user_id").orderBy(read_so.desc(), "text_hash")
        frame = (
            texts.withColumn("place", F.dense_rank().over(in_order))
            .groupBy("user_id")
            .agg(
                F.coalesce(F.sum("probability"), F.lit(0.0)).alias("expected"),
                F.count_if(read_so).cast("double").alias("abusive"),
                F.count(F.lit(1)).cast("double").alias("texts"),
                F.count_if(read_so & F.col("is_recent")).alias("recent"),
                F.avg("probability").alias("mean_probability"),
                F.min("head").alias("head"),
                first_members("text_hash", F.when(read_so, F.col("place"))).alias("hashes"),
            )
            .where(F.col("recent") > 0)
            .withColumn("times_limit", F.col("expected") / rule.least_texts)
        )  # fmt: skip
        return Candidates(
            frame,
            F.lit(USER),
            F.col("user_id"),
            sentence(
                number(F.col("abusive")), " of ", number(F.col("texts")), " texts of the last "
                f"{rule.days} days may be abuse (head ", F.col("head"), ", mean probability ",
                F.format_number("mean_probability", 2), "): ", number(F.col("expected")),
                f" are to be expected. The limit is {rule.least_texts:g}.",
            ),
            by_name(
                {
                    "expected_texts": F.col("expected"),
                    "abusive_texts": F.col("abusive"),
                    "texts": F.col("texts"),
                    "mean_probability": F.col("mean_probability"),
                    "limit": F.lit(rule.least_texts),
                }
            ),
            sentence(
                "SELECT t.text_id, t.text_time, t.text_hash, s.label, s.probability FROM texts t "
                "JOIN text_scores s USING (text_hash) WHERE t.user_id = ", quoted(F.col("user_id")),
                " AND s.head = ", quoted(F.col("head")), f" AND t.text_time < DATE'{inputs.as_of}' "
                "ORDER BY t.text_time DESC LIMIT 50",
            ),
            texts=F.col("hashes"),
            silent={
                f"users of whom fewer than {rule.least_texts:g} such texts are to be expected":
                F.count_if(F.col("expected") < rule.least_texts)
            },
        )  # fmt: skip


def _abuse(rule: Rule) -> Column:
    """Probability that a text has one of the labels of its head; null for other heads."""
    return F.coalesce(*[
        F.when(F.col("head") == head, F.least(_together(labels), F.lit(1.0)))
        for head, labels in rule.labels.items()
    ])  # fmt: skip


def _together(labels: Sequence[str]) -> Column:
    shares = [F.coalesce(F.col("probabilities")[label].cast("double"), F.lit(0.0))
              for label in labels]  # fmt: skip
    return reduce(Column.__add__, shares)


KIND = TextAbuse()
