"""The share of a user's texts with a label."""

from __future__ import annotations

from typing import TYPE_CHECKING

from behavior_spark.config.operations import OperationSpec
from behavior_spark.features.operation import ending, lately, within
from behavior_spark.features.text_operation import TextOperands, TextOperation
from behavior_spark.model.propensity.sayings import Saying, Told

if TYPE_CHECKING:
    from pyspark.sql import Column


class TextShare(TextOperation):
    """The share of a user's labelled texts that have a label; null without labelled texts."""

    spec = OperationSpec(
        "text_share",
        "share of a user's texts with a label",
        about="texts",
        text_keys=("head", "label"),
    )

    def name(self, operands: TextOperands, days: int) -> str:
        """Such as ``emotion_anger_share_14d``."""
        return f"{operands.head}_{operands.label_part}_share_{ending(days)}"

    def comment(self, operands: TextOperands, days: int) -> str:
        """Its meaning."""
        return f"share of texts {within(days)} whose {operands.head} is {operands.label}"

    def told(self, operands: TextOperands, days: int) -> Told:
        """In a reason."""
        head, label, when = operands.head, operands.label, lately(days)
        read = f"read as {label.replace('_', ' ')} ({head})"
        # Texts without a label, as the head was not sure, do not count.
        saying = Saying(
            f"{{n}} of the texts {when} {read}",
            one=f"every text {when} {read}",
            zero=f"no text {when} {read}",
            none=f"no text {when} with a known {head}",
            unit="share",
            counted=f"{{k}} of the {{m}} texts {when} {read}",
        )
        return Told(head, f"share of {label}", saying, among=f"text_count_{ending(days)}")

    def value(self, operands: TextOperands, inside: Column) -> Column:
        """Number of texts with the label divided by that of texts with any label."""
        from pyspark.sql import functions as F

        from behavior_spark.features.texts import label_column

        label = F.col(label_column(operands.head))
        hits = F.count_if(inside & (label == operands.label)).cast("double")
        return F.try_divide(hits, F.count_if(inside & label.isNotNull()))


OPERATION = TextShare()
