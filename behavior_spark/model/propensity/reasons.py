"""Reasons of predictions: contributions summed by subject, told in sentences.

Dozens of features count the same events over different windows, and a tree takes now one, now the
other. One by one their contributions say little; their sum is exact, as SHAP values add up
(Lundberg & Lee 2017, "A Unified Approach to Interpreting Model Predictions").
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from behavior_spark.model.arrays import Bools, Doubles, Floats, Integers
from behavior_spark.model.propensity.reason_choice import choose_reasons
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
class ReasonTable:
    """Reasons of many rows as columns.

    Attributes:
        offsets: int64 (rows + 1,): the reasons of row r are those from offsets[r] to offsets[r+1].
        features: Number of each reason's feature, int64 (reasons,).
        values: Its value, float64 (reasons,); NaN if the user has none.
        contributions: Of its subject, float64 (reasons,).
        texts: What is so, and whether it raises or lowers the prediction.
    """

    offsets: Integers
    features: Integers
    values: Doubles
    contributions: Doubles
    texts: list[str]


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
        table = self.table(values, contributions, top=top, least=least)
        of_all = [
            Reason(self.features[feature], None if math.isnan(value) else value, total, text)
            for feature, value, total, text in zip(
                table.features.tolist(), table.values.tolist(), table.contributions.tolist(),
                table.texts, strict=True,
            )
        ]  # fmt: skip
        return [of_all[start:end] for start, end in itertools.pairwise(table.offsets.tolist())]

    def table(
        self,
        values: Floats,
        contributions: Doubles,
        *,
        top: int,
        least: float = WORTH_TELLING,
    ) -> ReasonTable:
        """The same as columns: of many rows, without an object for each reason."""
        sums = self.by_subject(contributions)
        if not top or not sums.size:
            nothing = np.empty(0)
            return ReasonTable(np.zeros(len(values) + 1, dtype=np.int64),
                               nothing.astype(np.int64), nothing, nothing, [])  # fmt: skip
        strongest = np.abs(sums).max(axis=1, keepdims=True)
        chosen = choose_reasons(
            contributions, np.where(np.abs(sums) < least * strongest, 0.0, sums), self._members,
            self._aspects, self._absences(values), top=top, worth_saying=_WORTH_SAYING,
        )  # fmt: skip
        first = self._say(chosen.rows, chosen.first, values)
        second = self._say(chosen.rows, chosen.second, values)
        effects = np.where(chosen.totals > 0, " (raises)", " (lowers)").tolist()
        texts = [
            f"{one}, {other}{effect}" if other else f"{one}{effect}"
            for one, other, effect in zip(first, second, effects, strict=True)
        ]
        return ReasonTable(
            np.searchsorted(chosen.rows, np.arange(len(values) + 1)),
            chosen.first, values[chosen.rows, chosen.first].astype(np.float64), chosen.totals,
            texts,
        )  # fmt: skip

    def _say(self, rows: Integers, features: Integers, values: Floats) -> list[str | None]:
        """What is said of a row's feature, one for each; None where the feature is -1.

        Values repeat from row to row: each is put in words once.
        """
        own = np.ascontiguousarray(values[rows, features], dtype=np.float32)
        of = self._among[features]
        among = np.where(of < 0, np.float32(np.nan), values[rows, of]).astype(np.float32)
        first, place = _distinct(features, own, among)
        words = np.array([
            None if features[n] < 0
            else self._told[features[n]].saying.of(float(own[n]), float(among[n]))
            for n in first.tolist()
        ], dtype=object)  # fmt: skip
        told: list[str | None] = words[place].tolist()
        return told

    def _absences(self, values: Floats) -> Bools:
        """Whether a feature says that there is nothing (``Saying.is_absence``), as values."""
        zero = np.array([told.saying.is_absence(0.0) for told in self._told], dtype=bool)
        return np.asarray(np.isnan(values) | ((values == 0) & zero))

    @cached_property
    def _aspects(self) -> Integers:
        numbers: dict[str, int] = {}
        return np.array([numbers.setdefault(told.aspect, len(numbers)) for told in self._told])

    @cached_property
    def _among(self) -> Integers:
        """Of each feature the one that says among how many it counts; -1 without one."""
        place = {name: number for number, name in enumerate(self.features)}
        return np.array([place.get(told.among, -1) for told in self._told], dtype=np.int64)

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


def _distinct(features: Integers, *values: Floats) -> tuple[Integers, Integers]:
    """Where each distinct row of features and float32 values first is, and the number of each row.

    As bits, NaN is equal to itself.
    """
    place = features - features.min(initial=0)
    first = np.empty(0, dtype=np.int64)
    for column in values:
        key = (place.astype(np.int64) << 32) | column.view(np.uint32)
        _, first, place = np.unique(key, return_index=True, return_inverse=True)
    return first, place
