"""What a run knows of the session it works in."""

from __future__ import annotations

import datetime as dt
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from behavior_spark.runs.run import Run


@pytest.mark.parametrize(("asked", "tasks"), [("8", 8), ("auto", 200), (None, 200)])
def test_tasks_are_those_of_the_session_or_sparks_default(asked: str | None, tasks: int) -> None:
    spark: Any = SimpleNamespace(conf={"spark.sql.shuffle.partitions": asked})
    nothing: Any = None
    run = Run("test", nothing, dt.date(2024, 3, 1), spark, nothing, Console(quiet=True))
    assert run.parallelism == tasks
