"""A night in three tasks (the bundle's GPU job), or into a Hive metastore, is the same night."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import night_process
import pytest
from deltalake import DeltaTable
from night_process import ROOT, Tables, assert_same_tables, environment, run, tables
from pyspark.sql import SparkSession
from small_night import AS_OF, small_settings

from behavior_spark.demo.generate import generate_demo
from behavior_spark.pipelines import ingest, nightly, score_texts

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def shop(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    generate_demo(spark, str(folder / "data"), users=40, days=60)
    return folder


@pytest.fixture(scope="module")
def whole(spark: SparkSession, shop: Path) -> Iterator[Tables]:
    """The tables of ``nightly`` alone, in a folder."""
    with pytest.MonkeyPatch.context() as patch:
        # What scores is the encoder; heads read what it stored, and would have to be trained.
        # Segments of profiles rest on features of sessions.
        for name in ("text_scores", "user_profile"):
            patch.delitem(night_process.TABLES, name)
        place = str(shop / "whole")
        nightly(small_settings(shop, warehouse=place, models="whole"), as_of=AS_OF, spark=spark)
        yield tables(place)


def test_ingest_then_score_texts_then_nightly_gives_the_tables_of_nightly_alone(
    spark: SparkSession, shop: Path, whole: Tables
) -> None:
    split = small_settings(shop, warehouse=str(shop / "split"), models="split")
    ingest(split, as_of=AS_OF, spark=spark)
    score_texts(split, as_of=AS_OF, spark=spark)
    embeddings = str(shop / "split" / "text_embeddings")
    scored = DeltaTable(embeddings).to_pandas()
    nightly(split, as_of=AS_OF, spark=spark)
    # Nothing is left to the cluster without GPUs.
    assert sorted(DeltaTable(embeddings).to_pandas()["scored_at"]) == sorted(scored["scored_at"])
    assert_same_tables(whole, tables(shop / "split"))


def test_tables_by_schema_in_a_hive_metastore_are_those_of_a_folder(
    shop: Path, whole: Tables
) -> None:
    script = str(ROOT / "tests" / "real" / "hive_night.py")
    output = run([sys.executable, script, str(shop)], environment(PYTHONPATH=str(ROOT)))
    assert "ERROR" not in output, output
    assert_same_tables(whole, tables(shop / "managed" / "night.db"))
    done = json.loads(next(line for line in output.splitlines() if line.startswith("{")))
    # The second night knew the first one's tables by their names, and the views stand beside them.
    assert done["statuses"] == ["done", "unchanged"]
    assert done["latest_propensity"] == len(whole["user_propensity"])
