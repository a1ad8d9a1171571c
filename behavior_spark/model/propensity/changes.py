"""What would change a prediction: the nearest value of one feature that a business can move.

A counterfactual explanation (Wachter, Mittelstadt and Russell 2017, "Counterfactual Explanations
Without Opening the Black Box", arXiv 1711.00399) along one feature, the others as they are.
Distances are measured in the spread of the training rows, as there. Of trees the split points are
the only values to look at, so that the search is exact.

It says what the model would answer; it does not say what would happen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from behavior_spark.model.arrays import Doubles, Floats
from behavior_spark.model.propensity.change_search import find_changes
from behavior_spark.model.propensity.goals import Goal
from behavior_spark.model.propensity.learner import FittedLearner
from behavior_spark.model.propensity.sayings import Told, amount_words, share_words, told_of
from behavior_spark.model.propensity.sketch import Sketch
from behavior_spark.model.propensity.tree_steps import TreeSteps


@runtime_checkable
class Stepwise(FittedLearner, Protocol):
    """A fitted learner whose margin is a step function of each feature."""

    @property
    def steps(self) -> TreeSteps:
        """The steps."""


@dataclass(frozen=True)
class Change:
    """The nearest change of one user's prediction.

    Attributes:
        feature: The feature.
        value: Its value.
        changed: The value that it would need.
        score: The margin with it.
        predicted: The calibrated prediction with it, as of the model's kind.
        decile: The decile with it; None without limits of deciles.
        text: What would be so, and the prediction before and after.
    """

    feature: str
    value: float
    changed: float
    score: float
    predicted: float
    decile: int | None
    text: str


@dataclass(frozen=True)
class ChangeFinder:
    """Finds and tells the nearest changes of rows.

    Attributes:
        features: Names of the model's features, in order.
        told: What is said of a feature, by name; of others their name.
        sketches: How features were spread when the model was trained.
        goal: What is wanted, and what may change.
        predicted: Calibrated predictions of margins, float64 (n,) to (n,).
        probabilities: Whether predictions are probabilities, not numbers.
    """

    features: tuple[str, ...]
    told: Mapping[str, Told]
    sketches: Mapping[str, Sketch]
    goal: Goal
    predicted: Callable[[Doubles], Doubles]
    probabilities: bool

    def changes(self, fitted: Stepwise, values: Floats) -> list[Change | None]:
        """The change of each row of values, float32 (rows, features); None: none is worth it."""
        margins = fitted.margins(values)
        found = find_changes(
            fitted.steps, values, margins, goal=self.goal, features=self.features,
            sketches=self.sketches, predicted=self.predicted, probabilities=self.probabilities,
        )  # fmt: skip
        rows = np.flatnonzero(found.features >= 0)
        changed = values[rows].copy()
        changed[np.arange(len(rows)), found.features[rows]] = found.values[rows]
        after = fitted.margins(changed)
        before, predicted = self.predicted(margins[rows]), self.predicted(after)
        deciles = self.goal.deciles(after)
        changes: list[Change | None] = [None] * len(values)
        for place, row in enumerate(rows):
            feature = int(found.features[row])
            name = self.features[feature]
            value, new = float(values[row, feature]), float(found.values[row])
            figures = f"{self._written(before[place])} -> {self._written(predicted[place])}"
            changes[row] = Change(
                name, value, new, float(after[place]), float(predicted[place]),
                int(deciles[place]) if self.goal.limits else None,
                f"if {told_of(self.told, name).saying.instead_of(new, value)}: {figures}",
            )  # fmt: skip
        return changes

    def _written(self, prediction: float) -> str:
        return share_words(prediction) if self.probabilities else amount_words(prediction)
