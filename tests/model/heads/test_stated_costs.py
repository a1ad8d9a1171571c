"""Stated costs move decisions to the lowest expected cost, and only where that saves anything."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from behavior_spark.config.labels import Labels
from behavior_spark.errors import ConfigError
from behavior_spark.model.heads.findings import describe_findings
from behavior_spark.model.heads.fitting import fit_head
from behavior_spark.model.heads.head import Head
from behavior_spark.model.heads.kind import MULTI_LABEL
from behavior_spark.model.heads.labelled import LabelledTexts, split_task
from behavior_spark.model.heads.stated_costs import (
    LabelCost,
    apply_costs,
    cost_of_texts,
    cost_thresholds,
)
from behavior_spark.model.measures.answers import Answers
from behavior_spark.model.registry.gate import COST_SAVED, GateRules, compare, decide

DIMENSION = 16
SPAM = {"spam": LabelCost(missed=8.0)}


def task(rows, seed=0, *, costs=SPAM):
    """Spam beside two kinds of ham that overlap it."""
    rng = np.random.default_rng(seed)
    own = rng.choice(3, rows, p=[0.2, 0.5, 0.3])
    vectors = 1.4 * np.eye(3, DIMENSION)[own] + rng.normal(0, 0.7, (rows, DIMENSION))
    labels = [("spam", "chat", "news")[n] for n in own]
    texts = [f"text {seed} {n}" for n in range(rows)]
    labelled = LabelledTexts("kind", texts, labels, costs=costs)
    split = split_task(labelled, validation_share=0.3, seed=0, max_examples=None)
    place = {text: row for row, text in enumerate(texts)}
    order = [place[text] for text in split.texts]
    return split, vectors[order].astype(np.float32)


def mean_cost(head, split, vectors):
    decided = head.rules.predict(head.probabilities(vectors), head.thresholds)
    costs = cost_of_texts(split.truth, decided, head.labels, SPAM, exclusive=True)
    return costs.mean()


@pytest.fixture(scope="module")
def heads():
    split, vectors = task(1500)
    free = replace(split, costs={})
    return [fit_head(part, vectors, backbone_digest="-") for part in (split, free)]


def test_stated_costs_lower_the_cost_of_new_texts_to_that_of_the_best_decision(heads):
    stated, equal = heads
    split, vectors = task(6000, seed=1)
    before, after = (mean_cost(head, split, vectors) for head in (equal, stated))
    assert after < 0.8 * before
    found, missed = ((h.answer(vectors)[1] == 2)[split.truth[:, 2]].mean() for h in (stated, equal))
    assert stated.labels[2] == "spam" and found > missed + 0.15
    probabilities = stated.probabilities(vectors)
    assert np.array_equal(probabilities, equal.probabilities(vectors))
    costs = np.array([1.0, 1.0, 8.0])
    best = np.eye(3, dtype=bool)[(probabilities * costs).argmax(axis=1)]  # lowest expected cost
    least = cost_of_texts(split.truth, best, stated.labels, SPAM, exclusive=True).mean()
    assert after == pytest.approx(least, rel=0.03)
    (line,) = [text for text in describe_findings(stated.metrics) if "stated costs" in text]
    assert "spam 8:1" in line and "decide" in line


@given(st.floats(0.01, 0.99), st.floats(0.1, 50), st.floats(0.1, 50))
def test_of_two_labels_the_one_with_the_lower_expected_cost_wins(spam, missed, false_alarm):
    probabilities = np.array([[1 - spam, spam]], dtype=np.float32)
    head = two_labels()
    truth = np.array([[True, False], [False, True]])
    costs = {"spam": LabelCost(missed, false_alarm)}
    balanced = np.array([[0.5, 0.5], [0.5, 0.5]], dtype=np.float32)
    thresholds = cost_thresholds(head, balanced, truth, costs)
    threshold = false_alarm / (false_alarm + missed)  # Elkan 2001, equation 2
    if abs(spam - threshold) > 1e-4:
        assert (head.rules.top(probabilities, thresholds)[0] == 1) == (spam > threshold)


def two_labels(kind="single_label"):
    return Head(
        "kind", ("ham", "spam"), kind, np.eye(2), np.zeros(2), np.full(2, 0.5), 1.0, "digest"
    )


def test_costs_that_save_no_more_than_chance_change_nothing_and_that_is_said():
    logits = np.array([[2.0, -2.0], [-2.0, 2.0]] * 20)
    truth = np.array([[True, False], [False, True]] * 20)
    head, metrics = apply_costs(two_labels(), logits, truth, SPAM)
    assert (head.thresholds == 0.5).all() and not metrics["stated_costs"]["kept"]
    assert any("no more than chance" in line for line in describe_findings(metrics))


def test_with_several_labels_a_text_a_stated_label_is_given_from_its_own_threshold_on():
    rng = np.random.default_rng(0)
    probability = rng.uniform(0.02, 0.98, 4000)
    logits = np.stack([np.full(4000, -3.0), np.log(probability / (1 - probability))], axis=1)
    truth = np.stack([rng.random(4000) < 0.05, rng.random(4000) < probability], axis=1)
    head, metrics = apply_costs(two_labels(MULTI_LABEL), logits, truth, SPAM)
    assert metrics["stated_costs"]["kept"]
    assert head.thresholds[0] == 0.5 and head.thresholds[1] == pytest.approx(1 / 9, abs=0.02)


def test_a_cost_of_a_label_that_is_not_learned_is_refused_by_its_name():
    with pytest.raises(ConfigError, match=r"text\.heads\.kind\.cost: there is no label 'spma'"):
        task(60, costs={"spma": LabelCost(5.0)})
    with pytest.raises(ValueError, match="greater than 0"):
        Labels(path="x", text="t", label="l", cost={"spam": {"missed": 0}})


def test_the_gate_compares_costs_where_costs_are_stated():
    truth = np.zeros((400, 2), dtype=bool)
    truth[:, 0], truth[:40, 0], truth[:40, 1] = True, False, True

    def answers(found, alarms):
        predicted = truth.copy()
        predicted[found:40] = [True, False]
        predicted[40 : 40 + alarms] = [False, True]
        rules = two_labels().rules
        return Answers(("ham", "spam"), rules, truth, predicted, predicted.astype(np.float32))

    careful, usual = answers(38, 40), answers(20, 4)
    by_accuracy = compare(careful, usual, {}, GateRules(figure="accuracy"))
    assert not decide({"kind": by_accuracy}).passed
    by_cost = compare(careful, usual, {}, GateRules(costs=SPAM))
    assert by_cost.difference.value == pytest.approx((20 * 8 + 4 - 2 * 8 - 40) / 400)
    verdict = decide({"kind": by_cost})
    assert verdict.passed and COST_SAVED in verdict.reason
    assert not decide({"kind": compare(usual, careful, {}, GateRules(costs=SPAM))}).passed
