"""Held-out labelled texts to measure a model on, and the slices they are measured by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd

from behavior_spark.model.arrays import Bools
from behavior_spark.model.registry.learned_from import text_keys
from behavior_spark.model.registry.records import data_fingerprint

Origin = Literal["test", "dev", "held out by hash"]

MOST_VALUES = 20  # of a column, the most frequent; each is a slice


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Held-out texts of one head with their labels.

    Attributes:
        name: Name of the head.
        origin: ``test``: a table that training never sees; ``dev`` or ``held out by hash``: texts
            by which training chose epochs or thresholds, so that figures on them are a little
            too good.
        texts: n texts, cleaned.
        labels: The labels of each text.
        slices: Masks, bool [n], by name, such as ``length 6-15 words``.
        dropped: Number of rows left out, by reason.
    """

    name: str
    origin: Origin
    texts: list[str]
    labels: list[tuple[str, ...]]
    slices: dict[str, Bools]
    dropped: dict[str, int]

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def fingerprint(self) -> str:
        """Digest of the texts and labels, 16 hex characters."""
        return data_fingerprint(self.texts, [list(labels) for labels in self.labels])

    def where(self, kept: Bools, reason: str) -> HeldOut:
        """Only the texts of a mask, bool [n]; the others are counted under ``reason``."""
        if kept.all():
            return self
        rows = np.flatnonzero(kept).tolist()
        return replace(
            self,
            texts=[self.texts[row] for row in rows],
            labels=[self.labels[row] for row in rows],
            slices={name: mask[kept] for name, mask in self.slices.items()},
            dropped=self.dropped | {reason: self.dropped.get(reason, 0) + int((~kept).sum())},
        )


def held_out_by_hash(texts: Sequence[str], *, share: float) -> Bools:
    """Which texts are held out by their hash, bool [n]; the same texts whatever else is there."""
    place = text_keys(texts).astype(np.float64) / 2.0**64
    kept: Bools = place < share
    return kept


def slice_masks(
    texts: list[str], table: pd.DataFrame, *, length_buckets: Sequence[int]
) -> dict[str, Bools]:
    """Masks, bool [n], by length in words, by month of the label's day, and by ``slices``.

    Args:
        texts: n texts.
        table: n rows with ``day`` (date or null) and, if the labels have any, ``slices`` (dict of
            name to value).
        length_buckets: Upper bounds of the length slices, in words, ascending.

    Returns:
        Masks that hold of at least one text, by name, such as ``length 6-15 words``.
    """
    words = np.array([len(text.split()) for text in texts], dtype=np.int64)
    bounds = [0, *length_buckets]
    masks: dict[str, Bools] = {}
    for low, high in zip(bounds, [*bounds[1:], None], strict=True):
        name = f"length {low + 1}-{high} words" if high else f"length over {low} words"
        masks[name] = (words > low) & (words <= (high or np.inf))
    columns = {"day": [str(day)[:7] if day is not None and not pd.isna(day) else None
                       for day in table["day"]]}  # fmt: skip
    if "slices" in table:
        names = sorted({name for row in table["slices"] for name in row})
        columns |= {name: [row[name] for row in table["slices"]] for name in names}
    for column, values in columns.items():
        counted = pd.Series(values, dtype=object).value_counts()
        for value in counted.index[:MOST_VALUES]:
            masks[f"{column} {value}"] = np.array([v == value for v in values], dtype=bool)
    return {name: mask for name, mask in masks.items() if mask.any()}
