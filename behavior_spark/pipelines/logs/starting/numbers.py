"""How a column holds its numbers: plain, with decimal commas, thousands apart, a currency sign."""

from __future__ import annotations

import re

from pyspark.sql.types import BooleanType, NumericType, StringType

from behavior_spark.pipelines.logs.starting.leaves import Leaf

_PLAIN = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_COMMA = re.compile(r"[+-]?\d{1,3}(\.\d{3})*,\d+|[+-]?\d{1,3}(\.\d{3})+|[+-]?\d+(,\d+)?")
_THOUSANDS = re.compile(r"[+-]?\d{1,3}(,\d{3})*(\.\d+)?")
_CURRENCY = r"([$€£¥￥₩₽₹₺元円원]|[A-Z]{3}|Ft|zł|kr|Kč|руб\.?)"  # noqa: RUF001
_WITH_CURRENCY = re.compile(rf"({_CURRENCY}\s*)?[+-]?\d[\d.,\s]*({_CURRENCY})?")
_NO_DIGIT = re.compile(r"[^0-9.,+-]")


def read_as_number(leaf: Leaf) -> str | None:
    """SQL expression by which the leaf is a number, or a text that reads as one; else None.

    A column of text is judged by its sample: nineteen in twenty of it are numbers of one form.
    """
    if isinstance(leaf.kind, NumericType):
        return leaf.expression
    if isinstance(leaf.kind, BooleanType) or not isinstance(leaf.kind, StringType):
        return None
    texts = [value.strip() for value in leaf.values if value.strip()]
    if not texts:
        return None
    expression = leaf.expression
    if not _mostly(_PLAIN, texts):
        if not _mostly(_WITH_CURRENCY, texts):
            return None
        bare = [_NO_DIGIT.sub("", text) for text in texts]
        if bare != texts:
            expression = f"regexp_replace({expression}, '[^0-9.,+-]', '')"
        texts = bare
    if _mostly(_PLAIN, texts):
        return expression
    if _mostly(_THOUSANDS, texts):
        return f"replace({expression}, ',', '')"
    if _mostly(_COMMA, texts):
        points = any("." in text for text in texts)
        inner = f"replace({expression}, '.', '')" if points else expression
        return f"replace({inner}, ',', '.')"
    return None


def _mostly(form: re.Pattern[str], texts: list[str]) -> bool:
    return sum(bool(form.fullmatch(text)) for text in texts) >= 0.95 * len(texts)
