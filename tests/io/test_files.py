"""Files as other tools write them are read whole, or the fault is named with its mend."""

from __future__ import annotations

import datetime as dt
import gzip
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from behavior_spark.config import Labels, Source
from behavior_spark.errors import ConfigError, InputError
from behavior_spark.io.expressions import type_of
from behavior_spark.io.sources import read_raw


def read(spark, path: Path, format_: str, columns: dict[str, str] | None = None, **options: Any):
    source = Source(path=str(path), format=format_, columns=columns or {}, options=options)
    return read_raw(spark, source, label="sources.events")


def rows(frame, *names: str) -> list[tuple[Any, ...]]:
    return sorted(map(tuple, frame.selectExpr(*names).collect()), key=str)


TEXTS = [
    ("1", 'say "hi", twice', "plain"),
    ("2", "two\nlines", 'quote at the end"'),
    ("3", "back\\slash", "\\"),
    ("4", "caf\u00e9 ;|\t", " spaces "),
    ("5", 'a "b\nc", d\\', "x"),
]


@pytest.mark.parametrize("tool", ["pandas", "polars", "excel"])
def test_csv_is_read_as_other_tools_write_it(spark, tmp_path, tool):
    path = tmp_path / "log.csv"
    table = pd.DataFrame(TEXTS, columns=["id", "text", "other"])
    if tool == "polars":
        pl.from_pandas(table).write_csv(path)
    elif tool == "pandas":
        table.to_csv(path, index=False)
    else:  # a byte-order mark, and carriage returns
        table.to_csv(path, index=False, encoding="utf-8-sig", lineterminator="\r\n")
    frame = read(spark, path, "csv")
    assert frame.columns == ["id", "text", "other"]
    assert rows(frame, "id", "text", "other") == TEXTS


def test_columns_of_csv_files_are_found_by_name_whatever_their_order(spark, tmp_path):
    (tmp_path / "a.csv").write_text('\ufeffid,"user, name",type\n1,ann,view\n', encoding="utf-8")
    (tmp_path / "b.csv").write_text('type,id,"user, name"\nbuy,2,bob\n')
    with gzip.open(tmp_path / "c.csv.gz", "wt") as file:
        file.write('"user, name",extra,id,type\ncid,x,3,view\n')
    (tmp_path / "_started").write_text("no data")
    found = rows(read(spark, tmp_path, "csv"), "id", "`user, name`", "type", "extra")
    assert found == [("1", "ann", "view", None), ("2", "bob", "buy", None),
                     ("3", "cid", "view", "x")]  # fmt: skip


def refused(kind: type[Exception], action) -> str:
    with pytest.raises(kind) as caught:
        action()
    assert len(str(caught.value).splitlines()) <= 3
    return str(caught.value)


def test_a_semicolon_a_tab_and_another_encoding_are_asked_about(spark, tmp_path):
    for mark, shown in ((";", ";"), ("\t", r"\t"), ("|", "|")):
        path = tmp_path / "log.csv"
        path.write_text(mark.join(["id", "user", "type"]) + "\n" + mark.join("abc") + "\n")
        message = refused(InputError, lambda p=path: read(spark, p, "csv"))
        assert f'options: {{sep: "{shown}"}}' in message and "one column" in message
        assert read(spark, path, "csv", sep=mark).columns == ["id", "user", "type"]
    path.write_bytes("id,Gr\u00f6\u00dfe\n1,\u00e9\n".encode("latin-1"))
    assert "encoding: ISO-8859-1" in refused(InputError, lambda: read(spark, path, "csv"))
    assert rows(read(spark, path, "csv", encoding="ISO-8859-1"), "*") == [("1", "\u00e9")]


def test_json_printed_over_lines_says_multiline(spark, tmp_path):
    path = tmp_path / "log.json"
    path.write_text('[\n  {"id": 1,\n   "user": "ann"}\n]')
    assert "multiLine: true" in refused(InputError, lambda: read(spark, path, "json"))
    assert rows(read(spark, path, "json", multiLine=True), "id", "user") == [(1, "ann")]


def test_times_in_nanoseconds_are_read_also_in_a_column_that_nobody_maps(spark, tmp_path):
    when = pd.to_datetime(["2024-03-01 10:00:00.123456789", "2024-03-02 00:00:00.5"])
    table = pd.DataFrame({"id": [1, 2], "at": when, "a b": when.tz_localize("Europe/Paris")})
    assert str(table["at"].dtype) == "datetime64[ns]"
    table.to_parquet(tmp_path / "plain.parquet")
    frame = read(spark, tmp_path / "plain.parquet", "parquet")
    assert rows(frame, "id", "at", "`a b`") == [
        (1, dt.datetime(2024, 3, 1, 10, 0, 0, 123456), dt.datetime(2024, 3, 1, 9, 0, 0, 123456)),
        (2, dt.datetime(2024, 3, 2, 0, 0, 0, 500000), dt.datetime(2024, 3, 1, 23, 0, 0, 500000)),
    ]
    folder = tmp_path / "log" / "user=007"
    folder.mkdir(parents=True)
    table.to_parquet(folder / "a.parquet")
    pl.DataFrame({"id": [3], "at": [dt.datetime(2024, 3, 3)]}).write_parquet(folder / "b.parquet")
    mixed = read(spark, tmp_path / "log", "parquet", {"user_id": "user"})
    assert [row.id for row in mixed.where("at >= '2024-03-02'").orderBy("id").collect()] == [2, 3]
    assert {row.user for row in mixed.collect()} == {"007"}


def test_times_as_spark_writes_them_are_read_beside_those_of_pandas(spark, tmp_path):
    log = spark.sql("SELECT 1 AS id, timestamp'2024-03-01 10:00' AS at")
    assert spark.conf.get("spark.sql.parquet.outputTimestampType") == "INT96"
    log.write.parquet(str(tmp_path / "log"))
    assert rows(read(spark, tmp_path / "log", "parquet"), "id", "at") == [
        (1, dt.datetime(2024, 3, 1, 10))
    ]
    pd.DataFrame({"id": [2], "at": pd.to_datetime(["2024-03-02"])}).to_parquet(
        tmp_path / "log" / "z.parquet"
    )
    mixed = read(spark, tmp_path / "log", "parquet")
    assert [(r.id, r.at.day) for r in mixed.orderBy("id").collect()] == [(1, 1), (2, 2)]


def test_a_type_that_was_widened_between_files_is_read(spark, tmp_path):
    old = pa.table({"id": pa.array([1], pa.int32()), "value": pa.array([1], pa.int64()),
                    "day": pa.array([dt.date(2024, 3, 1)]), "code": pa.array([7])})  # fmt: skip
    new = pa.table({"id": pa.array([2**40], pa.int64()), "value": pa.array([2.5]),
                    "day": pa.array([dt.datetime(2024, 3, 2, 1)]), "code": ["x"],
                    "added": [True]})  # fmt: skip
    pq.write_table(old, tmp_path / "a.parquet")
    pq.write_table(new, tmp_path / "b.parquet")
    frame = read(spark, tmp_path, "parquet")
    assert rows(frame, "id", "value", "cast(day AS string)", "code", "added") == [
        (1, 1.0, "2024-03-01 00:00:00", "7", None),
        (2**40, 2.5, "2024-03-02 01:00:00", "x", True),
    ]


def test_an_id_that_pandas_wrote_as_floating_point_beside_nulls_is_its_digits(spark, tmp_path):
    with_nulls = pd.DataFrame({"id": [123, 12345678, None, 0.5, -7], "small": [5.0] * 5})
    with_nulls["small"] = with_nulls["small"].astype("float32")
    with_nulls.to_parquet(tmp_path / "a.parquet")
    pd.DataFrame({"id": ["123", "x"], "small": ["5", "x"]}).to_parquet(tmp_path / "b.parquet")
    frame = read(spark, tmp_path, "parquet")
    ids = Counter(row.id for row in frame.collect())
    assert ids == {"123": 2, "12345678": 1, None: 1, "0.5": 1, "-7": 1, "x": 1}
    assert {row.small for row in frame.collect()} == {"5", "x"}


def test_a_column_of_nulls_alone_has_the_type_of_other_files_or_none(spark, tmp_path):
    pd.DataFrame({"id": [1], "at": [None]}).to_parquet(tmp_path / "a.parquet")
    assert read(spark, tmp_path, "parquet").schema["at"].dataType.typeName() == "void"
    pd.DataFrame({"id": [2], "at": ["2024-03-01"]}).to_parquet(tmp_path / "b.parquet")
    assert rows(read(spark, tmp_path, "parquet"), "id", "at") == [(1, None), (2, "2024-03-01")]


def test_only_a_file_that_is_corrupt_is_called_so(spark, tmp_path):
    pq.write_table(pa.table({"id": [1]}), tmp_path / "a.parquet")
    (tmp_path / "b.parquet").write_bytes(b"PAR1 this is none PAR1")
    source = Source(path=str(tmp_path), columns={})
    from behavior_spark.io.failures import spark_errors

    def count() -> None:
        with spark_errors("reading"):
            read_raw(spark, source, label="sources.events").collect()

    assert "corrupt" in refused(InputError, count)
    pq.write_table(pa.table({"id": ["x"]}), tmp_path / "c.parquet")  # and none is left out
    assert "corrupt" in refused(InputError, count)
    (tmp_path / "c.parquet").unlink()
    pq.write_table(pa.table({"id": ["x"]}), tmp_path / "b.parquet")

    def mismatch() -> None:
        with spark_errors("reading"):
            spark.read.schema("id int").parquet(str(tmp_path)).collect()

    assert "another type in this file" in refused(InputError, mismatch)


def test_zeros_of_folders_that_are_ids_stay_and_numbers_are_numbers(spark, tmp_path):
    for user, month in (("007", "01"), ("12", "11")):
        folder = tmp_path / f"user={user}" / f"month={month}"
        folder.mkdir(parents=True)
        pq.write_table(pa.table({"id": [1]}), folder / "a.parquet")
    frame = read(spark, tmp_path, "parquet", {"user_id": "user", "value": "month + 1"})
    assert rows(frame, "user", "month") == [("007", 1), ("12", 11)]
    assert frame.selectExpr("make_date(2024, month, 1)").count() == 2
    other = read(spark, tmp_path, "parquet", {"user_id": "upper(user)"})
    assert {row.user for row in other.collect()} == {7, 12}


def test_options_beside_a_table_are_used(spark, tmp_path):
    name = "versions_for_test"
    spark.sql(f"CREATE TABLE {name} (id INT) USING DELTA LOCATION '{tmp_path}/{name}'")
    try:
        for value in (1, 2):
            spark.sql(f"INSERT INTO {name} VALUES ({value})")
        given = Source(table=name, columns={}, options={"versionAsOf": 1})
        assert rows(read_raw(spark, given, label="sources.events"), "id") == [(1,)]
    finally:
        spark.sql(f"DROP TABLE {name}")


def test_an_unknown_option_is_refused_with_the_likeliest():
    for make in (
        lambda **o: Source(path="x", format="csv", columns={}, options=o),
        lambda **o: Labels(path="x", format="csv", text="t", label="l", options=o),
    ):
        make(HEADER=True, Sep=";")
        make(**{"fs.s3a.endpoint": "x"})
        with pytest.raises(ValidationError, match="no option heder; did you mean header"):
            make(heder=True)
    with pytest.raises(ValidationError, match="parquet has no option multiLine"):
        Source(path="x", columns={}, options={"multiLine": True})
    with pytest.raises(ValidationError, match="did you mean versionAsOf"):
        Source(table="x", columns={}, options={"versionAsOff": 1})


NO_COLUMN = [
    ("user", "no column user, which is a function"),
    ("CURRENT_USER", "no column CURRENT_USER, which is a function"),
    ("current_date", "no column current_date, which is a function"),
    (" current_timestamp ", "which is a function"),
    ("concat(user, id)", "no column user, which is a function"),
    ("coalesce(session_user, 'x')", "no column session_user"),
    ("user id", "the name user id needs backticks"),
    ("a.b", "the name a.b needs backticks"),
    ("x-y", "the name x-y needs backticks"),
    ("id other", "not a valid SQL expression"),
    ("id AS other", "not a valid SQL expression"),
    ("upper(a.b)", "did you mean `a.b`?"),
    ("user_id", "did you mean `user id`?"),
]


def test_what_parses_and_is_no_column_is_refused_with_the_name_as_it_is_written(spark):
    frame = spark.createDataFrame([("1", "2", "3", 4, 5)], "id string, `user id` string, "
                                  "`a.b` string, `x-y` int, `x` int")  # fmt: skip
    for expression, told in NO_COLUMN:
        message = refused(ConfigError, lambda e=expression: type_of(frame, e, label="columns.c"))
        assert told in message, (expression, message)
    for expression in (
        "`user id`", "`a.b`", "'user'", "concat(id, 'the user')", "current_date()",
        "id -- user\n", "/* user */ id", "x - 1", "current_date() - 30",
    ):  # fmt: skip
        type_of(frame, expression, label="columns.c")
    own = spark.createDataFrame([("1", "2")], "user string, current_date string")
    assert [type_of(own, n, label="c").simpleString() for n in own.columns] == ["string"] * 2


def test_columns_that_differ_by_case_alone_are_named(spark, tmp_path):
    pq.write_table(pa.table([[1], [2]], names=["id", "ID"]), tmp_path / "case.parquet")
    message = refused(InputError, lambda: read(spark, tmp_path / "case.parquet", "parquet"))
    assert "differ by case alone" in message and "id" in message
    frame = spark.createDataFrame([("1", "2")], "id string, ID string")
    message = refused(ConfigError, lambda: type_of(frame, "upper(id)", label="columns.c"))
    assert "id, ID" in message
