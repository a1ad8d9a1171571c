"""The section ``training``: how the propensity models are trained."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from behavior_spark.config.section import Section, known_name
from behavior_spark.extensions import LEARNERS


class TrainingSettings(Section):
    """How the propensity models are trained and how long they are valid."""

    as_of_days: int = Field(6, ge=1, le=60, description="as-of days in the training set")
    every_days: int = Field(30, ge=1, description="days between them")
    retrain_every_days: int = Field(28, ge=1, description="a night retrains when older")
    max_rows: int = Field(
        500_000,
        ge=100,
        description="about so many rows are learned from; of more, positives are kept first and "
        "the others by hash, with a weight",
    )
    min_positives: int = Field(20, ge=2, description="fewer positives: the target is refused")
    learner: str = Field(
        "xgboost", description="what learns each target: xgboost (boosted trees), or one you added"
    )
    calibration: Literal["auto", "isotonic", "platt"] = Field(
        "auto",
        description="how margins become probabilities: isotonic regression or Platt's sigmoid; "
        "auto: isotonic from 1,000 rows of each class on",
    )
    reasons: int = Field(3, ge=0, le=10, description="reasons given for each prediction")
    seed: int = Field(7, description="of everything random in training and its measures")

    @field_validator("learner")
    @classmethod
    def _known_learner(cls, value: str) -> str:
        return known_name(LEARNERS, value)
