"""Contracts of the project's tables."""

from behavior_spark.schemas.contract import Contract, column
from behavior_spark.schemas.sessions import SESSIONS
from behavior_spark.schemas.tables import (
    EVENTS,
    IDENTITIES,
    INPUTS,
    ITEMS,
    QUARANTINE,
    REASON,
    RUNS,
    TABLES,
    TEXT_EMBEDDINGS,
    TEXT_SCORES,
    TEXTS,
    USER_FEATURES,
    USER_PROFILE,
    USER_PROPENSITY,
)

__all__ = [
    "EVENTS", "IDENTITIES", "INPUTS", "ITEMS", "QUARANTINE", "REASON", "RUNS", "SESSIONS",
    "TABLES", "TEXTS", "TEXT_EMBEDDINGS", "TEXT_SCORES", "USER_FEATURES", "USER_PROFILE",
    "USER_PROPENSITY",
    "Contract", "column",
]  # fmt: skip
