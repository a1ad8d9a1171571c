"""Events that have what ``features.without`` says their kind never has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pyspark.sql import Column
from pyspark.sql import functions as F

_AGAINST = "against"


def has(column: str) -> Column:
    """Whether an event has a value other than 0, or an item."""
    there = F.col(column).isNotNull()
    return there & (F.col(column) != 0) if column == "value" else there


def counts_against(without: Mapping[str, Sequence[str]], *, among: Column) -> dict[str, Column]:
    """Aggregates: number of events that speak against each list, named ``against:value``.

    Args:
        without: Event types by the column that they never have.
        among: Boolean column: events to count.
    """
    return {
        f"{_AGAINST}:{column}": F.count_if(among & has(column) & F.col("event_type").isin(*kinds))
        for column, kinds in without.items()
    }


def kinds_against(without: Mapping[str, Sequence[str]]) -> dict[str, Column]:
    """Aggregates: the kinds that speak against each list, named ``kinds_against:value``."""
    return {
        f"kinds_{_AGAINST}:{column}": F.collect_set(
            F.when(has(column) & F.col("event_type").isin(*kinds), F.col("event_type"))
        )
        for column, kinds in without.items()
    }


def describe_against(facts: Mapping[str, object]) -> list[str]:
    """One line for each list that some events speak against.

    Args:
        facts: Values of ``counts_against`` and, where they are known, of ``kinds_against``.
    """
    lines = []
    for column, words in (("value", "a value"), ("item_id", "an item")):
        count, kinds = facts.get(f"{_AGAINST}:{column}"), facts.get(f"kinds_{_AGAINST}:{column}")
        if not isinstance(count, int) or not count:
            continue
        named = ", ".join(sorted(kinds)) if isinstance(kinds, list) else "the kinds check names"
        lines.append(
            f"features.without.{column}: {count:,} events of its kinds have {words}, which no "
            f"feature sees; take off: {named}"
        )
    return lines
