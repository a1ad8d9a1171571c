"""A night in three tasks (the bundle's GPU job), or into a Hive metastore, is the same night."""

from __future__ import annotations

import json
import sys

import pytest
from deltalake import DeltaTable
from night_process import ROOT, assert_same_tables, environment, run, tables
from pyspark.sql import SparkSession
from small_night import AS_OF, Shop, small_settings

from behavior_spark.pipelines import ingest, nightly, score_texts

pytestmark = pytest.mark.real


def test_ingest_then_score_texts_then_nightly_gives_the_tables_of_nightly_alone(
    spark: SparkSession, shop: Shop
) -> None:
    warehouse = shop.folder / "split"
    split = small_settings(shop.folder, warehouse=str(warehouse), models="split_models")
    shop.copy_text_model(shop.folder / "split_models")
    ingest(split, as_of=AS_OF, spark=spark)
    score_texts(split, as_of=AS_OF, spark=spark)
    embeddings = str(warehouse / "text_embeddings")
    scored = DeltaTable(embeddings).to_pandas()
    nightly(split, as_of=AS_OF, spark=spark)
    # Nothing is left to the cluster without GPUs.
    assert sorted(DeltaTable(embeddings).to_pandas()["scored_at"]) == sorted(scored["scored_at"])
    assert_same_tables(shop.whole, tables(warehouse))


def test_tables_by_schema_in_a_hive_metastore_are_those_of_a_folder(
    shop: Shop, interpreted: dict[str, str]
) -> None:
    shop.copy_text_model(shop.folder / "hive_models")
    script = str(ROOT / "tests" / "real" / "hive_night.py")
    command = [sys.executable, script, str(shop.folder), json.dumps(interpreted)]
    output = run(command, environment(PYTHONPATH=str(ROOT)))
    assert "ERROR" not in output, output
    assert_same_tables(shop.whole, tables(shop.folder / "managed" / "night.db"))
    done = json.loads(next(line for line in output.splitlines() if line.startswith("{")))
    # The second night knew the first one's tables by their names, and the views stand beside them.
    assert done["statuses"] == ["done", "unchanged"]
    assert done["latest_propensity"] == len(shop.whole["user_propensity"])
