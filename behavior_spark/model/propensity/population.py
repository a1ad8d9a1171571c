"""The population of a target: the users whose outcome is predicted, and on whom it is learned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from behavior_spark.model.arrays import Bools
from behavior_spark.model.propensity.feature_matrix import feature_matrix

if TYPE_CHECKING:
    import pandas as pd

Who = Literal["everybody", "never_before", "before"]


@dataclass(frozen=True)
class TargetPopulation:
    """Which users a target is about, by features as of a day: nothing later decides it.

    Attributes:
        who: ``never_before``: users without an earlier event of the target; ``before``: users with
            one.
        seen_within_days: Only users with any event within so many days before as_of; None: all.
        since_target: Feature: days since the last event of the target; null means never. Not
            read for ``everybody``.
        since_any: Feature: days since the last event of any kind.
    """

    who: Who = "everybody"
    seen_within_days: int | None = None
    since_target: str = ""
    since_any: str = "recency_days"

    @property
    def columns(self) -> tuple[str, ...]:
        """Features that decide who belongs to it; none if everybody does."""
        own = (self.since_target,) if self.who != "everybody" else ()
        return (*own, self.since_any) if self.seen_within_days is not None else own

    def members(self, frame: pd.DataFrame) -> Bools:
        """Whether each row belongs to it, bool (rows,).

        Raises:
            ModelError: A feature is missing.
        """
        values = feature_matrix(frame, self.columns, "population")
        belongs = np.ones(len(frame), dtype=bool)
        if self.who != "everybody":
            did = np.isfinite(values[:, 0])
            belongs &= did if self.who == "before" else ~did
        if self.seen_within_days is not None:
            with np.errstate(invalid="ignore"):
                belongs &= values[:, -1] <= self.seen_within_days
        return belongs

    @property
    def words(self) -> str:
        """Who belongs to it, for readers; empty if everybody does."""
        parts = {
            "everybody": [],
            "never_before": ["users who never did it before"],
            "before": ["users who did it before"],
        }[self.who]
        if self.seen_within_days is not None:
            start = "with" if parts else "users with"
            parts.append(f"{start} an event in the {self.seen_within_days} days before")
        return " and ".join(parts)
