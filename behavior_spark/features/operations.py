"""What can be done with the events of a feature: one function an operation, each a definition."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pyspark.sql import Column
from pyspark.sql import functions as F
from pyspark.sql.types import DataType

from behavior_spark.features.declared import DOUBLE, LONG, STRING, STRINGS, Feature
from behavior_spark.features.point_in_time import DAY_SECONDS
from behavior_spark.features.tiles.definitions import Definition, Need, Ranked


@dataclass(frozen=True)
class Selection:
    """The events of a feature: their part of its name, words for them, their tiles."""

    name: str
    words: str
    behaviours: tuple[str, ...]


def grouped(definition: Definition, group: str) -> Definition:
    """The definition with its group, window and source filled in."""
    needs = definition.needs
    window = next((need.window for need in needs), None)
    if definition.ranked:
        window = definition.ranked.window
    with_items = group == "targets" or "_category_" in definition.feature.name
    feature = replace(
        definition.feature,
        group=group,
        window=definition.feature.window or window,
        source="events and items" if with_items else "events",
    )
    return replace(definition, feature=feature)


def within(days: int) -> str:
    """Words for a window."""
    return f"in the {days} days before as_of"


def plain(name: str, data_type: DataType, comment: str, need: Need) -> Definition:
    """A need as it is."""
    return Definition(Feature(name, data_type, comment), (need,), lambda found: found)


def _ending(window: int | None) -> str:
    return f"{window}d" if window else "all"


def count(of: Selection, days: int | None, comment: str) -> Definition:
    """How many events; of all history without days."""
    name = f"{of.name}_count_{_ending(days)}"
    return plain(name, LONG, comment, Need("n", of.behaviours, days))


def total(of: Selection, days: int | None, comment: str) -> Definition:
    """Sum of their values; of all history without days."""
    name = f"{of.name}_value_{_ending(days)}"
    return plain(name, DOUBLE, comment, Need("v", of.behaviours, days))


def distinct(
    of: Selection, what: str, behaviours: tuple[str, ...], days: int, comment: str
) -> Definition:
    """How many distinct items."""
    return plain(f"{of.name}_{what}_count_{days}d", LONG, comment, Need("i", behaviours, days))


def _days_since(time: Column) -> Column:
    """Days from a time to as_of, in whole seconds, to four decimals; null stays null."""
    seconds = F.unix_timestamp(F.col("as_of").cast("timestamp")) - F.unix_timestamp(time)
    return F.round(seconds / DAY_SECONDS, 4)


def recency(name: str, comment: str, of: Selection) -> Definition:
    """Days since the last of them."""
    feature = Feature(name, DOUBLE, comment, zero=False)
    return Definition(feature, (Need("last", of.behaviours, None),), _days_since)


def tenure(name: str, comment: str, of: Selection) -> Definition:
    """Days since the first of them."""
    feature = Feature(name, DOUBLE, comment, zero=False)
    return Definition(feature, (Need("first", of.behaviours, None),), _days_since)


def mean(of: Selection, days: int, comment: str) -> Definition:
    """Mean of their values; null where none has one."""
    feature = Feature(f"{of.name}_value_mean_{days}d", DOUBLE, comment, zero=False)
    needs = (Need("v", of.behaviours, days), Need("p", of.behaviours, days))
    return Definition(feature, needs, lambda v, p: F.try_divide(v.cast("double"), p))


def trend(of: Selection, days: int, longest: int) -> Definition:
    """Events a day in a window over those in the longest; null where there are none."""
    comment = f"{of.words} events a day {within(days)}, over those a day in {longest} days"
    feature = Feature(f"{of.name}_trend_{days}d", DOUBLE, comment, zero=False, window=longest)
    needs = (Need("n", of.behaviours, days), Need("n", of.behaviours, longest))
    return Definition(
        feature,
        needs,
        lambda short, long: F.try_divide(
            F.coalesce(short, F.lit(0)).cast("double") * longest, long * days
        ),
    )


def ratio(of: Selection, to: Selection, days: int) -> Definition:
    """Events for each event of another kind; null where there are none of these."""
    comment = f"{of.words} events for each {to.words} event {within(days)}"
    feature = Feature(f"{of.name}_per_{to.name}_{days}d", DOUBLE, comment, zero=False)
    needs = (Need("n", of.behaviours, days), Need("n", to.behaviours, days))
    return Definition(
        feature, needs, lambda n, m: F.try_divide(F.coalesce(n, F.lit(0)).cast("double"), m)
    )


def _bits(mask: Column) -> Column:
    return F.coalesce(mask, F.lit(0)).cast("long")


def streak(of: Selection, days: int) -> Definition:
    """Days in a row up to the day before as_of."""
    comment = f"days in a row with {of.words} events up to as_of, {days} at most"
    feature = Feature(f"{of.name}_streak_{days}d", LONG, comment, window=days)

    def in_a_row(mask: Column) -> Column:
        bits = _bits(mask)  # the lowest is the day before as_of
        return F.bit_count(bits.bitwiseAND(F.bitwise_not(bits + F.lit(1))))

    return Definition(feature, (Need("days", of.behaviours, days),), in_a_row)


def days(of: Selection, days: int) -> Definition:
    """How many days had any."""
    comment = f"days with {of.words} events {within(days)}"
    feature = Feature(f"{of.name}_day_count_{days}d", LONG, comment, window=days)
    need = Need("days", of.behaviours, days)
    return Definition(feature, (need,), lambda mask: F.bit_count(_bits(mask)))


def entropy(of: Selection, what: str, items: str, days: int) -> Definition:
    """Shannon entropy (1948) of the items; null where there are none."""
    comment = f"entropy (nats) of the {what} values of {of.words} events {within(days)}"
    feature = Feature(f"{of.name}_{what}_entropy_{days}d", DOUBLE, comment, zero=False)
    needs = (Need("m", (items,), days), Need("e", (items,), days))
    return Definition(
        feature,
        needs,
        # -sum p ln p with p = n / m; of one value it is 0, not a rounding error below it.
        lambda m, e: F.when(m > 0, F.greatest(F.lit(0.0), F.ln(m) - F.try_divide(e, m))),
    )


def ranked(of: Selection, what: str, items: str, op: str, days: int, k: int) -> Definition:
    """The most frequent items, or the first or last one."""
    ranked = Ranked(op, items, days, k)
    if op == "top_k":
        comment = f"the {k} most frequent {what} values of {of.words} events {within(days)}"
        feature = Feature(f"{of.name}_top_{what}_{days}d", STRINGS, comment, zero=False)
    else:
        comment = f"{op} {what} of {of.words} events {within(days)}"
        feature = Feature(f"{of.name}_{op}_{what}_{days}d", STRING, comment, zero=False)
    return Definition(feature, ranked=ranked)
