"""Contracts of the project's tables."""

from __future__ import annotations

from pyspark.sql.types import (
    ArrayType,
    BooleanType,
    DateType,
    DecimalType,
    DoubleType,
    FloatType,
    IntegerType,
    LongType,
    MapType,
    StringType,
    StructField,
    StructType,
    TimestampType,
)

from behavior_spark.schemas.activity import ACTIVITY_DAYS, USER_STATE
from behavior_spark.schemas.alerts import RISK_ALERTS
from behavior_spark.schemas.audiences import AUDIENCE_RESULTS, AUDIENCES, members_contract
from behavior_spark.schemas.contract import Contract, column
from behavior_spark.schemas.labelling import ANNOTATIONS, SHADOW_DISAGREEMENT
from behavior_spark.schemas.next_items import USER_NEXT_ITEMS
from behavior_spark.schemas.service import SERVICE_QUEUE
from behavior_spark.schemas.sessions import SESSIONS

_STRING, _LONG, _INT, _DOUBLE = StringType(), LongType(), IntegerType(), DoubleType()
_TIME, _DAY, _MONEY = TimestampType(), DateType(), DecimalType(18, 4)

_ARRIVED = (
    column(
        "arrived_at",
        _TIME,
        "when the row was known, UTC; the row's own time where the log has none",
        required=True,
    ),
    column(
        "arrived_day", _DAY, "UTC day of arrived_at; a night replaces its own days", required=True
    ),
)

EVENTS = Contract(
    name="events",
    comment="One row per version of a clean event",
    columns=(
        column("event_id", _STRING, "identity of the event", required=True),
        column("user_id", _STRING, "who; null when anonymous, pseudonymous when configured"),
        column("event_time", _TIME, "when it happened, UTC", required=True),
        column(
            "event_type", _STRING, "what: view, click, search, cart, purchase, ...", required=True
        ),
        column("item_id", _STRING, "on which item"),
        column("value", _MONEY, "worth of the event, in the log's currency"),
        column("session_id", _STRING, "the log's own session id, where it has one"),
        column("text_id", _STRING, "text written or read with the event"),
        column("anonymous_id", _STRING, "the log's own id of a visitor, known or not (a cookie)"),
        column("device", _STRING, "by which device, where the log says it; read by alerts alone"),
        column("place", _STRING, "from where (country, network); read by alerts alone"),
        *_ARRIVED,
    ),
    key=("event_id", "arrived_at"),
    cluster_by=("arrived_day",),
)

TEXTS = Contract(
    name="texts",
    comment="One row per version of a clean text",
    columns=(
        column("text_id", _STRING, "identity of the text", required=True),
        column("user_id", _STRING, "whose; null when anonymous, pseudonymous when configured"),
        column("text_time", _TIME, "when it was written or read, UTC", required=True),
        column("kind", _STRING, "review, search, chat, post, item title, ..."),
        column(
            "text",
            _STRING,
            "cleaned: one line, in NFC unless text.normal_form says else, capped, personal data "
            "masked",
            required=True,
        ),
        column("text_hash", _STRING, "SHA-256 of the clean text (HMAC with a key)", required=True),
        *_ARRIVED,
    ),
    key=("text_id", "arrived_at"),
    cluster_by=("arrived_day",),
)

ITEMS = Contract(
    name="items",
    comment="One row per version of an item; valid until its next version",
    columns=(
        column("item_id", _STRING, "identity of the item", required=True),
        column("title", _STRING, "what a person reads, cleaned like a text"),
        column("category", _STRING, "group of items"),
        column("price", _MONEY, "list price, in the log's currency"),
        column(
            "valid_from",
            _TIME,
            "when this version was first known, UTC; 1970-01-01: always",
            required=True,
        ),
        column("title_hash", _STRING, "text_hash of the title"),
    ),
    key=("item_id", "valid_from"),
    cluster_by=("item_id",),
)

IDENTITIES = Contract(
    name="identities",
    comment="One row per link of a visitor to a user, from when it was known",
    columns=(
        column("anonymous_id", _STRING, "the visitor, as in events", required=True),
        column("user_id", _STRING, "the user it turned out to be", required=True),
        column("linked_at", _TIME, "when it was known that both are the same, UTC", required=True),
        *_ARRIVED,
    ),
    key=("anonymous_id", "arrived_at"),
    cluster_by=("arrived_day",),
)

TEXT_EMBEDDINGS = Contract(
    name="text_embeddings",
    comment="One row per distinct text and encoder, ever; readers remove duplicates by key",
    columns=(
        column("text_hash", _STRING, "SHA-256 of the clean text", required=True),
        column(
            "backbone_digest",
            _STRING,
            "encoder: digest of weights, tokenizer, preprocessing, pooling, length and precision",
            required=True,
        ),
        column("embedding", ArrayType(FloatType(), False), "unit vector; null on error"),
        column("token_count", _INT, "tokens read"),
        column("truncated", BooleanType(), "whether the text was longer than what was read"),
        column("error", _STRING, "why there is no embedding; null when there is one"),
        column("scored_at", _TIME, "when the model ran, UTC"),
    ),
    key=("text_hash", "backbone_digest"),
    cluster_by=("backbone_digest", "text_hash"),
)

TEXT_SCORES = Contract(
    name="text_scores",
    comment="One row per distinct text and head, ever; readers remove duplicates by key",
    columns=(
        column("text_hash", _STRING, "SHA-256 of the clean text", required=True),
        column("head_digest", _STRING, "digest of weights, labels and encoder", required=True),
        column("head", _STRING, "intent, emotion, spam, ...", required=True),
        column(
            "label",
            _STRING,
            "label that the head gives, mostly the most probable one (decision thresholds); null "
            "where none reaches its threshold (several labels a text) or the head abstains (the "
            "text is unlike all that it learned from)",
        ),
        column("probability", FloatType(), "of the label given; where there is none, the largest"),
        column("probabilities", MapType(_STRING, FloatType(), False), "of every label"),
        column("scored_at", _TIME, "when the head ran, UTC"),
    ),
    key=("text_hash", "head_digest"),
    cluster_by=("head_digest", "text_hash"),
)


USER_FEATURES = Contract(
    name="user_features",
    comment="One row per user and as_of: behaviour as it was known before as_of",
    columns=(
        column("user_id", _STRING, "who", required=True),
        column("as_of", _DAY, "features of what was known before its 00:00 UTC", required=True),
    ),
    key=("user_id", "as_of"),
    cluster_by=("as_of",),
)

REASON = StructType(
    [
        column("feature", _STRING, "of its subject the feature that moves it most"),
        column("value", _DOUBLE, "its value; null if the user has none"),
        column("contribution", _DOUBLE, "summed SHAP values of its subject, in log-odds"),
        column("text", _STRING, "what is so of the user, and whether it raises or lowers"),
    ]
)

CHANGE = StructType(
    [
        column("feature", _STRING, "the feature that would be another"),
        column("value", _DOUBLE, "its value"),
        column("changed", _DOUBLE, "the value that it would need"),
        column("score", _DOUBLE, "the score with it"),
        column("predicted", _DOUBLE, "probability, or expected number, with it"),
        column("decile", _INT, "the decile with it"),
        column("text", _STRING, "what would be so, and the prediction before and after"),
    ]
)

USER_PROPENSITY = Contract(
    name="user_propensity",
    comment="One row per user, as_of and target: how likely the target is within its horizon",
    columns=(
        column("user_id", _STRING, "who", required=True),
        column(
            "as_of", _DAY, "prediction made on what was known before its 00:00 UTC", required=True
        ),
        column("target", _STRING, "what is predicted (config: targets)", required=True),
        column("score", _DOUBLE, "uncalibrated margin: log-odds; of numbers the log of the mean"),
        column("probability", _DOUBLE, "calibrated probability in [0, 1]; null for numbers"),
        column(
            "decile",
            _INT,
            "1 = the tenth of users with the highest score; null without a ranking",
        ),
        column(
            "reasons",
            ArrayType(REASON),
            "what raises and lowers it, the strongest first; null without a ranking",
        ),
        column("model_digest", _STRING, "model that made the prediction"),
        column("valid_until", _DAY, "end of the horizon: as_of + horizon_days"),
        column("expected", _DOUBLE, "expected number (kinds count, amount); null for yes or no"),
        column("expected_low", _DOUBLE, "lower end of a 90 % prediction interval around expected"),
        column("expected_high", _DOUBLE, "its upper end"),
        column(
            "better_than_chance",
            _STRING,
            "whether the model ranked held-out users better than chance: yes, no or cannot tell; "
            "unless yes there is no ranking, and everybody gets the base rate; null: a model from "
            "before there were verdicts",
        ),
        column(
            "nearest_change",
            CHANGE,
            "smallest change of one movable feature (features.movable) with which the model gives "
            "a better decile, or else most; not what would happen; null: none, or none looked for",
        ),
    ),
    key=("user_id", "as_of", "target"),
    cluster_by=("as_of", "target"),
)

USER_PROFILE = Contract(
    name="user_profile",
    comment="One row per user and as_of: a summary for people and campaigns",
    columns=(
        column("user_id", _STRING, "who", required=True),
        column("as_of", _DAY, "as in user_features", required=True),
        column("intent", _STRING, "most frequent intent over the longest window"),
        column("emotion", _STRING, "most frequent emotion over the longest window"),
        column("preference", _STRING, "category with most events over the longest window"),
        column("segment", _STRING, "recency, frequency and value in words"),
        column(
            "next_action",
            _STRING,
            "target with the highest probability relative to its average; null: none is above it",
        ),
        column("next_action_probability", _DOUBLE, "its calibrated probability"),
        column("next_action_lift", _DOUBLE, "that probability over the average user's"),
    ),
    key=("user_id", "as_of"),
    cluster_by=("as_of",),
)

AUDIENCE_MEMBERS = members_contract(REASON, CHANGE)

QUARANTINE = Contract(
    name="quarantine",
    comment="One row per refused row, with its reason",
    columns=(
        column("run_id", _STRING, "run that refused it", required=True),
        column("as_of", _DAY, "night that refused it", required=True),
        column("table_name", _STRING, "contract that the row was meant for", required=True),
        column("source", _STRING, "source it came from", required=True),
        column("reason", _STRING, "why", required=True),
        column("row", _STRING, "mapped row as JSON, personal data masked, capped"),
        column("row_hash", _STRING, "SHA-256 of the mapped row", required=True),
        column("refused_rows", _LONG, "equal rows refused for this reason"),
    ),
    key=("run_id", "table_name", "source", "reason", "row_hash"),
    cluster_by=("as_of",),
)

_SOURCE_COUNTS = StructType(
    [
        StructField("table_name", _STRING, True, {"comment": "contract"}),
        StructField("rows_in", _LONG, True, {"comment": "rows read for this night"}),
        StructField("rows_out", _LONG, True, {"comment": "rows written"}),
        StructField("duplicates", _LONG, True, {"comment": "rows dropped as duplicates"}),
        StructField("refused", _LONG, True, {"comment": "rows in quarantine"}),
        StructField("without_user", _LONG, True, {"comment": "of rows_out: no user"}),
        StructField("not_yet", _LONG, True, {"comment": "rows that arrived after the night"}),
    ]
)

RUNS = Contract(
    name="runs",
    comment="One row per run of a command",
    columns=(
        column("run_id", _STRING, "identity of the run", required=True),
        column("command", _STRING, "nightly, ingest, ...", required=True),
        column("as_of", _DAY, "night", required=True),
        column("started_at", _TIME, "UTC", required=True),
        column("seconds", _DOUBLE, "wall time of the run"),
        column(
            "status",
            _STRING,
            "done; failed; or unchanged: an earlier run did this night, and nothing has changed",
            required=True,
        ),
        column("error", _STRING, "what went wrong, without any row's content"),
        column("sources", ArrayType(_SOURCE_COUNTS), "rows in = out + duplicates + refused"),
        column("stages", MapType(_STRING, _DOUBLE), "seconds for each stage"),
        column("figures", MapType(_STRING, _DOUBLE), "counts and model quality by name"),
        column("models", MapType(_STRING, _STRING), "digest of each model used"),
        column("config", _STRING, "settings as JSON, secrets removed"),
        column("versions", MapType(_STRING, _STRING), "of the package and what it runs on"),
        column("ingested_from", _DAY, "first arrival day read; null: all history"),
        column("balanced", BooleanType(), "whether every source's rows add up"),
        column("inputs", _STRING, "digest of sources, config, code and models; null: not known"),
    ),
    key=("run_id",),
)

# Links first: a night reads its events with the links known by then.
INPUTS = {contract.name: contract for contract in (IDENTITIES, EVENTS, TEXTS, ITEMS)}
TABLES = {
    contract.name: contract
    for contract in (
        EVENTS, TEXTS, ITEMS, IDENTITIES, SESSIONS, TEXT_EMBEDDINGS, TEXT_SCORES, ACTIVITY_DAYS,
        USER_STATE, USER_FEATURES, USER_PROPENSITY, USER_NEXT_ITEMS, USER_PROFILE,
        AUDIENCES, AUDIENCE_MEMBERS, AUDIENCE_RESULTS, ANNOTATIONS,
        SHADOW_DISAGREEMENT, QUARANTINE, RUNS, RISK_ALERTS, SERVICE_QUEUE,
    )
}  # fmt: skip
