"""Labels that look alike; their normal form is that of all names (``names.normal_name``)."""

from __future__ import annotations

from collections.abc import Iterable


def case_twins(labels: Iterable[str]) -> list[tuple[str, ...]]:
    """Groups of labels that differ by case or inner white space alone; each group sorted.

    They stay labels of their own: whether ``US`` and ``us`` are one, only a person knows.

    >>> case_twins(["Refund", "refund", "late  parcel", "late parcel", "other"])
    [('Refund', 'refund'), ('late  parcel', 'late parcel')]
    """
    groups: dict[str, set[str]] = {}
    for label in labels:
        groups.setdefault(" ".join(label.casefold().split()), set()).add(label)
    return sorted(tuple(sorted(group)) for group in groups.values() if len(group) > 1)
