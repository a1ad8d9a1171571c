"""What folders tell of their data: bytes, rows and Delta's version."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession
from pyspark.sql.types import StringType

from behavior_spark.config import WarehouseSettings
from behavior_spark.io import warehouse
from behavior_spark.io.local_folders import latest_version, rows_at_most
from behavior_spark.io.small_data import are_small
from behavior_spark.io.warehouse import Warehouse
from behavior_spark.schemas import Contract, column

CATS = Contract(
    name="cats",
    comment="One row per cat",
    columns=(column("cat_id", StringType(), "which", required=True),),
    key=("cat_id",),
)


@pytest.mark.parametrize("size", [100, 101])
def test_a_place_is_small_by_the_bytes_of_its_data(tmp_path: Path, size: int) -> None:
    (tmp_path / "day=1").mkdir()
    (tmp_path / "day=1" / "part").write_bytes(b"x" * 60)
    (tmp_path / "part").write_bytes(b"x" * (size - 60))
    (tmp_path / "_delta_log").mkdir()
    (tmp_path / "_delta_log" / "0.json").write_bytes(b"x" * 1000)
    for place in (str(tmp_path), f"file://{tmp_path}"):
        assert are_small([place], most_bytes=100) == (size <= 100)
    assert are_small([str(tmp_path / "part")], most_bytes=size - 60)
    assert not are_small([str(tmp_path / "part")], most_bytes=size - 61)


def test_what_is_not_there_is_small_and_what_cannot_be_measured_is_not(tmp_path: Path) -> None:
    assert are_small([])
    assert are_small([str(tmp_path / "nothing")])
    for place in ("s3a://bucket/table", "hdfs://host/table", f"{tmp_path}/*.csv"):
        assert not are_small([str(tmp_path), place])


@pytest.mark.parametrize("rows", [75_000, 75_001])
def test_a_place_is_small_by_the_rows_of_its_parquet_files(tmp_path: Path, rows: int) -> None:
    for number, count in enumerate((50_000, rows - 50_000)):
        same = pa.table({"day": pa.repeat("2024-01-01", count)})
        pq.write_table(same, tmp_path / f"part-{number}.parquet")
    assert are_small([str(tmp_path)]) == (rows == 75_000)
    (tmp_path / "part-2.parquet").write_text("no Parquet")
    assert not are_small([str(tmp_path)])


def test_rows_of_removed_files_count_and_a_larger_folder_is_unknown(tmp_path: Path) -> None:
    pq.write_table(pa.table({"day": [1, 2, 3]}), tmp_path / "part.parquet")
    (tmp_path / "notes.txt").write_text("no rows")
    assert rows_at_most(tmp_path, most_bytes=1 << 20, most_rows=3) == 3
    assert rows_at_most(tmp_path, most_bytes=1 << 20, most_rows=2) is None
    assert rows_at_most(tmp_path, most_bytes=100, most_rows=3) is None
    assert rows_at_most(tmp_path / "nothing", most_bytes=0, most_rows=0) == 0


def test_the_version_by_the_log_is_the_one_that_delta_tells(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = Warehouse(spark, WarehouseSettings(path=str(tmp_path)))
    assert house.version(CATS) is None and house.few_rows(CATS) == 0
    for expected in range(12):  # the tenth commit writes a checkpoint
        if expected:
            house.append(spark.createDataFrame([(str(expected),)], "cat_id string"), CATS)
        else:
            house.create(CATS)
        assert house.version(CATS) == expected
    assert list((tmp_path / CATS.name / "_delta_log").glob("*.checkpoint*"))
    assert house.latest(CATS, most=1)[0].version == 11
    assert house.few_rows(CATS) == house.read(CATS).count() == 11
    # Where Hadoop takes paths for those of another file system, nothing is found here.
    monkeypatch.setattr(warehouse, "local_folder", lambda place: tmp_path / "elsewhere")
    assert house.version(CATS) == 11
    # Its commits may be deleted once there is a checkpoint.
    log = tmp_path / "log" / "_delta_log"
    log.mkdir(parents=True)
    assert latest_version(log.parent) is None
    for name in ("00000000000000000009.json", "00000000000000000010.checkpoint.parquet",
                 "_last_checkpoint", "00000000000000000099.json.tmp"):  # fmt: skip
        (log / name).touch()
    assert latest_version(log.parent) == 10
