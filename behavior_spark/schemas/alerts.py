"""Contract of the table of risk alerts."""

from __future__ import annotations

from pyspark.sql.types import (
    ArrayType,
    DateType,
    DoubleType,
    IntegerType,
    MapType,
    StringType,
)

from behavior_spark.schemas.contract import Contract, column

_STRING, _DOUBLE, _DAY = StringType(), DoubleType(), DateType()

RISK_ALERTS = Contract(
    name="risk_alerts",
    comment="One row per alert and night on which it was shown",
    columns=(
        column(
            "alert_id", _STRING, "SHA-256 of kind, subject and about: the same every night",
            required=True,
        ),
        column("as_of", _DAY, "night that showed it", required=True),
        column("kind", _STRING, "kind of alert (config: alerts)", required=True),
        column("subject_kind", _STRING, "user, group or source", required=True),
        column("subject", _STRING, "user id, key of a group, or name of a source", required=True),
        column("about", _STRING, "what of the subject it is about; empty: all of it"),
        column(
            "severity", _STRING,
            "high: 4 times its limit or more; medium: 2 times or more; low: at the limit or more; "
            "a confirmed alert of the same kind and subject raises it by one step",
            required=True,
        ),
        column("score", _DOUBLE, "1 - 1 / (2 * times_limit): 0.5 at the limit, 0.75 at 2 times"),
        column("times_limit", _DOUBLE, "the figure over the limit of its rule, 1 or more"),
        column("evidence", _STRING, "what was seen, in one or two sentences"),
        column("figures", MapType(_STRING, _DOUBLE), "the figures of the evidence by name"),
        column("check_sql", _STRING, "a query that shows what it rests on"),
        column("members", ArrayType(_STRING), "users of a group, the first 50; null for others"),
        column("texts", ArrayType(_STRING), "text_hash of texts it rests on, the first 50"),
        column("first_seen", _DAY, "first night that showed it"),
        column("last_seen", _DAY, "last night that showed it, up to as_of"),
        column("nights", IntegerType(), "nights that showed it, up to as_of"),
        column(
            "status", _STRING,
            "new; again: shown before; confirmed: a person confirmed it; risen: a person dismissed "
            "it, and its severity has risen since",
        ),
    ),
    key=("alert_id", "as_of"),
    cluster_by=("as_of",),
)  # fmt: skip
