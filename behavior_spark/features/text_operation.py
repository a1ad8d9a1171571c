"""What an operation on texts is: one class that says how a column follows from a user's texts.

As of ``operation``: what stands in such a file is imported by the config too, and imports no Spark
at its top.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from behavior_spark.config.operations import OperationSpec
from behavior_spark.features.operation import ResultType

if TYPE_CHECKING:
    from pyspark.sql import Column

    from behavior_spark.features.declared import Feature


@dataclass(frozen=True)
class TextOperands:
    """What an operation on texts is done with.

    Attributes:
        head: Head that labels the texts.
        label: Its label.
        label_part: The label as part of a name.
        target: Target whose items texts are compared with.
        similar_to: All targets with which texts were compared, in the order of the similarities.
    """

    head: str = ""
    label: str = ""
    label_part: str = ""
    target: str = ""
    similar_to: tuple[str, ...] = ()


@dataclass(frozen=True)
class TextFeature:
    """A feature of texts: its column, its window, and its value over the texts inside it."""

    feature: Feature
    window: int
    value: Callable[[Column], Column]


class TextOperation(ABC):
    """What is done with a user's texts: a column for each window.

    Attributes:
        spec: What it may be declared with.
        source: Tables that it comes from.
        reads_probabilities: Whether it reads ``probabilities_<head>``.
        result: Type of the column.
        zero: Whether the column is 0 where nothing was seen; else it is null.
    """

    spec: ClassVar[OperationSpec]
    source: ClassVar[str] = "texts and text_scores"
    reads_probabilities: ClassVar[bool] = False
    result: ClassVar[ResultType] = "double"
    zero: ClassVar[bool] = False

    @abstractmethod
    def name(self, operands: TextOperands, days: int) -> str:
        """Name of the column."""

    @abstractmethod
    def comment(self, operands: TextOperands, days: int) -> str:
        """Its meaning in words."""

    @abstractmethod
    def value(self, operands: TextOperands, inside: Column) -> Column:
        """The column: an aggregate over those of a user's texts for which ``inside`` is true.

        A text has the columns of ``texts`` and, for each head in use, ``label_<head>``; where
        ``reads_probabilities`` says so ``probabilities_<head>``; and ``similarities``: for each
        as_of in turn one for each target of ``similar_to``.
        """

    def text_feature(
        self, operands: TextOperands, days: int, *, name: str = "", comment: str = ""
    ) -> TextFeature:
        """The column for one window; with a name and meaning other than those by rule."""
        from behavior_spark.features.declared import TYPES, Feature

        feature = Feature(
            name or self.name(operands, days),
            TYPES[self.result],
            comment or self.comment(operands, days),
            zero=self.zero,
            window=days,
            source=self.source,
        )
        return TextFeature(feature, days, partial(self.value, operands))
