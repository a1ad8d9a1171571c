"""Training rows that do not fit in memory are those that would be there."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import numpy as np
import pandas as pd
from pyspark.sql import SparkSession
from rich.console import Console

from behavior_spark.config import validate_settings
from behavior_spark.model.propensity.feature_matrix import feature_matrix
from behavior_spark.pipelines import commands
from behavior_spark.pipelines.users.features import prepare_inputs
from behavior_spark.pipelines.users.propensity import train_stage
from behavior_spark.pipelines.users.training_rows import of_target, training_rows, training_table
from behavior_spark.runs.run import running

AS_OF, FIRST, USERS = dt.date(2024, 6, 30), dt.datetime(2024, 3, 1, 12), 60
COLUMNS = {"event_id": "id", "user_id": "who", "event_time": "at", "event_type": "what"}


def write_log(path: Path) -> None:
    """Users view now and then; the earlier half of them buys, the more they view the more often."""
    dice, rows = np.random.default_rng(1), []
    for day in range(121):
        for user in range(USERS):
            if dice.random() < 0.1 + user / USERS / 2:
                rows.append((user, FIRST + dt.timedelta(days=day), "view"))
                if dice.random() < 0.15:
                    rows.append((user, FIRST + dt.timedelta(days=day, hours=1), "purchase"))
    lines = [{"id": f"e{n}", "who": f"u{user}", "at": str(at), "what": what}
             for n, (user, at, what) in enumerate(rows)]  # fmt: skip
    path.write_text("\n".join(map(json.dumps, lines)))


def test_rows_on_disk_are_those_in_memory_and_a_model_is_learned_from_them(
    spark: SparkSession, tmp_path: Path
) -> None:
    write_log(tmp_path / "events.json")
    settings = validate_settings({
        "warehouse": str(tmp_path / "w"),
        "sources": {"events": {"path": str(tmp_path / "events.json"), "format": "json",
                               "columns": COLUMNS}},
        "features": {"event_types": ["view", "purchase"]},
        "targets": {"buys": {"event": "event_type = 'purchase'", "horizon_days": 14},
                    "again": {"event": "event_type = 'purchase'", "horizon_days": 14,
                              "who": "before"}},
        "training": {"as_of_days": 4, "every_days": 14, "rows_in_memory": 100},
    })  # fmt: skip
    console = Console(quiet=True)
    for command in (commands.ingest, commands.build_features):
        command(settings, as_of=AS_OF, spark=spark, console=console)
    with running(
        "train", settings, as_of=AS_OF, spark=spark, console=console, record=False
    ) as run:
        run.declared = ("train-propensity",)
        prepared = prepare_inputs(run, None)
        table = training_table(run, prepared, ["buys", "again"], 14)
        rows = training_rows(run, prepared, ["buys", "again"], 14, tmp_path)
        assert rows.matrix is not None and len(rows.table) == len(table) > 100
        keys = ["user_id", "as_of"]
        at = rows.table[keys].reset_index().merge(table[keys].reset_index(), on=keys)
        values = feature_matrix(table, prepared.names, "buys")
        np.testing.assert_array_equal(
            np.asarray(rows.matrix)[at["index_x"]], values[at["index_y"]]
        )
        beside = [name for name in rows.table.columns if name not in prepared.names]
        pd.testing.assert_frame_equal(
            rows.table.loc[at["index_x"], beside].reset_index(drop=True),
            table.loc[at["index_y"], beside].reset_index(drop=True),
        )
        before = of_target(run, rows, "again")
        assert before.matrix is not None
        assert len(before.matrix) == len(before.table) < len(rows.table)
        models = train_stage(run, prepared, retrain=True).by_target
    assert models["buys"].metadata["rows"] == len(table)
    assert models["again"].metadata["rows"] == len(before.table)
    assert [note for note in run.notes if "learned from disk" in note]
