"""Description of a feature: its column, its meaning, and its value without events."""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql.types import ArrayType, DataType, DoubleType, LongType, StringType, StructField

from behavior_spark.model.propensity.sayings import Saying, Told
from behavior_spark.schemas import column

LONG, DOUBLE = LongType(), DoubleType()
STRING, STRINGS = StringType(), ArrayType(StringType())
# Spark types of features by ``EventOperation.result``.
TYPES: dict[str, DataType] = {
    "long": LONG, "double": DOUBLE, "string": STRING, "strings": STRINGS
}  # fmt: skip


@dataclass(frozen=True)
class Feature:
    """One column of ``user_features``.

    Attributes:
        name: Column name, such as ``click_count_7d``.
        data_type: long or double; string or array of strings if models do not use it.
        comment: Meaning in words, stored with the table.
        zero: Whether it is 0 without events (counts and sums); otherwise it is null.
        group: Feature group, such as activity, targets, sessions, texts, or a declared one.
        window: Days before as_of that it covers; None for all history.
        source: Tables from which it is computed.
        told: What a reason says of it; None: its meaning and value.
        reads: Column of the events that a log need not have, if it is made of one: without it,
            the feature is the same for everybody.
    """

    name: str
    data_type: DataType
    comment: str
    zero: bool = True
    group: str = ""
    window: int | None = None
    source: str = ""
    reads: str = ""
    told: Told | None = None

    @property
    def in_reasons(self) -> Told:
        """What a reason says of it."""
        return self.told or Told(self.name, "", Saying(f"{self.comment}: {{n}}"))

    @property
    def field(self) -> StructField:
        """Column of the table, with its comment."""
        return column(self.name, self.data_type, self.comment)

    @property
    def numeric(self) -> bool:
        """Whether models use it."""
        return self.data_type in (LONG, DOUBLE)

    def described(self) -> dict[str, str | int | None]:
        """Name, type, group, meaning, source and window, as JSON values."""
        return {
            "name": self.name,
            "type": self.data_type.simpleString(),
            "group": self.group,
            "meaning": self.comment,
            "source": self.source,
            "window_days": self.window,
        }
