"""Similarity of a user's texts to a target's items."""

from __future__ import annotations

from typing import TYPE_CHECKING

from behavior_spark.config.operations import OperationSpec
from behavior_spark.features.operation import ending, lately, within
from behavior_spark.features.text_operation import TextOperands, TextOperation
from behavior_spark.model.propensity.sayings import Saying, Told

if TYPE_CHECKING:
    from pyspark.sql import Column


def similarity(operands: TextOperands, inside: Column) -> Column:
    """A text's similarity to the target at the row's as_of; null outside the window."""
    from pyspark.sql import functions as F

    position = operands.similar_to.index(operands.target) + 1
    index = F.col("as_of_index") * len(operands.similar_to) + position
    return F.when(inside, F.try_element_at("similarities", index))


class TextSimilarity(TextOperation):
    """Mean cosine similarity of a user's texts to the items of a target."""

    spec = OperationSpec(
        "text_similarity",
        "closeness of a user's texts to a target's items",
        about="texts",
        text_keys=("target",),
    )
    source = "texts, items and text_embeddings"

    def name(self, operands: TextOperands, days: int) -> str:
        """Such as ``text_similarity_buys_14d``."""
        return f"text_similarity_{operands.target}_{ending(days)}"

    def comment(self, operands: TextOperands, days: int) -> str:
        """Its meaning."""
        texts = f"texts {within(days)}"
        return f"mean cosine similarity of {texts} to the items of {operands.target}"

    def told(self, operands: TextOperands, days: int) -> Told:
        """In a reason."""
        saying = Saying(
            f"likeness of the texts {lately(days)} to items of {operands.target}: {{n}} of 1",
            none=f"no text {lately(days)}",
        )
        return Told(f"texts like {operands.target}", "likeness", saying)

    def value(self, operands: TextOperands, inside: Column) -> Column:
        """Rounded mean of decimals, so that the order of texts has no effect."""
        from pyspark.sql import functions as F

        cosine = similarity(operands, inside)
        return F.round(F.try_divide(F.sum(cosine).cast("double"), F.count(cosine)), 6)


class ClosestText(TextSimilarity):
    """The largest similarity. It cannot be declared; the family ``texts`` builds it."""

    def name(self, operands: TextOperands, days: int) -> str:
        """Such as ``text_similarity_max_buys_14d``."""
        return f"text_similarity_max_{operands.target}_{ending(days)}"

    def comment(self, operands: TextOperands, days: int) -> str:
        """Its meaning."""
        text = f"a text {within(days)}"
        return f"largest cosine similarity of {text} to the items of {operands.target}"

    def told(self, operands: TextOperands, days: int) -> Told:
        """In a reason."""
        saying = Saying(
            f"likeness of one text {lately(days)} to items of {operands.target}: {{n}} of 1",
            none=f"no text {lately(days)}",
        )
        return Told(f"texts like {operands.target}", "likeness", saying)

    def value(self, operands: TextOperands, inside: Column) -> Column:
        """The largest similarity."""
        from pyspark.sql import functions as F

        return F.max(similarity(operands, inside)).cast("double")


OPERATION = TextSimilarity()
