"""Time and memory of feature building by number of events, compared with three other methods.

    python -m benchmarks.features [--events 1000000,20000000] [--only ours,plain,join,duckdb]
    python -m benchmarks.features --events 60000000 --days 2190 --steps first,night

Generated events of two years, or of ``--days``. Users follow Zipf's law (of 20 million events and
200 thousand users the first user has 1.1 million events). 3 % of the events are late; 0.2 % are
corrected within 14 days, so ``features.correction_days: 30`` covers all corrections. Every step
runs in a separate process, whose start is not counted, and writes its table. Memory is the peak of
all processes of the step.

- first: tiles, snapshot and features of all history (ours); features only (the others).
- night: one more day arrives, three times in one session; features of the day after it. The first
  night runs in a new JVM, the last shows the time in a session that runs for longer.
- history: features at 12 as_of days, 30 days apart.

The others: ``plain``, conditional aggregates over all events in Spark, in two levels, so that
distinct counts need no sets; ``join``, for each day a join of the users with the events before it;
``duckdb``, the SQL of ``plain`` in DuckDB. Their tables are compared with ours, row by row.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
from deltalake import DeltaTable
from rich.console import Console

from behavior_spark.config import LocalSpark, Settings, validate_settings
from benchmarks.night import tree_memory

LAST = dt.date(2024, 1, 1)
DAYS = 730
TYPES = {"view": 70, "click": 15, "search": 5, "cart": 5, "purchase": 4, "cancel": 1}
WINDOWS = (1, 7, 30, 90)
NIGHTS = [LAST + dt.timedelta(days=ahead) for ahead in (1, 2, 3)]
HISTORY = [LAST - dt.timedelta(days=30 * back) for back in reversed(range(12))]
STEPS = ("first", "night", "history")


def settings_for(folder: Path) -> Settings:
    """Settings of a job whose warehouse is in a folder."""
    return validate_settings(
        {
            "warehouse": str(folder / "warehouse"),
            "sources": {"events": {"path": "none", "columns": {}}},
            "features": {"event_types": list(TYPES), "windows_days": list(WINDOWS),
                         "groups": ["activity"], "correction_days": 30},
            "targets": {"buys": {"event": "event_type = 'purchase'"}},
        }
    )  # fmt: skip


def session(partitions: int) -> Any:
    """A local session with the full JIT compiler, as on a cluster."""
    from behavior_spark.io.session import get_session

    local = LocalSpark(
        master="local[2]",
        driver_memory="3g",
        shuffle_partitions=partitions,
        conf={"spark.driver.extraJavaOptions": "-XX:ReservedCodeCacheSize=256m"},
    )
    spark = get_session(local, name="benchmark")[0]
    spark.conf.set("spark.sql.session.timeZone", "UTC")
    return spark


def generate(spark: Any, folder: Path, events: int, users: int, history: int) -> None:
    """Write table ``events``: one commit for the history, and one for each later day."""
    from pyspark.sql import functions as F

    from behavior_spark.io.warehouse import Warehouse
    from behavior_spark.schemas import EVENTS

    def dice(salt: int) -> Any:
        return F.pmod(F.xxhash64("id", F.lit(salt)), F.lit(1 << 30)) / float(1 << 30)

    shares, kind = 0, F.lit("view")
    for name, share in TYPES.items():
        kind = F.when(dice(2) * 100 >= shares, name).otherwise(kind)
        shares += share
    second = (dice(3) * (history + len(NIGHTS)) * 86_400).cast("long")
    start = int(dt.datetime(LAST.year, 1, 1, tzinfo=dt.UTC).timestamp()) - history * 86_400
    happened = F.timestamp_seconds(F.lit(start) + second)
    late = F.when(dice(4) < 0.03, (dice(5) * 3 * 86_400).cast("long")).otherwise(0)
    frame = spark.range(events).select(
        "id",
        F.concat(F.lit("e"), F.col("id")).alias("event_id"),
        F.concat(F.lit("u"), F.floor(F.pow(F.lit(float(users)), dice(1)))).alias("user_id"),
        happened.alias("event_time"),
        kind.alias("event_type"),
        F.concat(F.lit("i"), F.floor(F.pow(F.lit(50_000.0), dice(6)))).alias("item_id"),
        F.round(dice(7) * 100, 2).alias("_value"),
        F.timestamp_seconds(F.unix_timestamp(happened) + late).alias("arrived_at"),
    )
    worth = F.when(F.col("event_type").isin("purchase", "cancel"), F.col("_value"))
    frame = frame.withColumn("value", worth.cast("decimal(18,4)"))
    corrected = frame.where(dice(8) < 0.002).withColumns(
        {
            "value": (F.col("value") + 1).cast("decimal(18,4)"),
            "arrived_at": F.timestamp_seconds(
                F.unix_timestamp("arrived_at") + 1 + (dice(9) * 10 * 86_400).cast("long")
            ),
        }
    )
    both = frame.unionByName(corrected).withColumn("arrived_day", F.to_date("arrived_at"))
    known = both.where(F.col("arrived_day") < F.lit(NIGHTS[-1]))
    known = known.repartitionByRange(16, "arrived_day").sortWithinPartitions("arrived_day")
    warehouse = Warehouse(spark, settings_for(folder).warehouse)
    warehouse.replace(known.where(F.col("arrived_day") < F.lit(LAST)), EVENTS, where="true")
    for night in NIGHTS:
        where = f"arrived_day = DATE'{night - dt.timedelta(days=1)}'"
        warehouse.replace(known.where(where), EVENTS, where=where)


def run_ours(spark: Any, folder: Path, days: Sequence[dt.date]) -> dict[str, float]:
    """This project: update tiles and snapshot, then build the features that all methods build."""
    from behavior_spark.features.feature_set import FeatureSet
    from behavior_spark.features.inputs import Inputs, Offer
    from behavior_spark.pipelines.users.activity import stored_activity, update_activity
    from behavior_spark.runs.run import running
    from behavior_spark.schemas import EVENTS, USER_FEATURES, column

    settings, quiet = settings_for(folder), Console(quiet=True)
    feature_set = FeatureSet.of(settings, Offer())
    with running("build-features", settings, as_of=days[-1], spark=spark, console=quiet) as run:
        with run.step("build activity"):
            snapshots = update_activity(run, feature_set)
        with run.step("build features"):
            activity = stored_activity(run, feature_set, days, snapshots=snapshots)
            frame = feature_set.build(Inputs(run.warehouse.read(EVENTS), activity=activity), days)
            own = [field for field in frame.schema if field.name not in ("user_id", "as_of")]
            contract = USER_FEATURES.with_columns(
                [column(field.name, field.dataType, "benchmark") for field in own]
            )
            listed = ", ".join(f"DATE'{day}'" for day in days)
            run.warehouse.replace(frame, contract, where=f"as_of IN ({listed})")
    return run.steps


def query(day: dt.date, events: str = "known") -> str:
    """SQL for the features of every user at a day, valid in both Spark and DuckDB."""

    def since(days: int) -> str:
        return f"event_time >= TIMESTAMP '{day - dt.timedelta(days=days)} 00:00:00'"

    def total(what: str, days: int) -> str:
        return f"sum(CASE WHEN {since(days)} THEN {what} END)"

    items = ["count(*) AS n_all", "sum(value) AS v_all", "min(event_time) AS first_time",
             "max(event_time) AS last_time"]  # fmt: skip
    for days in WINDOWS:
        items += [f"{total('1', days)} AS n_{days}", f"{total('value', days)} AS v_{days}"]
    # Rounds halves up, as the features do; the engines' own functions differ in this.
    ago = (
        f"floor((epoch_of(TIMESTAMP '{day} 00:00:00') - epoch_of(%s)) * 10000 / 86400e0 + 0.5)"
        " / 10000e0"
    )
    users = [
        f"{ago % 'max(last_time)'} AS recency_days",
        f"{ago % 'min(first_time)'} AS tenure_days",
        "coalesce(sum(n_all), 0) AS event_count_all",
        "cast(coalesce(sum(v_all), 0) AS double) AS value_all",
        *[f"coalesce(sum(n_{days}), 0) AS event_count_{days}d" for days in WINDOWS],
    ]
    for kind in TYPES:
        of_kind = f"CASE WHEN event_type = '{kind}' THEN %s END"
        last = f"max({of_kind % 'last_time'})"
        users += [
            f"{ago % last} AS {kind}_recency_days",
            f"coalesce(sum({of_kind % 'n_all'}), 0) AS {kind}_count_all",
            f"cast(coalesce(sum({of_kind % 'v_all'}), 0) AS double) AS {kind}_value_all",
        ]
        for days in WINDOWS:
            value = f"coalesce(sum({of_kind % f'v_{days}'}), 0)"
            users += [
                f"coalesce(sum({of_kind % f'n_{days}'}), 0) AS {kind}_count_{days}d",
                f"cast({value} AS double) AS {kind}_value_{days}d",
                f"coalesce(sum(CASE WHEN event_type = '{kind}' AND n_{days} > 0 THEN 1 END), 0) "
                f"AS {kind}_item_count_{days}d",
            ]
    return (
        f"WITH per_item AS (SELECT user_id, event_type, item_id, {', '.join(items)} "
        f"FROM {events} GROUP BY user_id, event_type, item_id) "
        f"SELECT user_id, DATE '{day}' AS as_of, {', '.join(users)} FROM per_item GROUP BY user_id"
    )


def latest(day: dt.date) -> str:
    """SQL for the last version of each event that had arrived before a day."""
    return (
        "SELECT * FROM (SELECT user_id, event_type, item_id, value, event_time, row_number() OVER "
        "(PARTITION BY event_id ORDER BY arrived_at DESC) AS place FROM events "
        f"WHERE arrived_at < TIMESTAMP '{day} 00:00:00') versions WHERE place = 1"
    )


def jobs_of(step: str) -> list[list[dt.date]]:
    """As-of days of each job of a step."""
    return {"first": [[LAST]], "night": [[night] for night in NIGHTS], "history": [HISTORY]}[step]


def run_spark(
    spark: Any, folder: Path, output: Path, days: Sequence[dt.date], *, join: bool
) -> None:
    """Run ``plain``, or ``join``: users joined with their earlier events, for each day."""
    spark.read.format("delta").load(str(folder / "warehouse" / "events")).createOrReplaceTempView(
        "events"
    )
    for day in days:
        source = f"({latest(day)})"
        if join:
            spine = (
                f"SELECT DISTINCT user_id, TIMESTAMP '{day} 00:00:00' AS until FROM events "
                f"WHERE event_time < TIMESTAMP '{day} 00:00:00'"
            )
            versions = (
                "SELECT *, lead(arrived_at) OVER (PARTITION BY event_id ORDER BY arrived_at) "
                "AS replaced_at FROM events"
            )
            source = (
                f"(SELECT e.* FROM ({spine}) s JOIN ({versions}) e ON e.user_id = s.user_id "
                "AND e.event_time < s.until AND e.arrived_at < s.until "
                "AND coalesce(e.replaced_at >= s.until, true))"
            )
        text = query(day, source).replace("epoch_of", "unix_timestamp")
        spark.sql(text).write.mode("overwrite").parquet(str(output / str(day)))


def run_duckdb(folder: Path, output: Path, days: Sequence[dt.date]) -> None:
    """Run the SQL of ``plain`` in DuckDB on the same files."""
    base = folder / "warehouse" / "events"
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'; SET threads = 2; SET memory_limit = '6GB'")
    files = [uri.removeprefix("file://") for uri in DeltaTable(str(base)).file_uris()]
    connection.execute(
        "CREATE VIEW events AS SELECT * REPLACE (event_time::TIMESTAMP AS event_time, "
        f"arrived_at::TIMESTAMP AS arrived_at) FROM read_parquet({files!r})"
    )
    connection.execute("CREATE MACRO epoch_of(t) AS floor(epoch(t))")
    for day in days:
        written = output / str(day)
        written.mkdir(parents=True, exist_ok=True)
        text = query(day, f"({latest(day)})")
        connection.execute(f"COPY ({text}) TO '{written}/part.parquet' (FORMAT parquet)")


def differences(folder: Path, who: str, step: str) -> int:
    """Number of rows that only one of the tables has, or that differ by more than 1e-9."""
    ours = DeltaTable(str(folder / "warehouse" / "user_features"))
    connection = duckdb.connect()
    listed = ", ".join(f"DATE '{day}'" for days in jobs_of(step) for day in days)
    files = [uri.removeprefix("file://") for uri in ours.file_uris()]
    connection.execute(
        f"CREATE VIEW ours AS SELECT * FROM read_parquet({files!r}) WHERE as_of IN ({listed})"
    )
    connection.execute(
        f"CREATE VIEW other AS SELECT * FROM read_parquet('{folder}/{who}-{step}/*/*.parquet')"
    )
    names = [r[0] for r in connection.sql("DESCRIBE other").fetchall()]
    same = " AND ".join(
        f"(abs(a.{n}::DOUBLE - b.{n}::DOUBLE) <= 1e-9 OR (a.{n} IS NULL AND b.{n} IS NULL))"
        for n in names
        if n not in ("user_id", "as_of")
    )
    rows = connection.sql(
        f"SELECT count(*) FILTER (WHERE a.user_id IS NULL OR b.user_id IS NULL OR NOT ({same})) "
        "FROM ours a FULL JOIN other b ON a.user_id = b.user_id AND a.as_of = b.as_of"
    ).fetchall()
    return int(rows[0][0])


def run_job(
    spark: Any, folder: Path, who: str, step: str, days: Sequence[dt.date]
) -> dict[str, float]:
    """Run one job of a step by one method: its seconds, and for ours the seconds of each step."""
    start, stages = time.monotonic(), {}
    output = folder / f"{who}-{step}"
    if who == "ours":
        stages = run_ours(spark, folder, days)
    elif who == "duckdb":
        run_duckdb(folder, output, days)
    else:
        run_spark(spark, folder, output, days, join=who == "join")
    return {"seconds": time.monotonic() - start, **stages}


def child(options: argparse.Namespace) -> None:
    """Generate the events, or run one step by one method; print the times of its jobs as JSON."""
    folder, who, step = Path(options.folder), options.who, options.step
    spark = None if who == "duckdb" else session(options.partitions)
    jobs = []
    if who == "generate":
        generate(spark, folder, int(options.events), options.users, options.days)
    else:
        jobs = [run_job(spark, folder, who, step, days) for days in jobs_of(step)]
    print(json.dumps(jobs), flush=True)
    if spark is not None:
        spark.stop()


def measured(arguments: Sequence[str]) -> tuple[list[dict[str, float]], float]:
    """Run a step in a separate process: seconds of its jobs, and its peak memory in GiB."""
    command = [sys.executable, "-m", "benchmarks.features", "--child", *arguments]
    peak = 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        while running.poll() is None:
            peak = max(peak, tree_memory(running.pid)[0])
            time.sleep(0.5)
        output = running.stdout.read() if running.stdout else ""
    if running.returncode:
        raise SystemExit(f"{' '.join(arguments)} failed")
    return json.loads(output.strip().splitlines()[-1]), peak / 2**30


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--events", default="1000000,20000000")
    parser.add_argument("--users", type=int, default=200_000, help="of 20 million events")
    parser.add_argument("--days", type=int, default=DAYS, help="length of the history")
    parser.add_argument("--partitions", type=int, default=8)
    parser.add_argument("--folder", default="build/benchmark-features")
    parser.add_argument("--only", default="ours,plain,join,duckdb")
    parser.add_argument("--steps", default=",".join(STEPS))
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--who", help=argparse.SUPPRESS)
    parser.add_argument("--step", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options)
        return
    print("| events | step | way | seconds | peak memory | rows that differ |")
    print("| --- | --- | --- | --- | --- | --- |")
    for events in map(int, options.events.split(",")):
        folder = Path(options.folder, f"{events}-{options.days}")
        users = max(1, options.users * events * DAYS // 20_000_000 // options.days)
        common = ["--folder", str(folder), "--partitions", str(options.partitions)]
        if not (folder / "warehouse" / "events").is_dir():
            made = ["--events", str(events), "--users", str(users), "--days", str(options.days)]
            measured([*common, *made, "--who", "generate"])
        for step in options.steps.split(","):
            for who in options.only.split(","):
                if who == "join" and step != "history":
                    continue
                jobs, peak = measured([*common, "--who", who, "--step", step])
                wrong = "" if who == "ours" else f"{differences(folder, who, step)}"
                spent = "; ".join(", ".join(f"{k} {v:.1f}" for k, v in job.items()) for job in jobs)
                print(
                    f"| {events:,} | {step} | {who} | {spent.replace('seconds ', '')} "
                    f"| {peak:.2f} GiB | {wrong} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
