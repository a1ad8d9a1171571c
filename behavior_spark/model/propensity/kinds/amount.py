"""How much value the user's events have within the horizon: an expected amount, an interval."""

from __future__ import annotations

from behavior_spark.model.propensity.kinds.count import HowMuch
from behavior_spark.model.propensity.target_kind import TargetKind

KIND: TargetKind = HowMuch("amount", loss="tweedie", power=1.5)
