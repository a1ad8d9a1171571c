"""Reasons of predictions: contributions summed by subject, told in sentences.

Dozens of features count the same events over different windows, and a tree takes now one, now the
other. One by one their contributions say little; their sum is exact, as SHAP values add up
(Lundberg & Lee 2017, "A Unified Approach to Interpreting Model Predictions").
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from behavior_spark.model.arrays import Doubles, Floats
from behavior_spark.model.propensity.sayings import Told, told_of

# A second feature of a subject is told if it contributes this share of the first one.
_WORTH_SAYING = 0.2
# A reason is told if it contributes this share of the strongest one.
WORTH_TELLING = 0.02


@dataclass(frozen=True)
class Reason:
    """Why a prediction is higher or lower than the average.

    Attributes:
        feature: Of the subject's features the one that contributes most in this direction.
        value: Its value; None if the user has none.
        contribution: Of all features of the subject together, on the scale of the margin.
        text: What is so, and whether it raises or lowers the prediction.
    """

    feature: str
    value: float | None
    contribution: float
    text: str


@dataclass(frozen=True)
class Explainer:
    """Makes reasons from contributions.

    Attributes:
        features: Names of the model's features, in order.
        told: What is said of a feature, by name; of others their name.
    """

    features: tuple[str, ...]
    told: Mapping[str, Told]

    @cached_property
    def subjects(self) -> list[str]:
        """Subjects of the features, in order."""
        return list(dict.fromkeys(told.subject for told in self._told))

    def by_subject(self, contributions: Doubles) -> Doubles:
        """Contributions summed by subject, float64 (rows, subjects); their sum stays the same.

        Args:
            contributions: float64 (rows, features).
        """
        return np.asarray(contributions @ self._membership, dtype=np.float64)

    def reasons(
        self,
        values: Floats,
        contributions: Doubles,
        *,
        top: int,
        least: float = WORTH_TELLING,
    ) -> list[list[Reason]]:
        """For each row up to ``top`` reasons for and ``top`` against, the strongest first.

        Args:
            values: float32 (rows, features); NaN where a user has no value.
            contributions: float64 (rows, features).
            top: Most reasons in each direction.
            least: What contributes a smaller share of the strongest reason is none.
        """
        sums = self.by_subject(contributions)
        order = np.argsort(-np.abs(sums), axis=1, kind="stable")
        rows = []
        for row, subjects in enumerate(order):
            left = {True: top, False: top}
            reasons = []
            for subject in subjects:
                total = float(sums[row, subject])
                weak = abs(total) < least * abs(float(sums[row, subjects[0]]))
                if total == 0 or weak or not any(left.values()):
                    break
                if left[total > 0]:
                    left[total > 0] -= 1
                    reasons.append(
                        self._reason(values[row], contributions[row], int(subject), total)
                    )
            rows.append(reasons)
        return rows

    def _reason(self, values: Floats, contributions: Doubles, subject: int, total: float) -> Reason:
        members = self._members[subject]
        signed = contributions[members] * (1 if total > 0 else -1)
        by_share = members[np.argsort(-signed, kind="stable")]
        first = int(by_share[0])
        said = [self._say(first, values)]
        enough = _WORTH_SAYING * abs(contributions[first])
        for member in by_share[1:]:
            if contributions[member] * total <= 0 or abs(contributions[member]) < enough:
                break
            saying = self._told[member].saying
            # "No visit in the last 7 days" adds nothing to what the first one tells.
            if saying.is_absence(float(values[member])):
                continue
            if self._told[member].aspect != self._told[first].aspect:
                said.append(self._say(int(member), values))
                break
        value = float(values[first])
        effect = "raises" if total > 0 else "lowers"
        return Reason(
            self.features[first],
            None if np.isnan(value) else value,
            total,
            f"{', '.join(said)} ({effect})",
        )

    def _say(self, feature: int, values: Floats) -> str:
        return self._told[feature].saying.of(float(values[feature]))

    @cached_property
    def _told(self) -> Sequence[Told]:
        return [told_of(self.told, name) for name in self.features]

    @cached_property
    def _members(self) -> list[np.ndarray]:
        return [np.flatnonzero(column) for column in self._membership.T]

    @cached_property
    def _membership(self) -> Doubles:
        place = {subject: number for number, subject in enumerate(self.subjects)}
        table = np.zeros((len(self.features), len(place)))
        for row, told in enumerate(self._told):
            table[row, place[told.subject]] = 1.0
        return table
