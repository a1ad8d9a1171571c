"""What a metric is to the bootstrap: its value over all rows, and over many resamples at once.

A metric takes `labels` and `scores`, shape (n,), and `weights`, shape (n,): a row counts that many
times. Its batched form takes weights of shape (resamples, n), so that scores are sorted once for
all resamples. Metrics register theirs, with the check of the labels that they accept.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from behavior_spark.errors import ModelError
from behavior_spark.model.arrays import Doubles

Metric = Callable[..., float]
Batched = Callable[[Doubles, Doubles, Doubles], Doubles]
Check = Callable[[Doubles], None]


def refuse_others_than_0_and_1(truth: Doubles) -> None:
    """Raise ModelError unless every label is 0 or 1."""
    invalid = int((~np.isin(truth, (0.0, 1.0))).sum())
    if invalid:
        raise ModelError(
            "labels must be 0 or 1",
            found=f"{invalid} other labels",
            fix="drop or repair those rows",
        )


_BATCHED: dict[Any, tuple[Callable[..., Doubles], Check]] = {}


def register_metric(
    metric: Metric, batched: Callable[..., Doubles], *, check: Check = refuse_others_than_0_and_1
) -> None:
    """Register the batched form of a metric, which the bootstrap uses because it is faster.

    Args:
        metric: Function of labels, scores and ``weights``.
        batched: The same metric of truth (n,), scores (n,) and weights (resamples, n).
        check: Raises ModelError for labels that the metric does not accept.
    """
    _BATCHED[metric] = (batched, check)


def measured_once(
    metric: Metric, labels: npt.ArrayLike, scores: npt.ArrayLike, weights: npt.ArrayLike | None
) -> float:
    """Value of a registered metric over all rows; NaN without rows."""
    batched, check = _BATCHED[metric]
    truth, values = checked_vectors(labels, scores, check)
    if not truth.size:
        return float("nan")
    return float(batched(truth, values, checked_weights(weights, truth.size)[None, :])[0])


def batched_form(metric: Metric) -> tuple[Batched | None, Check]:
    """The batched form of a metric (None if it has none), and the check of its labels."""
    inner = metric.func if isinstance(metric, partial) else metric
    batched, check = _BATCHED.get(inner, (None, refuse_others_than_0_and_1))
    if isinstance(metric, partial) and batched is not None:
        batched = None if metric.args else partial(batched, **metric.keywords)
    return batched, check


def checked_vectors(
    labels: npt.ArrayLike, scores: npt.ArrayLike, check: Check
) -> tuple[Doubles, Doubles]:
    """Labels and scores, float64 (n,).

    Raises:
        ModelError: They are not vectors of one length, a label is not accepted, or a score is NaN.
    """
    truth = np.asarray(labels, dtype=np.float64)
    values = np.asarray(scores, dtype=np.float64)
    if truth.ndim != 1 or truth.shape != values.shape:
        raise ModelError(
            "labels and scores must be vectors of one length",
            found=f"shapes {truth.shape} and {values.shape}",
            fix="pass one label and one score per user",
        )
    check(truth)
    if np.isnan(values).any():
        raise ModelError(
            "labels need scores that are numbers",
            found=f"{int(np.isnan(values).sum())} NaN scores",
            fix="drop or repair those rows",
        )
    return truth, values


def checked_weights(weights: npt.ArrayLike | None, size: int) -> Doubles:
    """Weights of rows, float64 (size,); 1 by default.

    Raises:
        ModelError: They are not positive numbers, one a row.
    """
    if weights is None:
        return np.ones(size)
    values = np.asarray(weights, dtype=np.float64)
    if values.shape != (size,) or not (values > 0).all():
        raise ModelError(
            "weights must be positive numbers, one a row",
            found=f"shape {values.shape} for {size} rows",
            fix="pass the inverse of the probability with which each row was kept",
        )
    return values
