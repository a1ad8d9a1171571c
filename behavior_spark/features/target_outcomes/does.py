"""Outcome ``does``: 1 if an event of the target happens within the horizon, else 0."""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import Column
from pyspark.sql import functions as F

from behavior_spark.features.targets import TargetOutcome


@dataclass(frozen=True)
class Does:
    """An event happens."""

    otherwise: int = 0
    happens: bool = True
    past: str = "count"

    def label(self, hit: Column) -> Column:
        """1 with any hit."""
        return F.max(hit.cast("int"))


OUTCOME: TargetOutcome = Does()
