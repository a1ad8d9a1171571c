"""Base class of operations on texts, which compute a column from a user's texts.

As with ``operation``, the config imports the files of operations too, so they do not import Spark
at the top.
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
    from behavior_spark.model.propensity.sayings import Told


@dataclass(frozen=True)
class TextOperands:
    """Arguments of an operation on texts.

    Attributes:
        head: Head that labels the texts.
        label: Label of the head.
        label_part: The label as part of a column name.
        target: Target with whose items texts are compared.
        similar_to: All targets with which texts were compared, in the order of ``similarities``.
    """

    head: str = ""
    label: str = ""
    label_part: str = ""
    target: str = ""
    similar_to: tuple[str, ...] = ()


@dataclass(frozen=True)
class TextFeature:
    """A feature of texts.

    Attributes:
        feature: Its column.
        window: Its window in days.
        value: From a boolean column (text is within the window) to the aggregate.
    """

    feature: Feature
    window: int
    value: Callable[[Column], Column]


class TextOperation(ABC):
    """An operation on a user's texts, with one column for each window.

    Attributes:
        spec: Its declaration.
        source: Tables from which it is computed.
        reads_probabilities: Whether it needs ``probabilities_<head>``.
        result: Type of the column.
        zero: Whether the column is 0 without texts; otherwise it is null.
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
        """Meaning of the column in words."""

    def told(self, operands: TextOperands, days: int) -> Told | None:
        """What a reason says of it; None: the column's meaning and the value."""
        return None

    @abstractmethod
    def value(self, operands: TextOperands, inside: Column) -> Column:
        """The column: an aggregate over the texts of a user for which ``inside`` is true.

        A text has the columns of ``texts`` and, for each head in use, ``label_<head>`` (and
        ``probabilities_<head>`` with ``reads_probabilities``). It also has ``similarities``: for
        each as_of in order, one for each target of ``similar_to``.
        """

    def text_feature(
        self, operands: TextOperands, days: int, *, name: str = "", comment: str = ""
    ) -> TextFeature:
        """The feature for one window; name and comment replace the default ones."""
        from behavior_spark.features.declared import TYPES, Feature

        feature = Feature(
            name or self.name(operands, days),
            TYPES[self.result],
            comment or self.comment(operands, days),
            zero=self.zero,
            window=days,
            source=self.source,
            told=None if comment else self.told(operands, days),
        )
        return TextFeature(feature, days, partial(self.value, operands))
