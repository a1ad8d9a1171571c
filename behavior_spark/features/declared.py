"""A feature: its column, its meaning, and what it is when nothing was seen."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from pyspark.sql.types import DataType, DoubleType, LongType, StructField

from behavior_spark.schemas import column

LONG, DOUBLE = LongType(), DoubleType()


@dataclass(frozen=True)
class Feature:
    """One column of ``user_features``.

    Attributes:
        name: Column name, by rule: what, then the window, such as ``click_count_7d``.
        data_type: long or double.
        comment: Its meaning in words, stored with the table.
        zero: Whether it is 0 when nothing was seen (counts and sums); else null.
    """

    name: str
    data_type: DataType
    comment: str
    zero: bool = True

    @property
    def field(self) -> StructField:
        """The table's column."""
        return column(self.name, self.data_type, self.comment)


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
