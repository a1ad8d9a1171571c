"""Bursts of links of visitors: of a whole day, of one visitor to many users, and the reverse."""

from __future__ import annotations

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from behavior_spark.config.alerts import Bursts
from behavior_spark.uses.alerts.kind import (
    GROUP,
    SOURCE,
    USER,
    AlertInputs,
    Candidates,
    by_name,
    first_members,
    median_with_zeros,
    midnight_sql,
    number,
    quoted,
    sentence,
)

_ALL = "identities"


class VisitorLinks:
    """One cookie that logs in as many users, one user with many cookies, a day with many links."""

    does = "links of visitors to users: many of a day, a visitor or a user"

    def lacks(self, inputs: AlertInputs) -> str | None:
        """Links."""
        return None if inputs.links is not None else "there are no sources.identities"

    def candidates(self, inputs: AlertInputs) -> Candidates:
        """One row for each visitor, user and day that has recent links."""
        assert inputs.links is not None
        rule, settings = inputs.settings.bursts, inputs.settings
        ago = F.datediff(F.lit(inputs.as_of), "arrived_day")
        links = inputs.links.where(ago <= settings.history_days + settings.days).withColumns(
            {"ago": ago, "is_recent": ago <= settings.days}
        )
        visitors = _fan(links, "anonymous_id", "user_id", rule.users_per_visitor)
        users = _fan(links, "user_id", "anonymous_id", rule.visitors_per_user)
        frame = visitors.unionByName(users).unionByName(
            _days(links, settings.days, settings.history_days, rule)
        )
        one = F.col("about") == "anonymous_id"
        what = (
            F.when(one, F.lit("users were linked to one visitor"))
            .when(F.col("about") == "user_id", F.lit("visitors were linked to one user"))
            .otherwise(F.lit("links arrived in a day"))
        )
        where = F.when(F.col("about") == "day", F.lit("true")).otherwise(
            F.concat("about", F.lit(" = "), quoted(F.col("subject")))
        )
        return Candidates(
            frame,
            F.when(one, GROUP).when(F.col("about") == "user_id", USER).otherwise(SOURCE),
            F.col("subject"),
            sentence(
                number(F.col("n")), " ", what, f" in {settings.history_days + settings.days} days "
                "or fewer, the latest within ", str(settings.days), " days; usual is ",
                F.coalesce(number(F.col("usual")), F.lit("one")), ". The limit is ",
                number(F.col("limit")), ".",
            ),
            by_name({"links": F.col("n"), "usual": F.col("usual"), "limit": F.col("limit")}),
            sentence(
                "SELECT arrived_day, count(*) AS links, count(DISTINCT user_id) AS users, "
                "count(DISTINCT anonymous_id) AS visitors FROM identities WHERE ", where,
                f" AND arrived_at < {midnight_sql(inputs.as_of)} GROUP BY arrived_day ORDER BY ALL",
            ),
            about=F.col("about"),
            members=F.col("members"),
        )  # fmt: skip


def _fan(links: DataFrame, one: str, many: str, limit: int) -> DataFrame:
    """``subject, about, n, usual, limit, members, times_limit`` by one end of the links.

    Members are the first users by name: they are counted off in order, and no list of all is made.
    """
    pairs = links.groupBy(F.col(one).alias("subject"), F.col(many).alias("other")).agg(
        F.max("is_recent").alias("recent")
    )
    members = F.lit(None).cast("array<string>")
    if many == "user_id":
        in_order = Window.partitionBy("subject").orderBy(F.asc_nulls_last("other"))
        place = F.row_number().over(in_order)
        pairs = pairs.withColumn("place", place)
        members = first_members("other", F.col("place"))
    return (
        pairs.groupBy("subject")
        .agg(
            F.count("other").cast("double").alias("n"),
            F.max("recent").alias("recent"),
            members.alias("members"),
        )
        .where(F.col("recent") & (F.col("n") > 1))
        .select(
            "subject", F.lit(one).alias("about"), "n", F.lit(None).cast("double").alias("usual"),
            F.lit(float(limit)).alias("limit"), "members",
            (F.col("n") / limit).alias("times_limit"),
        )
    )  # fmt: skip


def _days(links: DataFrame, days: int, history: int, rule: Bursts) -> DataFrame:
    """The recent day with most links, against the median of the days before."""
    by_day = links.groupBy("ago", "is_recent").agg(F.count(F.lit(1)).cast("double").alias("n"))
    totals = by_day.agg(
        F.max(F.when(F.col("is_recent"), F.col("n"))).alias("n"),
        F.array_sort(F.collect_list(F.when(~F.col("is_recent"), F.col("n")))).alias("_past"),
        F.max("ago").alias("_first"),
    )
    known = F.least(F.col("_first") - days, F.lit(history))
    usual = median_with_zeros(F.col("_past"), known)
    limit = F.greatest(F.lit(float(rule.least_rows)), usual * rule.times_usual)
    enough = known >= rule.least_nights
    return (
        totals.where(F.col("n").isNotNull())
        .withColumns({"usual": usual, "limit": limit})
        .select(
            F.lit(_ALL).alias("subject"), F.lit("day").alias("about"), "n", "usual", "limit",
            F.lit(None).cast("array<string>").alias("members"),
            F.when(enough, F.col("n") / F.col("limit")).alias("times_limit"),
        )
    )  # fmt: skip


KIND = VisitorLinks()
