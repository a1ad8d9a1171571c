"""The rows of a training set: checked, and sorted so that their order has no effect."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from behavior_spark.errors import ModelError
from behavior_spark.model.arrays import Bools, Doubles
from behavior_spark.model.propensity.feature_matrix import feature_matrix
from behavior_spark.model.propensity.matrix_on_disk import Matrix, rows_of
from behavior_spark.model.propensity.target_kind import TargetKind

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class TrainingRows:
    """The rows of a training set, sorted by day and user.

    Attributes:
        frame: All columns.
        days: As-of day of each row, (rows,).
        labels: Labels, float64 (rows,).
        values: Features, float32 (rows, features), in memory or on disk.
        weights: Number of rows that each row represents, float64 (rows,).
    """

    frame: pd.DataFrame
    days: npt.NDArray[np.datetime64]
    labels: Doubles
    values: Matrix
    weights: Doubles

    @classmethod
    def of(
        cls,
        frame: pd.DataFrame,
        target: str,
        *,
        features: Sequence[str],
        label: str,
        as_of: str,
        user: str,
        weight: str | None,
        kind: TargetKind,
        matrix: Matrix | None,
    ) -> TrainingRows:
        """Sort and check the rows of a frame; arguments as in :func:`train_propensity_model`."""
        order, days, labels = ordered_rows(
            frame, target, label=label, as_of=as_of, user=user, kind=kind
        )
        frame = frame.iloc[order]
        if matrix is None:
            values: Matrix = feature_matrix(frame, features, target)
        else:
            values = rows_of(matrix, order)
        weights = np.ones(len(labels)) if weight is None else frame[weight].to_numpy(np.float64)
        return cls(frame, days, labels, values, weights)

    def of_last(self, days: int | None) -> TrainingRows:
        """The rows of the last days; None: of all."""
        every_day = np.unique(self.days)
        if days is None or days >= len(every_day):
            return self
        return self.where(self.days >= every_day[-days])

    def where(self, mask: Bools) -> TrainingRows:
        """The rows of a mask, (rows,)."""
        return TrainingRows(
            self.frame[mask], self.days[mask], self.labels[mask], rows_of(self.values, mask),
            self.weights[mask],
        )  # fmt: skip

    @property
    def last_day(self) -> date:
        """The last as-of day."""
        return date.fromisoformat(str(self.days.max()))


def ordered_rows(
    frame: pd.DataFrame, target: str, *, label: str, as_of: str, user: str, kind: TargetKind
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.datetime64], Doubles]:
    """Check the labels, and sort rows by day and user, so that row order has no effect.

    Returns:
        The order of the rows, their days and their labels in it.

    Raises:
        ModelError: A user and day occurs twice, a label is not allowed, or there is too little of
            an outcome.
    """
    import pandas as pd

    days = pd.to_datetime(frame[as_of]).to_numpy(dtype="datetime64[D]")
    users = frame[user].astype(str).to_numpy(dtype=object)
    order = np.lexsort((users, days)) if len(frame) else np.empty(0, dtype=np.int64)
    truth = pd.to_numeric(frame[label], errors="coerce").to_numpy(np.float64, na_value=np.nan)
    # Not with pandas, which compares strings only up to the first NUL.
    in_order, day_of = users[order], days[order]
    repeated = int(((in_order[1:] == in_order[:-1]) & (day_of[1:] == day_of[:-1])).sum())
    unlabelled = int((~kind.are_labels(truth)).sum())
    if repeated or unlabelled:
        raise ModelError(
            f"training rows of target {target!r} must be one a user and day, labelled "
            f"{kind.label_words}",
            found=f"{repeated} repeated, {unlabelled} without label",
            fix="train on as-of days whose horizon has passed, one row a user and day",
        )
    if not kind.enough(truth):
        raise ModelError(
            f"target {target!r} has {kind.shortage}",
            found=f"{int((truth > 0).sum())} positives in {len(truth)} rows",
            fix="check the target's condition and horizon, or train on other as-of days",
        )
    return order, day_of, truth[order]
