"""A feature: its column, its meaning, and what it is when nothing was seen."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from pyspark.sql.types import ArrayType, DataType, DoubleType, LongType, StringType, StructField

from behavior_spark.schemas import column

LONG, DOUBLE = LongType(), DoubleType()
STRING, STRINGS = StringType(), ArrayType(StringType())
# Types of features by the words in which operations give them.
TYPES: dict[str, DataType] = {
    "long": LONG, "double": DOUBLE, "string": STRING, "strings": STRINGS
}  # fmt: skip


@dataclass(frozen=True)
class Feature:
    """One column of ``user_features``.

    Attributes:
        name: Column name, by rule: what, then the window, such as ``click_count_7d``.
        data_type: long or double; string or array of strings for those that only people read.
        comment: Its meaning in words, stored with the table.
        zero: Whether it is 0 when nothing was seen (counts and sums); else null.
        group: What it belongs to: activity, targets, sessions, texts, or a group of one's own.
        window: Days before as_of that it looks at; None for all history.
        source: Table it comes from.
    """

    name: str
    data_type: DataType
    comment: str
    zero: bool = True
    group: str = ""
    window: int | None = None
    source: str = ""

    @property
    def field(self) -> StructField:
        """The table's column."""
        return column(self.name, self.data_type, self.comment)

    @property
    def numeric(self) -> bool:
        """Whether a model can learn from it."""
        return self.data_type in (LONG, DOUBLE)

    def described(self) -> dict[str, str | int | None]:
        """The feature for people and programs: name, type, group, meaning, source, window."""
        return {
            "name": self.name,
            "type": self.data_type.simpleString(),
            "group": self.group,
            "meaning": self.comment,
            "source": self.source,
            "window_days": self.window,
        }


def slug(label: str) -> str:
    """A label as part of a column name.

    >>> slug("Refund request!")
    'refund_request'
    """
    return re.sub(r"[^a-z0-9]+", "_", label.lower()).strip("_") or "other"


def label_slugs(labels: Sequence[str]) -> dict[str, str]:
    """Each label's part of a column name: its slug, told apart by a hash where labels share one.

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
