"""What may change of a user, and which way a prediction is wanted to go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from behavior_spark.model.arrays import Doubles, Integers

Direction = Literal["lower", "higher", "either"]
Wanted = Literal["more", "less"]


@dataclass(frozen=True)
class Movable:
    """How a business can move a feature.

    Attributes:
        direction: To lower values, to higher values, or either.
        whole: Whether only whole numbers are possible, as of counts.
    """

    direction: Direction
    whole: bool = False


@dataclass(frozen=True)
class Goal:
    """The change that is looked for.

    Attributes:
        wanted: Whether more of the target is wanted, or less.
        movable: Features that may change, by name.
        limits: Margins at which the next better decile begins, descending: nine, or none.
    """

    wanted: Wanted
    movable: Mapping[str, Movable]
    limits: tuple[float, ...] = ()

    def deciles(self, margins: Doubles) -> Integers:
        """Decile of each margin, int64 (rows,): 1 for the highest."""
        below = margins[:, None] < np.array(self.limits)
        return np.asarray(1 + below.sum(axis=1), dtype=np.int64)

    def next_limits(self, margins: Doubles) -> Doubles:
        """The margin from (below) which a row is one decile better; infinite in the best one."""
        limits = np.array([-np.inf, *sorted(self.limits), np.inf])
        place = np.searchsorted(limits, margins, side="right")
        return np.asarray(limits[place if self.wanted == "more" else place - 1])
