"""Labelled texts, and their split into texts to learn from and texts to measure on."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from behavior_spark.errors import ModelError
from behavior_spark.model.arrays import Bools
from behavior_spark.model.heads.kind import SINGLE_LABEL, HeadKind, Targets, find_head_kind
from behavior_spark.model.heads.label_names import case_twins, clean_label


@dataclass
class LabelledTexts:
    """One task: texts and the labels people (or a rule) gave them.

    Attributes:
        name: Becomes the head's name.
        texts: n texts; empty ones are dropped and counted.
        labels: Per text one label, or a list of labels (perhaps empty) where it may have several;
            white space at their ends is removed, and blank ones are dropped (``clean_label``).
        kind: Name of the kind of head that learns them.
        days: Per text the ISO day its label was known, or None.
        held_out: Per text whether it only measures (an official dev set); None: by hash.
        validation_share: Of the texts held out by hash; None: the caller's.
        tested_elsewhere: Other texts are kept for measuring: once all choices are made, heads
            may learn from the held-out texts too.
        left_out: Rows that the table had beside these, by reason.
        abstain: Share of texts inside the labels that may get no answer, so that texts outside
            all of them get none; None: every text gets one.
    """

    name: str
    texts: list[str]
    labels: list[str] | list[list[str]]
    kind: str = SINGLE_LABEL
    days: list[str | None] | None = None
    abstain: float | None = None
    held_out: list[bool] | None = None
    validation_share: float | None = None
    tested_elsewhere: bool = False
    left_out: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class TaskSplit:
    """A task ready for training.

    Attributes:
        name: As in the task.
        kind: As in the task.
        labels: Labels kept, sorted.
        texts: n texts kept.
        targets: One entry a text, as the kind makes them: int64 [n] label numbers where each text
            has one label, float32 [n, labels] of 0 and 1 where it may have several.
        validation: bool [n], texts held out.
        dropped: Rows left out, by reason.
        dropped_labels: Labels with fewer than two different texts.
        labels_cleaned: Labels of rows that were trimmed, composed or blank.
        label_twins: Labels that differ by case or inner white space alone.
        trained_through: ISO day of the last label, None without days.
        undated: Rows without a day in a task that has days.
        abstain: As in the task.
        refit: Whether a head may learn from the held-out texts after all choices are made.
    """

    name: str
    kind: str
    labels: tuple[str, ...]
    texts: list[str]
    targets: Targets
    validation: npt.NDArray[np.bool_]
    dropped: dict[str, int]
    dropped_labels: list[str]
    trained_through: str | None
    undated: int
    abstain: float | None = None
    refit: bool = False
    labels_cleaned: int = 0
    label_twins: tuple[tuple[str, ...], ...] = ()

    @cached_property
    def rules(self) -> HeadKind:
        """What its kind of head decides."""
        return find_head_kind(self.kind)

    @property
    def truth(self) -> Bools:
        """Bool [n, labels]: which labels each text has."""
        return self.rules.truth(self.targets, len(self.labels))

    @property
    def labels_a_class(self) -> float:
        """Median over labels of the texts there are to learn from, held out or not."""
        return float(np.median(self.truth.sum(axis=0)))


def normalise_text(text: str) -> str:
    """Case folded and white space collapsed: texts equal in this form count as one text."""
    return " ".join(text.casefold().split())


def split_task(
    task: LabelledTexts, *, validation_share: float, seed: int, max_examples: int | None
) -> TaskSplit:
    """Clean a task and hold texts out for validation.

    The side of a text depends on the hash of its normalised form alone, not on the seed, so
    equal texts stand on one side, and a text held out once is held out of every later model.
    Only where a label would be left with nothing to learn from do texts change sides.
    Where the task names its held-out texts they are those; a text to learn from that equals
    one of them is dropped.

    Raises:
        ModelError: Lengths differ, a day is no ISO day, or fewer than 2 labels remain.
    """
    share = task.validation_share or validation_share
    _check_task(task, share)
    task, labels_cleaned = _with_clean_labels(task)
    rows, dropped = _usable_rows(task)
    if max_examples is not None and len(rows) > max_examples:
        chosen = np.random.default_rng(seed).permutation(len(rows))[:max_examples]
        dropped["over_max_examples"] = len(rows) - max_examples
        rows = [rows[index] for index in sorted(chosen.tolist())]
    keys = {row: normalise_text(task.texts[row]) for row in rows}
    rows = _without_held_out(task, rows, keys, dropped)
    label_sets = {row: _label_set(task, row) for row in rows}
    labels, dropped_labels = _frequent_labels(label_sets, keys)
    kind = find_head_kind(task.kind)
    if len(labels) < kind.least_labels:
        raise ModelError(
            f"the task {task.name!r} has too few labels to learn",
            found=f"{len(labels)} labels with two or more different texts, in {len(rows)} rows",
            fix="add labelled texts; each label needs two at the very least",
        )
    if kind.exclusive:
        kept = [row for row in rows if label_sets[row] & set(labels)]
        if len(kept) < len(rows):
            dropped["rare_label"] = len(rows) - len(kept)
        rows = kept
    position = {label: index for index, label in enumerate(labels)}
    numbers = [sorted(position[x] for x in label_sets[row] if x in position) for row in rows]
    if task.held_out is None:
        validation = _hold_out([keys[row] for row in rows], numbers, len(labels), share)
    else:
        validation = _held_out_rows(task, rows, numbers, len(labels))
    days = [] if task.days is None else [task.days[row] for row in rows]
    known = [date.fromisoformat(day).isoformat() for day in days if day]
    return TaskSplit(
        name=task.name,
        kind=task.kind,
        labels=tuple(labels),
        texts=[task.texts[row] for row in rows],
        targets=kind.targets(numbers, len(labels)),
        validation=validation,
        dropped=dict(dropped),
        dropped_labels=dropped_labels,
        trained_through=max(known, default=None),
        undated=len(days) - len(known),
        abstain=task.abstain,
        refit=task.tested_elsewhere,
        labels_cleaned=labels_cleaned,
        label_twins=tuple(case_twins(label for found in label_sets.values() for label in found)),
    )


def with_label_names(split: TaskSplit) -> TaskSplit:
    """A task of one label a text with each label's name as one more text to learn from.

    Names with a letter count (``card_arrival`` reads "card arrival"), but for one that equals a
    held-out text.
    """
    held = {normalise_text(t) for t, out in zip(split.texts, split.validation, strict=True) if out}
    names = [label.replace("_", " ") for label in split.labels]
    told = [
        (number, name)
        for number, name in enumerate(names)
        if any(letter.isalpha() for letter in name) and normalise_text(name) not in held
    ]
    numbers = np.array([number for number, _ in told], dtype=np.int64)
    return replace(
        split,
        texts=[*split.texts, *(name for _, name in told)],
        targets=np.concatenate([split.targets, numbers]).astype(np.int64),
        validation=np.append(split.validation, np.zeros(len(told), dtype=np.bool_)),
    )


def _check_task(task: LabelledTexts, validation_share: float) -> None:
    if not 0 < validation_share < 1:
        raise ModelError("validation_share is not between 0 and 1", found=str(validation_share))
    counts = {len(task.texts), len(task.labels)}
    for column in (task.days, task.held_out):
        if column is not None:
            counts.add(len(column))
    if len(counts) != 1:
        raise ModelError(
            f"the task {task.name!r} has columns of different lengths", found=f"{sorted(counts)}"
        )
    exclusive = find_head_kind(task.kind).exclusive
    if any(isinstance(labels, str) != exclusive for labels in task.labels):
        wanted = "one label" if exclusive else "a list of labels"
        raise ModelError(f"the task {task.name!r} needs {wanted} per text")
    try:
        for day in task.days or []:
            if day:
                date.fromisoformat(day)
    except (TypeError, ValueError) as error:
        raise ModelError(
            f"the task {task.name!r} has a day that is no ISO day", fix="write days as 2026-01-31"
        ) from error


def _with_clean_labels(task: LabelledTexts) -> tuple[LabelledTexts, int]:
    """The task with clean labels, blank ones of several left out; and how many were changed."""
    changed = 0

    def clean(label: str) -> str:
        nonlocal changed
        result = clean_label(label)
        changed += result != label
        return result

    labels: Any = [
        clean(label)
        if isinstance(label, str)
        else [name for name in map(clean, label) if name]
        for label in task.labels
    ]
    return replace(task, labels=labels), changed


def _usable_rows(task: LabelledTexts) -> tuple[list[int], Counter[str]]:
    exclusive = find_head_kind(task.kind).exclusive
    rows, dropped = [], Counter[str](task.left_out)
    for row, (text, label) in enumerate(zip(task.texts, task.labels, strict=True)):
        if not text or not text.strip():
            dropped["empty_text"] += 1
        elif exclusive and not label:
            dropped["no_label"] += 1
        else:
            rows.append(row)
    return rows, dropped


def _label_set(task: LabelledTexts, row: int) -> set[str]:
    label = task.labels[row]
    return {label} if isinstance(label, str) else set(label)


def _frequent_labels(
    label_sets: dict[int, set[str]], keys: dict[int, str]
) -> tuple[list[str], list[str]]:
    texts: dict[str, set[str]] = {}
    for row, labels in label_sets.items():
        for label in labels:
            texts.setdefault(label, set()).add(keys[row])
    kept = sorted(label for label, found in texts.items() if len(found) > 1)
    return kept, sorted(set(texts) - set(kept))


def _hold_out(
    keys: Sequence[str], numbers: Sequence[Sequence[int]], label_count: int, share: float
) -> npt.NDArray[np.bool_]:
    """bool [n]: held out, by hash; then no label without a text to learn from, and not nobody."""
    place = {key: hash_place(key) for key in set(keys)}
    held = {key for key, value in place.items() if value < share}
    by_label: list[set[str]] = [set() for _ in range(label_count)]
    for key, labels in zip(keys, numbers, strict=True):
        for label in labels:
            by_label[label].add(key)
    for texts in by_label:
        if texts <= held:
            held.remove(max(texts, key=place.__getitem__))
    if not held:
        held = {min(place, key=place.__getitem__)}  # every label has another text
    return np.array([key in held for key in keys], dtype=np.bool_)


def _without_held_out(
    task: LabelledTexts, rows: list[int], keys: dict[int, str], dropped: Counter[str]
) -> list[int]:
    """``rows`` less those to learn from whose text is held out too."""
    if task.held_out is None:
        return rows
    held = {keys[row] for row in rows if task.held_out[row]}
    kept = [row for row in rows if task.held_out[row] or keys[row] not in held]
    if len(kept) < len(rows):
        dropped["also_held_out"] = len(rows) - len(kept)
    return kept


def _held_out_rows(
    task: LabelledTexts, rows: list[int], numbers: Sequence[Sequence[int]], label_count: int
) -> npt.NDArray[np.bool_]:
    """bool [n]: held out, as the task says.

    Raises:
        ModelError: A label has nothing to learn from, or nothing is held out.
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


def hash_place(key: str) -> float:
    """Where a normalised text falls in [0, 1), the same in every process and run."""
    content = key.encode("utf-8", errors="replace")
    return int.from_bytes(hashlib.sha256(content).digest()[:8], "big") / 2**64
