"""Figures and lists in words."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

_TABLES = {
    "events": "events",
    "texts": "texts",
    "items": "items",
    "identities": "links of visitors",
}

_LABEL_LENGTH = 50
_BEFORE = re.compile(r"in the (\d+) days before as_of")


def number(value: Any) -> str:
    """A count with thousands separated; a dash for None and NaN."""
    return "-" if value is None or math.isnan(value) else f"{value:,.0f}"


def ordinal(value: int) -> str:
    """A place in an order.

    >>> [ordinal(place) for place in (1, 2, 3, 4, 11, 22)]
    ['1st', '2nd', '3rd', '4th', '11th', '22nd']
    """
    ending = "th" if value % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(value % 10)
    return f"{value}{ending or 'th'}"


def amount(value: float) -> str:
    """A number with three digits that count."""
    if math.isnan(value):
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.3g}"


def share(part: float, whole: float) -> str:
    """A share in percent; a dash of nothing.

    >>> share(1, 3), share(1, 3000), share(0, 0)
    ('33.3 %', '0.03 %', '-')
    """
    if not whole or math.isnan(part / whole):
        return "-"
    percent = 100 * part / whole
    return f"{percent:.2f} %" if 0 < percent < 0.1 else f"{percent:.1f} %"


def measured(figure: Mapping[str, Any] | None, *, digits: int = 3, signed: bool = False) -> str:
    """A figure with its interval; ``signed``: with its sign, as differences have it."""
    if not figure or math.isnan(float(figure["value"])):
        return "-"
    low, high = float(figure["low"]), float(figure["high"])
    form = f"{'+' if signed else ''}.{digits}f"
    value = format(float(figure["value"]), form)
    return value if math.isnan(low) else f"{value} ({low:{form}} to {high:{form}})"


def listed(names: Sequence[str]) -> str:
    """Names as a list in a sentence.

    >>> listed(["a"]), listed(["a", "b", "c"])
    ('a', 'a, b and c')
    """
    return " and ".join([*[", ".join(names[:-1])][: len(names) > 1], *names[-1:]])


def plain_meaning(meaning: str) -> str:
    """A feature's meaning for who does not know what as_of is: the page is of one night."""
    return _BEFORE.sub(r"in the last \1 days", meaning).replace("last 1 days", "last day")


def feature_label(name: str, words: Mapping[str, str]) -> str:
    """What a feature means, for the label of a bar; the words of its name where that is too long.

    >>> feature_label("event_count_7d", {"event_count_7d": "events in the 7 days before as_of"})
    'events in the last 7 days'
    >>> feature_label("emotion_anger_share_7d", {"emotion_anger_share_7d": "a long story " * 9})
    'emotion anger share 7d'
    """
    meaning = plain_meaning(words.get(name, name))
    return meaning if len(meaning) <= _LABEL_LENGTH else name.replace("_", " ")


def table_words(name: str) -> str:
    """What the rows of a table are."""
    return _TABLES.get(name, name)
