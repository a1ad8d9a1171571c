"""Measures of text classification with bootstrap intervals: figures, calibration, confusion.

Every figure is computed for many resamples at once. A resample (Efron & Tibshirani 1993,
percentile interval) is a vector that says how often each text counts, so the counts of a label in
all resamples are one sparse matrix product. The same seed and number of texts give the same
resamples, so that two models measured on the same texts can be compared in pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol

import numpy as np
from scipy.sparse import csr_array

from behavior_spark.errors import ModelError
from behavior_spark.model.arrays import Bools, Doubles, Floats
from behavior_spark.model.measures.ranking import resample_counts, weighted_roc_auc

CALIBRATION_BINS = 15
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


class AnswerKind(Protocol):
    """Measures that depend on the kind of head; every kind of head has them."""

    def confidence(self, answers: Answers) -> tuple[Doubles, Doubles]:
        """Probabilities to compare with outcomes, and the outcomes; float64 [n, 1 or L] each."""

    def confusion(self, answers: Answers) -> Confusion:
        """Confusion matrix, as JSON values."""


@dataclass(frozen=True, eq=False)
class Answers:
    """True and predicted labels of n texts.

    Attributes:
        labels: L labels: those of the head, then those that only the data has.
        kind: Kind of head.
        truth: True labels, bool [n, L].
        predicted: bool [n, L]; a row without any True got no label.
        probabilities: float32 [n, L]; 0 for a label that the head does not have.
        thresholds: float32 [L], by which the kind of head decided; None: 0.5 of each label.
    """

    labels: tuple[str, ...]
    kind: AnswerKind
    truth: Bools
    predicted: Bools
    probabilities: Floats
    thresholds: Floats | None = None

    def __len__(self) -> int:
        return len(self.truth)

    @property
    def decision_thresholds(self) -> Floats:
        """The thresholds, float32 [L]."""
        if self.thresholds is None:
            return np.full(len(self.labels), 0.5, dtype=np.float32)
        return self.thresholds


Confusion = dict[str, Any]
Figure = Callable[[Answers, Doubles], Doubles]


def accuracy(answers: Answers, weights: Doubles) -> Doubles:
    """Share of texts whose predicted labels are exactly the true ones."""
    right = (answers.truth == answers.predicted).all(axis=1)
    return _share(weights @ right, weights.sum(axis=1))


def precision_macro(answers: Answers, weights: Doubles) -> Doubles:
    """Precision averaged over the labels that occur, as true or predicted."""
    hits, answered, positives = _counts(answers, weights)
    return _macro(hits / np.maximum(1, answered), answered + positives)


def recall_macro(answers: Answers, weights: Doubles) -> Doubles:
    """Recall averaged over the labels that occur, as true or predicted."""
    hits, answered, positives = _counts(answers, weights)
    return _macro(hits / np.maximum(1, positives), answered + positives)


def f1_macro(answers: Answers, weights: Doubles) -> Doubles:
    """F1 averaged over the labels that occur, as true or predicted."""
    hits, answered, positives = _counts(answers, weights)
    return _macro(2 * hits / np.maximum(1, answered + positives), answered + positives)


def f1_micro(answers: Answers, weights: Doubles) -> Doubles:
    """F1 from the counts of all labels together; equals accuracy if each text gets one label."""
    hits, answered, positives = _counts(answers, weights)
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
    gaps, width = _binned(happened - confidence, confidence), confidence.shape[1]
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
        estimates[name] = Estimate(value, *_percentiles(values, level))
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
    return Estimate(values[0] - values[1], *_percentiles(a - b, level))


def risk_coverage(answers: Answers, *, steps: int = 10) -> list[dict[str, float]]:
    """Accuracy if only the most confident texts got an answer, from a tenth of them to all.

    The risk-coverage curve (El-Yaniv & Wiener 2010, "On the Foundations of Noise-free Selective
    Classification"); confidence is the probability of the predicted label, with several labels
    a text the largest probability.
    """
    n = len(answers)
    if not n:
        return []
    order = np.argsort(-answers.kind.confidence(answers)[0].max(axis=1), kind="stable")
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
    hits, answered, positives = (counts[0] for counts in _counts(answers, unit_weights))
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
        hits, answered, positives = _counts(answers, weights)
        f1 = 2 * hits / np.maximum(1, answered + positives)
        parts.append(np.where(positives > 0, f1, np.nan))
    values = np.concatenate(parts)
    return {
        label: _percentiles(values[:, column], level) for column, label in enumerate(answers.labels)
    }


def confusion(answers: Answers) -> Confusion:
    """Confusion matrix in the form of the kind of head, as JSON values."""
    return answers.kind.confusion(answers)


def calibration_table(answers: Answers) -> list[dict[str, float]]:
    """For each bin that is not empty: bounds, count, mean probability, and observed rate."""
    confidence, happened = answers.kind.confidence(answers)
    count = _binned(np.ones_like(confidence), confidence).sum(axis=0)
    predicted = _binned(confidence, confidence).sum(axis=0)
    observed = _binned(happened, confidence).sum(axis=0)
    return [
        {
            "from": i / CALIBRATION_BINS,
            "to": (i + 1) / CALIBRATION_BINS,
            "count": float(count[i]),
            "mean_probability": float(predicted[i] / count[i]),
            "observed": float(observed[i] / count[i]),
        }
        for i in np.flatnonzero(count)
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


def _counts(answers: Answers, weights: Doubles) -> tuple[Doubles, Doubles, Doubles]:
    """Numbers of hits, predictions and positives of each label, each [resamples, L]."""

    def product(table: Bools) -> Doubles:
        counts: Doubles = (csr_array(table.T.astype(np.float64)) @ weights.T).T
        return counts

    hits = product(answers.truth & answers.predicted)
    return hits, product(answers.predicted), product(answers.truth)


def _binned(values: Doubles, confidence: Doubles) -> Doubles:
    """For each text and bin, the sum of ``values`` whose confidence is in the bin; [n, bins]."""
    rows = len(confidence)
    number = np.clip(np.ceil(confidence * CALIBRATION_BINS).astype(np.int64) - 1, 0, None)
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


def _percentiles(values: Doubles, level: float) -> tuple[float, float]:
    defined = values[~np.isnan(values)]
    if not defined.size:
        return float("nan"), float("nan")
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
