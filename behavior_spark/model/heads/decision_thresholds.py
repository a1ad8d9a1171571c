"""Tune the decision thresholds of rare labels where every text has exactly one label.

A rare label hardly ever is the most probable one: of two labels it must reach 50 %. Its best F1 is
reached at about half of that F1 (Lipton et al. 2014, arXiv 1402.1892), so that a lower threshold
finds more of its texts. Probabilities are not changed, only the decision; scikit-learn's
``TunedThresholdClassifierCV`` does the same for two labels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from behavior_spark.model.arrays import Bools, Doubles, Floats, Integers
from behavior_spark.model.heads.head import Head

# A label is rare with less than this share of the texts that an even split would give it.
RARE_SHARE = 0.2
# With fewer texts of a rare label its threshold stays: chance would choose it.
MIN_RARE_TEXTS = 8
FOLDS = 5
RESAMPLES = 1000
# So much F1 may a label that is not rare lose.
MOST_LOST = 0.02
_THRESHOLDS = np.geomspace(0.005, 0.95, 43).astype(np.float32)


@dataclass(frozen=True)
class Tuning:
    """Thresholds of a head, and what they change on texts that did not choose them.

    Attributes:
        thresholds: float32 [labels].
        f1: Macro F1 with all thresholds equal, and with these.
        noise: Standard error of the difference, over paired resamples.
    """

    thresholds: Floats
    f1: tuple[float, float]
    noise: float


def tune_thresholds(head: Head, logits: Doubles, truth: Bools) -> tuple[Head, dict[str, Any]]:
    """The head with tuned thresholds of its rare labels, if that raises macro F1.

    Thresholds are chosen on four fifths of the texts of each label and applied to the last fifth,
    five times. They are kept if macro F1 over all texts rises by more than the standard error of
    the difference, and no other label loses more than ``MOST_LOST`` of F1. The head's thresholds
    are then the geometric means of the five choices.

    Args:
        head: Calibrated; one label a text.
        logits: float64 [n, labels] before the temperature, by heads that have not learned from
            the text.
        truth: bool [n, labels].

    Returns:
        The head, and the metrics to record: empty where there is no rare label with
        ``MIN_RARE_TEXTS`` texts, or nothing is gained.
    """
    counts = truth.sum(axis=0)
    rare = np.flatnonzero(
        (counts < RARE_SHARE * len(truth) / len(counts)) & (counts >= MIN_RARE_TEXTS)
    )
    if not len(rare):
        return head, {}
    probabilities = head.rules.probabilities((logits / head.temperature).astype(np.float32))
    tuning = _by_folds(head, probabilities, truth, rare)
    if tuning is None:
        return head, {}
    chosen = {head.labels[label]: round(float(tuning.thresholds[label]), 4) for label in rare}
    metrics = {
        "thresholds": chosen,
        "f1_by_folds": {"equal": tuning.f1[0], "tuned": tuning.f1[1], "noise": tuning.noise},
    }
    return replace(head, thresholds=tuning.thresholds), {"decision_thresholds": metrics}


def _by_folds(head: Head, probabilities: Floats, truth: Bools, rare: Integers) -> Tuning | None:
    """Thresholds that pass both conditions on texts of other folds; else None."""
    own: Integers = truth.argmax(axis=1)
    equal = head.rules.top(probabilities, head.thresholds)
    folds, tuned, choices = _folds(own), equal.copy(), []
    for fold in range(FOLDS):
        out = folds == fold
        choices.append(_best(probabilities[~out], own[~out], head.thresholds, rare))
        tuned[out] = head.rules.top(probabilities[out], choices[-1])
    thresholds = np.exp(np.log(np.stack(choices)).mean(axis=0)).astype(np.float32)
    before, after = (_f1(own, codes, truth.shape[1]) for codes in (equal, tuned))
    common = np.setdiff1d(np.arange(truth.shape[1]), rare)
    noise = _noise(own, equal, tuned, truth.shape[1])
    gain = float(after.mean() - before.mean())
    if gain <= noise or (before - after)[common].max(initial=0.0) > MOST_LOST:
        return None
    return Tuning(thresholds, (float(before.mean()), float(after.mean())), noise)


def _folds(own: Integers) -> Integers:
    """int64 [n]: the fold of each text; every label's texts are spread evenly over them."""
    order = np.argsort(own, kind="stable")
    folds = np.empty(len(own), dtype=np.int64)
    folds[order] = np.arange(len(own)) % FOLDS
    return folds


def _best(probabilities: Floats, own: Integers, start: Floats, rare: Integers) -> Floats:
    """Thresholds, float32 [labels]; those of rare labels, rarest first, by the best macro F1.

    F1 is the mean of the observed one and the one expected from the probabilities, which varies
    less with few texts. Of thresholds that are equally good, the middle one.
    """
    width, thresholds = probabilities.shape[1], start.copy()
    counts = np.bincount(own, minlength=width)
    credit = _at_frequency(probabilities, counts)
    credit[np.arange(len(own)), own] += 1.0
    for label in sorted(rare, key=lambda column: int(counts[column])):
        scaled = probabilities / thresholds
        scaled[:, label] = -1.0
        other, least = scaled.argmax(axis=1), np.maximum(scaled.max(axis=1), 1e-9)
        wins_below = probabilities[:, label] / least
        near = np.flatnonzero(wins_below >= _THRESHOLDS[0])
        hits = np.bincount(other, credit[np.arange(len(own)), other], minlength=width)
        decided = np.bincount(other, minlength=width) + counts
        scores = []
        for threshold in _THRESHOLDS:
            won = near[wins_below[near] >= threshold]
            lost = np.bincount(other[won], credit[won, other[won]], minlength=width)
            moved = np.bincount(other[won], minlength=width)
            gained = np.arange(width) == label
            f1 = (hits - lost + gained * credit[won, label].sum()) / np.maximum(
                1, decided - moved + gained * len(won)
            )
            scores.append(f1.mean())
        best = np.flatnonzero(np.array(scores) >= max(scores) - 1e-12)
        thresholds[label] = _THRESHOLDS[best[len(best) // 2]]
    return thresholds


def _at_frequency(probabilities: Floats, counts: Integers) -> Doubles:
    """Probabilities, float64 [n, labels], scaled towards labels that occur ``counts`` times.

    Weights of labels in the loss raise those of rare ones (Saerens et al. 2002, "Adjusting the
    Outputs of a Classifier to New a Priori Probabilities").
    """
    scaled = probabilities.astype(np.float64) * counts / np.maximum(probabilities.sum(axis=0), 1e-9)
    return np.asarray(scaled / np.maximum(scaled.sum(axis=1, keepdims=True), 1e-12))


def _f1(own: Integers, codes: Integers, width: int) -> Doubles:
    """F1 of each label, float64 [labels], from true and predicted numbers."""
    hits = np.bincount(own[own == codes], minlength=width)
    answered = np.bincount(codes[codes >= 0], minlength=width)
    return np.asarray(2 * hits / np.maximum(1, answered + np.bincount(own, minlength=width)))


def _noise(own: Integers, equal: Integers, tuned: Integers, width: int) -> float:
    """Standard error of the difference in macro F1, over resamples of the texts.

    A resample says how often each combination of true label and both decisions occurs.
    """
    cells, counts = np.unique(np.stack([own, equal, tuned]), axis=1, return_counts=True)
    draws = np.random.default_rng(0).multinomial(len(own), counts / len(own), size=RESAMPLES)
    true, first, second = (row[:, None] == np.arange(width) for row in cells)

    def macro(decided: Bools) -> Doubles:
        hits = draws @ (true & decided)
        return np.asarray((2 * hits / np.maximum(1, draws @ decided + draws @ true)).mean(axis=1))

    return float(np.std(macro(second) - macro(first)))
