"""Exported audiences: what tools compare, and nothing that a spreadsheet computes."""

from __future__ import annotations

import csv
import datetime as dt
import hashlib
import stat
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyspark.sql import DataFrame, SparkSession

from behavior_spark.errors import ConfigError
from behavior_spark.io.exports import escape_formula, export_rows
from behavior_spark.schemas import AUDIENCE_MEMBERS
from behavior_spark.uses.audiences.exporting import flat_members, with_contact_keys

NIGHT = dt.date(2024, 5, 10)
HOSTILE = [
    "=HYPERLINK(\"http://evil\")", "+1+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "\uff1d1+1",
    "<script>alert(1)</script>", 'a "quoted", name', "line\nbreak", "it's", "ü🦉",
]  # fmt: skip


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.fixture(scope="module")
def members(spark: SparkSession) -> DataFrame:
    reason = {"feature": "f", "value": 1.0, "contribution": 0.5}
    change = {"feature": "f", "value": 1.0, "changed": 2.0, "score": 1.0, "predicted": 0.6,
              "decile": 1}  # fmt: skip
    rows: list[dict[str, Any]] = [
        {
            "audience": "a", "as_of": NIGHT, "user_id": name, "target": "t", "arm": "reached",
            "rank": place + 1, "probability": 0.5, "expected_profit": -0.5, "intent": name,
            "reasons": [reason | {"text": name}], "valid_until": NIGHT,
            "nearest_change": change | {"text": name},
            "items": [{"item_id": name, "title": name, "because_of": None, "score": 1.0}],
        }
        for place, name in enumerate(HOSTILE)
    ]  # fmt: skip
    tuples = [tuple(row.get(name) for name in AUDIENCE_MEMBERS.names) for row in rows]
    return spark.createDataFrame(tuples, AUDIENCE_MEMBERS.schema)


def test_no_cell_of_a_csv_file_is_a_formula_and_every_text_is_there(
    members: DataFrame, tmp_path: Path
) -> None:
    path = tmp_path / "new folder" / "a.csv"
    assert export_rows(flat_members(members, items=2).orderBy("rank"), path) == len(HOSTILE)
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for row, name in zip(rows, HOSTILE, strict=True):
        for column in (
            "user_id", "intent", "reason_1", "nearest_change", "item_1", "item_title_1",
        ):  # fmt: skip
            assert row[column].removeprefix("'") == name.removeprefix("'")
            assert row[column][0] not in "=+-@\t\r\n\uff1d\uff0b\uff0d\uff20"
        assert row["item_2"] == row["reason_2"] == ""
        assert float(row["expected_profit"]) == -0.5, "a number is no formula"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["a.csv"]


def test_a_parquet_file_has_the_texts_as_they_are(members: DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    export_rows(flat_members(members, items=1).orderBy("rank"), path)
    table = pq.read_table(path).to_pydict()
    assert table["user_id"] == table["item_title_1"] == table["nearest_change"] == HOSTILE
    assert table["as_of"] == [NIGHT] * len(HOSTILE)
    assert table["rank"] == list(range(1, len(HOSTILE) + 1))


def test_another_ending_is_refused_and_a_failure_leaves_no_file(
    members: DataFrame, spark: SparkSession, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=r"a\.ods"):
        export_rows(flat_members(members, items=0), tmp_path / "a.ods")
    failing = spark.range(3).selectExpr("raise_error('no') AS x")
    with pytest.raises(Exception, match="no"):
        export_rows(failing, tmp_path / "b.csv")
    assert list(tmp_path.iterdir()) == []


@given(st.text())
def test_an_escaped_text_never_begins_a_formula(text: str) -> None:
    escaped = escape_formula(text)
    assert escaped in (text, f"'{text}")
    assert not escaped.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))


@pytest.mark.parametrize("plain", [False, True])
def test_contacts_become_what_ad_platforms_compare(spark: SparkSession, plain: bool) -> None:
    rows = [
        ("ann", " Ann.Lee@Example.COM\u00a0", "+44 (0)20 7946-0018", "Ann"),
        ("bob", "bob@example.com", "0044 20 7946 0018", "=Bob"),
        ("cy", "  ", "n/a", None),
        ("cy", "", None, None),
        ("dup", "z@example.com", None, None),
        ("dup", "a@example.com", None, None),
        ("two", None, "+49 30 1", None),
        ("two", "two@example.com", "+49 30 1", None),
        ("two", "zwei@example.com", None, None),
        (None, "nobody@example.com", None, None),
    ]
    frame = spark.createDataFrame(
        rows, "user_id string, email string, phone string, first_name string"
    )
    keyed = with_contact_keys(frame, plain=plain)
    found = {row["user_id"]: row.asDict() for row in keyed.collect()}
    assert set(found) == {"ann", "bob", "cy", "dup", "two"}, "one row per user"
    assert found["ann"]["email_sha256"] == sha("ann.lee@example.com")
    assert found["bob"]["email_sha256"] == sha("bob@example.com")
    assert found["bob"]["phone_sha256"] == sha("442079460018")
    assert found["bob"]["phone_e164_sha256"] == sha("+442079460018")
    assert found["cy"]["email_sha256"] is None and found["cy"]["phone_sha256"] is None
    assert found["dup"]["email_sha256"] in (sha("a@example.com"), sha("z@example.com"))
    assert found["two"]["email_sha256"] == sha("two@example.com")
    assert found["two"]["phone_sha256"] == sha("49301")
    assert found["bob"]["first_name"] == "=Bob"
    assert ("email" in keyed.columns) == ("phone" in keyed.columns) == plain
    if plain:
        assert found["ann"]["email"] == "ann.lee@example.com"
