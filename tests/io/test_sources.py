"""Any table is read and mapped by SQL; a wrong mapping is said before a row is read."""

from __future__ import annotations

import datetime as dt
import json

import pytest
from pyspark.sql import functions as F

from behavior_spark.cleaning.readings import read_rows
from behavior_spark.cleaning.rows import REASON, prepare, with_reason
from behavior_spark.config import Labels, Source
from behavior_spark.errors import BehaviorError, ConfigError, InputError
from behavior_spark.io.expressions import check_condition
from behavior_spark.io.sources import map_labels, map_source, read_raw
from behavior_spark.schemas import EVENTS, ITEMS, TEXTS

SECRET = "bob@x.com"
ROWS = [
    ("1", "u1", "2024-03-01 10:00:00", "view", "2.50"),
    ("2", SECRET, "soon", "buy", "cheap " + SECRET),
]
NAMES = ["id", "who", "at", "what", "amount"]
MAPPING = {
    "event_id": "id",
    "user_id": "who",
    "event_time": "at",
    "event_type": "what",
    "value": "amount",
}


@pytest.fixture(scope="module")
def log(spark):
    return spark.createDataFrame(ROWS, NAMES)


def source(columns=None, *, path="unused", **options) -> Source:
    return Source(path=path, columns=MAPPING if columns is None else columns, **options)


def refused(kind: type[BehaviorError], action) -> str:
    with pytest.raises(kind) as caught:
        action()
    message = str(caught.value)
    assert len(message.splitlines()) <= 3
    for leak in (SECRET, "\tat ", "java.", "org.apache", "JVM", "Traceback", "=="):
        assert leak not in message
    assert "sources." in message
    return message


def read(spark, given: Source, label: str = "sources.events"):
    return read_raw(spark, given, label=label)


def mapped(log, label: str = "sources.events", contract=EVENTS, **changes):
    columns = {k: v for k, v in {**MAPPING, **changes}.items() if v is not None}
    return map_source(log, source(columns), contract, label=label)


def test_a_missing_file_is_named(spark, tmp_path):
    path = str(tmp_path / "none.parquet")
    message = refused(InputError, lambda: read(spark, source(path=path)))
    assert path in message
    assert "check the path" in message


def test_a_relative_path_starts_at_the_working_directory(spark, tmp_path, monkeypatch, log):
    log.write.json(str(tmp_path / "log"))
    monkeypatch.chdir(tmp_path)
    assert read(spark, source(path="log", format="json")).count() == 2


def test_an_empty_folder_is_refused(spark, tmp_path):
    message = refused(InputError, lambda: read(spark, source(path=str(tmp_path))))
    assert "check path and format" in message


def test_a_corrupt_parquet_file_is_refused(spark, tmp_path):
    path = tmp_path / "bad.parquet"
    path.write_bytes(b"PAR1" + SECRET.encode() * 20)
    message = refused(InputError, lambda: read(spark, source(path=str(path))))
    assert "corrupt" in message


def test_a_folder_that_is_no_delta_table_and_a_table_that_is_not_there_are_refused(spark, tmp_path):
    given = source(path=str(tmp_path), format="delta")
    assert "sources.events" in refused(InputError, lambda: read(spark, given))
    given = Source(table="nowhere.clicks", columns=MAPPING)
    assert "nowhere.clicks" in refused(InputError, lambda: read(spark, given))


@pytest.mark.parametrize("format_", ["csv", "json", "parquet", "delta"])
def test_every_format_is_read_with_its_names(spark, tmp_path, log, format_):
    path = str(tmp_path / "log")
    writer = log.coalesce(1).write.format(format_)
    (writer.option("header", True) if format_ == "csv" else writer).save(path)
    frame = read(spark, source(path=path, format=format_))
    assert sorted(frame.columns) == sorted(NAMES)
    assert sorted(map(tuple, frame.select(NAMES).collect())) == ROWS


def test_reader_options_are_used(spark, tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("1;u1\n2;u2\n")
    frame = read(spark, source(path=str(path), format="csv", options={"header": False, "sep": ";"}))
    assert [tuple(row) for row in frame.collect()] == [("1", "u1"), ("2", "u2")]


def test_a_catalog_table_is_read(spark, log):
    log.createOrReplaceTempView("clicks_for_test")
    try:
        frame = read(spark, Source(table="clicks_for_test", columns=MAPPING, where="what = 'view'"))
        assert [row.id for row in frame.collect()] == ["1"]
    finally:
        spark.catalog.dropTempView("clicks_for_test")


def test_where_must_be_a_condition_over_the_columns(spark, tmp_path, log):
    path = str(tmp_path / "log")
    log.write.parquet(path)
    for condition, told in [
        ("whta = 'view'", "did you mean what?"),
        ("what =", "not a valid SQL expression"),
        ("length(what)", "must be a condition"),
    ]:
        message = refused(ConfigError, lambda c=condition: read(spark, source(path=path, where=c)))
        assert "sources.events.where" in message
        assert told in message


def test_columns_keep_the_types_of_the_source_and_unmapped_ones_are_null(log):
    frame = mapped(log, value="cast(amount AS double)")
    row = frame.where("event_id = '1'").first()
    assert (row.event_time, row.value) == ("2024-03-01 10:00:00", 2.5)
    assert row.item_id is row.arrived_at is None
    assert frame.columns == [n for n in EVENTS.names if n != "arrived_day"]
    assert frame.schema["arrived_at"].dataType.typeName() == "void"


def test_a_value_that_cannot_be_read_goes_to_its_reason_but_not_to_a_message(log):
    frame = read_rows(mapped(log), EVENTS)
    row = frame.where("event_id = '2'").first()
    assert (row.event_time, row._raw_event_time) == (None, "soon")
    assert (row.value, row._raw_value) == (None, "cheap " + SECRET)
    reasons = with_reason(prepare(frame, EVENTS), EVENTS).where(F.col(REASON).isNotNull())
    assert [r[REASON] for r in reasons.collect()] == ["event_time is not a timestamp"]


def test_a_missing_column_is_named_with_the_likeliest(log):
    message = refused(ConfigError, lambda: mapped(log, user_id="upper(whoo)"))
    assert "sources.events.columns.user_id: no column whoo" in message
    assert "did you mean who?" in message
    message = refused(ConfigError, lambda: mapped(log, user_id="zzzzzzz"))
    assert "id, who, at, what, amount" in message


def test_an_unknown_contract_column_is_named_with_the_likeliest(log):
    message = refused(ConfigError, lambda: mapped(log, event_tme="at"))
    assert "sources.events.columns.event_tme" in message
    assert "did you mean event_time?" in message
    message = refused(ConfigError, lambda: mapped(log, arrived_day="at"))
    assert "arrived_day" in message


@pytest.mark.parametrize("name", ["event_id", "user_id", "event_time", "event_type"])
def test_a_required_mapping_that_is_missing_is_named(log, name):
    message = refused(ConfigError, lambda: mapped(log, **{name: None}))
    assert f"sources.events.columns.{name} is missing" in message
    assert "give an SQL expression over: id, who" in message


def test_every_contract_says_what_must_be_mapped(log):
    for contract, missing in [(TEXTS, "text_id"), (ITEMS, "item_id")]:
        empty = Source(path="x", columns={})
        label = f"sources.{contract.name}"
        message = refused(
            ConfigError, lambda c=contract, e=empty, lab=label: map_source(log, e, c, label=lab)
        )
        assert f"{label}.columns.{missing} is missing" in message


@pytest.mark.parametrize(
    ("name", "expression", "told"),
    [
        ("event_time", "123", "timestamp_seconds(x)"),
        ("event_time", "array(at)", "timestamp is wanted"),
        ("value", "current_date()", "give a number"),
        ("value", "true", "give a number"),
        ("user_id", "array(who)", "cast it to string"),
        ("user_id", "struct(who)", "string is wanted"),
    ],
)
def test_an_expression_of_the_wrong_type_is_refused_with_what_to_write(log, name, expression, told):
    message = refused(ConfigError, lambda: mapped(log, **{name: expression}))
    assert f"sources.events.columns.{name} has the wrong type" in message
    assert told in message


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ("CASE WHEN id", "not a valid SQL expression"),
        ("who who who", "not a valid SQL expression"),
        ("no_such_function(who)", "no such SQL function"),
        ("upper(who, who, who)", "sources.events.columns.user_id"),
        ("max(who)", "sources.events.columns.user_id"),
        ("", "sources.events.columns.user_id"),
        ("'" + "x" * 500, "..."),
    ],
)
def test_an_expression_that_is_not_sql_over_a_row_is_refused_and_shown(log, expression, told):
    message = refused(ConfigError, lambda: mapped(log, user_id=expression))
    assert told in message
    assert "sources.events.columns.user_id" in message
    assert " ".join(expression.split())[:40] in message
    assert len(message) < 500


def test_a_number_or_a_day_may_be_a_name_and_a_day_a_time(log):
    frame = mapped(log, user_id="42", event_time="date'2024-03-01'", value="7")
    row = read_rows(frame, EVENTS).first()
    assert (row.user_id, row.event_time) == ("42", dt.datetime(2024, 3, 1))
    assert row.value == 7


def test_mapping_reads_no_row(spark, tmp_path):
    """A file whose footer is whole and whose rows are not is mapped, and refused when read."""
    path = tmp_path / "log.json"
    path.write_text("\n".join(json.dumps(dict(zip(NAMES, row, strict=True))) for row in ROWS))
    schema = ", ".join(f"{name} string" for name in NAMES)
    frame = spark.read.schema(schema).option("mode", "FAILFAST").json(str(path))
    path.unlink()
    assert map_source(frame, source(), EVENTS, label="sources.events").columns


def test_labels_are_mapped_to_text_label_and_day(log):
    labels = Labels(path="x", text="who", label="what", day="at")
    frame = map_labels(log, labels, label="text.heads.intent")
    assert [tuple(row) for row in frame.collect()] == [
        ("u1", "view", dt.date(2024, 3, 1)),
        (SECRET, "buy", None),
    ]
    with pytest.raises(ConfigError, match=r"text\.heads\.intent\.label: no column wat"):
        map_labels(log, Labels(path="x", text="who", label="wat"), label="text.heads.intent")


def test_labels_that_are_not_utf8_are_read_in_python(spark):
    raw = spark.createDataFrame([(b"caf\xe9",)], "raw binary").select(
        F.col("raw").cast("string").alias("words")
    )
    for label, expected in (("words", "caf\ufffd"), ("array(words, null)", ["caf\ufffd"])):
        labels = Labels(path="x", text="words", label=label, slices={"of": "words"})
        [row] = map_labels(raw, labels, label="text.heads.intent").toPandas().to_dict("records")
        assert row["text"] == "caf\ufffd" and row["slices"] == {"of": "caf\ufffd"}
        assert list(row["label"]) == list(expected)


def test_a_target_condition_must_be_a_condition(log):
    label = "targets.buys.event"
    check_condition(log, "what = 'view'", label=label)
    with pytest.raises(ConfigError, match="must be a condition"):
        check_condition(log, "what", label=label)
    with pytest.raises(ConfigError, match="did you mean what"):
        check_condition(log, "whta = 'view'", label=label)
