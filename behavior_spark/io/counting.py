"""Count rows while they are written, so that nothing is read twice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pyspark.sql import Column, DataFrame, Observation

from behavior_spark.io.observations import observed_values


@dataclass(frozen=True)
class Counted:
    """A frame whose rows are counted while it is written.

    Attributes:
        frame: The frame to go on with.
        metrics: What is counted: aggregates by name.
        observation: Spark's observation of them.
    """

    frame: DataFrame
    metrics: Mapping[str, Column]
    observation: Observation

    @classmethod
    def over(cls, frame: DataFrame, **metrics: Column) -> Counted:
        """Count while rows pass."""
        observation = Observation()
        return cls(frame.observe(observation, *named(metrics)), metrics, observation)

    def counts(self) -> dict[str, int]:
        """What was counted, after the write; a smallest or largest of nothing is 0."""
        return {name: int(value or 0) for name, value in self.values().items()}

    def values(self) -> dict[str, float | None]:
        """What was counted, after the write, as it is.

        Where Spark did not count, the rows are read anew: so they may not come from what is in
        the table that was written, but from a snapshot of it.
        """
        values = observed_values(self.observation)
        if values is None:
            values = aggregated(self.frame, self.metrics)
        return values


def aggregated(frame: DataFrame, metrics: Mapping[str, Column]) -> dict[str, Any]:
    """Aggregates of all rows, by name; runs a job."""
    [row] = frame.agg(*named(metrics)).collect()
    return dict(row.asDict())


def named(columns: Mapping[str, Column]) -> list[Column]:
    """Columns, each with its name."""
    return [column.alias(name) for name, column in columns.items()]
