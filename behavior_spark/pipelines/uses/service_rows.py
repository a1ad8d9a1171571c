"""The rows of a night's queue: texts, what they need, who wrote them, cases and answers."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from behavior_spark.cleaning.languages import language_column
from behavior_spark.config import Service
from behavior_spark.features.point_in_time import with_superseded
from behavior_spark.io.counting import Counted
from behavior_spark.model.encoder.answers import AnswerIndex
from behavior_spark.schemas import SERVICE_QUEUE
from behavior_spark.scoring.replies import with_replies
from behavior_spark.scoring.similar import similar_texts
from behavior_spark.scoring.texts import one_per_text
from behavior_spark.uses.service.cases import listed_cases, past_cases
from behavior_spark.uses.service.counting import arrivals, measures_of
from behavior_spark.uses.service.incoming import labels_by_text, service_texts
from behavior_spark.uses.service.needs import is_label, needs_to_answer, with_need
from behavior_spark.uses.service.routing import with_place, with_queue, with_urgency

_CASES = SERVICE_QUEUE.field("similar_cases").dataType
_OF_USERS = {"value": "double", "risk": "double", "risk_decile": "int"}
_NEED, _MOOD = "_need", "_mood"
_WANTED, _SPOKEN, _VECTOR = "_wanted", "_spoken", "_vector"


@dataclass(frozen=True)
class ServiceInputs:
    """What a night's queue is made from, as it was known at as_of.

    Attributes:
        as_of: The night.
        service: The section ``service``.
        texts: Contract ``texts``.
        embeddings: Contract ``text_embeddings`` of the encoder in use.
        scores: Contract ``text_scores``.
        heads: Digest of each head in use, by name; without ``service.need`` no text has a need.
        backbone_digest: Encoder of the embeddings; None without one.
        least_confidence: Probability that a need has to reach.
        users: ``user_id`` and any of ``value, risk, risk_decile``; None: nothing is known.
        index: Approved answers.
    """

    as_of: dt.date
    service: Service
    texts: DataFrame
    embeddings: DataFrame
    scores: DataFrame
    index: AnswerIndex
    heads: Mapping[str, str] = field(default_factory=dict)
    backbone_digest: str | None = None
    least_confidence: float = 1.0
    users: DataFrame | None = None


@dataclass(frozen=True)
class QueueRows:
    """Rows of the queue, counted while they are written.

    Attributes:
        frame: Contract ``service_queue``.
        arrived: What came in, and what of it nobody answers.
        kept: Rows by queue, reason and urgency.
    """

    frame: DataFrame
    arrived: Counted
    kept: Counted


def queue_rows(inputs: ServiceInputs) -> QueueRows:
    """Put every text that came in into one queue, or count it as left out; starts no action."""
    service = inputs.service
    first = inputs.as_of - dt.timedelta(days=service.days)
    oldest = first - dt.timedelta(days=service.case_days)
    midnight = F.lit(inputs.as_of).cast("timestamp")
    recent = inputs.texts.where(
        (F.col("arrived_day") >= F.lit(oldest)) & (F.col("arrived_at") < midnight)
    )
    versions = with_superseded(recent, key="text_id")
    texts = service_texts(versions, inputs.as_of, condition=service.texts, days=service.days)
    arrived = Counted.over(_labelled(texts.incoming, inputs), **arrivals())
    routed = _routed(arrived.frame.where("NOT unwanted"), inputs)
    placed = with_place(routed, most=service.at_most)
    vectors = _vectors(inputs, texts.incoming.select("text_hash").distinct())
    rows = _with_replies(placed, vectors, inputs)
    rows = _with_cases(rows, vectors, texts.past, inputs)
    kept = Counted.over(
        rows.withColumns(
            {
                "as_of": F.lit(inputs.as_of),
                "head_digest": F.lit(inputs.heads.get(service.need)).cast("string"),
                "backbone_digest": F.lit(inputs.backbone_digest).cast("string"),
                "least_confidence": F.lit(float(inputs.least_confidence)),
            }
        ),
        **measures_of(service.queue_names),
    )
    return QueueRows(kept.frame, arrived, kept)


def _labelled(incoming: DataFrame, inputs: ServiceInputs) -> DataFrame:
    """Texts with the answers of heads, their language, and whether nobody answers them."""
    service, heads = inputs.service, inputs.heads
    wanted = {_NEED: service.need, _MOOD: service.mood}
    wanted |= {f"_out_{name}": name for name in service.leave_out}
    columns = {column: heads[name] for column, name in wanted.items() if name and name in heads}
    if columns:
        keys = incoming.select("text_hash").distinct()
        scores = inputs.scores.join(keys, "text_hash", "left_semi")
        incoming = incoming.join(labels_by_text(scores, columns), "text_hash", "left")
    answer = "struct<label:string,probability:double,probabilities:map<string,float>>"
    missing = [name for name in (_NEED, _MOOD) if name not in columns]
    incoming = incoming.select("*", *[F.lit(None).cast(answer).alias(name) for name in missing])
    unwanted = F.lit(False)
    for head, labels in service.leave_out.items():
        if head in heads:
            unwanted = unwanted | is_label(f"_out_{head}", labels)
    language = F.lit(None).cast("string")
    if service.languages:
        detect = language_column(least_confidence=service.language_confidence)
        language = detect(F.col("text"))
    return incoming.withColumn("unwanted", unwanted).withColumn("language", language)


def _routed(frame: DataFrame, inputs: ServiceInputs) -> DataFrame:
    """Add need, mood, what is known of the user, urgency and queue."""
    service = inputs.service
    frame = with_need(
        frame, scores=_NEED, least_confidence=inputs.least_confidence, languages=service.languages
    )
    sure = F.col(_MOOD)["probability"] >= service.mood_confidence
    frame = frame.withColumn("mood", F.when(sure, F.col(_MOOD)["label"]))
    angry = F.col("mood").isin(*service.angry) if service.angry else F.lit(False)
    frame = frame.withColumn("is_angry", F.coalesce(angry, F.lit(False)))
    if inputs.users is not None:
        frame = frame.join(inputs.users, "user_id", "left")
    unknown = [
        F.lit(None).cast(kind).alias(name)
        for name, kind in _OF_USERS.items()
        if name not in frame.columns
    ]
    frame = frame.select("*", *unknown)
    return with_queue(with_urgency(frame, service), service)


def _with_replies(frame: DataFrame, vectors: DataFrame, inputs: ServiceInputs) -> DataFrame:
    """Add the suggested answer, by the text's stored embedding, from ``_vectors``."""
    service = inputs.service
    spoken: Column = F.lit(None).cast("string")
    if service.languages:
        spoken = F.coalesce("language", F.lit(service.languages[0]))
    joined = frame.join(vectors, "text_hash", "left").withColumns(
        {_WANTED: needs_to_answer(), _SPOKEN: spoken}
    )
    plain = [name for name in joined.columns if not name.startswith("_") and name != "text"]
    return with_replies(
        joined.select(*plain, _WANTED, _SPOKEN, _VECTOR),
        inputs.index, needs=_WANTED, language=_SPOKEN, embedding=_VECTOR,
    )  # fmt: skip


def _vectors(inputs: ServiceInputs, keys: DataFrame) -> DataFrame:
    """``text_hash, _vector`` of some texts; those without an embedding have no row."""
    stored = inputs.embeddings.join(keys, "text_hash", "left_semi")
    known = one_per_text(stored).where(F.col("embedding").isNotNull())
    return known.select("text_hash", F.col("embedding").alias(_VECTOR))


def _with_cases(
    frame: DataFrame, vectors: DataFrame, past: DataFrame, inputs: ServiceInputs
) -> DataFrame:
    """Add past texts that are like the text, by stored embeddings."""
    service = inputs.service
    if not service.similar_cases or inputs.backbone_digest is None:
        return frame.withColumn("similar_cases", F.lit(None).cast(_CASES))
    cases = past_cases(past, most=service.most_cases)
    matches = similar_texts(
        vectors,
        _vectors(inputs, cases.select("text_hash")),
        k=service.similar_cases,
        embedding=_VECTOR,
        exclude_same=False,
    )
    labels = None
    if service.need in inputs.heads:
        own = inputs.scores.where(F.col("head_digest") == inputs.heads[service.need])
        labels = own.groupBy("text_hash").agg(F.max("label").alias("need"))
    listed = listed_cases(matches, cases, labels, least_similarity=service.least_case_similarity)
    return frame.join(listed, "text_hash", "left")
