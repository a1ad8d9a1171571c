"""Figures of text classification, each for many resamples of the texts at once.

A resample is a vector that says how often each text counts, so the counts of a label in all
resamples are one sparse matrix product.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.sparse import csr_array

from behavior_spark.model.arrays import Bools, Doubles
from behavior_spark.model.measures.answers import Answers
from behavior_spark.model.measures.confidence import bin_numbers
from behavior_spark.model.measures.ranking import weighted_roc_auc

CALIBRATION_BINS = 15
# Takes the answers and how often each counts, float64 [resamples, n]; gives float64 [resamples].
Figure = Callable[[Answers, Doubles], Doubles]


def accuracy(answers: Answers, weights: Doubles) -> Doubles:
    """Share of texts whose predicted labels are exactly the true ones."""
    right = (answers.truth == answers.predicted).all(axis=1)
    return _share(weights @ right, weights.sum(axis=1))


def precision_macro(answers: Answers, weights: Doubles) -> Doubles:
    """Precision averaged over the labels that occur, as true or predicted."""
    hits, answered, positives = label_counts(answers, weights)
    return _macro(hits / np.maximum(1, answered), answered + positives)


def recall_macro(answers: Answers, weights: Doubles) -> Doubles:
    """Recall averaged over the labels that occur, as true or predicted."""
    hits, answered, positives = label_counts(answers, weights)
    return _macro(hits / np.maximum(1, positives), answered + positives)


def f1_macro(answers: Answers, weights: Doubles) -> Doubles:
    """F1 averaged over the labels that occur, as true or predicted."""
    hits, answered, positives = label_counts(answers, weights)
    return _macro(2 * hits / np.maximum(1, answered + positives), answered + positives)


def f1_micro(answers: Answers, weights: Doubles) -> Doubles:
    """F1 from the counts of all labels together; equals accuracy if each text gets one label."""
    hits, answered, positives = label_counts(answers, weights)
    return _share(2 * hits.sum(axis=1), (answered + positives).sum(axis=1))


def roc_auc_macro(answers: Answers, weights: Doubles) -> Doubles:
    """AUC of each label against the others, averaged over labels with positives and negatives."""
    columns = np.flatnonzero(answers.truth.any(axis=0) & ~answers.truth.all(axis=0))
    total: Doubles = np.zeros(len(weights))
    defined: Doubles = np.zeros(len(weights))
    for column in columns:
        value = weighted_roc_auc(
            answers.truth[:, column].astype(np.float64),
            answers.probabilities[:, column].astype(np.float64),
            weights,
        )
        total += np.nan_to_num(value)
        defined += np.isfinite(value)
    return _share(total, defined)


def coverage(answers: Answers, weights: Doubles) -> Doubles:
    """Share of texts that got an answer."""
    return _share(weights @ answers.predicted.any(axis=1), weights.sum(axis=1))


def accuracy_answered(answers: Answers, weights: Doubles) -> Doubles:
    """Accuracy among the texts that got an answer."""
    answered = answers.predicted.any(axis=1)
    right = answered & (answers.truth == answers.predicted).all(axis=1)
    return _share(weights @ right, weights @ answered)


def calibration_error(answers: Answers, weights: Doubles) -> Doubles:
    """Expected calibration error over 15 equal-width bins (Guo et al. 2017, arXiv 1706.04599).

    With one label a text, the probability of the top label is compared with how often it is
    right; with several, the probability of every label with how often the text has it.
    """
    confidence, happened = answers.kind.confidence(answers)
    gaps, width = binned(happened - confidence, confidence), confidence.shape[1]
    return _share(np.abs(weights @ gaps).sum(axis=1), weights.sum(axis=1) * width)


FIGURES: dict[str, Figure] = {
    "accuracy": accuracy,
    "precision_macro": precision_macro,
    "recall_macro": recall_macro,
    "f1_macro": f1_macro,
    "f1_micro": f1_micro,
    "roc_auc_macro": roc_auc_macro,
    "calibration_error": calibration_error,
    "coverage": coverage,
    "accuracy_answered": accuracy_answered,
}
# Sampling raises these; ``estimate`` takes off as much as resampling adds.
BIASED = {"calibration_error"}


def label_counts(answers: Answers, weights: Doubles) -> tuple[Doubles, Doubles, Doubles]:
    """Numbers of hits, predictions and positives of each label, each [resamples, L]."""

    def product(table: Bools) -> Doubles:
        counts: Doubles = (csr_array(table.T.astype(np.float64)) @ weights.T).T
        return counts

    hits = product(answers.truth & answers.predicted)
    return hits, product(answers.predicted), product(answers.truth)


def binned(values: Doubles, confidence: Doubles) -> Doubles:
    """For each text and bin, the sum of ``values`` whose confidence is in the bin; [n, bins]."""
    rows = len(confidence)
    number = bin_numbers(confidence, CALIBRATION_BINS)
    flat = (np.arange(rows)[:, None] * CALIBRATION_BINS + number).ravel()
    sums: Doubles = np.bincount(
        flat, weights=values.ravel(), minlength=rows * CALIBRATION_BINS
    ).astype(np.float64)
    return sums.reshape(rows, CALIBRATION_BINS)


def _macro(values: Doubles, occurrences: Doubles) -> Doubles:
    present = occurrences > 0
    return _share((values * present).sum(axis=1), present.sum(axis=1).astype(np.float64))


def _share(part: Doubles, total: Doubles) -> Doubles:
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio: Doubles = np.where(total > 0, part / total, np.nan)
    return ratio
