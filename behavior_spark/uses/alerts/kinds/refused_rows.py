"""Sources with many more refused rows than on earlier nights."""

from __future__ import annotations

from pyspark.sql import functions as F

from behavior_spark.uses.alerts.kind import (
    SOURCE,
    AlertInputs,
    Candidates,
    by_name,
    median_with_zeros,
    number,
    quoted,
    sentence,
)


class RefusedRows:
    """Bursts of rows that cannot be right: a broken sender, or somebody who tries out inputs.

    The limit is ``least_rows`` or ``times_usual`` times the median of the nights before, nights
    without such rows included. If a source refuses at random around a steady mean of m rows, three
    times the median is more than 2 m / sqrt(m) standard deviations away: no alarm by chance from
    m = 10 on.
    """

    does = "many more refused rows of a source than on the nights before"

    def lacks(self, inputs: AlertInputs) -> str | None:
        """Refused rows, and enough nights to compare with."""
        least = inputs.settings.bursts.least_nights
        if inputs.quarantine is None:
            return "no row was ever refused"
        if len(inputs.nights) < least:
            return f"{len(inputs.nights)} earlier nights of new rows alone, {least} are needed"
        return None

    def candidates(self, inputs: AlertInputs) -> Candidates:
        """One row for each source and reason with a refused row tonight."""
        rule = inputs.settings.bursts
        assert inputs.quarantine is not None
        tonight = F.col("as_of") == F.lit(inputs.as_of)
        nights = list(inputs.nights)
        by_night = (
            inputs.quarantine.where(tonight | F.col("as_of").isin(nights))
            .groupBy("source", "reason", "as_of")
            .agg(F.sum("refused_rows").cast("double").alias("n"))
        )
        frame = (
            by_night.groupBy("source", "reason")
            .agg(
                F.max(F.when(tonight, F.col("n"))).alias("rows"),
                F.array_sort(F.collect_list(F.when(~tonight, F.col("n")))).alias("_past"),
            )
            .where(F.col("rows").isNotNull())
        )
        usual = median_with_zeros(F.col("_past"), F.lit(len(nights)))
        limit = F.greatest(F.lit(float(rule.least_rows)), usual * rule.times_usual)
        frame = frame.withColumns({"usual": usual, "limit": limit}).withColumn(
            "times_limit", F.col("rows") / F.col("limit")
        )
        return Candidates(
            frame,
            F.lit(SOURCE),
            F.col("source"),
            sentence(
                number(F.col("rows")), " rows of source ", F.col("source"), " were refused (",
                F.col("reason"), f"); the median of the {len(nights)} nights before is ",
                number(F.col("usual")), ". The limit is ", number(F.col("limit")), ".",
            ),
            by_name(
                {"rows": F.col("rows"), "usual": F.col("usual"), "limit": F.col("limit"),
                 "nights": F.lit(len(nights))}
            ),
            sentence(
                "SELECT as_of, sum(refused_rows) AS refused FROM quarantine WHERE source = ",
                quoted(F.col("source")), " AND reason = ", quoted(F.col("reason")),
                f" AND as_of <= DATE'{inputs.as_of}' GROUP BY as_of ORDER BY as_of DESC",
            ),
            about=F.col("reason"),
        )  # fmt: skip


KIND = RefusedRows()
