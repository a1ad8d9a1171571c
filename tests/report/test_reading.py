"""Facts of nights that lack tables: the page is made of what there is."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from rich.console import Console

from behavior_spark.config import Settings
from behavior_spark.errors import InputError
from behavior_spark.pipelines import report
from behavior_spark.runs.run import SourceCounts, running
from tests.report.pages import PageReader

AS_OF = dt.date(2024, 4, 30)
QUIET = Console(quiet=True)


def test_a_night_of_texts_alone_has_a_page_and_a_day_without_a_night_an_error(
    spark: SparkSession, tmp_path: Path
) -> None:
    settings = Settings.model_validate(
        {
            "name": "texts",
            "warehouse": str(tmp_path / "warehouse"),
            "sources": {
                "texts": {
                    "path": "none",
                    "columns": {"text_id": "a", "text_time": "t", "text": "b"},
                }
            },
        }
    )
    with running("nightly", settings, as_of=AS_OF, spark=spark, console=QUIET) as run:
        run.sources.append(SourceCounts("texts", rows_in=12, rows_out=9, duplicates=1, refused=2))
        run.steps["ingest texts"] = 3.0
    content = report(settings, html=True, as_of=AS_OF, spark=spark, console=QUIET).html()
    page = PageReader(str(content))
    assert page.tables["Rows by table"][1] == ["texts", "12", "9", "1", "2", "0"]
    assert "can be used with care" in page.text  # a sixth of the rows was refused
    assert "sessions and profiles were not built" in page.text
    with pytest.raises(InputError, match=r"no night of 2024-05-01\n.*before is 2024-04-30"):
        report(settings, html=True, as_of=AS_OF + dt.timedelta(1), spark=spark, console=QUIET)
