"""A job in a notebook: commands as methods, tables as DataFrames."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession

import behavior_spark
from behavior_spark.errors import BehaviorError, ConfigError, InputError
from behavior_spark.io.conf import conf_meanwhile
from behavior_spark.job import Job
from behavior_spark.pipelines import COMMANDS
from behavior_spark.pipelines.demonstration import DemoResult
from behavior_spark.schemas import RUNS


@pytest.fixture
def shop(spark: SparkSession, demo_night: DemoResult) -> Job:
    return behavior_spark.open(demo_night.settings, spark=spark)


def test_every_command_is_a_method_with_its_own_options_and_help(shop: Job) -> None:
    for name, command in COMMANDS.items():
        method = getattr(shop, name.replace("-", "_"))
        if name not in vars(Job):  # sql gives a DataFrame
            assert method.__doc__ == command.function.__doc__
        assert "settings" not in inspect.signature(method).parameters
        assert name.replace("-", "_") in dir(shop)
    with pytest.raises(AttributeError, match="nightly"):
        shop.nightyl  # noqa: B018


def test_tables_are_read_by_name_and_those_that_are_missing_are_named(shop: Job) -> None:
    assert {"events", "user_propensity", "runs"} <= set(shop.tables) and len(shop.tables) > 8
    assert shop.tables["events"].columns[0] == "event_id"
    assert "user_profile" in repr(shop.tables)
    with pytest.raises(KeyError, match="user_propensity"):
        shop.tables["propensity"]


def test_sql_gives_a_frame_and_says_what_is_wrong_with_a_query(shop: Job) -> None:
    frame = shop.sql("SELECT target, count(*) AS users FROM user_propensity GROUP BY target")
    assert isinstance(frame, DataFrame)
    assert {row["target"] for row in frame.collect()} == set(shop.settings.targets)
    with pytest.raises(BehaviorError, match="user_propensities"):
        shop.sql("SELECT * FROM user_propensities")


def test_predictions_are_those_of_the_last_night_or_of_the_one_asked_for(
    shop: Job, demo_night: DemoResult
) -> None:
    target, as_of = next(iter(shop.settings.targets)), demo_night.layout.as_of
    rows = shop.predictions(target, as_of=as_of.isoformat()).select("as_of", "score").collect()
    scores = [row["score"] for row in rows]
    assert scores == sorted(scores, reverse=True) and {row["as_of"] for row in rows} == {as_of}
    last = shop.predictions(target).select("as_of").distinct().collect()
    (night,) = shop.sql("SELECT max(as_of) FROM user_propensity").collect()
    assert [row["as_of"] for row in last] == [night[0]]
    with pytest.raises(ConfigError, match="no target 'purchase'"):
        shop.predictions("purchase")
    with pytest.raises(ConfigError, match="tomorrow is not a day"):
        shop.predictions(target, as_of="tomorrow")


def test_a_result_shows_as_tables_in_a_notebook(shop: Job) -> None:
    planned = shop.plan("nightly")._repr_html_()
    assert "<pre" in planned and "train-propensity" in planned and "<script" not in planned


def test_days_are_texts_or_dates_and_a_failure_is_recorded(shop: Job) -> None:
    with pytest.raises(ConfigError, match="2024-02-30 is not a day"):
        shop.report(as_of="2024-02-30")
    with pytest.raises(InputError, match="1999-01-01"):
        shop.report(as_of="1999-01-01")
    failed = shop.tables[RUNS.name].where("status = 'failed' AND as_of = DATE'1999-01-01'")
    assert [row["command"] for row in failed.collect()] == ["report"]


def test_a_config_is_a_file_several_a_mapping_or_settings(
    spark: SparkSession, tmp_path: Path
) -> None:
    shop = behavior_spark.open(
        ["demo.yaml"], overrides=[f"warehouse.path={tmp_path}"], spark=spark
    )
    assert shop.settings.warehouse.path == str(tmp_path) and not list(shop.tables)
    again = behavior_spark.open(
        shop.settings.model_dump(by_alias=True, exclude_unset=True), spark=spark
    )
    assert again.settings == shop.settings
    assert str(tmp_path) in repr(again)
    with pytest.raises(InputError, match="user_propensity"):
        again.predictions()
    with pytest.raises(ConfigError, match="nowhere"):
        behavior_spark.open("nowhere.yaml")


def test_the_time_zone_is_utc_until_the_job_is_closed(
    spark: SparkSession, demo_night: DemoResult
) -> None:
    key = "spark.sql.session.timeZone"
    with conf_meanwhile(spark, {key: "Asia/Tokyo"}):
        with behavior_spark.open(demo_night.settings, spark=spark):
            assert spark.conf.get(key) == "UTC"
        assert spark.conf.get(key) == "Asia/Tokyo"


def test_the_package_itself_imports_neither_spark_nor_torch() -> None:
    program = (
        "import sys, behavior_spark; "
        "sys.exit(any(name in sys.modules for name in ('pyspark', 'torch', 'pandas')))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
