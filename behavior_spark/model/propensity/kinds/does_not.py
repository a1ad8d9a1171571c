"""Does the user not do it within the horizon (churn): 1 where nothing happens, foretold as a
probability.
"""

from __future__ import annotations

from dataclasses import dataclass

from behavior_spark.model.arrays import Doubles
from behavior_spark.model.propensity.kinds.does import YesOrNo
from behavior_spark.model.propensity.target_kind import TargetKind


@dataclass(frozen=True)
class DoesNot(YesOrNo):
    """As ``does``, but either outcome may be the rare one."""

    evidence_words: str = "rows of the rarer outcome"

    def evidence(self, labels: Doubles) -> int:
        """Rows of the rarer outcome."""
        positives = int(labels.sum())
        return min(positives, labels.size - positives)


KIND: TargetKind = DoesNot("does_not")
