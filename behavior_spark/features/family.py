"""Base class of feature families, which list their features and add them to the table.

A family computes its features in one of three ways:

- from *tiles*: ``definitions``. The definitions of all families are computed by one aggregation of
  tiles, with a row for every user of the population at every as_of.
- from *stored sessions*: ``session_part``. The parts of all families are computed by one
  aggregation of sessions.
- from other tables: ``features`` and ``join``.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import ClassVar

from pyspark.sql import DataFrame
from pyspark.sql.types import StructField

from behavior_spark.features.declared import Feature
from behavior_spark.features.inputs import Inputs, Request
from behavior_spark.features.sessions.by_user import SessionPart
from behavior_spark.features.tiles.definitions import Definition
from behavior_spark.features.tiles.planning import PlanMaker


class Family:
    """A family of features. Methods that a family does not define add nothing.

    Attributes:
        name: Name of its file and of its feature group.
        order: Position of the family, and of its columns in the table: 10 activity, 20 targets,
            22 seasons, 25 taste, 27 user_vector, 30 declared, 40 sessions, 50 funnels, 60 bots,
            70 attributes, 80 texts.
        source: Tables of its features, for features without a ``source``.
    """

    name: ClassVar[str]
    order: ClassVar[int] = 100
    source: ClassVar[str] = "events"

    def built(self, request: Request) -> bool:
        """Whether the family is built."""
        return request.settings.built(self.name)

    def definitions(self, plan: PlanMaker) -> list[Definition]:
        """Its features that are computed from tiles."""
        return []

    def features(self, request: Request) -> list[Feature]:
        """Its other features, in order. By default they have the family's group and source.

        Raises:
            ConfigError: A declared feature cannot be built.
        """
        return []

    def session_part(self, request: Request) -> SessionPart | None:
        """Aggregates over a user's stored sessions; not called without stored sessions."""
        return None

    def after_sessions(self, users: DataFrame, request: Request) -> DataFrame:
        """Change the aggregated sessions, one row per (as_of, user_id), before they are joined."""
        return users

    def join(
        self, frame: DataFrame, inputs: Inputs, days: Sequence[dt.date], request: Request
    ) -> DataFrame:
        """Add columns of ``features`` that do not come from tiles or stored sessions.

        Args:
            frame: One row per ``user_id, as_of``, with the columns of earlier families.
            inputs: The tables.
            days: The as_of days.
            request: Settings and targets.

        Returns:
            The same rows with more columns; null for users without data.
        """
        return frame

    def flags(self, request: Request) -> list[StructField]:
        """Columns that are not features; they are the last columns of the table."""
        return []

    def learned_from(self, frame: DataFrame, request: Request) -> DataFrame:
        """The rows that may be used for training, without the family's flags."""
        return frame
