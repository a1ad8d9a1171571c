"""Delta tables by path or in a catalog: documented, replaced in part, appended once."""

from __future__ import annotations

import datetime as dt
import json
import math
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from pyspark.sql.types import DoubleType, LongType, StringType

from behavior_spark.config import WarehouseSettings
from behavior_spark.errors import InputError
from behavior_spark.io.catalog import register_in_catalog, register_views
from behavior_spark.io.day_range import DayRange
from behavior_spark.io.warehouse import Warehouse
from behavior_spark.schemas import EVENTS, RUNS, TABLES, TEXTS, Contract, column

CATS = Contract(
    name="cats",
    comment="One row per cat; it's a table",
    columns=(
        column("cat_id", StringType(), "identity: 'its' own \\ name", required=True),
        column("lives", LongType(), "lives left"),
    ),
    key=("cat_id",),
    cluster_by=("cat_id",),
)


@pytest.fixture
def house(spark, tmp_path):
    return Warehouse(spark, WarehouseSettings(path=str(tmp_path / "a house")))


@pytest.fixture
def schema(spark, tmp_path, request):
    """A schema of its own in the session's catalog, gone afterwards."""
    name = "house_" + request.node.name.split("[")[0][-30:]
    spark.sql(f"CREATE SCHEMA {name} LOCATION '{tmp_path / 'schema'}'")
    yield name
    spark.sql(f"DROP SCHEMA {name} CASCADE")


def cats(spark, *rows: tuple):
    return spark.createDataFrame(list(rows), "cat_id string, lives bigint")


def content(house: Warehouse, contract: Contract = CATS) -> list[tuple]:
    return sorted(map(tuple, house.read(contract).collect()))


def comments(house: Warehouse, contract: Contract = CATS) -> dict[str, str]:
    rows = house.spark.sql(f"DESCRIBE {house.identifier(contract)}").collect()
    return {row.col_name: row.comment for row in rows if not row.col_name.startswith("#")}


def test_a_table_that_is_not_there_reads_as_no_rows_and_makes_nothing(house, tmp_path):
    frame = house.read(EVENTS)
    assert frame.count() == 0
    assert frame.schema == EVENTS.schema
    assert house.existing() == []
    assert not (tmp_path / "a house").exists()


def test_a_table_that_is_required_and_not_there_names_the_command_that_makes_it(house):
    with pytest.raises(InputError, match="run `behavior-spark ingest` first") as caught:
        house.require(EVENTS, made_by="ingest")
    assert house.location(EVENTS) in str(caught.value)


def test_a_column_that_changes_its_type_is_refused_with_what_to_do_and_rows_stay(house):
    house.append(cats(house.spark, ("a", 9)), CATS)
    halved = replace(CATS, columns=(CATS.columns[0], column("lives", DoubleType(), "lives left")))
    rows = house.spark.createDataFrame([("b", 4.5)], "cat_id string, lives double")
    for write in (house.append, partial(house.replace, where="true")):
        with pytest.raises(InputError, match="column lives of table cats has another") as caught:
            write(rows, halved)
        message = str(caught.value)
        assert "stored as bigint, now double" in message and "a name of its own" in message
    assert content(house) == [("a", 9)]


def test_describe_shows_every_comment_and_the_contract_is_read_back(house):
    house.create(CATS)
    assert comments(house) == {"cat_id": "identity: 'its' own \\ name", "lives": "lives left"}
    [detail] = house.spark.sql(f"DESCRIBE DETAIL {house.identifier(CATS)}").collect()
    assert detail.description == CATS.comment
    assert detail.clusteringColumns == ["cat_id"]
    assert house.require(CATS, made_by="x").schema.names == CATS.names
    house.create(CATS)  # again: nothing happens
    assert content(house) == []


def test_the_tables_of_the_project_can_be_created(house):
    house.create(EVENTS)
    found = {k: v for k, v in comments(house, EVENTS).items() if v}
    assert {f.name: f.metadata["comment"] for f in EVENTS.columns}.items() <= found.items()
    assert house.existing() == [EVENTS]
    assert all(f.metadata.get("comment") for c in TABLES.values() for f in c.columns)


def test_the_log_of_a_table_tells_days_and_what_files_are_clustered_by_but_no_user_and_no_text(
    house: Warehouse,
) -> None:
    now = dt.datetime(2024, 3, 1, 12, tzinfo=dt.UTC)
    row = {name: f"secret of {name}" for name in TEXTS.names if name != "text_hash"} | {
        "text_hash": "abc", "text_time": now, "arrived_at": now, "arrived_day": now.date()
    }  # fmt: skip
    house.append(house.frame(TEXTS, [row]), TEXTS)
    house.replace(house.frame(TEXTS, [row]), TEXTS, where="arrived_day = '2024-03-01'")
    log = sorted(Path(house.location(TEXTS), "_delta_log").glob("*.json"))
    assert len(log) == 3 and "secret of" not in "".join(map(Path.read_text, log))
    added = [json.loads(line).get("add") for line in log[-1].read_text().splitlines()]
    [stats] = [json.loads(add["stats"]) for add in added if add]
    assert stats["maxValues"] == {
        "text_time": "2024-03-01T12:00:00.000Z", "arrived_at": "2024-03-01T12:00:00.000Z",
        "arrived_day": "2024-03-01",
    }  # fmt: skip


def test_of_every_table_the_log_keeps_what_reads_skip_files_by_and_no_ids_of_users() -> None:
    for table in TABLES.values():
        stats = set(table.stats_columns)
        assert stats >= set(table.cluster_by) and stats <= set(table.names), table.name
        assert stats, f"Delta would keep the first 32 columns of {table.name}"
        assert not stats & {"user_id", "anonymous_id", "session_id", "text_id", "text"}, table.name


def test_replace_touches_only_its_rows(house, spark):
    house.append(cats(spark, ("a", 9), ("b", 9), ("c", 1)), CATS)
    house.replace(cats(spark, ("a", 8), ("d", 8)), CATS, where="lives >= 5")
    assert content(house) == [("a", 8), ("c", 1), ("d", 8)]
    house.replace(cats(spark, ("a", 8), ("d", 8)), CATS, where="lives >= 5")
    assert content(house) == [("a", 8), ("c", 1), ("d", 8)]


def test_replace_refuses_rows_that_are_not_its_own_and_changes_nothing(house, spark):
    house.append(cats(spark, ("a", 9)), CATS)
    with pytest.raises(InputError, match="writing table cats") as caught:
        house.replace(cats(spark, ("secret", 1)), CATS, where="lives >= 5")
    assert "secret" not in str(caught.value)
    assert content(house) == [("a", 9)]


def test_a_row_without_a_required_value_is_refused(house, spark):
    with pytest.raises(InputError, match="writing table cats") as caught:
        house.append(cats(spark, (None, 4711)), CATS)
    assert "4711" not in str(caught.value)
    assert len(str(caught.value).splitlines()) <= 3
    assert content(house) == []


def test_the_same_transaction_adds_nothing_the_second_time(house, spark):
    for lives, transaction in [(1, ("app", 1)), (2, ("app", 1)), (3, ("app", 2)), (1, None)]:
        house.append(cats(spark, ("a", lives)), CATS, transaction=transaction)
    assert content(house) == [("a", 1), ("a", 1), ("a", 3)]


def test_a_new_column_is_added_with_its_comment_and_old_rows_are_null(house, spark):
    house.append(cats(spark, ("a", 9)), CATS)
    wider = CATS.with_columns([column("weight", DoubleType(), "in kg; it's heavy")])
    frame = spark.createDataFrame([("b", 8, 4.5)], "cat_id string, lives bigint, weight double")
    house.append(frame, wider)
    assert comments(house)["weight"] == "in kg; it's heavy"
    assert dict(house.read(wider).select("cat_id", "weight").collect()) == {"a": None, "b": 4.5}


def test_a_table_of_an_earlier_release_is_read_with_its_new_columns_as_null(house, spark):
    house.append(cats(spark, ("a", 9)), CATS)
    wider = CATS.with_columns([column("weight", DoubleType(), "in kg")])
    for frame in (house.read(wider), house.require(wider, made_by="test"), house.snapshot(wider)):
        assert [tuple(row) for row in frame.collect()] == [("a", 9, None)]
    assert house.read(CATS).columns == CATS.names


def test_columns_are_put_in_order_cast_and_filled_with_null(house, spark):
    frame = spark.createDataFrame([(9, "a", "x")], "lives int, cat_id string, other string")
    house.append(frame, CATS)
    house.append(spark.createDataFrame([("b",)], "cat_id string"), CATS)
    rows = house.read(CATS).orderBy("cat_id").collect()
    assert [tuple(row) for row in rows] == [("a", 9), ("b", None)]


def test_existing_tables_become_views(house, spark):
    event = {"event_id": "e", "event_time": dt.datetime(2024, 1, 1), "event_type": "view",
             "arrived_at": dt.datetime(2024, 1, 1), "arrived_day": dt.date(2024, 1, 1)}  # fmt: skip
    schema = ", ".join(f"{n} {EVENTS.field(n).dataType.simpleString()}" for n in event)
    house.append(spark.createDataFrame([tuple(event.values())], schema), EVENTS)
    try:
        assert register_views(house) == ["events"]
        assert spark.sql("SELECT event_id FROM events").first().event_id == "e"
    finally:
        spark.catalog.dropTempView("events")


def test_a_path_and_its_identifier_are_absolute(spark, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    relative = Warehouse(spark, WarehouseSettings(path="wh/"))
    assert relative.location(CATS) == f"{tmp_path}/wh/cats"
    remote = Warehouse(spark, WarehouseSettings(path="s3a://bucket/wh"))
    assert remote.identifier(CATS) == "delta.`s3a://bucket/wh/cats`"


def test_a_paths_tables_are_registered_in_a_schema(spark, tmp_path, schema):
    path = tmp_path / "it's here"
    house = Warehouse(spark, WarehouseSettings(path=str(path), register=schema))
    assert register_in_catalog(house) == []
    house.create(EVENTS)
    assert register_in_catalog(house) == [f"{schema}.events"]
    assert register_in_catalog(house) == [f"{schema}.events"]  # again
    rows = spark.sql(f"DESCRIBE {schema}.events").collect()
    assert "identity of the event" in [row.comment for row in rows]
    assert spark.read.table(f"{schema}.events").count() == 0


def test_a_warehouse_in_a_schema_creates_appends_replaces_and_widens(spark, schema):
    house = Warehouse(spark, WarehouseSettings(schema=schema))
    assert house.read(CATS).count() == 0
    house.append(cats(spark, ("a", 9)), CATS, transaction=("app", 1))
    house.append(cats(spark, ("a", 9)), CATS, transaction=("app", 1))
    house.append(cats(spark, ("c", 1)), CATS)
    house.replace(cats(spark, ("b", 8)), CATS, where="lives >= 5")
    assert content(house) == [("b", 8), ("c", 1)]
    assert comments(house) == {"cat_id": "identity: 'its' own \\ name", "lives": "lives left"}
    wider = CATS.with_columns([column("weight", DoubleType(), "in kg")])
    house.create(wider)
    assert comments(house)["weight"] == "in kg"
    assert content(house) == [("b", 8, None), ("c", 1, None)]
    assert spark.catalog.tableExists(f"{schema}.cats")


def places(spark, tmp_path, schema) -> list[Warehouse]:
    """A warehouse in a folder and one in a schema."""
    settings = [WarehouseSettings(path=str(tmp_path / "a house")), WarehouseSettings(schema=schema)]
    return [Warehouse(spark, each) for each in settings]


def test_rows_are_removed_by_the_values_of_a_column(spark, tmp_path, schema):
    for house in places(spark, tmp_path, schema):
        house.append(cats(spark, ("a", 1), ("it's \\", 2), ("c", 3), ("c", 4)), CATS)
        house.delete(CATS, column="cat_id", values=["it's \\", "c", "x' OR 'a' = 'a"])
        assert content(house) == [("a", 1)]
        before = house.version(CATS)
        house.delete(CATS, column="cat_id", values=[])
        assert house.version(CATS) == before  # no values, no commit


def test_rows_that_match_are_removed_and_null_matches_null(spark, tmp_path, schema):
    for house in places(spark, tmp_path, schema):
        house.append(cats(spark, ("a", 1), ("a", None), ("b", None), ("c", 3), ("c", 3)), CATS)
        keys = cats(spark, ("a", None), ("c", 3), ("c", 3), ("d", 4))
        house.delete_matching(CATS, keys, on=["cat_id", "lives"])
        assert content(house) == [("a", 1), ("b", None)]
        # By name only: `spark.catalog.listTables` also resolves every view that other tests left.
        assert spark.sql("SHOW VIEWS LIKE '_rows*'").count() == 0


def test_rows_read_from_the_table_itself_replace_their_copies_in_one_commit(
    spark, tmp_path, schema
):
    for house in places(spark, tmp_path, schema):
        house.append(cats(spark, ("a", 1), ("a", 1), ("b", None), ("b", None), ("c", 3)), CATS)
        before = house.version(CATS)
        copies = house.read(CATS).groupBy("cat_id", "lives").count().where("count > 1")
        one_each = house.read(CATS).where("cat_id IN ('a', 'b')").dropDuplicates()
        house.delete_matching(CATS, copies, on=["cat_id", "lives"], instead=one_each)
        assert content(house) == [("a", 1), ("b", None), ("c", 3)]
        assert house.version(CATS) == before + 1


def test_many_small_files_become_few_and_the_rows_stay(spark, tmp_path, schema):
    for house in places(spark, tmp_path, schema):
        for lives in range(4):
            house.append(cats(spark, ("a", lives)), CATS)
        assert house.detail(CATS)["numFiles"] == 4
        house.compact(CATS)
        assert house.detail(CATS)["numFiles"] == 1
        assert house.detail(CATS)["sizeInBytes"] > 0
        after = house.version(CATS)
        house.compact(CATS)
        assert house.version(CATS) == after  # nothing left to do
        assert content(house) == [("a", lives) for lives in range(4)]


def test_a_vacuum_keeps_what_time_travel_may_still_read(spark, tmp_path, schema):
    for house in places(spark, tmp_path, schema):
        house.append(cats(spark, ("a", 9)), CATS)
        held = house.version(CATS)
        house.delete(CATS, column="cat_id", values=["a"])
        house.vacuum(CATS)
        table = house.identifier(CATS)
        assert spark.sql(f"SELECT * FROM {table} VERSION AS OF {held}").count() == 1
        assert content(house) == []


def test_the_version_grows_with_each_commit_and_is_none_without_a_table(spark, tmp_path, schema):
    for house in places(spark, tmp_path, schema):
        assert house.version(CATS) is None
        house.create(CATS)
        assert house.version(CATS) == 0
        house.append(cats(spark, ("a", 9)), CATS)
        assert house.version(CATS) == 1


def test_the_history_tells_what_writers_said_and_which_rows(spark, tmp_path, schema):
    row, days = cats(spark, ("tom", 9)), DayRange("known_day", dt.date(2024, 1, 1))
    for house in places(spark, tmp_path, schema):
        house.append(row, CATS, days=days, note={"through": "2024-01-01"})
        house.replace(row, CATS, where="cat_id = 'tom'", note={"through": "2024-01-02"})
        house.compact(CATS)
        by_hand = row.write.format("delta").mode("append").option("userMetadata", "by hand")
        if house.settings.schema_:
            by_hand.saveAsTable(house.location(CATS))
        else:
            by_hand.save(house.location(CATS))
        history = house.history(CATS)
        assert [commit.version for commit in history] == [4, 3, 2, 1, 0]
        strange, compacted, replaced, appended, created = history
        assert strange.is_append and strange.note == {} and strange.days is None
        assert compacted.is_upkeep and not compacted.is_append
        assert not replaced.is_append and replaced.note["through"] == "2024-01-02"
        assert appended.is_append and appended.note["through"] == "2024-01-01"
        assert appended.days == days and replaced.days is None
        assert not (created.is_append or created.is_upkeep)
        # Else the first night would take its own tables for somebody else's.
        assert created.writer == appended.writer == replaced.writer is not None
        house.append(row, CATS)
        assert [commit.version for commit in house.history(CATS)] == [5, 4, 3, 2, 1, 0]


def test_a_failure_goes_back_to_what_was_there_before_this_writer(spark, tmp_path, schema):
    for house in places(spark, tmp_path, schema):
        assert house.version_before(CATS) is None
        house.create(CATS)
        assert house.version_before(CATS) is None
        house.append(cats(spark, ("tom", 9)), CATS)
        other = Warehouse(spark, house.settings)
        assert other.version_before(CATS) is None
        other.append(cats(spark, ("tib", 1)), CATS)
        other.replace(cats(spark, ("tib", 2)), CATS, where="cat_id = 'tib'")
        assert other.version_before(CATS) == 1
        other.restore(CATS, 1, days=None)
        assert content(house) == [("tom", 9)]
        assert house.version_before(CATS) == 0


def test_a_removal_that_fails_names_the_table_and_no_value(house, spark):
    house.append(cats(spark, ("secret", 9)), CATS)
    with pytest.raises(InputError, match="removing rows of table cats") as caught:
        house.delete(CATS, column="no_such", values=["secret"])
    assert "secret" not in str(caught.value)
    assert len(str(caught.value).splitlines()) <= 3


def test_a_few_rows_become_a_frame_without_a_worker_of_python(spark, tmp_path):
    """A row of ``runs``: maps, structs, a day, a time; also what JSON itself has no word for."""
    moment = dt.datetime(2024, 6, 1, 23, 59, 59, 123456, tzinfo=dt.UTC)
    counts = {"table_name": "events", "rows_in": 2**60, "rows_out": 3, "duplicates": 0,
              "refused": 1, "without_user": 0, "not_yet": 0}  # fmt: skip
    row = {
        "run_id": 'a "quoted"\nname \u2603 \U0001f680', "command": "nightly",
        "as_of": moment.date(), "started_at": moment, "seconds": 0.1 + 0.2, "status": "done",
        "sources": [counts], "stages": {"ingest.events": 1e-9}, "models": {},
        "figures": {"none": math.nan, "all": math.inf, "one": 1.0}, "balanced": False,
    }  # fmt: skip
    warehouse = Warehouse(spark, WarehouseSettings(path=str(tmp_path)))
    frame = warehouse.frame(RUNS, [row, {"run_id": "b"}])
    assert [(f.name, f.dataType) for f in frame.schema] == [
        (f.name, f.dataType) for f in RUNS.schema
    ]
    plans = "".join(f._jdf.queryExecution().optimizedPlan().toString()
                    for f in (frame, warehouse.empty(RUNS)))  # fmt: skip
    assert "LogicalRDD" not in plans  # of a list, which a worker of Python has to read
    rows = {found["run_id"]: found.asDict(recursive=True) for found in frame.collect()}
    stored = rows[row["run_id"]]
    assert math.isnan(stored["figures"].pop("none"))
    wanted = row | {"figures": {"all": math.inf, "one": 1.0},
                    "started_at": moment.astimezone().replace(tzinfo=None)}  # fmt: skip
    assert {name: stored[name] for name in wanted} == wanted
    assert set(rows["b"].values()) == {"b", None}
    assert warehouse.frame(RUNS, []).count() == 0
    with pytest.raises(TypeError, match="bytes"):
        warehouse.frame(RUNS, [{"error": b"x"}])
