"""Names that people write, such as labels and event types: one normal form, and as SQL."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

# White space of Unicode, control characters (C0, DEL and C1), and what nobody sees: soft hyphen,
# zero-width and direction marks, byte-order mark. ``cleaning.values.EDGE`` is the same in Java.
_EDGE = (
    r"[\s\x00-\x1f\x7f-\xa0\xad\u1680\u180e\u2000-\u200f\u2028-\u202f\u205f\u2060-\u2064\u3000"
    r"\ufeff]"
)
_EDGES = re.compile(rf"\A{_EDGE}+|{_EDGE}+\Z")
_NOT_IN_XML = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def normal_name(text: str, *, lower: bool = False) -> str:
    """A name in NFC, without white space and invisible characters at its ends.

    >>> normal_name(" Order Completed\\u00a0", lower=True), normal_name(" delivery\\u200b")
    ('order completed', 'delivery')
    """
    composed = unicodedata.normalize("NFC", _EDGES.sub("", text))
    return composed.lower() if lower else composed


def xml_text(text: str) -> str:
    """The text with U+FFFD for each character that XML 1.0 has no form for.

    >>> xml_text("late\\x0bparcel")
    'late\ufffdparcel'
    """
    return _NOT_IN_XML.sub("\ufffd", text)


def unique_names(names: Sequence[str]) -> list[str]:
    """Names of columns, of which the second of one name is called ``<name>_2``, and so on.

    >>> unique_names(["user_id", "at", "user_id", "user_id_2"])
    ['user_id', 'at', 'user_id_3', 'user_id_2']
    """
    taken, unique = set(names), list[str]()
    for name in names:
        new, number = name, 1
        while new in unique or (new != name and new in taken):
            number += 1
            new = f"{name}_{number}"
        unique.append(new)
    return unique


def sql_text(text: str) -> str:
    r"""A string literal of SQL.

    >>> print(sql_text("it's"))
    'it\'s'
    """
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def slug(label: str) -> str:
    """A label as part of a column name.

    >>> slug("Refund request!")
    'refund_request'
    """
    return re.sub(r"[^a-z0-9]+", "_", label.lower()).strip("_") or "other"


def label_slugs(labels: Sequence[str]) -> dict[str, str]:
    """The part of each label in column names: its slug, with a hash if labels share a slug.

    >>> label_slugs(["refund", "Refund!", "spam?"])
    {'refund': 'refund', 'Refund!': 'refund_0590498d', 'spam?': 'spam'}
    """
    shared = Counter(slug(label) for label in labels)
    return {
        label: slug(label)
        if shared[slug(label)] == 1 or label == slug(label)
        else f"{slug(label)}_{hashlib.sha256(label.encode()).hexdigest()[:8]}"
        for label in labels
    }


def counted(count: float, one: str, many: str | None = None) -> str:
    """A count with its noun.

    >>> counted(1, "row"), counted(2, "row")
    ('1 row', '2 rows')
    """
    return f"{count:,.0f} {one if count == 1 else many or one + 's'}"


def quoted_name(name: str) -> str:
    """A name of a column or a path in SQL, in backticks.

    >>> quoted_name("a`b")
    '`a``b`'
    """
    return "`" + name.replace("`", "``") + "`"


def version_numbers(text: str) -> tuple[int, ...]:
    """The first three numbers of a version, to compare it.

    >>> (4, 2) <= version_numbers("4.2.0-SNAPSHOT") < (4, 10)
    True
    """
    return tuple(int(part) for part in re.findall(r"\d+", text)[:3])
