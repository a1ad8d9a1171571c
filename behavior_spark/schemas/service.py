"""Contract of the queue of customer service."""

from __future__ import annotations

from pyspark.sql.types import (
    ArrayType,
    DateType,
    DoubleType,
    IntegerType,
    StringType,
    StructField,
    StructType,
    TimestampType,
)

from behavior_spark.schemas.contract import Contract, column

_STRING, _DOUBLE = StringType(), DoubleType()

SIMILAR_CASE = StructType(
    [
        StructField("text_id", _STRING, True, {"comment": "a past text"}),
        StructField("need", _STRING, True, {"comment": "its need, as the head reads it"}),
        StructField("similarity", _DOUBLE, True, {"comment": "cosine of the two embeddings"}),
    ]
)

SERVICE_QUEUE = Contract(
    name="service_queue",
    comment="One row per night and text that came in: what it needs, how urgent, and who answers",
    columns=(
        column("text_id", _STRING, "the text, as in texts", required=True),
        column("as_of", DateType(), "night that put it into the queue", required=True),
        column("user_id", _STRING, "who wrote it; null when anonymous"),
        column("arrived_at", TimestampType(), "when it was known, UTC", required=True),
        column("kind", _STRING, "kind of text, as in texts"),
        column("language", _STRING, "ISO 639-1; null: too short to tell, or not looked at"),
        column("need", _STRING, "what the customer needs; null where the head abstained"),
        column("need_confidence", _DOUBLE, "probability of the likeliest need; null: not scored"),
        column("second_need", _STRING, "where two needs fit and none is sure: the second; else "
               "null. likeliest_need is the first"),
        column("likeliest_need", _STRING, "likeliest need, whether sure enough or not"),
        column("abstained_because", _STRING, "why there is no need: not_scored, other_language, "
               "unlike_known, two_needs, low_confidence; null where there is one"),
        column("mood", _STRING, "mood of the text; null where it is not sure"),
        column("urgency", _STRING, "high: two reasons or more; raised: one; normal: none",
               required=True),
        column("urgent_because", ArrayType(_STRING), "reasons: angry, urgent_need, at_risk"),
        column("value", _DOUBLE, "what the customer is worth (config: service.value)"),
        column("risk", _DOUBLE, "probability of the target service.risk"),
        column("queue", _STRING, "who answers (config: service.queues)", required=True),
        column("routed_by", _STRING, "need; both_needs: both go there; condition; language; angry: "
               "without a need; default: no queue takes it", required=True),
        column("place", IntegerType(), "place in the queue, from 1: by urgency, risk, value, time",
               required=True),
        column("similar_cases", ArrayType(SIMILAR_CASE), "past texts, the most similar first"),
        column("reply_id", _STRING, "approved answer that is suggested; null: none, see "
               "no_reply_because"),
        column("reply_similarity", _DOUBLE, "cosine of the text and the nearest answer for its "
               "need, suggested or not"),
        column("no_reply_because", _STRING, "why none is suggested: no_answers, not_scored, "
               "no_need, no_answer_for_need, no_answer_in_language, below_least_similarity, "
               "two_answers_equally_near"),
        column("text_hash", _STRING, "hash of the text, as in texts", required=True),
        column("head_digest", _STRING, "head that read the need"),
        column("backbone_digest", _STRING, "encoder of the embeddings"),
        column("least_confidence", _DOUBLE, "probability that a need had to reach"),
    ),
    key=("text_id", "as_of"),
    cluster_by=("as_of", "queue"),
)  # fmt: skip
