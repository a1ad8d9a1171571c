"""Thresholds of rare labels: more of them are found, nothing else moves, and one place decides."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest

from behavior_spark.model.heads.answers import answers_of
from behavior_spark.model.heads.decision_thresholds import tune_thresholds
from behavior_spark.model.heads.findings import describe_findings
from behavior_spark.model.heads.fitting import fit_head
from behavior_spark.model.heads.head import Head
from behavior_spark.model.heads.labelled import LabelledTexts, split_task
from behavior_spark.model.measures.classification import risk_coverage

DIMENSION = 32


def drawn(rare: int, common: int, *, labels: int = 1, seed: int = 0):
    """Labels and vectors of a rare class beside common ones, at an AUC of 0.99."""
    rng = np.random.default_rng(seed)
    own = np.r_[np.zeros(rare, dtype=int), 1 + rng.integers(0, labels, common)]
    centres = 1.5 * np.eye(labels + 1, DIMENSION)
    vectors = centres[own] + rng.normal(0, 0.6, (len(own), DIMENSION))
    return [("fraud" if n == 0 else f"other {n}") for n in own], vectors.astype(np.float32)


def fitted(labels, vectors):
    texts = [f"text number {n}" for n in range(len(labels))]
    split = split_task(
        LabelledTexts("ask", texts, labels), validation_share=0.4, seed=0, max_examples=None
    )
    place = {text: row for row, text in enumerate(texts)}
    rows = [place[text] for text in split.texts]
    return fit_head(split, vectors[rows], backbone_digest="digest"), split


@pytest.fixture(scope="module")
def rare_head():
    return fitted(*drawn(15, 2985))[0]


def test_more_texts_of_a_rare_label_are_found_and_false_alarms_stay_few(rare_head):
    labels, vectors = drawn(70, 13_930, seed=1)
    truth = np.array(labels) == "fraud"
    probabilities, codes = rare_head.answer(vectors)
    column = rare_head.labels.index("fraud")
    by_argmax = probabilities.argmax(axis=1) == column
    tuned = codes == column
    assert by_argmax[truth].mean() < 0.3  # 2 of 7
    assert tuned[truth].mean() > by_argmax[truth].mean() + 0.3
    assert tuned[~truth].sum() < tuned[truth].sum() and tuned[~truth].mean() < 0.003
    shown = [line for line in describe_findings(rare_head.metrics) if "threshold" in line]
    assert len(shown) == 1 and "fraud" in shown[0]


def test_probabilities_are_those_of_the_head_without_tuned_thresholds(rare_head):
    _, vectors = drawn(5, 50, seed=2)
    untuned = Head(**{**vars_of(rare_head), "thresholds": np.full(2, 0.5)})
    assert np.array_equal(rare_head.probabilities(vectors), untuned.probabilities(vectors))
    assert rare_head.digest != untuned.digest


def vars_of(head):
    return {name: getattr(head, name) for name in Head.__dataclass_fields__}


@pytest.mark.parametrize("labels", [2, 7])
def test_balanced_labels_keep_equal_thresholds_and_the_most_probable_label(labels):
    rng = np.random.default_rng(3)
    own = rng.integers(0, labels, 900)
    vectors = np.eye(labels, DIMENSION)[own] + rng.normal(0, 0.4, (900, DIMENSION))
    head, _ = fitted([f"c{n}" for n in own], vectors.astype(np.float32))
    assert (head.thresholds == 0.5).all() and "decision_thresholds" not in head.metrics
    probabilities, codes = head.answer(vectors.astype(np.float32))
    assert np.array_equal(codes, probabilities.argmax(axis=1))


def test_a_rare_label_that_cannot_be_told_apart_keeps_its_threshold(make_head):
    head = make_head(temperature=1.0, thresholds=np.full(3, 0.5))
    adopted = 0
    for seed in range(30):
        rng = np.random.default_rng(seed)
        own = np.r_[np.zeros(15, dtype=int), rng.integers(1, 3, 1500)]
        looks_like = np.where(own == 0, rng.integers(1, 3, len(own)), own)
        logits = rng.normal([-4.0, 0.0, 0.0], 1, (len(own), 3))
        logits[np.arange(len(own)), looks_like] += 3
        adopted += bool(tune_thresholds(head, logits, np.eye(3, dtype=bool)[own])[1])
    assert adopted <= 3  # by chance


def test_common_labels_lose_nothing_to_rare_ones():
    labels, vectors = drawn(20, 2000, labels=4)
    head, _ = fitted(labels, vectors)
    labels, vectors = drawn(100, 10_000, labels=4, seed=5)
    probabilities, codes = head.answer(vectors)
    own = np.array([head.labels.index(label) for label in labels])
    common = own != head.labels.index("fraud")
    by_argmax = probabilities.argmax(axis=1)
    lost = (by_argmax == own)[common].mean() - (codes == own)[common].mean()
    assert lost < 0.005


def test_every_reader_of_a_head_decides_and_is_confident_alike(make_head):
    head = make_head(thresholds=np.array([0.5, 0.02, 0.5]), temperature=1.0)
    vectors = np.random.default_rng(6).normal(size=(200, 4)).astype(np.float32)
    probabilities, codes = head.answer(vectors)
    assert (codes != probabilities.argmax(axis=1)).sum() > 20
    decided = probabilities[np.arange(200), codes]
    assert np.array_equal(codes, (probabilities / head.thresholds).argmax(axis=1))
    assert head.decide(probabilities) == [head.labels[code] for code in codes]
    assert head.decide_all(probabilities) == [[head.labels[code]] for code in codes]
    assert np.array_equal(head.confidence(probabilities), decided)
    truth = [(head.labels[code],) if row % 3 else ("unknown",) for row, code in enumerate(codes)]
    answers = answers_of(head, vectors, truth)
    assert np.array_equal(answers.predicted.argmax(axis=1), codes)
    confidence, right = head.rules.confidence(answers)
    assert np.allclose(confidence[:, 0], decided)
    assert np.array_equal(right[:, 0] > 0, np.arange(200) % 3 > 0)
    surest = np.argsort(-decided, kind="stable")[:20]
    curve = risk_coverage(answers)
    assert curve[0]["accuracy"] == pytest.approx((surest % 3 > 0).mean())


def test_stored_scores_hold_the_probability_of_the_label_decided_for(make_head):
    import pyarrow as pa

    from behavior_spark.scoring.classification import _record_batch

    head = make_head(thresholds=np.array([0.5, 0.02, 0.5]), temperature=1.0)
    vectors = np.random.default_rng(7).normal(size=(50, 4)).astype(np.float32)
    at = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    keys = pa.array([str(n) for n in range(50)])
    stored = _record_batch(keys, vectors, head, at).to_pydict()
    probabilities, codes = head.answer(vectors)
    assert stored["label"] == [head.labels[code] for code in codes]
    assert stored["probability"] == probabilities[np.arange(50), codes].tolist()
    by_label = [dict(row) for row in stored["probabilities"]]
    assert [row[label] for row, label in zip(by_label, stored["label"], strict=True)] == (
        stored["probability"]
    )


def test_tuned_thresholds_are_saved_and_a_head_stored_before_them_decides_by_argmax(
    rare_head, tmp_path
):
    rare_head.save(tmp_path / "new")
    assert np.array_equal(Head.load(tmp_path / "new").thresholds, rare_head.thresholds)
    before = Head(**{**vars_of(rare_head), "thresholds": np.full(2, 0.5)})
    before.save(tmp_path / "old")  # heads of one label a text always stored 0.5
    _, vectors = drawn(5, 50, seed=8)
    probabilities, codes = Head.load(tmp_path / "old").answer(vectors)
    assert np.array_equal(codes, probabilities.argmax(axis=1))
