"""The contract of ``user_next_items``."""

from __future__ import annotations

from pyspark.sql.types import DateType, FloatType, IntegerType, StringType

from behavior_spark.schemas.contract import Contract, column

_STRING = StringType()

USER_NEXT_ITEMS = Contract(
    name="user_next_items",
    comment="One row per user, as_of and rank: items that the user is likely to go to next",
    columns=(
        column("user_id", _STRING, "who", required=True),
        column("as_of", DateType(), "made from what was known before its 00:00 UTC", required=True),
        column("rank", IntegerType(), "1 = the most likely item", required=True),
        column("item_id", _STRING, "which item", required=True),
        column("score", FloatType(), "score of the model; compare within a user only"),
        column(
            "reason_item_id",
            _STRING,
            "item of the event without which the score would be lowest; null: no event raises it",
        ),
        column("influence", FloatType(), "what the score loses without that event"),
        column("reason", _STRING, "the same in words"),
        column("model_digest", _STRING, "model that made the prediction"),
    ),
    key=("user_id", "as_of", "rank"),
    cluster_by=("as_of",),
)
