"""How well texts are labelled: figures, calibration and slices, with bootstrap intervals.

Every figure is computed for many resamples at once. A resample (Efron & Tibshirani 1993,
percentile interval) is a vector of multiplicities over texts, so counts of a label in all
resamples are one sparse matrix product. The same seed and number of texts give the same
resamples: two models measured on the same texts are compared pair by pair.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
from scipy.sparse import csr_array

from behavior_spark.errors import ModelError
from behavior_spark.model.arrays import Bools, Doubles, Floats
from behavior_spark.model.measures.ranking import resample_counts, weighted_roc_auc

CALIBRATION_BINS = 15
# Ranking every label in every resample is the dear part: so many cells, then fewer resamples.
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
    """What differs between kinds of answers; a kind of head is one."""

    def confidence(self, answers: Answers) -> tuple[Doubles, Doubles]:
        """Probabilities that are judged, float64 [n, 1 or L], and whether what they say is so."""

    def confusion(self, answers: Answers) -> Confusion:
        """What was taken for what, as plain data."""


@dataclass(frozen=True, eq=False)
class Answers:
    """What a head said of texts whose labels are known.

    Attributes:
        labels: L labels: the head's, and those of the data that it does not know.
        kind: What differs between answers of one label a text and of several.
        truth: bool [n, L].
        said: bool [n, L]; a row without any True got no answer.
        probabilities: float32 [n, L]; 0 for a label the head does not know.
    """

    labels: tuple[str, ...]
    kind: AnswerKind
    truth: Bools
    said: Bools
    probabilities: Floats

    def __len__(self) -> int:
        return len(self.truth)


Confusion = dict[str, Any]
Figure = Callable[[Answers, Doubles], Doubles]


def accuracy(answers: Answers, weights: Doubles) -> Doubles:
    """Share of texts all of whose labels are right and none missing."""
    right = (answers.truth == answers.said).all(axis=1)
    return _share(weights @ right, weights.sum(axis=1))


def precision_macro(answers: Answers, weights: Doubles) -> Doubles:
    """Precision averaged over the labels that occur, in truth or answers."""
    hits, answered, positives = _counts(answers, weights)
    return _macro(hits / np.maximum(1, answered), answered + positives)


def recall_macro(answers: Answers, weights: Doubles) -> Doubles:
    """Recall averaged over the labels that occur, in truth or answers."""
    hits, answered, positives = _counts(answers, weights)
    return _macro(hits / np.maximum(1, positives), answered + positives)


def f1_macro(answers: Answers, weights: Doubles) -> Doubles:
    """F1 averaged over the labels that occur, in truth or answers."""
    hits, answered, positives = _counts(answers, weights)
    return _macro(2 * hits / np.maximum(1, answered + positives), answered + positives)


def f1_micro(answers: Answers, weights: Doubles) -> Doubles:
    """F1 of all labels taken together; accuracy where each text gets one label."""
    hits, answered, positives = _counts(answers, weights)
    return _share(2 * hits.sum(axis=1), (answered + positives).sum(axis=1))


def roc_auc_macro(answers: Answers, weights: Doubles) -> Doubles:
    """One label against the rest, averaged over the labels that have both sides."""
    columns = np.flatnonzero(answers.truth.any(axis=0) & ~answers.truth.all(axis=0))
    total: Doubles = np.zeros(len(weights))
    known: Doubles = np.zeros(len(weights))
    for column in columns:
        value = weighted_roc_auc(
            answers.truth[:, column].astype(np.float64),
            answers.probabilities[:, column].astype(np.float64),
            weights,
        )
        total += np.nan_to_num(value)
        known += np.isfinite(value)
    return _share(total, known)


def coverage(answers: Answers, weights: Doubles) -> Doubles:
    """Share of texts that got an answer."""
    return _share(weights @ answers.said.any(axis=1), weights.sum(axis=1))


def accuracy_answered(answers: Answers, weights: Doubles) -> Doubles:
    """Accuracy among the texts that got an answer."""
    answered = answers.said.any(axis=1)
    right = answered & (answers.truth == answers.said).all(axis=1)
    return _share(weights @ right, weights @ answered)


def calibration_error(answers: Answers, weights: Doubles) -> Doubles:
    """Expected calibration error over 15 equal-width bins (Guo et al. 2017, arXiv 1706.04599).

    Of one label a text: the top label's probability against how often it is right. Of several:
    every label's probability against how often it is there.
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
    """Figures by name with their percentile intervals.

    A mean of absolute gaps, as the calibration error is, comes out too high in a sample, and higher
    in its resamples: what resampling adds is taken off once from the figure and twice from the
    interval (bootstrap estimate of bias, Efron & Tibshirani 1993, chapter 10).

    Args:
        answers: Of n texts.
        figures: Names in ``FIGURES``.
        among: bool [n]: only these texts count; resamples are those of all n.
        resamples: How many; fewer for AUC where texts and labels are many, and none below 100.
        level: Coverage.
        seed: Same seed and n, same resamples.
    """
    kept = np.ones(len(answers), dtype=np.bool_) if among is None else among
    part = _among(answers, kept)
    if not len(part):
        return {name: Estimate(float("nan"), float("nan"), float("nan")) for name in figures}
    found = {}
    for name in figures:
        draws = _affordable(name, part, resamples)
        value = float(FIGURES[name](part, np.ones((1, len(part))))[0])
        values = _resampled(name, [part], kept, draws, seed)[0]
        if name in BIASED and np.isfinite(values).any():
            bias = float(np.nanmean(values)) - value
            value, values = max(0.0, value - bias), np.maximum(0.0, values - 2 * bias)
        found[name] = Estimate(value, *_percentiles(values, level))
    return found


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
    """``figure`` of left less that of right on the same texts, both on the same resamples."""
    if len(left) != len(right):
        found = f"{len(left)} and {len(right)} texts"
        raise ModelError("models are compared on the same texts", found=found)
    kept = np.ones(len(left), dtype=np.bool_) if among is None else among
    parts = [_among(each, kept) for each in (left, right)]
    if not kept.any():
        return Estimate(float("nan"), float("nan"), float("nan"))
    draws = min(_affordable(figure, part, resamples) for part in parts)
    one = np.ones((1, int(kept.sum())))
    values = [float(FIGURES[figure](part, one)[0]) for part in parts]
    a, b = _resampled(figure, parts, kept, draws, seed)
    return Estimate(values[0] - values[1], *_percentiles(a - b, level))


def risk_coverage(answers: Answers, *, steps: int = 10) -> list[dict[str, float]]:
    """Accuracy if only the most confident texts got an answer, from a tenth of them to all.

    The risk-coverage curve (El-Yaniv & Wiener 2010, "On the Foundations of Noise-free Selective
    Classification"); confidence is the largest probability.
    """
    n = len(answers)
    if not n:
        return []
    order = np.argsort(-answers.probabilities.max(axis=1), kind="stable")
    right = (answers.truth == answers.said).all(axis=1)[order]
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
    one = np.ones((1, len(answers)))
    hits, answered, positives = (each[0] for each in _counts(answers, one))
    found = {}
    for i, label in enumerate(answers.labels):
        truth = answers.truth[:, i].astype(np.float64)
        auc = weighted_roc_auc(truth, answers.probabilities[:, i].astype(np.float64), one)[0]
        found[label] = {
            "rows": float(positives[i]),
            "precision": float(hits[i] / max(1, answered[i])),
            "recall": float(hits[i] / max(1, positives[i])),
            "f1": float(2 * hits[i] / max(1, answered[i] + positives[i])),
            "roc_auc": float(auc),
        }
    if resamples:
        for label, (low, high) in _f1_intervals(answers, resamples, level, seed).items():
            found[label] |= {"f1_low": low, "f1_high": high}
    return found


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
        label: _percentiles(values[:, column], level)
        for column, label in enumerate(answers.labels)
    }


def confusion(answers: Answers) -> Confusion:
    """What was taken for what, as the kind of head tells it."""
    return answers.kind.confusion(answers)


def calibration_table(answers: Answers) -> list[dict[str, float]]:
    """For each bin that is not empty: bounds, number, mean probability and how often it was so."""
    confidence, happened = answers.kind.confidence(answers)
    count = _binned(np.ones_like(confidence), confidence).sum(axis=0)
    said = _binned(confidence, confidence).sum(axis=0)
    true = _binned(happened, confidence).sum(axis=0)
    return [
        {
            "from": i / CALIBRATION_BINS,
            "to": (i + 1) / CALIBRATION_BINS,
            "count": float(count[i]),
            "mean_probability": float(said[i] / count[i]),
            "observed": float(true[i] / count[i]),
        }
        for i in np.flatnonzero(count)
    ]


def as_plain(value: Any) -> Any:
    """JSON values: estimates become objects, and a figure that is not there (NaN) null."""
    if isinstance(value, Estimate):
        value = asdict(value)
    if isinstance(value, Mapping):
        return {str(key): as_plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [as_plain(each) for each in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _counts(answers: Answers, weights: Doubles) -> tuple[Doubles, Doubles, Doubles]:
    """Hits, answers and positives of each label in each resample, each [resamples, L]."""

    def product(table: Bools) -> Doubles:
        found: Doubles = (csr_array(table.T.astype(np.float64)) @ weights.T).T
        return found

    hits = product(answers.truth & answers.said)
    return hits, product(answers.said), product(answers.truth)


def _binned(values: Doubles, confidence: Doubles) -> Doubles:
    """[n, bins]: per text the sum of its ``values`` whose confidence falls in the bin."""
    rows = len(confidence)
    number = np.clip(np.ceil(confidence * CALIBRATION_BINS).astype(np.int64) - 1, 0, None)
    flat = (np.arange(rows)[:, None] * CALIBRATION_BINS + number).ravel()
    found: Doubles = np.bincount(
        flat, weights=values.ravel(), minlength=rows * CALIBRATION_BINS
    ).astype(np.float64)
    return found.reshape(rows, CALIBRATION_BINS)


def _macro(values: Doubles, occurrences: Doubles) -> Doubles:
    present = occurrences > 0
    return _share((values * present).sum(axis=1), present.sum(axis=1).astype(np.float64))


def _share(part: Doubles, whole: Doubles) -> Doubles:
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Doubles = np.where(whole > 0, part / whole, np.nan)
    return found


def _among(answers: Answers, kept: Bools) -> Answers:
    if kept.all():
        return answers
    return Answers(
        answers.labels,
        answers.kind,
        answers.truth[kept],
        answers.said[kept],
        answers.probabilities[kept],
    )


def _affordable(name: str, answers: Answers, resamples: int) -> int:
    if name != "roc_auc_macro":
        return resamples
    draws = min(resamples, MOST_AUC_CELLS // max(1, answers.truth.size))
    return draws if draws >= FEWEST_AUC_RESAMPLES else 0


def _resampled(
    name: str, parts: list[Answers], kept: Bools, resamples: int, seed: int
) -> list[Doubles]:
    blocks: list[list[Doubles]] = [[np.empty(0)] for _ in parts]
    for weights in resample_counts(len(kept), resamples, seed):
        inside = np.ascontiguousarray(weights[:, kept])
        for values, part in zip(blocks, parts, strict=True):
            values.append(FIGURES[name](part, inside))
    return [np.concatenate(values) for values in blocks]


def _percentiles(values: Doubles, level: float) -> tuple[float, float]:
    known = values[~np.isnan(values)]
    if not known.size:
        return float("nan"), float("nan")
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
