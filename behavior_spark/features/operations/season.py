"""How many events in the same days a year ago."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from behavior_spark.config.operations import OperationSpec
from behavior_spark.features.operation import EventOperation, Operands, ending
from behavior_spark.features.tiles.definitions import Need
from behavior_spark.model.propensity.sayings import Saying

if TYPE_CHECKING:
    from pyspark.sql import Column

YEAR = 365


class Season(EventOperation):
    """Events in [as_of - 365, as_of - 365 + days): what followed the same day a year ago.

    It is the difference of two windows, so that no tile is read that a window of a year does not
    read. Null for users without any event before the end of those days.
    """

    spec = OperationSpec("season", "how many events in so many days after the day a year ago")
    result = "long"

    def looks_back(self, operands: Operands, days: int | None) -> int | None:
        """A year."""
        return YEAR

    def name(self, operands: Operands, days: int | None) -> str:
        """Such as ``cart_season_30d``."""
        return f"{operands.events.name}_season_{ending(days)}"

    def comment(self, operands: Operands, days: int | None) -> str:
        """Its meaning."""
        return f"{operands.events.words} events in the {days} days from the same day a year ago on"

    def saying(self, operands: Operands, days: int | None) -> Saying:
        """In a reason."""
        events, when = operands.events, f"in these {days} days a year ago"
        return Saying(
            f"{{n}} {events.many} {when}",
            one=f"1 {events.one} {when}",
            zero=f"no {events.one} {when}",
            none=f"not known {when}",
        )

    def needs(self, operands: Operands, days: int | None) -> tuple[Need, ...]:
        """Number of events in a year and in what of it came after those days; first event."""
        behaviours = operands.events.behaviours
        since = YEAR - min(days or YEAR, YEAR)
        after = (Need("n", behaviours, since),) if since else ()
        return (
            Need("first", operands.known_by or behaviours, None),
            Need("n", behaviours, YEAR),
            *after,
        )

    def value(self, operands: Operands, days: int | None, totals: Sequence[Column]) -> Column:
        """The difference; null where the first event came later than those days."""
        from pyspark.sql import functions as F

        first, year, *after = [totals[0], *[F.coalesce(n, F.lit(0)) for n in totals[1:]]]
        end = F.date_sub("as_of", YEAR - min(days or YEAR, YEAR)).cast("timestamp")
        return F.when(first < end, year - after[0] if after else year)


OPERATION = Season()
