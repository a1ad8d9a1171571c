"""Target kind ``amount``: value of a user's events within the horizon, with an interval."""

from __future__ import annotations

from behavior_spark.model.propensity.kinds.count import HowMuch
from behavior_spark.model.propensity.target_kind import TargetKind

KIND: TargetKind = HowMuch("amount", loss="tweedie", power=1.5)
