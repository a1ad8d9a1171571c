"""The night in three tasks into a schema of a Hive metastore (embedded Derby), again, and views.

Prints one line of JSON. Started by test_same_night.py in a process of its own: a session's catalog
is chosen at its start.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from small_night import AS_OF, small_settings

from behavior_spark.io.session import spark_session
from behavior_spark.pipelines import ingest, nightly, score_texts, views


def main(shop: Path, conf: dict[str, str]) -> None:
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
        ingest(settings, as_of=AS_OF, spark=spark)
        score_texts(settings, as_of=AS_OF, spark=spark)
        scored = spark.table("night.text_embeddings").count()
        for _ in range(2):
            nightly(settings, as_of=AS_OF, spark=spark)
        more = spark.table("night.text_embeddings").count() - scored
        views(settings, create=True, spark=spark)
        nights = spark.table("night.runs").where("command = 'nightly'").orderBy("started_at")
        statuses = [row["status"] for row in nights.select("status").collect()]
        latest = spark.table("night.latest_propensity").count()
    found = {"statuses": statuses, "latest_propensity": latest,
             "scored_before": scored, "scored_by_nightly": more}  # fmt: skip
    print(json.dumps(found))  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(sys.argv[2]))
