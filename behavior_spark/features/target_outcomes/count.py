"""Outcome ``count``: number of the target's events within the horizon."""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import Column
from pyspark.sql import functions as F

from behavior_spark.features.targets import TargetOutcome


@dataclass(frozen=True)
class Count:
    """Number of events."""

    otherwise: int = 0
    happens: bool = True
    past: str = "count"

    def label(self, hit: Column) -> Column:
        """Number of hits."""
        return F.count_if(hit).cast("int")


OUTCOME: TargetOutcome = Count()
