"""The mean probability of a label over a user's texts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from behavior_spark.config.operations import OperationSpec
from behavior_spark.features.operation import ending, lately, within
from behavior_spark.features.text_operation import TextOperands, TextOperation
from behavior_spark.model.propensity.sayings import Saying, Told

if TYPE_CHECKING:
    from pyspark.sql import Column


class TextMean(TextOperation):
    """The mean probability of a label; null without scored texts."""

    spec = OperationSpec(
        "text_mean", "mean probability of a label", about="texts", text_keys=("head", "label")
    )
    reads_probabilities = True

    def name(self, operands: TextOperands, days: int) -> str:
        """Such as ``emotion_anger_mean_14d``."""
        return f"{operands.head}_{operands.label_part}_mean_{ending(days)}"

    def comment(self, operands: TextOperands, days: int) -> str:
        """Its meaning."""
        head, label = operands.head, operands.label
        return f"mean probability that {head} is {label}, of texts {within(days)}"

    def told(self, operands: TextOperands, days: int) -> Told:
        """In a reason."""
        head, label, when = operands.head, operands.label, lately(days)
        read = f"{label.replace('_', ' ')} ({head})"
        some = f"texts {when} are {read} with {{n}} probability on average"
        saying = Saying(some, none=f"no text {when} with a known {head}", unit="share")
        return Told(head, f"mean of {label}", saying)

    def value(self, operands: TextOperands, inside: Column) -> Column:
        """Rounded mean of decimals, so that the order of texts has no effect."""
        from pyspark.sql import functions as F

        from behavior_spark.features.texts import EXACT, probabilities_column

        by_label = F.col(probabilities_column(operands.head))
        probability = F.when(inside, F.try_element_at(by_label, F.lit(operands.label)))
        exact = probability.cast(EXACT)
        return F.round(F.try_divide(F.sum(exact).cast("double"), F.count(exact)), 6)


OPERATION = TextMean()
