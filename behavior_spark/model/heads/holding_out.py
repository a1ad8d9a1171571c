"""Which labelled texts are held out: by the hash of a text, or as the task's table says."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from behavior_spark.errors import ModelError
from behavior_spark.model.arrays import Bools

if TYPE_CHECKING:
    from behavior_spark.model.heads.labelled import LabelledTexts


def normalise_text(text: str) -> str:
    """Fold case and collapse white space. Texts equal in this form count as one text."""
    return " ".join(text.casefold().split())


def hash_place(key: str) -> float:
    """Hash of a normalised text as a number in [0, 1), the same in every process and run."""
    content = key.encode("utf-8", errors="replace")
    return int.from_bytes(hashlib.sha256(content).digest()[:8], "big") / 2**64


def hold_out(
    keys: Sequence[str], numbers: Sequence[Sequence[int]], label_count: int, share: float
) -> Bools:
    """Whether each text is held out, by the hash of its key; bool [n].

    Each label keeps at least one training text, and at least one text is held out.
    """
    positions = {key: hash_place(key) for key in set(keys)}
    held = {key for key, value in positions.items() if value < share}
    by_label: list[set[str]] = [set() for _ in range(label_count)]
    for key, labels in zip(keys, numbers, strict=True):
        for label in labels:
            by_label[label].add(key)
    for texts in by_label:
        if texts <= held:
            held.remove(max(texts, key=positions.__getitem__))
    if not held:
        held = {min(positions, key=positions.__getitem__)}  # every label has another text
    return np.array([key in held for key in keys], dtype=np.bool_)


def without_held_out(
    task: LabelledTexts, rows: list[int], keys: dict[int, str], dropped: Counter[str]
) -> list[int]:
    """``rows`` without training rows whose text is also held out."""
    if task.held_out is None:
        return rows
    held = {keys[row] for row in rows if task.held_out[row]}
    remaining = [row for row in rows if task.held_out[row] or keys[row] not in held]
    if len(remaining) < len(rows):
        dropped["also_held_out"] = len(rows) - len(remaining)
    return remaining


def held_out_rows(
    task: LabelledTexts, rows: list[int], numbers: Sequence[Sequence[int]], label_count: int
) -> Bools:
    """Whether each text is held out, by the task's own column; bool [n].

    Raises:
        ModelError: A label has no training text, or no text is held out.
    """
    held = np.array([(task.held_out or [])[row] for row in rows], dtype=np.bool_)
    learned = {label for out, labels in zip(held, numbers, strict=True) if not out
               for label in labels}  # fmt: skip
    if held.all() or not held.any() or len(learned) < label_count:
        raise ModelError(
            f"the parts of the task {task.name!r} do not fit each other",
            found=f"{int((~held).sum())} texts to learn from with {len(learned)} of {label_count} "
            f"labels, {int(held.sum())} in dev",
            fix="each label needs texts in the training part; or leave dev out",
        )
    return held
