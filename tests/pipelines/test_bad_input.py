"""What is wrong is named or quarantined, and the rest goes through."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from rich.console import Console

from behavior_spark.config import Settings, validate_settings
from behavior_spark.errors import ConfigError, InputError
from behavior_spark.io.expressions import type_of
from behavior_spark.io.warehouse import Warehouse
from behavior_spark.pipelines import commands
from behavior_spark.pipelines.checks import Sampled
from behavior_spark.pipelines.logs import quarantine
from behavior_spark.pipelines.logs.event_types import refuse_types_never_stored
from behavior_spark.schemas import EVENTS, QUARANTINE, RUNS, TEXTS
from tests.stored_tables import same_rows

AS_OF = dt.date(2024, 3, 1)
QUIET = Console(quiet=True)
SECRET = "carol.secret@example.com"


def _settings(tmp_path: Path, **changes: Any) -> Settings:
    tree: dict[str, Any] = {
        "warehouse": str(tmp_path / "warehouse"),
        "sources": {
            "events": {
                "path": str(tmp_path / "events"),
                "format": "json",
                "columns": {
                    "event_id": "id", "user_id": "user", "event_time": "time",
                    "event_type": "type", "value": "amount",
                },
            },
            "texts": {
                "path": str(tmp_path / "texts"),
                "format": "json",
                "columns": {
                    "text_id": "id", "user_id": "user", "text_time": "time", "text": "body",
                },
            },
        },
        "features": {"event_types": ["view", "purchase"]},
        "targets": {"purchase_30d": {"event": "event_type = 'purchase'"}},
    }  # fmt: skip
    return validate_settings({**tree, **changes})


def _write(folder: Path, rows: list[dict[str, Any]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    lines = "\n".join(json.dumps(row) for row in rows)
    (folder / "rows.json").write_text(lines, encoding="utf-8")


def _event(**changes: Any) -> dict[str, Any]:
    row = {"id": "e1", "user": "u1", "time": "2024-02-01T10:00:00", "type": "view", "amount": "1"}
    return {**row, **changes}


def _text(**changes: Any) -> dict[str, Any]:
    row = {"id": "t1", "user": "u1", "time": "2024-02-01T10:00:00", "body": "hello"}
    return {**row, **changes}


def test_faulty_rows_are_quarantined_with_their_reason_and_the_rest_goes_through(
    spark: SparkSession, tmp_path: Path
) -> None:
    _write(
        tmp_path / "events",
        [
            _event(),
            _event(),
            _event(id="e2", user=None),
            _event(id=None),
            _event(id="e3", time="no time"),
            _event(id="e4", amount=f"ask {SECRET}"),
            _event(id="e5", type=" "),
            _event(id="e6", time="1024-02-01T10:00:00"),
            _event(id="e7", time="2024-03-01T00:00:00"),
        ],
    )
    _write(
        tmp_path / "texts",
        [
            _text(),
            _text(id="t2", body=None),
            _text(id="t3", body=" \u200b\n "),
            _text(id="t4", body="x" * 1_000_000),
            _text(id="t5", body="👩‍👩‍👧 שלום مرحبا"),
            _text(id="t6", body=f"write to {SECRET}"),
            _text(id="t7", user=None),
        ],
    )
    settings = _settings(tmp_path)
    result = commands.ingest(settings, as_of=AS_OF, spark=spark, console=QUIET)
    counts = {s.table_name: asdict(s) for s in result.sources}
    assert counts["events"] | {"balanced": True} == {
        "table_name": "events", "rows_in": 8, "rows_out": 2, "duplicates": 1, "refused": 5,
        "without_user": 1, "not_yet": 1, "balanced": True,
    }  # fmt: skip
    assert (counts["texts"]["rows_in"], counts["texts"]["rows_out"]) == (7, 5)
    warehouse = Warehouse(spark, settings.warehouse)
    reasons = {
        (r["table_name"], r["reason"])
        for r in warehouse.read(QUARANTINE).select("table_name", "reason").collect()
    }
    assert reasons == {
        ("events", "event_id is missing"),
        ("events", "event_time is not a timestamp"),
        ("events", "value is not a number"),
        ("events", "event_type is missing"),
        ("events", "event_time is outside 1990 to 2200"),
        ("texts", "text is missing"),
        ("texts", "text is empty after cleaning"),
    }
    stored = {r["text_id"]: r["text"] for r in warehouse.read(TEXTS).collect()}
    assert len(stored["t4"]) == settings.text.max_chars
    assert stored["t5"] == "👩‍👩‍👧 שלום مرحبا"
    assert stored["t6"] == "write to <email>"
    everything = str(warehouse.read(QUARANTINE).collect()) + str(warehouse.read(RUNS).collect())
    assert SECRET not in everything


def test_what_the_quarantine_reads_is_dropped_before_python_and_is_what_was_refused(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _write(tmp_path / "events", [_event(), _event(id=None), _event(id="e3", time="no time")])
    # Of two versions of one moment cleaning leaves nothing of the one; which is kept is drawn.
    twice = [_text(id=f"t{n}", body=body) for n in range(12) for body in ("\u200b", f"words {n}")]
    _write(tmp_path / "texts", [*twice, _text(id="u", body=" \u2063 "), _text(id="v", time=None)])
    plans: list[str] = []
    form = quarantine.rows.quarantine_rows

    def noted(frame: DataFrame, *args: Any, **kwargs: Any) -> DataFrame:
        plans.append(frame._jdf.queryExecution().optimizedPlan().toString())
        return form(frame, *args, **kwargs)

    monkeypatch.setattr(quarantine.rows, "quarantine_rows", noted)
    settings = _settings(tmp_path)
    result = commands.ingest(settings, as_of=AS_OF, spark=spark, console=QUIET)
    counted = {s.table_name: s.refused for s in result.sources}
    assert counted["events"] == 2 and 2 < counted["texts"] < 14
    held = Warehouse(spark, settings.warehouse).read(QUARANTINE)
    rows = held.groupBy("table_name").agg(F.sum("refused_rows").alias("n")).collect()
    assert {row["table_name"]: row["n"] for row in rows} == counted
    assert not any("changed while it was read" in note for note in result.notes)
    events, texts, emptied = plans
    for plan in plans:
        assert "CollectMetrics" not in plan  # nothing is counted twice, and filters go below
    for plan in (events, texts):
        below = plan[plan.index("ArrowEvalPython") :]  # which composes names
        assert "Filter" in below and "is missing" in below[below.index("Filter") :]
    below = emptied[emptied.index("ArrowEvalPython") :]  # which cleans texts
    assert "RLIKE(text" in below.replace("`", "") or "rlike" in below.lower()


def test_a_later_arrival_is_a_new_version_of_its_event(spark: SparkSession, tmp_path: Path) -> None:
    first = _event(received="2024-02-01T11:00:00")
    corrected = {**first, "amount": "2", "received": "2024-02-03T09:00:00"}
    _write(tmp_path / "events", [first, corrected])
    _write(tmp_path / "texts", [_text()])
    settings = _settings(tmp_path)
    source = settings.sources.events[0]
    mapped = source.model_copy(update={"columns": {**source.columns, "arrived_at": "received"}})
    sources = settings.sources.model_copy(update={"events": [mapped]})
    settings = settings.model_copy(update={"sources": sources})
    commands.ingest(settings, as_of=AS_OF, spark=spark, console=QUIET)
    events = Warehouse(spark, settings.warehouse).read(EVENTS)
    assert [(r["event_id"], float(r["value"])) for r in events.orderBy("arrived_at").collect()] == [
        ("e1", 1.0), ("e1", 2.0),
    ]  # fmt: skip


def test_nights_one_by_one_store_the_same_events_as_one_for_all(
    spark: SparkSession, tmp_path: Path
) -> None:
    days = [_event(id=f"e{i}", time=f"2024-02-{i:02d}T10:00:00") for i in range(1, 8)]
    _write(tmp_path / "events", [*days, days[3]])
    _write(tmp_path / "texts", [_text()])
    single = _settings(tmp_path, warehouse=str(tmp_path / "single"))
    steps = _settings(tmp_path, warehouse=str(tmp_path / "steps"))
    commands.ingest(single, as_of=dt.date(2024, 2, 8), spark=spark, console=QUIET)
    for day in (3, 5, 5, 8, 3):  # reruns, and a night in the past run again
        commands.ingest(steps, as_of=dt.date(2024, 2, day), spark=spark, console=QUIET)
    one = Warehouse(spark, single.warehouse).read(EVENTS)
    many = Warehouse(spark, steps.warehouse).read(EVENTS)
    assert one.count() == 7
    assert same_rows(one, many)


def test_user_ids_are_pseudonyms_everywhere_when_a_key_is_configured(
    spark: SparkSession, tmp_path: Path
) -> None:
    _write(tmp_path / "events", [_event(user="user-4711"), _event(id=None, user="user-4711")])
    _write(tmp_path / "texts", [_text(user="user-4711")])
    settings = _settings(tmp_path, privacy={"pseudonymise_key": "0123456789abcdef"})
    commands.ingest(settings, as_of=AS_OF, spark=spark, console=QUIET)
    warehouse = Warehouse(spark, settings.warehouse)
    users = {r["user_id"] for c in (EVENTS, TEXTS) for r in warehouse.read(c).collect()}
    assert len(users) == 1 and len(users.pop()) == 32
    everything = str([warehouse.read(c).collect() for c in (EVENTS, TEXTS, QUARANTINE, RUNS)])
    assert "4711" not in everything and "0123456789abcdef" not in everything


def test_no_user_id_and_no_key_stands_in_the_plan(
    spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from behavior_spark.cleaning.columns import pseudonym_column

    frame = spark.createDataFrame([("user-4711",)], "user_id string").select(
        pseudonym_column(key="0123456789abcdef")(F.col("user_id"))
    )
    frame.explain(True)
    plan = capsys.readouterr().out
    assert "Physical Plan" in plan and "0123456789abcdef" not in plan


def test_a_corrupt_parquet_file_is_named(spark: SparkSession, tmp_path: Path) -> None:
    columns = "id string, user string, time string, type string, amount string"
    good = spark.createDataFrame([("e1", "u1", "2024-02-01", "view", "1")], columns)
    good.coalesce(1).write.parquet(str(tmp_path / "events"))
    (tmp_path / "events" / "part-zzz.parquet").write_bytes(b"this is no Parquet file at all")
    _write(tmp_path / "texts", [_text()])
    settings = _settings(tmp_path)
    source = settings.sources.events[0].model_copy(update={"format": "parquet"})
    sources = settings.sources.model_copy(update={"events": [source]})
    with pytest.raises(InputError) as raised:
        commands.ingest(
            settings.model_copy(update={"sources": sources}), as_of=AS_OF, spark=spark,
            console=QUIET,
        )  # fmt: skip
    assert "corrupt" in str(raised.value) and str(raised.value).count("\n") <= 2
    assert "at org.apache" not in str(raised.value)


def test_a_failed_run_is_recorded_as_failed(spark: SparkSession, tmp_path: Path) -> None:
    _write(tmp_path / "events", [_event()])
    settings = _settings(tmp_path)  # no texts folder
    with pytest.raises(InputError, match=r"sources\.texts"):
        commands.ingest(settings, as_of=AS_OF, spark=spark, console=QUIET)
    runs = Warehouse(spark, settings.warehouse).read(RUNS).collect()
    assert [(r["status"], r["command"]) for r in runs] == [("failed", "ingest")]
    assert "sources.texts" in runs[0]["error"]


def test_an_empty_table_gives_one_clear_error_at_the_night(
    spark: SparkSession, tmp_path: Path
) -> None:
    for name, row in (("events", _event()), ("texts", _text())):
        columns = ", ".join(f"{key} string" for key in row)
        spark.createDataFrame([], columns).write.parquet(str(tmp_path / name))
    settings = _settings(tmp_path)
    parts = {
        kind: [s.model_copy(update={"format": "parquet"}) for s in getattr(settings.sources, kind)]
        for kind in ("events", "texts")
    }
    settings = settings.model_copy(update={"sources": settings.sources.model_copy(update=parts)})
    with pytest.raises(InputError, match="no events before") as raised:
        commands.nightly(settings, as_of=AS_OF, spark=spark, console=QUIET)
    assert str(raised.value).count("\n") <= 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"targets": {"t": {"event": "event_typ = 'x'"}}}, "event_type"),
        ({"targets": {"t": {"event": "event_type"}}}, "must be a condition"),
        ({"population": "no_such > 1"}, "population"),
    ],
)
def test_a_condition_that_cannot_be_is_refused_before_any_work(
    spark: SparkSession, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    _write(tmp_path / "events", [_event()])
    _write(tmp_path / "texts", [_text()])
    settings = _settings(tmp_path, **change)
    with pytest.raises(ConfigError, match=message):
        commands.nightly(settings, as_of=AS_OF, spark=spark, console=QUIET)
    assert not (tmp_path / "warehouse" / "events").exists()


def test_all_mistakes_of_a_config_are_told_in_one_go(spark: SparkSession, tmp_path: Path) -> None:
    _write(tmp_path / "events", [{"meta": {"uid": "e1", "at": "2024-02-01"}, **_event()}])
    settings = _settings(
        tmp_path, targets={"buys": {"event": "event_typ = 'purchase'"}},
        audiences={"reach": {"target": "buys", "top": 5, "exclude": "nowhere > 1"}},
    )  # fmt: skip
    columns = settings.sources.events[0].columns
    columns |= {"event_id": "meta.uidd", "event_tim": "time", "value": "amuont"}
    with pytest.raises(ConfigError) as refused:
        commands.check(settings, as_of=AS_OF, spark=spark, console=QUIET)
    error = refused.value
    assert error.problem.startswith("sources.events.columns.event_tim: events has no such column")
    assert error.fix == "did you mean event_time?"
    assert len(str(error).splitlines()) == 3
    for told in (
        "no field uidd in meta.uidd", "columns.value: no column amuont",
        "sources.texts", "targets.buys.event: no column event_typ",
        "audiences.reach.exclude",
    ):  # fmt: skip
        assert told in str(error.found), told


def test_a_field_that_is_not_there_is_named_with_the_likeliest(
    spark: SparkSession, tmp_path: Path
) -> None:
    frame = spark.range(1).selectExpr("named_struct('eventUid', 'e', 'schema', 1) AS meta")
    with pytest.raises(ConfigError, match=r"no field eventUId2 in meta\.eventUId2") as refused:
        type_of(frame, "meta.eventUId2", label="sources.events.columns.event_id")
    assert refused.value.fix == "did you mean eventUid?"
    assert refused.value.found == "fields: eventUid, schema"


@pytest.mark.parametrize(
    ("listed", "fix"),
    [(["order_placed"], "write 'order_placed'"), (["view"], "write 'order placed'")],
)
def test_a_type_in_the_logs_own_spelling_is_named_as_the_config_names_it(
    tmp_path: Path, listed: list[str], fix: str
) -> None:
    settings = _settings(
        tmp_path, features={"event_types": listed},
        targets={"buys": {"event": "event_type = 'Order Placed'"}},
    )  # fmt: skip
    with pytest.raises(ConfigError, match="is true of no event") as refused:
        refuse_types_never_stored(settings)
    assert refused.value.fix == fix


def test_check_shows_five_masked_rows_of_each_source(spark: SparkSession, tmp_path: Path) -> None:
    _write(tmp_path / "events", [_event(id=f"e{i}") for i in range(9)])
    _write(tmp_path / "texts", [_text(id=f"t{i}", body=f"mail {SECRET}") for i in range(9)])
    result = commands.check(_settings(tmp_path), spark=spark, console=QUIET)
    rows = result.of(Sampled).rows
    assert [len(rows["events"]), len(rows["texts"])] == [5, 5]
    assert SECRET not in str(rows) and "mail <email>" in str(rows)
    assert not (tmp_path / "warehouse").exists()
