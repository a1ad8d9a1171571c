"""Commands into a schema of a Hive metastore (embedded Derby): texts by themselves, or the night.

Prints one line of JSON. Started by test_same_night.py in a process of its own: a session's catalog
is chosen at its start.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession
from small_night import AS_OF, small_settings

from behavior_spark.config import Settings
from behavior_spark.io.session import spark_session
from behavior_spark.pipelines import ingest, nightly, score_texts, views


def texts(spark: SparkSession, settings: Settings) -> dict[str, Any]:
    """What the bundle runs in tasks before the night, one of them with GPUs."""
    ingest(settings, as_of=AS_OF, spark=spark)
    score_texts(settings, as_of=AS_OF, spark=spark)
    return {"scored": spark.table("night.text_embeddings").count()}


def night(spark: SparkSession, settings: Settings) -> dict[str, Any]:
    """The night, again, and views."""
    for _ in range(2):
        nightly(settings, as_of=AS_OF, spark=spark)
    views(settings, create=True, spark=spark)
    nights = spark.table("night.runs").where("command = 'nightly'").orderBy("started_at")
    return {
        "scored": spark.table("night.text_embeddings").count(),
        "statuses": [row["status"] for row in nights.select("status").collect()],
        "latest_propensity": spark.table("night.latest_propensity").count(),
    }


def main(part: str, shop: Path, conf: dict[str, str]) -> None:
    hive = {
        **conf,
        "spark.sql.catalogImplementation": "hive",
        "spark.sql.warehouse.dir": str(shop / "managed"),
        "spark.hadoop.javax.jdo.option.ConnectionURL":
            f"jdbc:derby:;databaseName={shop}/metastore;create=true",
        # As docs/where-it-runs.md says: Delta gives the metastore a table's columns afterwards.
        "spark.hadoop.hive.metastore.disallow.incompatible.col.type.changes": "false",
    }  # fmt: skip
    settings = small_settings(
        shop, warehouse="{schema: night}", models="hive_models", conf=json.dumps(hive)
    )
    with spark_session(settings.spark, name="hive") as spark:
        spark.sql("CREATE SCHEMA IF NOT EXISTS night")
        done = {"texts": texts, "night": night}[part](spark, settings)
    print(json.dumps(done))  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), json.loads(sys.argv[3]))
