"""Logs as other tools write them: every row comes out as its source has it, or says why not."""

from __future__ import annotations

import datetime as dt
import json
import math
import unicodedata
from collections import Counter
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pyspark.sql import SparkSession
from rich.console import Console

from behavior_spark.cleaning.text import pseudonym
from behavior_spark.config import Settings, validate_settings
from behavior_spark.errors import ConfigError, InputError
from behavior_spark.io.conf import conf_meanwhile
from behavior_spark.io.warehouse import Warehouse
from behavior_spark.pipelines import commands
from behavior_spark.pipelines.logs.starting import write_config
from behavior_spark.schemas import EVENTS, ITEMS, QUARANTINE, TEXTS

AS_OF = dt.date(2024, 3, 1)
QUIET = Console(quiet=True)
COLUMNS = {"event_id": "id", "user_id": "who", "event_time": "at", "event_type": "what",
           "value": "worth", "arrived_at": "received"}  # fmt: skip


def config(tmp_path: Path, events: Any, **changes: Any) -> Settings:
    sources = {"events": events, **changes.pop("sources", {})}
    tree = {
        "warehouse": str(tmp_path / "warehouse"),
        "sources": sources,
        "features": {"event_types": ["view", "buy"]},
        "targets": {"buys": {"event": "event_type = 'buy'"}},
    }
    return validate_settings({**tree, **changes})


def source(path: Path, **changes: Any) -> dict[str, Any]:
    return {"path": str(path), "format": "json", "columns": COLUMNS, **changes}


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return path


def row(number: int, **changes: Any) -> dict[str, Any]:
    fields = {"id": f"e{number}", "who": "u1", "at": "2024-02-01 10:00:00", "what": "view",
              "worth": "1", "received": None}  # fmt: skip
    return {**fields, **changes}


# What a column of text may hold, and what becomes of it: (value, what is stored or a reason).
INVISIBLE = [" ", "\t", "\u00a0", "\u200b", "\ufeff", "\r\n", "\u3000"]
MARK = st.sampled_from(["", *INVISIBLE])


@st.composite
def padded(draw: st.DrawFn, inner: st.SearchStrategy[str]) -> str:
    return draw(MARK) + draw(inner) + draw(MARK)


TEXT_IDS = padded(st.sampled_from(
    ["u1", "007", "J\u00fcrgen", "Ju\u0308rgen", 'a"b', "a,b", "a;b", "日本", "x\ny", "NaN", "1.0"]
))  # fmt: skip
TIMES = st.sampled_from([
    "2024-02-01 10:00:00", "2024-02-03T10:00:00Z", "2024-02-02T23:30:00+01:00", "2024-02-04",
    " 2024-02-05 01:02:03.5", "soon", "10:30", "1709287200", "1024-01-01 00:00", None,
])  # fmt: skip
ARRIVALS = st.sampled_from([
    None, "2024-02-10 12:00:00", "2024-02-11", "never", "9:15", "2024-01-01 00:00:00",
])  # fmt: skip
TYPES = padded(st.sampled_from(["view", "buy", "View", "Order Completed"]))
WORTHS = st.sampled_from(
    ["2.50", "0.00001", "1e3", "NaN", "inf", "cheap", "100000000000000", "-7", None]
)
ROWS = st.lists(
    st.fixed_dictionaries(
        {"who": TEXT_IDS, "at": TIMES, "received": ARRIVALS, "what": TYPES, "worth": WORTHS}
    ),
    min_size=60,
    max_size=90,
)
NUMBER_IDS = [1.0, 10000001.0, 2.0**53, math.nan, math.inf, 1.5, None]


def trim(text: str) -> str:
    return unicodedata.normalize("NFC", text.strip("".join(INVISIBLE)))


def moment(text: str | None, *, end: bool = False) -> dt.datetime | None:
    """A time of the lists above as Python reads it; ValueError where it is none."""
    text = text and trim(text)
    if not text:
        return None
    if ":" in text[:3] or text.isdigit() or "-" not in text:
        raise ValueError(text)
    at = dt.datetime.fromisoformat(text)
    if at.tzinfo:
        at = at.astimezone(dt.UTC).replace(tzinfo=None)
    return at + dt.timedelta(days=1, microseconds=-1) if end and len(text) == 10 else at


def number(text: str | None) -> Decimal | None:
    if not text or text == "NaN":
        return None
    value = Decimal(text)
    if value.is_infinite() or abs(value) >= 10**14:
        raise ValueError(text)
    return value.quantize(Decimal("0.0001"), ROUND_HALF_UP)


def expected(name: str, raw: dict[str, Any]) -> tuple[Any, ...] | str:
    """What is stored of a row, or the column for which it is refused."""
    who: Any = raw["who"]
    if isinstance(who, float):
        if math.isnan(who):
            who = None
        elif math.isinf(who) or who != int(who) or who >= 2**53:
            return "user_id"
        else:
            who = str(int(who))
    elif who is not None:
        who = trim(who) or None
    readers = {"event_time": lambda: moment(raw["at"]), "value": lambda: number(raw["worth"]),
               "arrived_at": lambda: moment(raw["received"], end=True)}  # fmt: skip
    read: dict[str, Any] = {}
    for column, reader in readers.items():
        try:
            read[column] = reader()
        except ArithmeticError as error:
            return f"{column} {error}"
        except ValueError:
            return column
    at, arrived = read["event_time"], read["arrived_at"]
    if at is None or at.year < 1990:
        return "event_time"
    if arrived is not None and arrived < at:
        return "arrived_at"
    kind = trim(raw["what"]).lower()
    return (f"{name}:{raw['id']}", who, at, kind, read["value"], arrived or at)


def write_all(folder: Path, rows: list[dict[str, Any]], spark: SparkSession) -> list[dict]:
    """The rows in each format, by another tool each; sources of events."""
    texts = {"id": str, "who": str, "at": str, "received": str, "what": str, "worth": str}
    table = pd.DataFrame(rows, columns=list(texts)).astype(object)
    frame = pl.DataFrame(rows, schema=dict.fromkeys(texts, pl.String))
    table.to_csv(folder / "pandas.csv", index=False)
    frame.write_csv(folder / "polars.csv")
    frame.write_ndjson(folder / "polars.json")
    table.to_parquet(folder / "pandas.parquet")
    frame.write_parquet(folder / "polars.parquet")
    write_deltalake(str(folder / "delta"), frame.to_arrow())
    schema = ", ".join(f"{name} string" for name in texts)
    spark.createDataFrame([tuple(r[n] for n in texts) for r in rows], schema).write.parquet(
        str(folder / "spark")
    )
    # Ids as pandas holds them beside nulls: floating point, and NaN that polars keeps.
    numbers = [{**r, "who": NUMBER_IDS[i % len(NUMBER_IDS)]} for i, r in enumerate(rows)]
    pl.DataFrame(numbers, schema={**dict.fromkeys(texts, pl.String), "who": pl.Float64}).select(
        *texts, pl.col("id").str.len_chars().cast(pl.Datetime("ns")).alias("unmapped")
    ).write_parquet(folder / "numbers.parquet")
    places = {"pandas_csv": ("pandas.csv", "csv"), "polars_csv": ("polars.csv", "csv"),
              "polars_json": ("polars.json", "json"), "pandas": ("pandas.parquet", "parquet"),
              "polars": ("polars.parquet", "parquet"), "delta": ("delta", "delta"),
              "spark": ("spark", "parquet"), "numbers": ("numbers.parquet", "parquet")}  # fmt: skip
    return [
        {"name": name, **source(folder / place, format=kind)}
        for name, (place, kind) in places.items()
    ]


def read_again(folder: Path, name: str) -> list[dict[str, Any]]:
    """The rows of a source, by a reader that is not Spark."""
    readers = {
        "pandas_csv": lambda: pl.read_csv(folder / "pandas.csv", infer_schema=False),
        "polars_csv": lambda: pl.read_csv(folder / "polars.csv", infer_schema=False),
        "polars_json": lambda: pl.read_ndjson(folder / "polars.json"),
        "pandas": lambda: pl.read_parquet(folder / "pandas.parquet"),
        "polars": lambda: pl.read_parquet(folder / "polars.parquet"),
        "delta": lambda: pl.read_parquet(folder / "delta" / "*.parquet"),
        "spark": lambda: pl.read_parquet(folder / "spark" / "*.parquet"),
        "numbers": lambda: pl.read_parquet(folder / "numbers.parquet"),
    }
    return readers[name]().to_dicts()


@settings(max_examples=2, deadline=None, database=None, phases=[Phase.generate],
          suppress_health_check=list(HealthCheck))  # fmt: skip
@given(ROWS, st.booleans())
def test_rows_of_every_format_come_out_as_their_source_has_them_or_say_why_not(
    spark: SparkSession, tmp_path_factory: pytest.TempPathFactory, drawn: list[dict], ansi: bool
) -> None:
    tmp_path = tmp_path_factory.mktemp("logs")
    rows = [{"id": str(i // 2), **r} for i, r in enumerate(drawn)]  # an id for two rows
    sources = write_all(tmp_path, rows, spark)
    job = config(tmp_path, sources, intake={"max_bad_times_share": 1.0})
    with conf_meanwhile(spark, {"spark.sql.ansi.enabled": str(ansi).lower()}):
        result = commands.ingest(job, as_of=AS_OF, spark=spark, console=QUIET)
    wanted = [expected(s["name"], r) for s in sources for r in read_again(tmp_path, s["name"])]
    kept = {each for each in wanted if isinstance(each, tuple)}
    [counts] = result.sources
    assert counts.balanced
    assert counts.rows_in == len(wanted) == len(rows) * len(sources)
    warehouse = Warehouse(spark, job.warehouse)
    names = ["event_id", "user_id", "event_time", "event_type", "value", "arrived_at"]
    stored = [tuple(r) for r in warehouse.read(EVENTS).select(*names).collect()]
    assert set(stored) <= kept
    # Of rows with one id and arrival, one stays.
    assert len(stored) == len(set(stored)) == len({(r[0], r[5]) for r in kept})
    assert {(r[0], r[5]) for r in stored} == {(r[0], r[5]) for r in kept}
    reasons = Counter(each for each in wanted if isinstance(each, str))
    held = Counter[str]()
    for r in warehouse.read(QUARANTINE).collect():
        held[r["reason"].split()[0]] += r["refused_rows"]
    assert counts.refused == sum(reasons.values()) == sum(held.values())


def notes_of(result: commands.Result) -> str:
    return "\n".join(result.notes)


def test_what_was_changed_is_counted_and_what_matches_nothing_is_said(
    spark: SparkSession, tmp_path: Path
) -> None:
    rows = [
        row(1), row(2, who=" u1"), row(3, who="u1\u200b"), row(4, what="Buy"),
        row(5, worth="0.00001"), row(6, received="2024-02-01"), row(7, who=""),
        row(8, received="2024-02-01 09:59"), row(9, worth="NaN"), row(10, what="byu"),
        row(11, at="1024-01-01"), row(1, who="u2"),
    ]  # fmt: skip
    path = write(tmp_path / "events.json", rows)
    conditions = {"buys": {"event": "event_type = 'buy'"}, "sells": {"event": "event_type='byi'"}}
    job = config(tmp_path, source(path), targets=conditions)
    result = commands.ingest(job, as_of=AS_OF, spark=spark, console=QUIET)
    checked = commands.check(job, spark=spark, console=QUIET)
    for text, prefix in ((notes_of(result), ""), (notes_of(checked), "sources.")):
        for line in (
            "events.user_id: 2 had white space or invisible characters at the ends: removed",
            "events.user_id: 1 were empty or blank: no value",
            "events.event_type: 1 were not in lower case: lowered",
            "events.value: 1 had more decimals than are stored: rounded",
            "events.value: 1 were NaN: no value",
            "events.arrived_at: 1 were a day without a time: the end of that day",
            "events.arrived_at: 1 were a little before what they tell of (clock skew): set to its",
        ):
            assert prefix + line in text
        assert "1 without a usable time; they lie in the years 1024 to 1024" in text
        assert "targets.sells.event: event_type = 'byi' matches no event; there are 1 'b" in text
        assert "buys" not in text
    assert "1 rows have the id of another row, but another user or type" in notes_of(result)
    assert "1 of 12 rows would be refused" in notes_of(checked)
    assert result.figures["events_user_id_trimmed"] == 2


def test_bytes_that_are_not_utf8_stop_no_night_and_are_counted(
    spark: SparkSession, tmp_path: Path
) -> None:
    """In a Parquet file, which names no encoding; Python workers would refuse such strings."""
    written = [b"J\xfcrgen", b"u2", b"\xff\xfe"]
    as_strings = pa.array(written, pa.binary()).view(pa.string())
    times = pa.array([dt.datetime(2024, 2, 1, tzinfo=dt.UTC)] * len(written))
    table = pa.table({"id": ["1", "2", "3"], "who": as_strings, "at": times, "what": as_strings})
    (tmp_path / "log").mkdir()
    pq.write_table(table, tmp_path / "log" / "rows.parquet")
    where = {"path": str(tmp_path / "log"), "format": "parquet"}
    texts = {**where, "columns": {"text_id": "id", "user_id": "who", "text_time": "at",
                                  "text": "concat('said by ', what)"}}  # fmt: skip
    columns = {"event_id": "id", "user_id": "who", "event_time": "at", "event_type": "'view'"}
    job = config(tmp_path, {**where, "columns": columns}, sources={"texts": texts},
                 privacy={"pseudonymise_key": "a key of the test, of 32 letters"})  # fmt: skip
    result = commands.ingest(job, as_of=AS_OF, spark=spark, console=QUIET)
    for line in ("events.user_id: 2 held bytes that are not UTF-8: replaced by U+FFFD",
                 "texts.text: 2 held bytes that are not UTF-8: replaced by U+FFFD"):  # fmt: skip
        assert line in notes_of(result)
    warehouse = Warehouse(spark, job.warehouse)
    stored = {row["text_id"]: row["text"] for row in warehouse.read(TEXTS).collect()}
    assert stored["1"] == "said by J\ufffdrgen" and stored["2"] == "said by u2"
    users = warehouse.read(EVENTS).select("event_id", "user_id").toPandas()
    assert users["user_id"].nunique() == len(written)
    assert users["user_id"][users["event_id"] == "1"].item() == pseudonym(
        "J\ufffdrgen", key=str(job.privacy.pseudonymise_key)
    )


def test_a_type_that_no_event_can_have_is_refused_with_how_it_is_written(
    spark: SparkSession, tmp_path: Path
) -> None:
    path = write(tmp_path / "events.json", [row(1)])
    for change, place in (
        ({"targets": {"buys": {"event": "event_type = 'Order Completed'"}}}, "targets.buys.event"),
        ({"population": "event_type IN ('view', 'Order Completed')"}, "population"),
    ):
        with pytest.raises(ConfigError) as raised:
            commands.ingest(
                config(tmp_path, source(path), **change), as_of=AS_OF, spark=spark, console=QUIET
            )
        assert place in str(raised.value)
        assert "write 'order completed'" in str(raised.value)


def test_times_of_another_unit_stop_the_night_and_check_names_them(
    spark: SparkSession, tmp_path: Path
) -> None:
    job = config(tmp_path, source(write(tmp_path / "events.json", [row(1), row(2)])))
    commands.ingest(job, as_of=dt.date(2024, 2, 2), spark=spark, console=QUIET)

    def stored() -> list[str]:
        return sorted(r.event_id for r in Warehouse(spark, job.warehouse).read(EVENTS).collect())

    millis = [row(i, at=1709287200000 + i) for i in range(20)]
    write(tmp_path / "events.json", millis)
    for expression, told in (
        ("timestamp_seconds(at)", "milliseconds read as seconds?"),
        ("timestamp_millis(at div 1000)", "seconds read as milliseconds?"),
    ):
        columns = {**COLUMNS, "event_time": expression}
        wrong = config(tmp_path, source(tmp_path / "events.json", columns=columns))
        with pytest.raises(InputError, match="most times cannot be right") as raised:
            commands.ingest(wrong, as_of=AS_OF, spark=spark, console=QUIET)
        assert told in str(raised.value)
        assert told in notes_of(commands.check(wrong, spark=spark, console=QUIET))
    assert stored() == ["e1", "e2"]
    overflow = {**COLUMNS, "event_time": "timestamp_seconds(at * 1000000)"}
    wrong = config(tmp_path, source(tmp_path / "events.json", columns=overflow))
    with pytest.raises(InputError, match="unit"):
        commands.check(wrong, spark=spark, console=QUIET)


def test_ids_of_two_sources_are_apart_unless_they_are_one_numbering(
    spark: SparkSession, tmp_path: Path
) -> None:
    names = ("posts", "votes")
    parts = [
        {"name": name, **source(write(tmp_path / f"{name}.json", [row(1, who=name)]))}
        for name in names
    ]
    texts = [
        {"name": name, "path": str(tmp_path / f"{name}.json"), "format": "json",
         "columns": {"text_id": "id", "user_id": "who", "text_time": "at", "text": "what"}}
        for name in names
    ]  # fmt: skip
    for part in parts:
        part["columns"] = {**COLUMNS, "text_id": "id"}
    job = config(tmp_path, parts, sources={"texts": texts})
    commands.ingest(job, as_of=AS_OF, spark=spark, console=QUIET)
    warehouse = Warehouse(spark, job.warehouse)
    ids = {tuple(r) for r in warehouse.read(EVENTS).select("event_id", "text_id").collect()}
    assert ids == {(f"{name}:e1", f"{name}:e1") for name in names}
    assert {r.text_id for r in warehouse.read(TEXTS).collect()} == {f"{n}:e1" for n in names}
    shared = [{**part, "shared_ids": True} for part in parts]
    job = config(tmp_path, shared, warehouse=str(tmp_path / "shared"))
    result = commands.ingest(job, as_of=AS_OF, spark=spark, console=QUIET)
    assert (result.sources[0].rows_out, result.sources[0].duplicates) == (1, 1)
    assert "1 rows have the id of another row" in notes_of(result)


def test_what_a_night_took_stays_when_its_source_shows_less_or_the_next_night_fails(
    spark: SparkSession, tmp_path: Path
) -> None:
    def rows_of(days: range, per_day: int = 4) -> list[dict[str, Any]]:
        return [row(100 * day + i, at=f"2024-02-{day:02d} 10:00") for day in days
                for i in range(per_day)]  # fmt: skip

    path = write(tmp_path / "events.json", rows_of(range(1, 6)))
    job = config(tmp_path, source(path), lookback_days=30)
    warehouse = Warehouse(spark, job.warehouse)

    def ids() -> set[str]:
        return {r.event_id for r in warehouse.read(EVENTS).select("event_id").collect()}

    def night(day: int) -> commands.Result:
        return commands.ingest(job, as_of=dt.date(2024, 2, day), spark=spark, console=QUIET)

    night(6)
    first = ids()
    write(path, rows_of(range(4, 8)))  # a rolling window: the first days are gone
    result = night(8)
    assert ids() == first | {r["id"] for r in rows_of(range(6, 8))}
    assert "shows nothing any more of 3 days from 2024-02-01 to 2024-02-03" in notes_of(result)
    second = ids()
    write(path, rows_of(range(4, 9), per_day=1))
    with pytest.raises(InputError, match="far fewer rows"):
        night(9)
    assert ids() == second
    write(path, rows_of(range(4, 9)))
    texts = {"path": str(tmp_path / "texts.json"), "format": "json", "columns": {
        "text_id": "id", "user_id": "who", "text_time": "at", "text": "what"}}  # fmt: skip
    write(tmp_path / "texts.json", [row(1, at=f"no time {i}") for i in range(3)])
    bad = config(tmp_path, source(path), lookback_days=30, sources={"texts": texts})
    with pytest.raises(InputError, match="most times"):
        commands.ingest(bad, as_of=dt.date(2024, 2, 9), spark=spark, console=QUIET)
    assert ids() == second  # though the events of that night were written before
    night(9)
    assert ids() == second | {r["id"] for r in rows_of(range(8, 9))}


def test_what_a_night_took_stays_also_where_visitors_are_linked(
    spark: SparkSession, tmp_path: Path
) -> None:
    """Rows that arrive after they happened are the source's own, but for those that a link made."""

    def rows_of(days: range) -> list[dict[str, Any]]:
        return [row(100 * day + i, who=None, at=f"2024-02-{day:02d} 10:00", device=f"d{i}",
                    received=f"2024-02-{day:02d} 10:00:01") for day in days
                for i in range(4)]  # fmt: skip

    links = write(tmp_path / "links.json", [{"device": "d0", "who": "ann", "at": "2024-02-05"}])
    path = write(tmp_path / "events.json", rows_of(range(1, 6)))
    identities = {"path": str(links), "format": "json", "columns": {
        "anonymous_id": "device", "user_id": "who", "linked_at": "at"}}  # fmt: skip
    events = source(path, columns=COLUMNS | {"anonymous_id": "device"})
    job = config(tmp_path, events, lookback_days=30, sources={"identities": identities})
    warehouse = Warehouse(spark, job.warehouse)

    def ids() -> set[str]:
        return {r.event_id for r in warehouse.read(EVENTS).select("event_id").collect()}

    def night(day: int) -> commands.Result:
        return commands.ingest(job, as_of=dt.date(2024, 2, day), spark=spark, console=QUIET)

    night(6)
    first = ids()
    assert len(first) == 20 < warehouse.read(EVENTS).count()  # the link has made versions
    write(path, rows_of(range(4, 8)))
    result = night(8)
    assert ids() == first | {r["id"] for r in rows_of(range(6, 8))}
    assert "shows nothing any more of 3 days from 2024-02-01 to 2024-02-03" in notes_of(result)
    write(path, rows_of(range(4, 9))[::4])
    with pytest.raises(InputError, match="far fewer rows"):
        night(9)


def test_a_table_of_latest_states_becomes_a_history_from_the_first_night(
    spark: SparkSession, tmp_path: Path
) -> None:
    events = write(tmp_path / "events.json", [row(1)])
    path = tmp_path / "items.json"
    items = {"path": str(path), "format": "json", "columns": {
        "item_id": "sku", "category": "category", "valid_from": "edited"}}  # fmt: skip
    job = config(tmp_path, source(events), sources={"items": items})

    def night(day: int, *states: tuple[str, str, str | None]) -> commands.Result:
        write(path, [dict(zip(("sku", "category", "edited"), s, strict=True)) for s in states])
        return commands.ingest(job, as_of=dt.date(2024, 3, day), spark=spark, console=QUIET)

    first = [("a", "mugs", "2024-01-01"), ("b", "mugs", None), ("c", "mugs", "2024-01-01")]
    night(1, *first)
    night(2, ("a", "cups", "2024-03-01"), ("b", "cups", None), ("d", "new", None))
    night(2, ("a", "cups", "2024-03-01"), ("b", "cups", None), ("d", "new", None))
    result = night(3, ("a", "cups", "2024-03-01"), ("b", "mugs", None), ("c", "x", "2024-01-01"))
    assert all(counts.balanced for counts in result.sources)
    assert "items: 1 versions are not what was stored of the same moment" in notes_of(result)
    stored = Warehouse(spark, job.warehouse).read(ITEMS)
    versions = stored.selectExpr("item_id", "category", "cast(to_date(valid_from) AS string)")
    assert sorted(map(tuple, versions.collect())) == [
        ("a", "cups", "2024-03-01"), ("a", "mugs", "2024-01-01"),
        ("b", "cups", "2024-03-02"), ("b", "mugs", "1970-01-01"), ("b", "mugs", "2024-03-03"),
        ("c", "mugs", "2024-01-01"), ("d", "new", "1970-01-01"),
    ]  # fmt: skip


def test_check_counts_attributes_that_count_for_nobody_and_items_without_a_history(
    spark: SparkSession, tmp_path: Path
) -> None:
    events = write(tmp_path / "events.json", [row(1, who="1"), row(2, who="2")])
    items = write(tmp_path / "items.json", [{"sku": n, "edited": "2024-02-01"} for n in "ab"])
    table = [
        {"user": 1.0, "since": "2024-01-01", "score": 1.0},
        {"user": 2.0, "since": "2024-01-01", "score": math.inf},
        {"user": 3.0, "since": "2024-01-01", "score": math.nan},
        {"user": math.nan, "since": "2024-01-01", "score": 1.0},
        {"user": 1.0, "since": "soon", "score": 1.0},
        {"user": 1.0, "since": None, "score": 1.0},
    ]
    schema = {"user": pl.Float64, "since": pl.String, "score": pl.Float64}
    pl.DataFrame(table, schema=schema).write_parquet(tmp_path / "plans.parquet")
    sources = {
        "items": {"path": str(items), "format": "json",
                  "columns": {"item_id": "sku", "valid_from": "edited"}},
        "attributes": {"plan": {"path": str(tmp_path / "plans.parquet"), "columns": {
            "user_id": "user", "valid_from": "since", "score": "score"}}},
    }  # fmt: skip
    job = config(tmp_path, source(events), sources=sources)
    commands.ingest(job, as_of=AS_OF, spark=spark, console=QUIET)
    notes = notes_of(commands.check(job, spark=spark, console=QUIET))
    for line in (
        "sources.items: each item has one version",
        "sources.attributes.plan: 1 have a time that cannot be read: left out",
        "sources.attributes.plan: 1 have no user",
        "sources.attributes.plan: 1 have no valid_from",
        "sources.attributes.plan: 1 are of users without a stored event",
        "sources.attributes.plan: 2 have an infinity or NaN: null",
    ):
        assert line in notes


def test_check_asks_about_ids_that_may_be_nobody_and_about_another_encoding(
    spark: SparkSession, tmp_path: Path
) -> None:
    path = tmp_path / "events.csv"
    lines = ["id,who,at,what"]
    lines += [f"{i},null,2024-02-01,caf\u00e9" for i in range(5)]
    lines += [f"{i},{i}.0,2024-02-01,view" for i in range(5, 20)]
    path.write_bytes("\n".join(lines).encode("latin-1"))
    columns = {name: theirs for name, theirs in COLUMNS.items() if theirs in lines[0]}
    job = config(tmp_path, source(path, format="csv", columns=columns))
    notes = notes_of(commands.check(job, spark=spark, console=QUIET))
    assert "sources.events.user_id: 5 of 20 read null, none, 0, anonymous or the like" in notes
    assert "sources.events.user_id: 15 look like 123.0" in notes
    assert "sources.events.event_type: 5 have characters that are not UTF-8" in notes


def test_init_writes_the_backticks_a_name_needs_and_says_what_an_edit_time_means(
    spark: SparkSession, tmp_path: Path
) -> None:
    names = {"id": ["1"], "userid": ["u"], "event time": ["2024-02-01"], "type": ["buy"]}
    log = pl.DataFrame(names)
    log.write_parquet(tmp_path / "log.parquet")
    pl.DataFrame({"sku": ["a"], "updated_at": ["2024-02-01"]}).write_parquet(
        tmp_path / "items.parquet"
    )
    output = write_config(
        events=str(tmp_path / "log.parquet"), texts=None, items=str(tmp_path / "items.parquet"),
        output=tmp_path / "job.yaml", spark=spark,
    )  # fmt: skip
    page = output.read_text()
    assert 'event_time: "`event time`"' in page
    assert "history begins on the first night" in page
