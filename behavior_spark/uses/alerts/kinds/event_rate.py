"""Users with many more events in an hour or a day than they, and their peers, usually have."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from behavior_spark.uses.alerts.kind import (
    USER,
    AlertInputs,
    Candidates,
    by_name,
    midnight_sql,
    number,
    quoted,
    sentence,
)

PEERS_PERCENTILE = 0.99
PAST_NEEDED = 5
_ALL = "all users"


class EventRate:
    """Bursts of events: scraping, card testing, a script with somebody's account.

    The limit is the largest of a fixed number, some times the median of the user's own past hours
    (or days) with an event, and some times the 99th percentile of the busiest past hour (or day)
    of each peer. With nobody's habits changed, fewer than 1 % of users are above the last alone.
    """

    does = "many more events in an hour or a day than the user and his peers usually have"

    def lacks(self, inputs: AlertInputs) -> str | None:
        """Nothing: every night has events."""
        return None

    def candidates(self, inputs: AlertInputs) -> Candidates:
        """One row for each user and period (hour, day) with a recent event."""
        rule = inputs.settings.event_rate
        users = _by_user(_periods(inputs.events))
        known = _with_peers(users, inputs.users)
        usual = _usual_of_peers(known, least=inputs.settings.least_peers)
        frame = _beside_peers(known.where(F.col("peak") > 0), usual)
        least = F.when(F.col("per") == "hour", rule.per_hour).otherwise(rule.per_day)
        own = F.when(F.col("past_periods") >= PAST_NEEDED, F.col("own_median"))
        limit = F.greatest(
            least.cast("double"),
            F.coalesce(own * rule.times_own, F.lit(0.0)),
            F.coalesce(F.col("peers_p99") * rule.times_peers, F.lit(0.0)),
        )
        frame = frame.withColumns({"limit": limit, "own": own}).withColumn(
            "times_limit", F.col("peak") / F.col("limit")
        )
        return Candidates(
            frame,
            F.lit(USER),
            F.col("user_id"),
            _evidence(),
            by_name(
                {
                    "events": F.col("peak"),
                    "own_median": F.col("own"),
                    "peers_p99": F.col("peers_p99"),
                    "limit": F.col("limit"),
                    "past_periods": F.col("past_periods"),
                }
            ),
            _check_sql(inputs),
            about=F.col("per"),
            silent={
                "users without a past of their own, compared with peers alone": F.count_if(
                    (F.col("per") == "day") & F.col("own").isNull()
                )
            },
        )


def _periods(events: DataFrame) -> DataFrame:
    """``user_id, per, start, recent, past``: events of each hour and day of a user.

    Days are added up from the hours in the same pass: of a union of both Spark counts the hours
    twice, and reads the two halves in too few tasks.
    """
    hours = events.groupBy("user_id", F.date_trunc("hour", "event_time").alias("start")).agg(
        F.count_if("is_recent").alias("recent"), F.count_if("is_past").alias("past")
    )
    hour = F.struct(F.lit("hour").alias("per"), "start")
    day = F.struct(F.lit("day").alias("per"), F.date_trunc("day", "start").alias("start"))
    both = hours.select("user_id", F.inline(F.array(hour, day)), "recent", "past")
    return both.groupBy("user_id", "per", "start").agg(
        F.sum("recent").alias("recent"), F.sum("past").alias("past")
    )


def _by_user(periods: DataFrame) -> DataFrame:
    """One row for each user and period: his busiest recent one, and what his past ones were."""
    past = F.when((F.col("past") > 0) & (F.col("recent") == 0), F.col("past"))
    return (
        periods.groupBy("user_id", "per")
        .agg(
            F.max(F.struct("recent", "start")).alias("_peak"),
            F.percentile(past, F.lit(0.5)).alias("own_median"),
            F.max(past).alias("own_most"),
            F.count(past).alias("past_periods"),
        )
        .select(
            "user_id", "per", "own_median", "own_most", "past_periods",
            F.col("_peak.recent").cast("double").alias("peak"),
            F.col("_peak.start").alias("start"),
        )
    )  # fmt: skip


def _with_peers(users: DataFrame, features: DataFrame | None) -> DataFrame:
    if features is None:
        none = F.lit(None)
        return users.withColumns({"peers": none.cast("string"), "is_bot": none.cast("boolean")})
    return users.join(features.select("user_id", "peers", "is_bot"), "user_id", "left")


def _usual_of_peers(users: DataFrame, *, least: int) -> DataFrame:
    """``per``, ``groups`` (peers -> p99 and users) and ``everybody``: one row for each period.

    Bots are nobody's peers.
    """
    users = users.where(~F.coalesce("is_bot", F.lit(False)))
    usual = F.percentile_approx("own_most", F.lit(PEERS_PERCENTILE), F.lit(1000))
    grouped = (
        users.rollup("per", "peers")
        .agg(
            F.grouping("peers").alias("_all"),
            F.struct(usual.cast("double").alias("p99"), F.count("own_most").alias("users")).alias(
                "usual"
            ),
        )
        .where(F.col("per").isNotNull() & (F.col("usual.users") >= least))
    )
    in_group = (F.col("_all") == 0) & F.col("peers").isNotNull()
    entries = F.collect_list(F.when(in_group, F.struct("peers", "usual")))
    return grouped.groupBy("per").agg(
        F.map_from_entries(entries).alias("groups"),
        F.max(F.when(F.col("_all") == 1, F.col("usual"))).alias("everybody"),
    )


def _beside_peers(users: DataFrame, usual: DataFrame) -> DataFrame:
    joined = users.join(F.broadcast(usual), "per", "left")
    own_group = F.try_element_at("groups", F.coalesce("peers", F.lit("")))
    chosen = F.coalesce(own_group, F.col("everybody"))
    return joined.withColumns(
        {
            "compared_with": F.when(own_group.isNotNull(), F.col("peers")).otherwise(_ALL),
            "peers_p99": chosen["p99"],
            "peer_users": chosen["users"],
        }
    )


def _evidence() -> Column:
    start = F.when(F.col("per") == "hour", F.date_format("start", "yyyy-MM-dd HH:mm")).otherwise(
        F.date_format("start", "yyyy-MM-dd")
    )
    own = F.when(
        F.col("own").isNull(), sentence("there is too little past of this user to compare with")
    ).otherwise(
        sentence("the median of this user's ", number(F.col("past_periods")), " past ",
                 F.col("per"), "s with an event is ", number(F.col("own")))
    )  # fmt: skip
    peers = F.when(
        F.col("peers_p99").isNull(), F.lit("there are too few peers to compare with")
    ).otherwise(
        sentence("the busiest past ", F.col("per"), " of 99 % of ", number(F.col("peer_users")),
                 " peers (", F.col("compared_with"), ") has at most ", number(F.col("peers_p99")))
    )  # fmt: skip
    return sentence(
        number(F.col("peak")), " events in one ", F.col("per"), ", from ", start, " UTC; ", own,
        "; ", peers, ". The limit is ", number(F.col("limit")), ".",
    )  # fmt: skip


def _check_sql(inputs: AlertInputs) -> Column:
    return sentence(
        "SELECT date_trunc('", F.col("per"), "', event_time) AS start, "
        "count(DISTINCT event_id) AS events FROM events WHERE user_id = ",
        quoted(F.col("user_id")), f" AND arrived_at < {midnight_sql(inputs.as_of)} "
        "GROUP BY ALL ORDER BY events DESC LIMIT 50",
    )  # fmt: skip


KIND = EventRate()
