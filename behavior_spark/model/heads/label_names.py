"""Labels that look alike; their normal form is that of all names (``names.normal_name``)."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable


def case_twins(labels: Iterable[str]) -> list[tuple[str, ...]]:
    """Groups of labels that differ by case, inner white space or what nobody sees; each sorted.

    Compatible forms (full width, ligatures) count as equal, and control and format characters
    inside a label, such as a zero-width space, do not count. Twins stay labels of their own:
    whether ``US`` and ``us`` are one, only a person knows.

    >>> case_twins(["Refund", "refund", "late  parcel", "late parcel", "other"])
    [('Refund', 'refund'), ('late  parcel', 'late parcel')]
    """
    groups: dict[str, set[str]] = {}
    for label in labels:
        groups.setdefault(_as_seen(label), set()).add(label)
    return sorted(tuple(sorted(group)) for group in groups.values() if len(group) > 1)


def _as_seen(label: str) -> str:
    plain = unicodedata.normalize("NFKC", label)
    seen = (c for c in plain if c.isspace() or not _is_unseen(c))
    return " ".join("".join(seen).casefold().split())


def _is_unseen(character: str) -> bool:
    """Whether it is a control or format character, or a variation selector."""
    return unicodedata.category(character) in ("Cc", "Cf") or "\ufe00" <= character <= "\ufe0f"
