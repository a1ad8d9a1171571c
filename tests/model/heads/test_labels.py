"""Labels as tables have them: trimmed, counted, suspected; and what is said of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from behavior_spark.model.heads.baselines import baseline_figures
from behavior_spark.model.heads.findings import describe_findings
from behavior_spark.model.heads.fitting import fit_head, suspects_in
from behavior_spark.model.heads.holding_out import hash_place, normalise_text
from behavior_spark.model.heads.kind import MULTI_LABEL, SINGLE_LABEL
from behavior_spark.model.heads.label_doubts import LabelDoubt, label_doubts
from behavior_spark.model.heads.label_errors import (
    MixUp,
    Suspect,
    conflicting_texts,
    mix_ups,
    suspected_labels,
)
from behavior_spark.model.heads.label_names import case_twins
from behavior_spark.model.heads.labelled import LabelledTexts, split_task
from behavior_spark.model.heads.out_of_fold import FOLDS, fold_numbers, out_of_fold_logits
from behavior_spark.model.heads.stated_costs import LabelCost
from behavior_spark.model.measures.confidence import confidence_bins, expected_calibration_error

CLASSES = 4


def task_of(labels, texts=None, **more):
    texts = texts or [f"text number {n}" for n in range(len(labels))]
    return LabelledTexts("ask", texts, labels, **more)


def split_of(task):
    return split_task(task, validation_share=0.2, seed=0, max_examples=None)


def clouds(per_class, *, spread=0.9, noise=0.0, seed=0):
    """A task and vectors of classes that lie apart; a share of the labels is drawn by chance."""
    rng = np.random.default_rng(seed)
    true = np.repeat(np.arange(CLASSES), per_class)
    vectors = np.eye(CLASSES, 16)[true] + rng.normal(0, spread / 4, (len(true), 16))
    given = np.where(rng.random(len(true)) < noise, rng.integers(0, CLASSES, len(true)), true)
    task = task_of([f"c{n}" for n in given])
    split = split_of(task)
    place = {text: row for row, text in enumerate(task.texts)}
    rows = [place[text] for text in split.texts]
    return split, vectors[rows].astype(np.float32), true[rows]


def test_labels_are_trimmed_and_composed_and_blank_ones_are_dropped_of_either_kind():
    single = split_of(task_of(["a", " a", "a\u200b\x85\x9c", "re\u0301", "ré", "", "  "]))
    assert single.labels == ("a", "ré") and single.labels_cleaned == 4
    assert single.dropped == {"no_label": 2}
    several = split_of(
        task_of([["a", " delivery"], ["delivery ", ""], ["a"], [], [" "]], kind="multi_label")
    )
    assert several.labels == ("a", "delivery")
    assert several.truth.sum(axis=1).tolist() == [2, 1, 1, 0, 0]
    assert several.labels_cleaned == 3


def test_labels_that_differ_by_case_alone_are_named_and_stay():
    labels = ["Refund", "refund", "Refund", "refund", "other", "other"]
    split = split_of(task_of(labels))
    assert split.labels == ("Refund", "other", "refund")
    assert split.label_twins == (("Refund", "refund"),)


def test_equal_texts_are_in_one_fold_and_folds_do_not_follow_what_is_held_out():
    texts = [f"text {n}" for n in range(4000)]
    folds = fold_numbers(texts)
    assert (fold_numbers([text.upper() + " " for text in texts]) == folds).all()
    assert np.bincount(folds, minlength=4).min() > 900
    split = split_of(task_of(["a", "b"] * 2000, texts))
    held = fold_numbers([t for t, out in zip(split.texts, split.validation, strict=True) if out])
    assert np.bincount(held, minlength=4).min() > len(held) / 4 * 0.8


def test_each_text_is_judged_by_a_head_that_has_not_learned_from_it():
    texts = [f"text {n}" for n in range(50)]
    learned = []

    def fit(part):
        learned.append(part)
        return np.array([[float(part.sum()), 0.0]])

    logits = out_of_fold_logits(texts, np.ones((50, 1)), fit)
    folds = fold_numbers(texts)
    for row, fold in enumerate(folds):
        assert logits[row, 0] == (folds != fold).sum()
    assert all(not part[folds == fold].any() for part, fold in zip(learned, range(4), strict=True))


@pytest.mark.parametrize("seed", range(3))
def test_a_head_of_few_labels_is_calibrated_by_folds(seed):
    """Under 30 held-out texts no temperature was chosen: probabilities were far too low."""
    split, vectors, _ = clouds(8, seed=seed)
    assert split.validation.sum() < 30
    head = fit_head(split, vectors, backbone_digest="d")
    fresh, new, true = clouds(300, seed=seed + 100)
    assert fresh.labels == head.labels
    probabilities = head.probabilities(new)
    right = (probabilities.argmax(axis=1) == true).mean()
    assert abs(probabilities.max(axis=1).mean() - right) < 0.06


@pytest.mark.parametrize("texts", [2, 4, 7])
def test_with_few_texts_a_label_right_labels_are_not_called_wrong(texts):
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(40, 16)) * 2
    split = split_of(task_of([f"c{n}" for n in range(40)] * texts))
    numbers = split.targets.astype(int)
    vectors = (centres[numbers] + rng.normal(size=(len(numbers), 16))).astype(np.float32)
    said = " ".join(describe_findings(fit_head(split, vectors, backbone_digest="d").metrics))
    assert "may be wrong" not in said and "drawn by chance" not in said


def test_labels_drawn_by_chance_are_suspected_and_few_others():
    split, vectors, true = clouds(100, noise=0.2)
    wrong = np.array([split.labels[n] for n in split.targets]) != np.array([f"c{n}" for n in true])
    head = fit_head(split, vectors, backbone_digest="d")
    found = head.metrics["suspected_labels"]
    assert 0.7 * wrong.sum() < found["texts"] < 1.3 * wrong.sum()
    probabilities = np.eye(CLASSES, dtype=np.float32)[true]
    suspects = suspected_labels(probabilities, split.truth, split.labels)
    assert {s.row for s in suspects} == set(np.flatnonzero(wrong))
    assert all(suspect.likely == f"c{true[suspect.row]}" for suspect in suspects)


@pytest.mark.parametrize("per_class", [20, 300])
def test_the_labels_that_training_counts_are_those_that_are_listed(per_class):
    split, vectors, _ = clouds(per_class, noise=0.2)
    counted = fit_head(split, vectors, backbone_digest="b").metrics["suspected_labels"]
    listed = suspects_in(split, vectors)
    assert len(listed) == counted["texts"] > 0
    wrong = [split.labels[split.targets[suspect.row]] == suspect.label for suspect in listed]
    assert all(wrong)


def test_doubts_put_equal_texts_beside_each_other_and_then_the_likeliest():
    texts = ["b?", "alone", "a!", "B?", "a! ", "a!"]
    sets = [frozenset(labels) for labels in ("x", "x", "xy", "y", "z", "xy")]
    doubts = label_doubts(texts, sets, [Suspect(1, "x", "y", 0.9), Suspect(0, "x", "z", 0.8)])
    assert doubts == [
        LabelDoubt("conflict", "a!", ("x", "y"), ("z",), None),
        LabelDoubt("conflict", "a! ", ("z",), ("x", "y"), None),
        LabelDoubt("conflict", "a!", ("x", "y"), ("z",), None),
        LabelDoubt("conflict", "b?", ("x",), ("y",), None),
        LabelDoubt("conflict", "B?", ("y",), ("x",), None),
        LabelDoubt("likely_wrong", "alone", ("x",), ("y",), 0.9),
        LabelDoubt("likely_wrong", "b?", ("x",), ("z",), 0.8),
    ]
    several = label_doubts(["a", "a"], [frozenset("xy"), frozenset("x")], [])
    assert [doubt.likely for doubt in several] == [("x",), ("x", "y")]
    assert label_doubts([], [], []) == []


def test_equal_texts_with_different_labels_are_counted():
    sets = [frozenset(label) for label in "abab"]
    assert conflicting_texts(["x", "X ", "y", "z"], sets) == [0, 1]


def test_labels_that_nobody_can_tell_apart_are_named_as_twins():
    labels = ["refund", "re\u200bfund", "\ufb01ne", "fine", "late\u00a0parcel", "late parcel",
              "b\0c", "bc", "\u2764\ufe0f", "\u2764", "\uff21\uff22", "ab", "other"]  # fmt: skip
    twins = {frozenset(group) for group in case_twins(labels)}
    assert twins == {frozenset(labels[i : i + 2]) for i in range(0, 12, 2)}
    (said,) = describe_findings({"label_twins": [["refund", "re\u200bfund"]]})
    assert said.endswith(r"learned apart: refund and re\u200bfund")


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kind", [SINGLE_LABEL, MULTI_LABEL])
def test_baselines_of_many_rare_labels_or_constant_ones_warn_of_nothing(kind):
    names = [f"c{i}" for i in range(40)] * 2
    labels = names if kind == SINGLE_LABEL else [["always", name] for name in names]
    texts = [f"text {i} of {name}" for i, name in enumerate(names)]
    figures = baseline_figures(split_of(task_of(labels, texts, kind=kind)))
    assert set(figures) == {"majority", "keywords"}


def test_baselines_know_the_most_frequent_label_and_the_words():
    texts = [f"{word} number {n}" for n in range(60) for word in ("refund please", "hello there")]
    labels = ["refund", "greeting"] * 60
    split = split_of(task_of(labels, texts))
    figures = baseline_figures(split)
    assert figures["keywords"]["f1"] == 1.0 and figures["majority"]["f1"] < 0.5
    several = split_of(
        task_of([[label] if n % 3 else [] for n, label in enumerate(labels)], texts,
                kind="multi_label")
    )  # fmt: skip
    assert baseline_figures(several)["keywords"]["f1"] > 0.5
    no_words = split_of(task_of(labels, [f"{'!' * (n + 1)}" for n in range(120)]))
    assert baseline_figures(no_words)["keywords"] == baseline_figures(no_words)["majority"]


def test_all_that_was_left_out_or_found_is_said_and_a_clean_task_says_nothing():
    split, vectors, _ = clouds(40, spread=0.4)
    assert describe_findings(fit_head(split, vectors, backbone_digest="d").metrics) == []
    task = task_of(
        [" a", "a", "A", "A", "b", "b", "lonely", ""] * 1 + ["a", "b"] * 20,
        [f"t{n}" for n in range(7)] + ["no label"] + [f"more {n}" for n in range(39)] + ["t0"],
        left_out={"no_text": 3},
    )
    split = split_of(task)
    rng = np.random.default_rng(0)
    metrics = fit_head(
        split, rng.normal(size=(len(split.texts), 8)).astype(np.float32), backbone_digest="d"
    ).metrics
    said = "\n".join(describe_findings(metrics))
    for words in (
        "3 rows without a text", "1 rows without a label", "1 rows whose labels have", "lonely",
        "A and a", "trimmed", "equal texts with different labels: 2",
    ):  # fmt: skip
        assert words in said, words


@pytest.mark.parametrize("spread", [0.9, 1.6])
def test_labels_of_which_a_third_is_drawn_by_chance_leave_probabilities_of_the_true_label(spread):
    split, vectors, _ = clouds(150, spread=spread, noise=0.4)
    noisy = fit_head(split, vectors, backbone_digest="digest")
    assert noisy.metrics["label_noise"]["wrong"] == pytest.approx(0.4 * (1 - 1 / CLASSES), abs=0.08)
    assert any("drawn by chance" in line for line in describe_findings(noisy.metrics))
    split, vectors, true = clouds(300, spread=spread, seed=5)
    probabilities = noisy.probabilities(vectors)
    right = probabilities.argmax(axis=1) == true
    bins = confidence_bins(probabilities.max(axis=1).astype(np.float64), right)
    assert expected_calibration_error(bins) < 0.06


@pytest.mark.parametrize("spread", [0.5, 0.9, 1.6, 2.5])
def test_hard_texts_with_true_labels_are_not_taken_for_wrong_ones(spread):
    split, vectors, _ = clouds(150, spread=spread, seed=3)
    assert "label_noise" not in fit_head(split, vectors, backbone_digest="digest").metrics


def renamed(split, share, *, both=False, seed=0):
    """The task with a share of the texts of c0 called c1, and the other way if both."""
    rng = np.random.default_rng(seed)
    targets = split.targets.copy()
    chosen = rng.random(len(targets)) < share
    targets[chosen & (split.targets == 0)] = 1
    if both:
        targets[chosen & (split.targets == 1)] = 0
    return replace(split, targets=targets), int((targets != split.targets).sum())


@pytest.mark.parametrize("seed", range(3))
def test_labels_mixed_up_in_one_direction_are_named(seed):
    """About half of the texts: heads are as unsure of them as of the others of their label."""
    split, vectors, _ = clouds(100, spread=0.6, seed=seed)
    mixed, count = renamed(split, 0.3, seed=seed)
    metrics = fit_head(mixed, vectors, backbone_digest="d").metrics
    (found,) = metrics["label_mix_ups"]
    assert (found["label"], found["likely"]) == ("c1", "c0")
    assert 0.3 * count < found["texts"] <= count and found["other_way"] <= 3
    said = " ".join(describe_findings(metrics))
    assert "texts called c1 look like c0" in said and "do not allow for it" in said


@pytest.mark.parametrize("seed", range(3))
def test_labels_that_are_clean_or_mixed_up_both_ways_or_by_chance_are_not(seed):
    split, vectors, _ = clouds(100, seed=seed)
    both, _ = renamed(split, 0.25, both=True, seed=seed)
    chance, random_vectors, _ = clouds(100, noise=0.2, seed=seed)
    for task, of in ((split, vectors), (both, vectors), (chance, random_vectors)):
        assert "label_mix_ups" not in fit_head(task, of, backbone_digest="d").metrics


def test_a_few_texts_that_look_like_another_label_are_no_mix_up():
    def suspects(there, back):
        return [Suspect(n, "b", "a", 0.9) for n in range(there)] + [
            Suspect(n, "a", "b", 0.9) for n in range(back)
        ]

    counts = {"a": 80, "b": 120}
    assert mix_ups(suspects(4, 0), counts) == []
    assert mix_ups(suspects(12, 9), counts) == []
    (found,) = mix_ups(suspects(20, 1), counts)
    assert found == MixUp("b", "a", 20, 1, 0.2)


def test_baselines_and_head_have_their_cost_where_costs_are_stated():
    split, vectors, _ = clouds(60)
    costly = replace(split, costs={"c0": LabelCost(missed=5.0)})
    metrics = fit_head(costly, vectors, backbone_digest="d").metrics
    held = split.truth[split.validation]
    learned = split.truth[~split.validation].sum(axis=0).argmax()
    missed = np.where(held[:, 0], 5.0, 1.0)
    expected = np.where(held[:, learned], 0.0, missed).mean()
    assert metrics["baselines"]["majority"]["cost"] == pytest.approx(expected)
    assert 0 <= metrics["cost"] < metrics["baselines"]["majority"]["cost"]
    assert "cost" not in fit_head(split, vectors, backbone_digest="d").metrics


@given(st.lists(st.text(alphabet="abAB ", min_size=1, max_size=4), min_size=1, max_size=8))
def test_two_different_texts_are_never_all_in_one_fold(texts):
    folds, forms = fold_numbers(texts), [normalise_text(text) for text in texts]
    assert len(set(folds)) > 1 or len(set(forms)) == 1
    by_form = dict(zip(forms, folds, strict=True))
    assert [by_form[form] for form in forms] == folds.tolist()
    assert ((folds >= 0) & (folds < FOLDS)).all()


@pytest.mark.parametrize("kind", ["single_label", "multi_label"])
def test_a_task_whose_few_texts_would_fall_into_one_fold_is_learned(kind):
    texts = [
        text
        for text in (f"text {number}" for number in range(200))
        if int(hash_place(normalise_text(text)) * 2**40) % FOLDS == 1
    ][:4]
    labels = ["a", "a", "b", "b"]
    if kind == "multi_label":
        labels = [[label] for label in labels]
    task = LabelledTexts("intent", texts, labels, kind=kind)
    split = split_task(task, validation_share=0.2, seed=0, max_examples=None)
    vectors = np.eye(4, 8, dtype=np.float32)
    assert np.isfinite(fit_head(split, vectors, backbone_digest="d").weight).all()
    if kind == "single_label":
        assert isinstance(suspects_in(split, vectors), list)
