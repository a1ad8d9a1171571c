"""Labels as people and tables write them: trimmed, in one Unicode form, without blank ones."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

# White space, and what nobody sees: soft hyphen, zero-width and direction marks, byte-order mark.
_EDGE = r"[\s\x00-\x1f\x7f\xad\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]"
_EDGES = re.compile(rf"\A{_EDGE}+|{_EDGE}+\Z")


def clean_label(label: str) -> str:
    """A label in NFC, without white space and invisible characters at its ends.

    >>> clean_label(" delivery\u200b"), clean_label("re\u0301ponse"), clean_label(" ")
    ('delivery', 'réponse', '')
    """
    return unicodedata.normalize("NFC", _EDGES.sub("", label))


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
