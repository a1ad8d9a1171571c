import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from behavior_spark.errors import ModelError
from behavior_spark.model.heads.answers import answers_of
from behavior_spark.model.heads.kind import MULTI_LABEL, SINGLE_LABEL, find_head_kind
from behavior_spark.model.measures.answers import Answers
from behavior_spark.model.measures.classification import (
    as_plain,
    calibration_table,
    confusion,
    estimate,
    estimate_difference,
    per_class,
    risk_coverage,
)
from behavior_spark.model.measures.figures import calibration_error

LABELS = ("a", "b", "c", "d")


def make(seed: int, *, rows: int = 60, multi_label: bool = False, skill: float = 1.0) -> Answers:
    """Answers of a model of some skill to random texts."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(rows, len(LABELS)))
    if multi_label:
        truth = rng.random((rows, len(LABELS))) < 0.4
        probabilities = 1 / (1 + np.exp(-(logits + skill * (2 * truth - 1))))
        said = probabilities >= 0.5
    else:
        truth = np.eye(len(LABELS), dtype=bool)[rng.integers(0, len(LABELS) - 1, rows)]
        logits += 2 * skill * truth
        probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        said = np.eye(len(LABELS), dtype=bool)[probabilities.argmax(axis=1)]
    kind = find_head_kind(MULTI_LABEL if multi_label else SINGLE_LABEL)
    return Answers(LABELS, kind, truth, said, probabilities.astype(np.float32))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), multi_label=st.booleans())
def test_figures_are_those_of_scikit_learn(seed: int, multi_label: bool) -> None:
    answers = make(seed, multi_label=multi_label)
    found = {name: each.value for name, each in estimate(answers, resamples=100).items()}
    truth, said = answers.truth.astype(int), answers.predicted.astype(int)
    # Labels that neither truth nor answers hold count for nothing.
    used = (truth.sum(axis=0) + said.sum(axis=0)) > 0
    expected = {"accuracy": sk.accuracy_score(truth, said)}
    for name, score in (
        ("precision", sk.precision_score), ("recall", sk.recall_score), ("f1", sk.f1_score)
    ):  # fmt: skip
        expected[f"{name}_macro"] = score(
            truth[:, used], said[:, used], average="macro", zero_division=0
        )
    expected["f1_micro"] = sk.f1_score(truth, said, average="micro", zero_division=0)
    both = truth.any(axis=0) & ~truth.all(axis=0)
    expected["roc_auc_macro"] = sk.roc_auc_score(
        truth[:, both], answers.probabilities[:, both], average="macro"
    )
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=1e-9), name


def naive_calibration_error(answers: Answers) -> float:
    if answers.kind == find_head_kind(MULTI_LABEL):
        confidence, right = answers.probabilities.ravel(), answers.truth.ravel()
    else:
        top = answers.probabilities.argmax(axis=1)
        rows = np.arange(len(top))
        confidence, right = answers.probabilities[rows, top], answers.truth[rows, top]
    total = 0.0
    for i in range(15):
        inside = (confidence > i / 15) & (confidence <= (i + 1) / 15)
        if inside.any():
            total += abs(right[inside].mean() - confidence[inside].mean()) * inside.mean()
    return total


@pytest.mark.parametrize("multi_label", [False, True])
def test_calibration_error_is_the_mean_gap_of_fifteen_equal_bins(multi_label: bool) -> None:
    answers = make(3, rows=200, multi_label=multi_label)
    found = calibration_error(answers, np.ones((1, len(answers))))[0]
    assert found == pytest.approx(naive_calibration_error(answers), abs=1e-6)
    table = calibration_table(answers)
    total = sum(row["count"] for row in table)
    gaps = sum(row["count"] * abs(row["observed"] - row["mean_probability"]) for row in table)
    assert total == 200 * (len(LABELS) if multi_label else 1)
    assert gaps / total == pytest.approx(found, abs=1e-6)


def test_what_sampling_adds_to_the_calibration_error_is_taken_off() -> None:
    """Of probabilities that are true the error is 0; the plain one says about 0.04 here."""
    rng, plain, mended, holds = np.random.default_rng(0), [], [], []
    for seed in range(30):
        probability = rng.uniform(0.5, 1.0, 400).astype(np.float32)
        right = rng.random(400) < probability
        truth = np.stack([right, ~right], axis=1)
        said = np.tile([True, False], (400, 1))
        probabilities = np.stack([probability, 1 - probability], axis=1)
        answers = Answers(("a", "b"), find_head_kind("single_label"), truth, said, probabilities)
        plain.append(calibration_error(answers, np.ones((1, 400)))[0])
        found = estimate(answers, ["calibration_error"], resamples=200, seed=seed)
        error = found["calibration_error"]
        mended.append(error.value)
        holds.append(error.low <= error.value <= error.high)
    assert np.mean(plain) > 0.03 and np.mean(mended) < 0.6 * np.mean(plain) and all(holds)


def test_accuracy_among_answered_texts_and_the_share_of_them() -> None:
    truth = np.eye(2, dtype=bool)[[0, 0, 1, 1]]
    said = np.array([[True, False], [False, True], [False, False], [False, True]])
    probabilities = np.array([[0.9, 0.1], [0.4, 0.6], [0.95, 0.05], [0.2, 0.8]], dtype=np.float32)
    answers = Answers(("a", "b"), find_head_kind("single_label"), truth, said, probabilities)
    found = estimate(answers, ["coverage", "accuracy", "accuracy_answered"], resamples=50)
    assert [found[name].value for name in ("coverage", "accuracy")] == [0.75, 0.5]
    assert found["accuracy_answered"].value == pytest.approx(2 / 3)
    # The text without an answer comes last, however probable a label of it was.
    curve = risk_coverage(answers, steps=4)
    assert [point["coverage"] for point in curve] == [0.25, 0.5, 0.75, 1.0]
    assert [point["accuracy"] for point in curve] == pytest.approx([1.0, 1.0, 2 / 3, 0.5])
    classes = per_class(answers, resamples=100)
    assert classes["a"]["f1_low"] <= classes["a"]["f1"] <= classes["a"]["f1_high"]


def test_an_interval_is_that_of_texts_drawn_again_and_narrows_with_their_number() -> None:
    answers = make(5, rows=400)
    found = estimate(answers, ["accuracy"], resamples=2000)["accuracy"]
    error = np.sqrt(found.value * (1 - found.value) / 400)
    assert found.low == pytest.approx(found.value - 1.96 * error, abs=0.01)
    assert found.high == pytest.approx(found.value + 1.96 * error, abs=0.01)
    few = np.arange(400) < 100
    wider = estimate(answers, ["accuracy"], among=few, resamples=500)["accuracy"]
    assert wider.high - wider.low > 1.5 * (found.high - found.low)
    assert wider.value == (answers.truth[few] == answers.predicted[few]).all(axis=1).mean()


def test_two_models_are_compared_on_the_same_resamples() -> None:
    good, poor = make(7, rows=300, skill=1.5), make(7, rows=300, skill=0.4)
    same = estimate_difference(good, good, "f1_macro", resamples=200)
    assert (same.value, same.low, same.high) == (0, 0, 0)
    found = estimate_difference(good, poor, "f1_macro", resamples=200)
    back = estimate_difference(poor, good, "f1_macro", resamples=200)
    assert found.low > 0 and back.high < 0 and found.value == -back.value
    with pytest.raises(ModelError, match="same texts"):
        estimate_difference(good, make(7, rows=299), "f1_macro")


def test_confusions_and_classes_add_up_to_the_texts() -> None:
    answers = make(11, rows=80)
    answers.predicted[:5] = False  # it abstains
    found = confusion(answers)
    counts = np.array(found["counts"])
    assert counts.shape == (4, 5) and counts.sum() == 80 and counts[:, -1].sum() == 5
    classes = per_class(answers)
    for i, label in enumerate(LABELS):
        assert classes[label]["rows"] == counts[i].sum()
        assert classes[label]["recall"] == pytest.approx(counts[i, i] / max(1, counts[i].sum()))
    assert as_plain(classes)["d"]["roc_auc"] is None  # no text has this label
    tables = confusion(make(11, rows=80, multi_label=True))
    assert all(sum(table.values()) == 80 for table in tables.values())


def test_a_label_the_head_does_not_know_is_always_missed(make_head) -> None:
    head = make_head(labels=("a", "b"))
    vectors = np.random.default_rng(0).normal(size=(4, 4)).astype(np.float32)
    answers = answers_of(head, vectors, [("a",), ("b",), ("x",), ("x",)])
    assert answers.labels == ("a", "b", "x") and not answers.predicted[:, 2].any()
    assert per_class(answers)["x"]["recall"] == 0
    with pytest.raises(ModelError, match="one label"):
        answers_of(head, vectors, [("a", "b"), ("b",), ("a",), ("a",)])
