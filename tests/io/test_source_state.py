"""What changes a source changes its state, and reading it does not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from behavior_spark.config import Source
from behavior_spark.io.source_state import state_of_sources


def source(path: Path | None = None, *, table: str | None = None, format_: str = "csv") -> Source:
    columns = {"item_id": "id"}
    return Source(path=path and str(path), table=table, format=format_, columns=columns)  # type: ignore[arg-type]


def test_the_state_changes_with_a_file_added_written_again_or_removed(
    spark: SparkSession, tmp_path: Path
) -> None:
    folder = tmp_path / "log (new)" / "day=1"
    folder.mkdir(parents=True)
    (folder / "a.csv").write_text("id\n1\n")
    other = tmp_path / "other.csv"
    other.write_text("id\n1\n")
    sources = {"log": source(tmp_path / "log (new)"), "other's": source(other)}
    states = []

    def state() -> None:
        found = state_of_sources(spark, sources)
        assert found is not None
        states.append(found)

    state()
    state()
    assert states[0] == states[1] and len(states[0]) == 2
    (folder / "b.csv").write_text("id\n2\n")
    state()
    (folder / "b.csv").write_text("id\n3\n")  # of the same length
    os.utime(folder / "b.csv", (1, 1))
    state()
    (folder / "b.csv").rename(folder / "c.csv")
    state()
    (folder / "c.csv").unlink()
    state()
    assert len({s["log"] for s in states}) == 4 and states[-1] == states[0]
    assert len({s["other's"] for s in states}) == 1


def test_a_delta_table_has_its_version_and_a_view_has_no_state(
    spark: SparkSession, tmp_path: Path
) -> None:
    place = tmp_path / "a `b`"
    spark.range(3).write.format("delta").save(str(place))
    delta = {"items": source(place, format_="delta")}
    before = state_of_sources(spark, delta)
    assert before == {"items": "version 0"} == state_of_sources(spark, delta)
    spark.range(3).write.format("delta").mode("append").save(str(place))
    assert state_of_sources(spark, delta) == {"items": "version 1"}
    spark.range(3).createOrReplaceTempView("state_of_a_view")
    assert state_of_sources(spark, delta | {"view": source(table="state_of_a_view")}) is None


@pytest.mark.parametrize("place", ["nothing", "nothing/*.csv"])
def test_what_is_not_there_has_no_state(spark: SparkSession, tmp_path: Path, place: str) -> None:
    assert state_of_sources(spark, {"log": source(tmp_path / place)}) is None
