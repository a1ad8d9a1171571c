"""A log that lies in several places: rows are counted by source, and one may be missing."""

from __future__ import annotations

import datetime as dt
import io
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession
from rich.console import Console

from behavior_spark.config import validate_settings
from behavior_spark.errors import ConfigError, MissingInputError
from behavior_spark.pipelines import commands

COLUMNS = {"event_id": "id", "user_id": "who", "event_time": "day", "event_type": "'view'"}


def job(folder: Path, *sources: dict[str, Any]) -> dict[str, Any]:
    return {
        "warehouse": str(folder / "warehouse"),
        "sources": {
            "events": [
                {"format": "csv", "columns": COLUMNS, "shared_ids": True, **source}
                for source in sources
            ]
        },
        "features": {"event_types": ["view"]},
        "targets": {"views": {"event": "event_type = 'view'"}},
    }


def year(folder: Path, name: str, rows: range) -> dict[str, Any]:
    path = folder / f"{name}.csv"
    lines = [f"{n},u{n % 3},2024-01-0{n % 9 + 1}T10:00:00Z" for n in rows]
    path.write_text("\n".join(["id,who,day", *lines]), encoding="utf-8")
    return {"name": name, "path": str(path)}


def test_rows_are_counted_by_source_and_an_optional_one_that_is_missing_is_noted(
    spark: SparkSession, tmp_path: Path
) -> None:
    first, second = year(tmp_path, "first", range(5)), year(tmp_path, "second", range(4, 12))
    missing = {"name": "third", "path": str(tmp_path / "nowhere.csv")}
    shown = io.StringIO()
    console = Console(file=shown, width=200)
    settings = validate_settings(job(tmp_path, first, second, {**missing, "optional": True}))
    result = commands.ingest(settings, as_of=dt.date(2024, 2, 1), spark=spark, console=console)
    [counts] = result.sources
    assert (counts.rows_in, counts.rows_out, counts.duplicates) == (13, 12, 1)
    assert "events by source: first 5, second 8" in shown.getvalue()
    [note] = [note for note in result.notes if "optional" in note]
    assert note.startswith("sources.events[2] (") and "path not found" in note
    refused = validate_settings(job(tmp_path, first, missing))
    with pytest.raises(MissingInputError, match="path not found"):
        commands.ingest(refused, as_of=dt.date(2024, 2, 1), spark=spark, console=console)


def test_a_log_cannot_be_of_optional_sources_alone(tmp_path: Path) -> None:
    alone = {"path": "nowhere", "optional": True}
    with pytest.raises(ConfigError, match="one source at least must not be optional"):
        validate_settings(job(tmp_path, alone))
