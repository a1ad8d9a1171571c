"""Target kind ``does_not`` (churn): 1 if a user does not do it within the horizon, else 0."""

from __future__ import annotations

from dataclasses import dataclass

from behavior_spark.model.arrays import Doubles
from behavior_spark.model.propensity.kinds.does import YesOrNo
from behavior_spark.model.propensity.target_kind import TargetKind


@dataclass(frozen=True)
class DoesNot(YesOrNo):
    """Like ``does``; evidence is the number of the rarer outcome, which may be either."""

    evidence_words: str = "rows of the rarer outcome"

    def evidence(self, labels: Doubles) -> int:
        """Number of rows of the rarer outcome."""
        positives = int(labels.sum())
        return min(positives, labels.size - positives)


KIND: TargetKind = DoesNot("does_not")
