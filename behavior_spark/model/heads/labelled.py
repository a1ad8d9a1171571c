"""Labelled texts, and their split into training texts and held-out texts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from behavior_spark.errors import ModelError
from behavior_spark.model.arrays import Bools
from behavior_spark.model.heads.holding_out import (
    held_out_rows,
    hold_out,
    normalise_text,
    without_held_out,
)
from behavior_spark.model.heads.kind import SINGLE_LABEL, HeadKind, Targets, find_head_kind
from behavior_spark.model.heads.label_names import case_twins
from behavior_spark.model.heads.stated_costs import LabelCost, check_costs
from behavior_spark.names import normal_name


@dataclass
class LabelledTexts:
    """One task: texts with labels given by people or by a rule.

    Attributes:
        name: Name of the task and of its head.
        texts: n texts; empty ones are dropped and counted.
        labels: For each text one label, or a list of labels (which may be empty) for kinds with
            several. White space at their ends is removed and blank labels are dropped
            (``normal_name``).
        kind: Name of the kind of head.
        days: For each text the ISO day on which its label was known, or None.
        held_out: For each text whether it is held out (an official dev set); None: by hash.
        validation_share: Share of texts held out by hash; None: the caller's default.
        tested_elsewhere: Whether other texts are used for the final evaluation. If so, heads are
            also fitted to held-out texts after all choices are made.
        left_out: Number of rows that the table had beside these, by reason.
        abstain: Share of texts within the classes that may get no label, so that texts outside
            all classes get none; None: every text gets a label.
        costs: Stated costs of mistakes by label; empty: all mistakes cost the same.
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
    costs: Mapping[str, LabelCost] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class TaskSplit:
    """A task, cleaned and split for training.

    Attributes:
        name: Name of the task.
        kind: Name of the kind of head.
        labels: Labels that are learned, sorted.
        texts: n texts.
        targets: Targets of the kind: label numbers, int64 [n], for one label a text; 0 and 1,
            float32 [n, labels], for several.
        validation: bool [n], whether a text is held out.
        dropped: Number of rows left out, by reason.
        dropped_labels: Labels with fewer than two different texts.
        labels_cleaned: Number of labels that were trimmed, composed or blank.
        label_twins: Labels that look alike, see ``case_twins``.
        trained_through: ISO day of the last label; None without days.
        undated: Number of rows without a day in a task that has days.
        abstain: See :class:`LabelledTexts`.
        refit: Whether a head is also fitted to held-out texts after all choices are made.
        baselines: Figures of the baselines on the held-out texts, where they were computed before.
        costs: See :class:`LabelledTexts`.
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
    baselines: Mapping[str, Any] | None = None
    costs: Mapping[str, LabelCost] = field(default_factory=dict)

    @cached_property
    def rules(self) -> HeadKind:
        """Loss, probabilities and predictions of its kind of head."""
        return find_head_kind(self.kind)

    @property
    def truth(self) -> Bools:
        """Labels of each text, bool [n, labels]."""
        return self.rules.truth(self.targets, len(self.labels))

    @property
    def label_sets(self) -> list[frozenset[str]]:
        """Names of the labels of each text."""
        return [
            frozenset(self.labels[column] for column in np.flatnonzero(row)) for row in self.truth
        ]

    @property
    def texts_per_label(self) -> float:
        """Median over labels of the number of texts, held-out ones included."""
        return float(np.median(self.truth.sum(axis=0)))


def split_task(
    task: LabelledTexts, *, validation_share: float, seed: int, max_examples: int | None
) -> TaskSplit:
    """Clean a task, and split it into training texts and held-out texts.

    Whether a text is held out depends only on the hash of its normalised form, not on the seed.
    So equal texts are on the same side, and a text held out once is held out of every later
    model. A held-out text is moved to the training texts only if its label would have none.
    If the task names its held-out texts, these are used, and a training text equal to one of
    them is dropped.

    Args:
        task: The task.
        validation_share: Share of texts to hold out, unless the task has its own.
        seed: Seed of the choice of ``max_examples``.
        max_examples: Maximum number of texts; None: all.

    Raises:
        ModelError: Columns differ in length, a day is no ISO day, or too few labels remain.
    """
    share = task.validation_share or validation_share
    _check_task(task, share)
    task, labels_cleaned = _with_clean_labels(task)
    rows, dropped = _usable_rows(task)
    rows = _limited(rows, max_examples, seed, dropped)
    keys = {row: normalise_text(task.texts[row]) for row in rows}
    rows = without_held_out(task, rows, keys, dropped)
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
        rows_with_label = [row for row in rows if label_sets[row] & set(labels)]
        if len(rows_with_label) < len(rows):
            dropped["rare_label"] = len(rows) - len(rows_with_label)
        rows = rows_with_label
    check_costs(task.name, tuple(labels), task.costs)
    position = {label: index for index, label in enumerate(labels)}
    numbers = [sorted(position[x] for x in label_sets[row] if x in position) for row in rows]
    if task.held_out is None:
        validation = hold_out([keys[row] for row in rows], numbers, len(labels), share)
    else:
        validation = held_out_rows(task, rows, numbers, len(labels))
    days = [] if task.days is None else [task.days[row] for row in rows]
    known_days = [date.fromisoformat(day).isoformat() for day in days if day]
    return TaskSplit(
        name=task.name,
        kind=task.kind,
        labels=tuple(labels),
        texts=[task.texts[row] for row in rows],
        targets=kind.targets(numbers, len(labels)),
        validation=validation,
        dropped=dict(dropped),
        dropped_labels=dropped_labels,
        trained_through=max(known_days, default=None),
        undated=len(days) - len(known_days),
        abstain=task.abstain,
        costs=task.costs,
        refit=task.tested_elsewhere,
        labels_cleaned=labels_cleaned,
        label_twins=tuple(case_twins(label for found in label_sets.values() for label in found)),
    )


def with_label_names(split: TaskSplit) -> TaskSplit:
    """The task with the name of each label as an additional training text of that label.

    ``_`` in a name becomes a space. Names without a letter, and names equal to a held-out text,
    are not added. The task must have one label a text.
    """
    held = {normalise_text(t) for t, out in zip(split.texts, split.validation, strict=True) if out}
    names = [label.replace("_", " ") for label in split.labels]
    added = [
        (number, name)
        for number, name in enumerate(names)
        if any(letter.isalpha() for letter in name) and normalise_text(name) not in held
    ]
    numbers = np.array([number for number, _ in added], dtype=np.int64)
    return replace(
        split,
        texts=[*split.texts, *(name for _, name in added)],
        targets=np.concatenate([split.targets, numbers]).astype(np.int64),
        validation=np.append(split.validation, np.zeros(len(added), dtype=np.bool_)),
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
    if task.abstain is not None and not exclusive:
        raise ModelError(
            f"the head {task.name!r} gives several labels to a text and abstains by thresholds",
            found=f"abstain: {task.abstain:g}",
            fix="leave out `abstain` for it",
        )
    if any(isinstance(labels, str) != exclusive for labels in task.labels):
        expected = "one label" if exclusive else "a list of labels"
        raise ModelError(f"the task {task.name!r} needs {expected} per text")
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
        result = normal_name(label)
        changed += result != label
        return result

    labels: Any = [
        clean(label) if isinstance(label, str) else [name for name in map(clean, label) if name]
        for label in task.labels
    ]
    return replace(task, labels=labels), changed


def _usable_rows(task: LabelledTexts) -> tuple[list[int], Counter[str]]:
    """Rows with a text and a label, and the number of rows dropped by reason."""
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


def _limited(
    rows: list[int], max_examples: int | None, seed: int, dropped: Counter[str]
) -> list[int]:
    """At most ``max_examples`` of the rows, in their order; the others are counted."""
    if max_examples is None or len(rows) <= max_examples:
        return rows
    chosen = np.random.default_rng(seed).permutation(len(rows))[:max_examples]
    dropped["over_max_examples"] = len(rows) - max_examples
    return [rows[index] for index in sorted(chosen.tolist())]


def _label_set(task: LabelledTexts, row: int) -> set[str]:
    label = task.labels[row]
    return {label} if isinstance(label, str) else set(label)


def _frequent_labels(
    label_sets: dict[int, set[str]], keys: dict[int, str]
) -> tuple[list[str], list[str]]:
    """Labels with two or more different texts, and the other labels; both sorted."""
    texts: dict[str, set[str]] = {}
    for row, labels in label_sets.items():
        for label in labels:
            texts.setdefault(label, set()).add(keys[row])
    frequent = sorted(label for label, label_texts in texts.items() if len(label_texts) > 1)
    return frequent, sorted(set(texts) - set(frequent))
