"""Measures of text classification with bootstrap intervals: figures, calibration, confusion.

Intervals are percentiles of the figure in resamples of the texts (Efron & Tibshirani 1993). The
same seed and number of texts give the same resamples, so that two models measured on the same
texts can be compared in pairs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from behavior_spark.errors import ModelError
from behavior_spark.model.arrays import Bools, Doubles
from behavior_spark.model.measures.answers import Answers, Confusion
from behavior_spark.model.measures.bootstrap import percentile_interval, resample_counts
from behavior_spark.model.measures.confidence import confidence_bins
from behavior_spark.model.measures.figures import (
    BIASED,
    CALIBRATION_BINS,
    FIGURES,
    label_counts,
)
from behavior_spark.model.measures.ranking import weighted_roc_auc

# AUC of every label in every resample is slow: above this many cells (texts x labels x resamples)
# fewer resamples are drawn.
MOST_AUC_CELLS = 500_000_000
FEWEST_AUC_RESAMPLES = 100


@dataclass(frozen=True)
class Estimate:
    """A figure and its interval; NaN bounds where none was computed."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


SLICE_FIGURES = ("accuracy", "f1_macro")


def estimate(
    answers: Answers,
    figures: Sequence[str] = tuple(FIGURES),
    *,
    among: Bools | None = None,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> dict[str, Estimate]:
    """Figures by name, each with its percentile interval.

    A mean of absolute gaps, as the calibration error is, comes out too high in a sample, and higher
    in its resamples: what resampling adds is taken off once from the figure and twice from the
    interval (bootstrap estimate of bias, Efron & Tibshirani 1993, chapter 10).

    Args:
        answers: True and predicted labels of n texts.
        figures: Names in ``FIGURES``.
        among: bool [n], texts to measure; resamples are still drawn from all n. None: all.
        resamples: Number of resamples. AUC uses fewer with many texts and labels, and has no
            interval if fewer than 100 would be left.
        level: Coverage of the intervals.
        seed: Seed of the resamples; the same seed and n give the same ones.
    """
    selected = np.ones(len(answers), dtype=np.bool_) if among is None else among
    part = _among(answers, selected)
    if not len(part):
        return {name: Estimate(float("nan"), float("nan"), float("nan")) for name in figures}
    estimates = {}
    for name in figures:
        draws = _affordable(name, part, resamples)
        value = float(FIGURES[name](part, np.ones((1, len(part))))[0])
        values = _resampled(name, [part], selected, draws, seed)[0]
        if name in BIASED and np.isfinite(values).any():
            bias = float(np.nanmean(values)) - value
            value, values = max(0.0, value - bias), np.maximum(0.0, values - 2 * bias)
        estimates[name] = Estimate(value, *percentile_interval(values, level))
    return estimates


def estimate_difference(
    left: Answers,
    right: Answers,
    figure: str,
    *,
    among: Bools | None = None,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Estimate:
    """``figure`` of left minus that of right on the same texts, with a paired interval.

    Arguments as in :func:`estimate`.

    Raises:
        ModelError: The numbers of texts differ.
    """
    if len(left) != len(right):
        sizes = f"{len(left)} and {len(right)} texts"
        raise ModelError("models are compared on the same texts", found=sizes)
    selected = np.ones(len(left), dtype=np.bool_) if among is None else among
    parts = [_among(answers, selected) for answers in (left, right)]
    if not selected.any():
        return Estimate(float("nan"), float("nan"), float("nan"))
    draws = min(_affordable(figure, part, resamples) for part in parts)
    unit_weights = np.ones((1, int(selected.sum())))
    values = [float(FIGURES[figure](part, unit_weights)[0]) for part in parts]
    a, b = _resampled(figure, parts, selected, draws, seed)
    return Estimate(values[0] - values[1], *percentile_interval(a - b, level))


def estimate_mean(values: Doubles, *, resamples: int = 1000, seed: int = 0) -> Estimate:
    """Mean with a 95 % percentile interval over resampled rows; NaN without rows.

    Args:
        values: float64 (rows,).
        resamples: Number of resamples.
        seed: Their seed.
    """
    if not len(values):
        return Estimate(float("nan"), float("nan"), float("nan"))
    means = np.concatenate(
        [counts @ values / len(values) for counts in resample_counts(len(values), resamples, seed)]
    )
    return Estimate(float(values.mean()), *percentile_interval(means, 0.95))


def risk_coverage(answers: Answers, *, steps: int = 10) -> list[dict[str, float]]:
    """Accuracy if only the most confident texts got an answer, from a tenth of them to all.

    The risk-coverage curve (El-Yaniv & Wiener 2010, "On the Foundations of Noise-free Selective
    Classification"); confidence is the probability of the predicted label, with several labels
    a text the largest probability. Texts that a head of one label a text gave none come last, as
    errors: they are answered only if all are.
    """
    n = len(answers)
    if not n:
        return []
    confidence = answers.kind.confidence(answers)[0].max(axis=1)
    if answers.kind.exclusive:
        confidence = np.where(answers.predicted.any(axis=1), confidence, -1.0)
    order = np.argsort(-confidence, kind="stable")
    right = (answers.truth == answers.predicted).all(axis=1)[order]
    counts = np.unique(np.ceil(np.arange(1, steps + 1) / steps * n).astype(np.int64))
    return [
        {"coverage": float(count / n), "accuracy": float(right[:count].mean())} for count in counts
    ]


def per_class(
    answers: Answers, *, resamples: int = 0, level: float = 0.95, seed: int = 0
) -> dict[str, dict[str, float]]:
    """Rows, precision, recall, F1 and AUC of each label.

    With ``resamples`` also ``f1_low`` and ``f1_high``, a percentile interval: NaN for a label that
    no text has.
    """
    unit_weights = np.ones((1, len(answers)))
    hits, answered, positives = (counts[0] for counts in label_counts(answers, unit_weights))
    figures = {}
    for i, label in enumerate(answers.labels):
        truth = answers.truth[:, i].astype(np.float64)
        auc = weighted_roc_auc(truth, answers.probabilities[:, i].astype(np.float64), unit_weights)[
            0
        ]
        figures[label] = {
            "rows": float(positives[i]),
            "precision": float(hits[i] / max(1, answered[i])),
            "recall": float(hits[i] / max(1, positives[i])),
            "f1": float(2 * hits[i] / max(1, answered[i] + positives[i])),
            "roc_auc": float(auc),
        }
    if resamples:
        for label, (low, high) in _f1_intervals(answers, resamples, level, seed).items():
            figures[label] |= {"f1_low": low, "f1_high": high}
    return figures


def _f1_intervals(
    answers: Answers, resamples: int, level: float, seed: int
) -> dict[str, tuple[float, float]]:
    """Interval of each label's F1, over resamples in which the label occurs."""
    parts = []
    for weights in resample_counts(len(answers), resamples, seed):
        hits, answered, positives = label_counts(answers, weights)
        f1 = 2 * hits / np.maximum(1, answered + positives)
        parts.append(np.where(positives > 0, f1, np.nan))
    values = np.concatenate(parts)
    return {
        label: percentile_interval(values[:, column], level)
        for column, label in enumerate(answers.labels)
    }


def confusion(answers: Answers) -> Confusion:
    """Confusion matrix in the form of the kind of head, as JSON values."""
    return answers.kind.confusion(answers)


def calibration_table(answers: Answers) -> list[dict[str, float]]:
    """For each bin that is not empty: bounds, count, mean probability, and observed rate."""
    confidence, happened = answers.kind.confidence(answers)
    bins = confidence_bins(confidence.ravel(), happened.ravel(), bins=CALIBRATION_BINS)
    return [
        {
            "from": part.low,
            "to": part.high,
            "count": float(part.labels),
            "mean_probability": part.confidence,
            "observed": part.accuracy,
        }
        for part in bins
    ]


def as_plain(value: Any) -> Any:
    """JSON values: an estimate becomes an object, and a number that is not finite null."""
    if isinstance(value, Estimate):
        value = asdict(value)
    if isinstance(value, Mapping):
        return {str(key): as_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [as_plain(item) for item in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _among(answers: Answers, selected: Bools) -> Answers:
    if selected.all():
        return answers
    return replace(
        answers,
        truth=answers.truth[selected],
        predicted=answers.predicted[selected],
        probabilities=answers.probabilities[selected],
    )


def _affordable(name: str, answers: Answers, resamples: int) -> int:
    if name != "roc_auc_macro":
        return resamples
    draws = min(resamples, MOST_AUC_CELLS // max(1, answers.truth.size))
    return draws if draws >= FEWEST_AUC_RESAMPLES else 0


def _resampled(
    name: str, parts: list[Answers], selected: Bools, resamples: int, seed: int
) -> list[Doubles]:
    blocks: list[list[Doubles]] = [[np.empty(0)] for _ in parts]
    for weights in resample_counts(len(selected), resamples, seed):
        inside = np.ascontiguousarray(weights[:, selected])
        for values, part in zip(blocks, parts, strict=True):
            values.append(FIGURES[name](part, inside))
    return [np.concatenate(values) for values in blocks]
