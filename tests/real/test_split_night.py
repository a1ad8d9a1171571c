"""A night in the three tasks of the bundle's GPU job is the same night."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import night_process
import pytest
from deltalake import DeltaTable
from night_process import assert_same_tables, tables
from pyspark.sql import SparkSession

from behavior_spark.config import Settings, load_settings
from behavior_spark.demo.generate import generate_demo
from behavior_spark.pipelines import ingest, nightly, score_texts
from tests.demo_shop import NIGHT

pytestmark = pytest.mark.real
# Few columns: what a night does in which order is asked, not what it computes.
FEW = ["training.as_of_days=3", "training.every_days=7", "targets.purchase_30d.horizon_days=7",
       "features.groups=[activity, texts]", "features.windows_days=[30]",
       "features.event_types=[purchase]", "features.funnels={}"]  # fmt: skip
AS_OF = dt.date(2024, 2, 25)


def test_ingest_then_score_texts_then_nightly_gives_the_tables_of_nightly_alone(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = tmp_path / "shop"
    generate_demo(spark, str(shop / "data"), users=40, days=60)
    # What scores is the encoder; heads read what it stored, and would have to be trained. Segments
    # of profiles rest on features of sessions.
    for name in ("text_scores", "user_profile"):
        monkeypatch.delitem(night_process.TABLES, name)

    def settings(warehouse: str) -> Settings:
        places = [f"warehouse={tmp_path / warehouse}", f"models={tmp_path / warehouse}_models"]
        loaded = load_settings(
            ["demo.yaml"],
            overrides=[*NIGHT, *places, *FEW],
            environment={"DEMO_ROOT": str(shop)},
        )
        text = loaded.text.model_copy(update={"heads": {}})
        targets = {"purchase_30d": loaded.targets["purchase_30d"]}
        without = {"audiences": {}, "service": None}
        return loaded.model_copy(update={"text": text, "targets": targets, **without})

    whole, split = settings("whole"), settings("split")
    nightly(whole, as_of=AS_OF, spark=spark)
    ingest(split, as_of=AS_OF, spark=spark)
    score_texts(split, as_of=AS_OF, spark=spark)
    embeddings = str(tmp_path / "split" / "text_embeddings")
    scored = DeltaTable(embeddings).to_pandas()
    nightly(split, as_of=AS_OF, spark=spark)
    # Nothing is left to the cluster without GPUs.
    assert sorted(DeltaTable(embeddings).to_pandas()["scored_at"]) == sorted(scored["scored_at"])
    assert_same_tables(tables(tmp_path / "whole"), tables(tmp_path / "split"))
