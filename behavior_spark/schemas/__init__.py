"""Contracts of the project's tables."""

from behavior_spark.schemas.contract import Contract, column
from behavior_spark.schemas.sessions import SESSIONS
from behavior_spark.schemas.tables import (
    ACTIVITY_BUILDS,
    ACTIVITY_DAYS,
    ANNOTATIONS,
    EVENTS,
    IDENTITIES,
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
    USER_STATE,
)

__all__ = [
    "ACTIVITY_BUILDS", "ACTIVITY_DAYS", "ANNOTATIONS", "EVENTS", "IDENTITIES", "INPUTS", "ITEMS",
    "QUARANTINE", "REASON", "RUNS", "SESSIONS", "SHADOW_DISAGREEMENT", "TABLES", "TEXTS",
    "TEXT_EMBEDDINGS", "TEXT_SCORES", "USER_FEATURES", "USER_PROFILE", "USER_PROPENSITY",
    "USER_STATE", "Contract", "column",
]  # fmt: skip
