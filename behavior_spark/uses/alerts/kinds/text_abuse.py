"""Users with several texts that a head reads as spam or abuse."""

from __future__ import annotations

from functools import reduce
from operator import or_

from pyspark.sql import Column, Window
from pyspark.sql import functions as F

from behavior_spark.config.alerts import TextAbuse as Rule
from behavior_spark.uses.alerts.kind import (
    MOST_MEMBERS,
    USER,
    AlertInputs,
    Candidates,
    by_name,
    number,
    quoted,
    sentence,
)


class TextAbuse:
    """Repeated abuse by one user; one text alone may be a mistake of the head.

    If the head reads a share f of ordinary texts so, a user with n texts in the window is a false
    alarm with about (n f)^k / k! for k = ``least_texts``; ``evaluate`` measures f.
    """

    does = "several texts of one user that a head reads as spam or abuse"

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
            inputs.labels.where(_is_abuse(rule) & (F.col("probability") >= rule.probability))
            .groupBy("text_hash")
            .agg(F.max("probability").alias("probability"), F.min("head").alias("head"))
        )
        texts = inputs.texts.where(window).join(abuse, "text_hash", "left")
        read_so = F.col("probability").isNotNull()
        in_order = Window.partitionBy("user_id").orderBy(read_so.desc(), "text_hash")
        first = read_so & (F.col("place") <= MOST_MEMBERS)
        frame = (
            texts.withColumn("place", F.dense_rank().over(in_order))
            .groupBy("user_id")
            .agg(
                F.count_if(read_so).cast("double").alias("abusive"),
                F.count(F.lit(1)).cast("double").alias("texts"),
                F.count_if(read_so & F.col("is_recent")).alias("recent"),
                F.avg("probability").alias("mean_probability"),
                F.min("head").alias("head"),
                F.array_sort(F.collect_set(F.when(first, F.col("text_hash")))).alias("hashes"),
            )
            .where(F.col("recent") > 0)
            .withColumn("times_limit", F.col("abusive") / rule.least_texts)
        )  # fmt: skip
        return Candidates(
            frame,
            F.lit(USER),
            F.col("user_id"),
            sentence(
                number(F.col("abusive")), " of ", number(F.col("texts")), " texts of the last "
                f"{rule.days} days are read as abuse (head ", F.col("head"), ", mean probability ",
                F.format_number("mean_probability", 2), f"). The limit is {rule.least_texts}.",
            ),
            by_name(
                {
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
                f"users with fewer than {rule.least_texts} such texts": F.count_if(
                    F.col("abusive") < rule.least_texts
                )
            },
        )  # fmt: skip


def _is_abuse(rule: Rule) -> Column:
    conditions = [
        (F.col("head") == head) & F.col("label").isin(labels)
        for head, labels in rule.labels.items()
    ]
    return reduce(or_, conditions)


KIND = TextAbuse()
