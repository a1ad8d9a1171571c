"""Notebooks run as Databricks runs them, and what they show."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession

import behavior_spark
from behavior_spark import job
from behavior_spark.report.pictures import Picture

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"


class Shown(list[DataFrame]):
    """What a notebook displayed, in order, and its pictures by title."""

    def __init__(self) -> None:
        super().__init__()
        self.pictures: dict[str, Picture] = {}

    def with_columns(self, *names: str) -> DataFrame:
        """The one frame that has all of these columns, checked not to be empty."""
        found = [frame for frame in self if set(names) <= set(frame.columns)]
        assert len(found) == 1, [frame.columns for frame in self]
        assert not found[0].isEmpty(), names
        return found[0]


def run(name: str, spark: SparkSession) -> Shown:
    """Run a notebook as Databricks does: `spark` and `display` are there before it starts."""
    shown = Shown()

    def picture(*args: Any, **options: Any) -> Picture:
        drawn = job.picture(*args, **options)
        shown.pictures[drawn.title] = drawn
        return drawn

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(behavior_spark, "picture", picture, raising=False)
        runpy.run_path(str(NOTEBOOKS / name), {"spark": spark, "display": shown.append})
    for title, drawn in shown.pictures.items():
        assert drawn.table.rows and drawn.svg.startswith("<svg") and title in drawn._repr_html_()
    return shown
