"""Outcome ``amount``: value of the target's events within the horizon, as in ``events.value``."""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import Column
from pyspark.sql import functions as F

from behavior_spark.features.targets import TargetOutcome


@dataclass(frozen=True)
class Amount:
    """Net value; 0 if it is negative because of refunds."""

    otherwise: float = 0.0
    happens: bool = True
    past: str = "value"

    def label(self, hit: Column) -> Column:
        """Sum of the hits' values, at least 0."""
        total = F.sum(F.when(hit, F.col("value"))).cast("double")
        return F.greatest(F.coalesce(total, F.lit(0.0)), F.lit(0.0))


OUTCOME: TargetOutcome = Amount()
