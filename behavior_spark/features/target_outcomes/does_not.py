"""Outcome ``does_not``: 1 if no event of the target happens within the horizon, else 0."""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import Column
from pyspark.sql import functions as F

from behavior_spark.features.targets import TargetOutcome


@dataclass(frozen=True)
class DoesNot:
    """No event happens."""

    otherwise: int = 1
    happens: bool = False
    past: str = "count"

    def label(self, hit: Column) -> Column:
        """1 without any hit."""
        return F.min((~hit).cast("int"))


OUTCOME: TargetOutcome = DoesNot()
