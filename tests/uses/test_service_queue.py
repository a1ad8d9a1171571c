"""The service queue: every text is in it once or counted, and each odd case has a stated way."""

from __future__ import annotations

import csv
import datetime as dt
import math
import random
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from behavior_spark.cleaning.languages import language_of
from behavior_spark.config import Service, WarehouseSettings
from behavior_spark.features import texts
from behavior_spark.io.exports import export_rows
from behavior_spark.io.warehouse import Warehouse
from behavior_spark.model.encoder.answers import AnswerIndex
from behavior_spark.model.heads.head import Head
from behavior_spark.model.registry.held_out import HeldOut
from behavior_spark.pipelines.uses.service import ServiceQueued, replace_queue
from behavior_spark.pipelines.uses.service_export import flat_rows
from behavior_spark.pipelines.uses.service_rows import ServiceInputs
from behavior_spark.pipelines.uses.service_threshold import RoutingThreshold, confidence_of
from behavior_spark.schemas import SERVICE_QUEUE, TEXT_EMBEDDINGS, TEXT_SCORES, TEXTS
from behavior_spark.uses.service import incoming
from behavior_spark.uses.service.needs import with_need
from behavior_spark.uses.service.routing import with_place, with_queue, with_urgency
from tests.stored_tables import same_rows, snapshot

NIGHT = dt.date(2024, 5, 10)
LEAST = 0.7
SERVICE = Service.model_validate(
    {
        "texts": "kind = 'chat'", "days": 2, "leave_out": {"spam": ["spam"]},
        "least_confidence": LEAST, "urgent": ["delivery"], "risk": "leave", "value": "spent",
        "queues": {
            "vip": {"needs": ["refund", "delivery"], "where": "value > 1000"},
            "money": {"needs": ["refund", "charge"]},
            "parcels": {"needs": ["delivery"]},
            "watch": {"where": "risk > 0.8"},
        },
        "angry_queue": "seniors", "language_queue": "abroad", "languages": ["en"],
        "similar_cases": 2, "least_case_similarity": 0.8, "least_similarity": 0.6,
    }
)  # fmt: skip
DUTCH = "Waar blijft mijn pakket? Ik wacht al twee weken en niemand antwoordt mij"
ENGLISH = "where is my parcel, I have been waiting for it since two weeks"
INDEX = AnswerIndex(
    ["pay back", "both", "twin a", "twin b", "op reis"],
    [frozenset({"refund"}), frozenset({"refund", "charge"}), frozenset({"delivery"}),
     frozenset({"delivery"}), frozenset({"praise"})],
    ["en", "en", "en", "en", "nl"],
    np.array([[1, 0, 0], [0.8, 0.6, 0], [0, 0, 1], [0, 0, 1], [1, 1, 1]], dtype=np.float32),
    0.6, 0.01,
)  # fmt: skip


@dataclass(frozen=True)
class Came:
    """A text that came in, and what is known of it."""

    id: str
    needs: dict[str, float] | None = None
    label: bool = True
    mood: str = "neutral"
    user: str | None = "u0"
    text: str = ENGLISH
    vector: tuple[float, float, float] | None = (1.0, 0.0, 0.0)
    ago: int = 1
    kind: str = "chat"
    spam: bool = False


# What is stated in docs/service.md: need, why none, queue, by which rule, reply, why none.
STATED: list[tuple[Came, tuple[Any, ...]]] = [
    (Came("sure", {"refund": 0.9, "charge": 0.1}),
     ("refund", None, "money", "need", "pay back", None)),
    (Came("worth much", {"refund": 0.9, "charge": 0.1}, user="rich"),
     ("refund", None, "vip", "need", "pay back", None)),
    (Came("either of two", {"refund": 0.5, "charge": 0.45, "praise": 0.05}, vector=(0.8, 0.6, 0)),
     (None, "two_needs", "money", "both_needs", "both", None)),
    (Came("two of two teams", {"refund": 0.5, "delivery": 0.45, "praise": 0.05}),
     (None, "two_needs", "general", "default", None, "no_need")),
    (Came("unsure", {"refund": 0.4, "delivery": 0.25, "praise": 0.2, "charge": 0.15}),
     (None, "low_confidence", "general", "default", None, "no_need")),
    (Came("unlike all", {"refund": 0.9, "charge": 0.1}, label=False),
     (None, "unlike_known", "general", "default", None, "no_need")),
    (Came("dutch", {"delivery": 0.9, "charge": 0.1}, text=DUTCH),
     (None, "other_language", "abroad", "language", None, "no_need")),
    (Came("dutch and angry", {"delivery": 0.9, "charge": 0.1}, text=DUTCH, mood="anger"),
     (None, "other_language", "abroad", "language", None, "no_need")),
    (Came("too short to tell", {"refund": 0.9, "charge": 0.1}, text="ok"),
     ("refund", None, "money", "need", "pay back", None)),
    (Came("angry without a need", {"refund": 0.4, "delivery": 0.2}, mood="anger"),
     (None, "low_confidence", "seniors", "angry", None, "no_need")),
    (Came("angry with a need", {"refund": 0.9, "charge": 0.1}, mood="anger"),
     ("refund", None, "money", "need", "pay back", None)),
    (Came("no answer for it", {"cancel": 0.9, "charge": 0.1}),
     ("cancel", None, "general", "default", None, "no_answer_for_need")),
    (Came("answer in another language", {"praise": 0.9, "charge": 0.1}),
     ("praise", None, "general", "default", None, "no_answer_in_language")),
    (Came("two answers alike", {"delivery": 0.9, "charge": 0.1}, vector=(0, 0, 1)),
     ("delivery", None, "parcels", "need", None, "two_answers_equally_near")),
    (Came("far from answers", {"delivery": 0.9, "charge": 0.1}),
     ("delivery", None, "parcels", "need", None, "below_least_similarity")),
    (Came("never scored", None, vector=None),
     (None, "not_scored", "general", "default", None, "not_scored")),
    (Came("nobody", {"refund": 0.9, "charge": 0.1}, user=None),
     ("refund", None, "money", "need", "pay back", None)),
    (Came("about to leave", {"cancel": 0.9, "charge": 0.1}, user="leaver"),
     ("cancel", None, "watch", "condition", None, "no_answer_for_need")),
]  # fmt: skip
OTHERS = [
    Came("spam", {"refund": 0.9, "charge": 0.1}, spam=True),
    Came("of the night", {"refund": 0.9, "charge": 0.1}, ago=-1),
    Came("a review", {"refund": 0.9, "charge": 0.1}, kind="review"),
    Came("past near", {"refund": 0.9, "charge": 0.1}, ago=5, vector=(0.95, 0.05, 0)),
    Came("past same", {"refund": 0.9, "charge": 0.1}, ago=30, vector=(2, 0, 0)),
    Came("past far", {"refund": 0.9, "charge": 0.1}, ago=5, vector=(0, 1, 0)),
    Came("past old", {"refund": 0.9, "charge": 0.1}, ago=200, vector=(1, 0, 0)),
]


def day(ago: int) -> dt.datetime:
    return dt.datetime(2024, 5, 10, 9, tzinfo=dt.UTC) - dt.timedelta(days=ago)


def inputs_of(
    spark: SparkSession, texts: list[Came], service: Service = SERVICE, seed: int = 0
) -> ServiceInputs:
    """Tables of these texts, their rows in an order of the seed, some of them twice."""
    rows = [(t.id, t.user, day(t.ago), t.kind, t.text, f"#{t.id}", day(t.ago), day(t.ago).date())
            for t in texts]  # fmt: skip
    scores = []
    for t in texts:
        if t.needs is not None:
            best = max(t.needs, key=lambda name: (t.needs or {})[name])
            mood, spam = (t.mood, {t.mood: 0.9}), ("spam" if t.spam else "ok", {"ok": 0.5})
            need = (best if t.label else None, t.needs)
            for head, (label, given_) in {"intent": need, "emotion": mood, "spam": spam}.items():
                most = max(given_.values())
                row = (f"#{t.id}", f"d-{head}", head, label, most, given_, day(t.ago))
                scores += [row, row]  # two runs at once may have stored it twice
    vectors = [(f"#{t.id}", "enc", list(map(float, t.vector)), 1, False, None, day(t.ago))
               for t in texts if t.vector is not None]  # fmt: skip
    vectors += vectors[:3]
    dice = random.Random(seed)
    for table in (rows, scores, vectors):
        dice.shuffle(table)
    users = [("rich", 5000.0, 0.1, 9), ("leaver", 10.0, 0.9, 1), ("u0", 20.0, 0.3, 4)]
    return ServiceInputs(
        as_of=NIGHT, service=service,
        texts=spark.createDataFrame(rows, TEXTS.schema),
        embeddings=spark.createDataFrame(vectors, TEXT_EMBEDDINGS.schema),
        scores=spark.createDataFrame(scores, TEXT_SCORES.schema),
        heads={"intent": "d-intent", "emotion": "d-emotion", "spam": "d-spam"},
        backbone_digest="enc", least_confidence=service.least_confidence or math.inf, index=INDEX,
        users=spark.createDataFrame(
            users, "user_id string, value double, risk double, risk_decile int"
        ),
    )  # fmt: skip


def made(warehouse: Warehouse, inputs: ServiceInputs) -> ServiceQueued:
    return replace_queue(warehouse, inputs, RoutingThreshold(inputs.least_confidence))


@pytest.fixture(scope="module")
def warehouse(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    return Warehouse(spark, WarehouseSettings(path=str(tmp_path_factory.mktemp("service"))))


@pytest.fixture(scope="module")
def night(spark: SparkSession, warehouse: Warehouse) -> ServiceQueued:
    return made(warehouse, inputs_of(spark, [case for case, _ in STATED] + OTHERS))


@pytest.fixture(scope="module")
def queued(warehouse: Warehouse, night: ServiceQueued) -> dict[str, Any]:
    return {row["text_id"]: row for row in warehouse.read(SERVICE_QUEUE).collect()}


def test_each_odd_case_has_its_stated_way(queued: dict[str, Any]) -> None:
    names = ("need", "abstained_because", "queue", "routed_by", "reply_id", "no_reply_because")
    given_ = {name: tuple(queued[name][column] for column in names) for name in queued}
    assert given_ == {case.id: expected for case, expected in STATED}


def test_what_is_in_no_queue_is_counted(night: ServiceQueued, queued: dict[str, Any]) -> None:
    assert (night.incoming, night.unwanted, night.capped) == (len(STATED) + 1, 1, 0)
    assert night.counts["rows"] == len(queued)
    for column in ("abstained_because", "no_reply_because", "routed_by", "urgency", "queue"):
        stored = Counter(row[column] for row in queued.values() if row[column])
        told = {name.split(".")[1]: n for name, n in night.counts.items()
                if name.startswith(f"{column}.") and n}  # fmt: skip
        assert told == stored
    assert night.counts["with_need"] == sum(row["need"] is not None for row in queued.values())


def test_urgency_says_why_and_orders_the_queue(queued: dict[str, Any]) -> None:
    because = {name: row["urgent_because"] for name, row in queued.items()}
    assert because["sure"] == [] and because["angry with a need"] == ["angry"]
    assert because["about to leave"] == ["at_risk"] and because["far from answers"] == [
        "urgent_need"
    ]
    # Either of two needs, one of which is urgent; but no need is known in another language.
    assert because["two of two teams"] == ["urgent_need"] and because["dutch and angry"] == [
        "angry"
    ]
    levels = {0: "normal", 1: "raised", 2: "high"}
    assert all(row["urgency"] == levels[len(row["urgent_because"])] for row in queued.values())
    by_queue: dict[str, list[Any]] = {}
    for row in sorted(queued.values(), key=lambda row: row["place"]):
        by_queue.setdefault(row["queue"], []).append(row)
    for rows in by_queue.values():
        assert [row["place"] for row in rows] == list(range(1, len(rows) + 1))
        urgency = [len(row["urgent_because"]) for row in rows]
        assert urgency == sorted(urgency, reverse=True)
    assert by_queue["money"][0]["text_id"] == "angry with a need"


def test_similar_past_cases_are_the_nearest_of_the_days_before(queued: dict[str, Any]) -> None:
    cases = queued["sure"]["similar_cases"]
    assert [case["text_id"] for case in cases] == ["past same", "past near"]
    assert cases[0]["similarity"] == pytest.approx(1.0) and cases[0]["need"] == "refund"
    assert queued["two answers alike"]["similar_cases"] is None


def test_a_row_says_by_what_it_was_made_and_holds_no_text(queued: dict[str, Any]) -> None:
    row = queued["sure"]
    assert (row["head_digest"], row["backbone_digest"]) == ("d-intent", "enc")
    assert row["least_confidence"] == LEAST and row["as_of"] == NIGHT
    assert (row["value"], row["risk"], row["mood"]) == (20.0, 0.3, "neutral")
    assert (queued["dutch"]["language"], queued["too short to tell"]["language"]) == ("nl", None)
    assert queued["nobody"]["value"] is None and queued["nobody"]["user_id"] is None
    assert not any(text in str(queued) for text in (DUTCH, ENGLISH))


def test_a_rerun_and_another_night_leave_a_night_as_it_was(
    spark: SparkSession, warehouse: Warehouse, night: ServiceQueued, tmp_path: Path
) -> None:
    before = snapshot(warehouse.read(SERVICE_QUEUE), tmp_path / "before")
    texts = [case for case, _ in STATED] + OTHERS
    without_cases = SERVICE.model_copy(update={"similar_cases": 0})
    following = replace(
        inputs_of(spark, texts, without_cases, seed=5), as_of=NIGHT + dt.timedelta(days=1)
    )
    made(warehouse, following)
    new = warehouse.read(SERVICE_QUEUE).where(F.col("as_of") == F.lit(following.as_of))
    assert {row["text_id"] for row in new.collect()} == {case.id for case, _ in STATED}
    again = made(warehouse, inputs_of(spark, texts, seed=9))
    assert again == night
    assert same_rows(warehouse.read(SERVICE_QUEUE).where(F.col("as_of") == F.lit(NIGHT)), before)


LABELS = ["refund", "charge", "delivery", "praise"]
ANY_ROW = st.tuples(
    st.none() | st.lists(st.integers(1, 30), min_size=4, max_size=4),
    st.sampled_from(["likeliest", "likeliest", None, *LABELS]),  # the label that the head gives
    st.sampled_from(["en", "nl", None]),
    st.booleans(),
    st.sampled_from([None, 5.0, 2000.0]),
    st.sampled_from([(None, None), (0.2, 7), (0.7, 1), (0.9, 1)]),
)
ROW = (
    "text_id string, arrived_at timestamp, language string, is_angry boolean, value double, "
    "risk double, risk_decile int, "
    "_need struct<label:string,probability:double,probabilities:map<string,float>>"
)


def routed_by_hand(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """Need, why none, urgency, queue and rule as docs/service.md states them."""
    shares, label, language, angry, value, (risk, decile) = row
    ranked: list[tuple[float, str]] = []
    if shares:
        ranked = sorted((-n / sum(shares), name) for n, name in zip(shares, LABELS, strict=True))
        ranked.sort(key=lambda pair: pair[1] != label)
    first, second = (ranked[0][1], ranked[1][1]) if ranked else (None, None)
    need, because = None, None
    if not ranked:
        because = "not_scored"
    elif language == "nl":
        because = "other_language"
    elif not label:
        because = "unlike_known"
    elif -ranked[0][0] >= LEAST:
        need = first
    else:
        because = "two_needs" if -ranked[0][0] - ranked[1][0] >= LEAST else "low_confidence"
    pair = {first, second} if because == "two_needs" else {need} - {None}
    urgency = [bool(angry), "delivery" in pair, decile == 1].count(True)
    vip = (value or 0) > 1000
    takers = [("vip", {"refund", "delivery"}, vip), ("money", {"refund", "charge"}, True),
              ("parcels", {"delivery"}, True)]  # fmt: skip
    fitting = [name for name, needs, holds in takers if pair and pair <= needs and holds]
    if because == "other_language":
        queue = ("abroad", "language")
    elif fitting:
        queue = (fitting[0], "need" if need else "both_needs")
    elif (risk or 0) > 0.8:
        queue = ("watch", "condition")
    elif angry and need is None:
        queue = ("seniors", "angry")
    else:
        queue = ("general", "default")
    return need, because, ("normal", "raised", "high", "high")[urgency], *queue


@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(drawn=st.lists(ANY_ROW, min_size=60, max_size=90), order=st.randoms(use_true_random=False))
def test_routing_is_what_is_stated_for_every_row_in_whatever_order(
    spark: SparkSession, drawn: list[tuple[Any, ...]], order: random.Random
) -> None:
    # A sum of float32 that is about the least confidence may fall on either side.
    known = {
        f"t{n}": row for n, row in enumerate(drawn)
        if not row[0] or all(abs((a + b) / sum(row[0]) - LEAST) > 1e-4
                             for a in row[0] for b in (0, *row[0]))
    }  # fmt: skip
    rows = []
    for name, (shares, label, language, angry, value, (risk, decile)) in known.items():
        answer = None
        if shares:
            given_ = {n: s / sum(shares) for n, s in zip(LABELS, shares, strict=True)}
            likeliest = max(given_, key=lambda n: (given_[n], -LABELS.index(n)))
            label = likeliest if label == "likeliest" else label
            answer = (label, given_[label or likeliest], given_)
        rows.append((name, day(1), language, angry, value, risk, decile, answer))
    order.shuffle(rows)
    frame = with_need(
        spark.createDataFrame(rows, ROW), scores="_need", least_confidence=LEAST, languages=["en"]
    )
    queued = with_queue(with_urgency(frame, SERVICE), SERVICE)
    made_ = with_place(queued, most=SERVICE.at_most).collect()
    names = ("need", "abstained_because", "urgency", "queue", "routed_by")
    assert len(made_) == len(known)
    assert {row["text_id"]: tuple(row[name] for name in names) for row in made_} == {
        name: routed_by_hand(row) for name, row in known.items()
    }
    nothing = -1.0
    for queue in {row["queue"] for row in made_}:
        own = sorted((row for row in made_ if row["queue"] == queue), key=lambda row: row["place"])
        assert [row["place"] for row in own] == list(range(1, len(own) + 1))
        expected = sorted(own, key=lambda row: (
            ["high", "raised", "normal"].index(row["urgency"]),
            -(nothing if row["risk"] is None else row["risk"]),
            -(nothing if row["value"] is None else row["value"]), row["text_id"]))  # fmt: skip
        assert own == expected


@settings(max_examples=3, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    shares=st.lists(st.lists(st.integers(1, 30), min_size=4, max_size=4), min_size=20, max_size=40),
    thresholds=st.lists(st.sampled_from([0.1, 0.5, 0.9]), min_size=4, max_size=4),
    least=st.sampled_from([0.1, 0.3, 0.5]),
)
def test_the_need_is_the_label_whose_precision_was_measured(
    spark: SparkSession, shares: list[list[int]], thresholds: list[float], least: float
) -> None:
    vectors = np.log(np.array(shares) / np.sum(shares, axis=1, keepdims=True)).astype(np.float32)
    head = Head("need", tuple(LABELS), "single_label", np.eye(4), np.zeros(4),
                np.array(thresholds), 1.0, "enc")  # fmt: skip
    probabilities, codes = head.answer(vectors)
    # By what the queue reads: classified rows of the score store.
    rows = [
        (f"t{n:02}", day(1), "en", False, None, None, None,
         (LABELS[code], float(of[code]), dict(zip(LABELS, map(float, of), strict=True))))
        for n, (of, code) in enumerate(zip(probabilities, codes, strict=True))
    ]  # fmt: skip
    frame = with_need(spark.createDataFrame(rows, ROW), scores="_need", least_confidence=least)
    needs = {row["text_id"]: row["need"] for row in frame.collect()}
    # Held-out texts, half of which have the label that the head gives them.
    truth = [(LABELS[code if n % 2 else (code + 1) % 4],) for n, code in enumerate(codes)]
    held = HeldOut("need", "test", ["a text"] * len(truth), truth, {}, {})
    confidence, right = confidence_of(head, vectors, held)
    for n, (sure, is_right) in enumerate(zip(confidence, right, strict=True)):
        need = needs[f"t{n:02}"]
        assert (need is not None) == (sure >= least)
        assert need is None or (need == truth[n][0]) == is_right


def test_of_scores_made_again_the_newest_counts(spark: SparkSession) -> None:
    """In the queue and in the features, an abstention among them."""
    rows = [
        ("h1", "d", day(1), "spam", 0.9), ("h1", "d", day(0), "ham", 0.6),
        ("h2", "d", day(1), "spam", 0.9), ("h2", "d", day(0), None, 0.4),
        ("h3", "d", day(1), "ham", 0.8), ("h3", "other", day(0), "spam", 0.9),
    ]  # fmt: skip
    scores = spark.createDataFrame(
        [(*row, {"spam": row[4]}) for row in rows],
        "text_hash string, head_digest string, scored_at timestamp, label string, "
        "probability float, probabilities map<string,float>",
    )
    expected = {"h1": "ham", "h2": None, "h3": "ham"}
    for order in ("label", "probability"):
        frame = scores.orderBy(order).coalesce(1)
        queued_ = incoming.labels_by_text(frame, {"spam": "d"}).collect()
        assert {row["text_hash"]: row["spam"]["label"] for row in queued_} == expected
        made_ = texts.labels_by_text(frame, {"spam": "d"}, with_probabilities=["spam"]).collect()
        assert {row["text_hash"]: row["label_spam"] for row in made_} == expected
        shares = {row["text_hash"]: row["probabilities_spam"]["spam"] for row in made_}
        assert shares == pytest.approx({"h1": 0.6, "h2": 0.4, "h3": 0.8})


def test_a_night_without_models_queues_texts_up_to_the_cap_and_says_why(
    spark: SparkSession, tmp_path: Path
) -> None:
    house = Warehouse(spark, WarehouseSettings(path=str(tmp_path)))
    nothing = AnswerIndex([], [], [], np.empty((0, 0), np.float32), 0, 0)
    capped = SERVICE.model_copy(update={"at_most": 2})
    full = inputs_of(spark, [Came("a"), Came("b", mood="anger"), Came("c")], capped)
    bare = replace(full, heads={}, backbone_digest=None, users=None, index=nothing)
    result = made(house, bare)
    assert result.counts["abstained_because.not_scored"] == result.counts["rows"] == 2
    assert result.counts["no_reply_because.no_answers"] == 2
    # Two of three fit below the cap.
    assert (result.incoming, result.unwanted, result.capped) == (3, 0, 1)


def test_hostile_texts_are_escaped_where_they_leave(
    spark: SparkSession, warehouse: Warehouse, night: ServiceQueued, tmp_path: Path
) -> None:
    rows: DataFrame = warehouse.read(SERVICE_QUEUE).where(F.col("as_of") == F.lit(NIGHT))
    texts = inputs_of(spark, [Came("sure", text='=HYPERLINK("http://x")'),
                              Came("nobody", text='<script>"a"\n,\'b')]).texts  # fmt: skip
    replies = [("pay back", "@SUM(A1) is paid")]
    answers = spark.createDataFrame(replies, "reply_id string, reply string")
    path = tmp_path / "queue.csv"
    written = export_rows(flat_rows(rows, texts, answers).orderBy("queue", "place"), path)
    with path.open(encoding="utf-8", newline="") as file:
        exported = {row["text_id"]: row for row in csv.DictReader(file)}
    assert written == len(exported) == len(STATED)
    assert exported["sure"]["text"] == '\'=HYPERLINK("http://x")'
    assert exported["nobody"]["text"] == '<script>"a"\n,\'b'  # one cell, quoted
    assert exported["sure"]["reply"] == "'@SUM(A1) is paid"
    assert exported["sure"]["similar_case_1"] == "past same"
    assert exported["angry with a need"]["urgent_because"] == "angry"


def test_a_language_is_told_only_where_it_is_likely() -> None:
    assert language_of(DUTCH, least_confidence=0.5) == "nl"
    assert language_of(ENGLISH, least_confidence=0.5) == "en"
    assert language_of("ok", least_confidence=0.5) is None
