"""Time to build sessions: one night, all history, and features directly from events.

    python -m benchmarks.sessions [--events 1000000] [--users 20000] [--days 90]

Generated events whose users follow Zipf's law, with one user who has a twentieth of all; 1 % arrive
up to two days late, 0.5 % are corrected. Measured, each from the read to the committed Delta table:
all history at once; the last night only; and session features of one as_of from stored sessions
and directly from all events. It is checked that the night writes exactly the rows that the build of
all history has for that day, and that both kinds of features agree.
"""

from __future__ import annotations

import argparse
import datetime as dt
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from behavior_spark.config import LocalSpark, WarehouseSettings
from behavior_spark.features.families.sessions import stored_sessions
from behavior_spark.features.point_in_time import as_seen, of_users
from behavior_spark.features.sessions.by_user import by_user, sessions_seen
from behavior_spark.features.sessions.from_events import build_sessions
from behavior_spark.features.sessions.neighbourhood import neighbourhood
from behavior_spark.features.sessions.versions import session_versions
from behavior_spark.io.session import get_session
from behavior_spark.io.warehouse import Warehouse
from behavior_spark.schemas import EVENTS, SESSIONS

START = dt.date(2024, 1, 1)
GAP, WINDOWS = 30, [1, 7, 30, 90]
TYPES = ["view", "view", "view", "click", "cart", "purchase"]


def generate(spark: SparkSession, events: int, users: int, days: int) -> DataFrame:
    """Events in visits of about eight; an event depends only on its id."""

    def draw(salt: int, *of: str) -> Column:
        return F.pmod(F.xxhash64(*of, F.lit(salt)), F.lit(1_000_000)) / 1_000_000

    rows = spark.range(events).withColumn("visit", F.col("id").cast("long") % (events // 8))
    tail = F.floor(F.pow(F.lit(float(users)), draw(1, "visit")) - 1)
    user = F.when(draw(2, "visit") < 0.05, F.lit(-1)).otherwise(tail)
    midnight = F.unix_seconds(F.lit(START).cast("timestamp"))
    second = midnight + draw(3, "visit") * days * 86_400 + draw(4, "id") * 1_800
    late = F.when(draw(5, "id") < 0.01, draw(6, "id") * 172_800).otherwise(F.lit(1))
    kind = F.element_at(F.array(*map(F.lit, TYPES)), (draw(7, "id") * len(TYPES)).cast("int") + 1)
    made = rows.select(
        F.concat(F.lit("e"), "id").alias("event_id"),
        F.concat(F.lit("u"), user.cast("string")).alias("user_id"),
        F.timestamp_micros((second * 1_000_000).cast("long")).alias("event_time"),
        kind.alias("event_type"),
        F.concat(F.lit("i"), (draw(8, "id") * 5_000).cast("int")).alias("item_id"),
        (draw(9, "id") * 100).cast("decimal(18,4)").alias("value"),
        F.lit(None).cast("string").alias("session_id"),
        F.timestamp_micros(((second + late) * 1_000_000).cast("long")).alias("arrived_at"),
    )
    again = made.where(F.pmod(F.xxhash64("event_id"), F.lit(200)) == 0).withColumns(
        {
            "value": F.lit(1).cast("decimal(18,4)"),
            "arrived_at": F.expr("arrived_at + INTERVAL 9 HOURS"),
        }
    )
    both = made.unionByName(again)
    return both.withColumn("arrived_day", F.to_date("arrived_at"))


def timed(what: Callable[[], None]) -> float:
    """Seconds that a call takes."""
    start = time.monotonic()
    what()
    return time.monotonic() - start


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--users", type=int, default=20_000)
    parser.add_argument("--days", type=int, default=90)
    options = parser.parse_args()
    settings = LocalSpark(driver_memory="4g", shuffle_partitions=4)
    spark, _ = get_session(settings, name="sessions")
    night = START + dt.timedelta(days=options.days)
    since = night - dt.timedelta(days=1)
    with tempfile.TemporaryDirectory() as folder:
        house = Warehouse(spark, WarehouseSettings(path=str(Path(folder, "one"))))
        other = Warehouse(spark, WarehouseSettings(path=str(Path(folder, "other"))))
        everything = generate(spark, options.events, options.users, options.days)
        house.replace(everything, EVENTS, where="true")
        events = house.read(EVENTS).where(F.col("arrived_at") < F.lit(night).cast("timestamp"))

        def full() -> None:
            versions = of_users(events, key="event_id")
            house.replace(session_versions(versions, gap_minutes=GAP), SESSIONS, where="true")

        def one_night() -> None:
            near = neighbourhood(events, since, GAP)
            rows = session_versions(near, gap_minutes=GAP, since=since)
            other.replace(rows, SESSIONS, where=f"known_day >= DATE'{since}'")

        def simple() -> None:
            seen = as_seen(of_users(events, key="event_id"), [night], time="event_time")
            built = build_sessions(seen, windows=WINDOWS, gap_minutes=GAP)
            built.write.format("delta").mode("overwrite").save(str(Path(folder, "simple")))

        def stored() -> None:
            seen = sessions_seen(house.read(SESSIONS), [night])
            built = by_user(seen, [stored_sessions(["view"], WINDOWS)])
            built.write.format("delta").mode("overwrite").save(str(Path(folder, "stored")))

        timed(one_night)  # warm-up: loads classes and compiles code
        seconds = {
            "all of history: versions of sessions": timed(full),
            "one night: versions of sessions": timed(one_night),
            "features of one as_of from sessions": timed(stored),
            "features of one as_of straight from events": timed(simple),
        }
        last = house.read(SESSIONS).where(F.col("known_day") >= F.lit(since))
        new = other.read(SESSIONS)
        same = last.exceptAll(new).isEmpty() and new.exceptAll(last).isEmpty()
        columns = spark.read.format("delta").load(str(Path(folder, "simple"))).columns
        ways = [
            spark.read.format("delta").load(str(Path(folder, name))).select(*columns)
            for name in ("simple", "stored")
        ]
        agree = ways[0].exceptAll(ways[1]).isEmpty() and ways[1].exceptAll(ways[0]).isEmpty()
        rows, sessions = events.count(), house.read(SESSIONS).count()
        print(
            f"{rows:,} event versions, {sessions:,} session versions, {last.count():,} that night"
        )
        print("| what | seconds |\n| --- | ---: |")
        for name, took in seconds.items():
            print(f"| {name} | {took:.1f} |")
        print(f"the night's rows are those of the full build: {same}")
        print(f"features from sessions are those from events: {agree}")
    spark.stop()


if __name__ == "__main__":
    main()
