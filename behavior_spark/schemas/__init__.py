"""Contracts of the project's tables."""

from behavior_spark.schemas.activity import ACTIVITY_DAYS, USER_STATE
from behavior_spark.schemas.alerts import RISK_ALERTS
from behavior_spark.schemas.audiences import AUDIENCE_RESULTS, AUDIENCES
from behavior_spark.schemas.contract import Contract, column
from behavior_spark.schemas.labelling import ANNOTATIONS, SHADOW_DISAGREEMENT
from behavior_spark.schemas.next_items import USER_NEXT_ITEMS
from behavior_spark.schemas.service import SERVICE_QUEUE
from behavior_spark.schemas.sessions import SESSIONS
from behavior_spark.schemas.tables import (
    AUDIENCE_MEMBERS,
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
from behavior_spark.schemas.views import VIEWS, View

__all__ = [
    "ACTIVITY_DAYS", "ANNOTATIONS", "AUDIENCES", "AUDIENCE_MEMBERS", "AUDIENCE_RESULTS",
    "EVENTS", "IDENTITIES", "INPUTS", "ITEMS", "QUARANTINE", "REASON", "RISK_ALERTS", "RUNS",
    "SERVICE_QUEUE", "SESSIONS", "SHADOW_DISAGREEMENT", "TABLES", "TEXTS", "TEXT_EMBEDDINGS",
    "TEXT_SCORES",
    "USER_FEATURES", "USER_NEXT_ITEMS", "USER_PROFILE", "USER_PROPENSITY", "USER_STATE", "VIEWS",
    "Contract", "View", "column",
]  # fmt: skip
