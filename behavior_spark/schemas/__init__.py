"""Contracts of the project's tables."""

from behavior_spark.schemas.contract import Contract, column
from behavior_spark.schemas.tables import (
    ANNOTATIONS,
    EVENTS,
    INPUTS,
    ITEMS,
    QUARANTINE,
    REASON,
    RUNS,
    SHADOW_DISAGREEMENT,
    TABLES,
    TEXT_EMBEDDINGS,
    TEXT_SCORES,
    TEXTS,
    USER_FEATURES,
    USER_PROFILE,
    USER_PROPENSITY,
)

__all__ = [
    "ANNOTATIONS", "EVENTS", "INPUTS", "ITEMS", "QUARANTINE", "REASON", "RUNS",
    "SHADOW_DISAGREEMENT", "TABLES", "TEXTS", "TEXT_EMBEDDINGS", "TEXT_SCORES", "USER_FEATURES",
    "USER_PROFILE", "USER_PROPENSITY", "Contract", "column",
]  # fmt: skip
