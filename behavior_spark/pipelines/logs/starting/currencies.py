"""Amounts in several currencies: they would be added as if they were one."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pyspark.sql.types import StringType

from behavior_spark.names import sql_text
from behavior_spark.pipelines.logs.starting.leaves import Leaf
from behavior_spark.pipelines.logs.starting.mapping import ColumnMapping

_NAMED = re.compile(
    "currenc|wahrung|waehrung|moneda|devise|valuta|moeda|penznem|waluta|валюта|币种|货币|通貨|통화"
)
_CODE = re.compile(r"[A-Za-z]{3}|[$€£¥₽₩₹]")
_SHOWN = 4


def ask_of_currencies(mapping: ColumnMapping, leaves: Sequence[Leaf]) -> None:
    """Ask how to convert the values of a log that are in more than one currency.

    Args:
        mapping: Gets a question and a remark where ``value`` is in several currencies.
        leaves: Of the log.
    """
    if "value" not in mapping.columns:
        return
    for leaf in leaves:
        if not isinstance(leaf.kind, StringType) or not _NAMED.search(leaf.key):
            continue
        codes = sorted({value.strip() for value in leaf.values if value.strip()})
        if len(codes) < 2 or not all(_CODE.fullmatch(code) for code in codes):
            continue
        shown = ", ".join(codes[:_SHOWN]) + (", ..." if len(codes) > _SHOWN else "")
        rate = f"CASE {leaf.expression} WHEN {sql_text(codes[-1])} THEN 0.9 ELSE 1 END"
        question = (
            f"{leaf.expression} holds {shown}, and values are added as they stand: multiply "
            f"value by your rates, such as {rate}"
        )
        mapping.questions.append(question)
        remark = mapping.remarks.get("value", "")
        mapping.remarks["value"] = "; ".join(filter(None, [remark, f"TODO: {question}"]))
        return
