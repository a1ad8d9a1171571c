"""The section ``training``: how the propensity models are trained."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from behavior_spark.config.section import Section, known_name
from behavior_spark.extensions import LEARNERS


class TrainingSettings(Section):
    """How propensity models are trained, and how long they are valid."""

    as_of_days: int = Field(6, ge=1, le=60, description="number of training days")
    every_days: int = Field(30, ge=1, description="days between two training days")
    retrain_every_days: int = Field(
        28, ge=1, description="a night trains again if models are older than this many days"
    )
    retrain_at_psi: float | None = Field(
        None,
        gt=0,
        description="a night trains a target again if its scores have moved so far from those of "
        "training (population stability index; 0.25 is much) and a newer week of outcomes can be "
        "learned; none: age alone decides",
    )
    max_rows: int = Field(
        500_000,
        ge=100,
        description="approximate maximum of training rows; if there are more, positives are kept "
        "first, and others are sampled by hash, with a weight",
    )
    rows_in_memory: int = Field(
        1_000_000,
        ge=100,
        description="with more training rows than this, their features are kept in a file of the "
        "driver (4 bytes each, in its folder for temporary files), and trees learn from there",
    )
    min_positives: int = Field(20, ge=2, description="a target with fewer positives is refused")
    learner: str = Field(
        "xgboost",
        description="learner of all targets: xgboost (boosted trees), base_rate (the same for "
        "everybody), or one you added",
    )
    calibration: Literal["auto", "isotonic", "platt"] = Field(
        "auto",
        description="calibration of probabilities: isotonic regression or Platt's sigmoid; auto: "
        "isotonic if each class has 1,000 rows or more",
    )
    prior_shift: Literal["none", "season"] = Field(
        "none",
        description="season: the level of probabilities follows the newest completed horizon and, "
        "where the log has it, how the season changed a year ago, instead of calibration; reads "
        "training days of 13 months more",
    )
    reasons: int = Field(
        3, ge=0, le=10, description="most reasons that raise a prediction, and most that lower it"
    )
    seed: int = Field(7, description="seed of training and of bootstrap intervals")

    @field_validator("learner")
    @classmethod
    def _known_learner(cls, value: str) -> str:
        return known_name(LEARNERS, value)
