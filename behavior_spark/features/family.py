"""What a feature family is: one object that lists its features and adds them to the table.

There are three ways to make features, and a family takes one of them:

- of *tiles*: ``definitions``. All families' definitions are one aggregation of the tiles, whose
  result has a row for every user of the population at every as_of.
- of *stored sessions*: ``session_part``. All families' parts are one aggregation of the sessions.
- of anything else: ``features`` and ``join``.
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
    """Features that belong together. What a family does not define gives nothing.

    Attributes:
        name: Name of its file; ``features.groups`` chooses by it, ``features describe`` shows it.
        order: Place among the families, and so of its columns in the table: 10 activity,
            20 targets, 30 declared, 40 sessions, 50 funnels, 60 bots, 70 attributes, 80 texts.
        source: Tables its features come from, where a feature does not say otherwise.
    """

    name: ClassVar[str]
    order: ClassVar[int] = 100
    source: ClassVar[str] = "events"

    def built(self, request: Request) -> bool:
        """Whether it is built at all."""
        return request.settings.built(self.name)

    def definitions(self, plan: PlanMaker) -> list[Definition]:
        """Its features that are made of tiles."""
        return []

    def features(self, request: Request) -> list[Feature]:
        """Its other features, in order. The group and the source may be left out.

        Raises:
            ConfigError: A feature that was asked for cannot be built.
        """
        return []

    def session_part(self, request: Request) -> SessionPart | None:
        """What is added up over a user's stored sessions; called where there are any."""
        return None

    def after_sessions(self, users: DataFrame, request: Request) -> DataFrame:
        """Change the result of that sum, one row per (as_of, user_id), before it is joined."""
        return users

    def join(
        self, frame: DataFrame, inputs: Inputs, days: Sequence[dt.date], request: Request
    ) -> DataFrame:
        """Add the columns of ``features`` that are not there yet.

        Args:
            frame: One row per ``user_id, as_of``; other columns are those of earlier families.
            inputs: The tables.
            days: The as_of days.
            request: Settings and targets.

        Returns:
            The same rows with more columns; null where nothing was seen.
        """
        return frame

    def flags(self, request: Request) -> list[StructField]:
        """Columns for readers of the table that no model learns from; they stand last."""
        return []

    def learned_from(self, frame: DataFrame, request: Request) -> DataFrame:
        """The rows that models may learn from, without its flags."""
        return frame
