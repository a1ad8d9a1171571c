"""What a night once took is not lost again: not to a source that shows less, nor to a failure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from behavior_spark.cleaning.rows import TIME
from behavior_spark.errors import InputError
from behavior_spark.io.day_range import DayRange
from behavior_spark.io.failures import spark_errors
from behavior_spark.runs.run import Run
from behavior_spark.schemas import EVENTS, IDENTITIES, Contract


@contextmanager
def as_before_on_failure(
    run: Run, contracts: Sequence[Contract], *, days: DayRange | None
) -> Iterator[None]:
    """Put the tables back to what they were where anything inside fails.

    Readers may see what was written until then.

    Args:
        run: The run.
        contracts: Tables that are written inside.
        days: The arrival days of all that is written, for the tables' history.
    """
    try:
        yield
    except BaseException:
        for contract in contracts:
            try:
                _put_back(run, contract, days)
            except Exception as error:  # what made the night fail is what must be told
                kind = type(error).__name__
                run.say(f"{contract.name} could not be put back: {kind}; the next night does it")
        raise


def _put_back(run: Run, contract: Contract, days: DayRange | None) -> None:
    before = run.warehouse.version_before(contract)
    if before is not None:
        dated = days if contract.name in TIME else None
        run.warehouse.restore(contract, before, days=dated)
        run.say(f"{contract.name}: put back to what it was before this night")


def days_to_replace(run: Run, rows: DataFrame, contract: Contract, days: DayRange) -> DayRange:
    """The days of a range that a night may replace: those that its source still shows.

    Where the table has none of the range, which is so on every new night, nothing is read.

    Args:
        run: The run.
        rows: The source's rows with ``arrived_day``.
        contract: Their table.
        days: The range that the night would replace.

    Raises:
        InputError: The source shows far fewer rows of the days it has than are stored.
    """
    stored = _rows_by_day(_stored_rows(run, contract), days)
    if not stored:
        return days
    shown = _rows_by_day(rows, days)
    _refuse_fall(run, contract, stored, shown)
    kept = {day: count for day, count in stored.items() if not shown.get(day)}
    if not kept:
        return days
    run.note(
        f"{contract.name}: the source shows nothing any more of {len(kept):,} days from "
        f"{min(kept)} to {max(kept)}; their {sum(kept.values()):,} rows stay"
    )
    return DayRange(days.column, days.since, days.before, stretches(kept, shown))


def stretches(
    kept: Mapping[dt.date, int], shown: Mapping[dt.date, int]
) -> tuple[tuple[dt.date, dt.date], ...]:
    """Days as stretches, each as long as no day between them is one of ``shown``."""
    parts: list[tuple[dt.date, dt.date]] = []
    between = sorted(shown)
    for day in sorted(kept):
        if parts and not any(parts[-1][1] < other < day for other in between):
            parts[-1] = (parts[-1][0], day)
        else:
            parts.append((day, day))
    return tuple(parts)


def _stored_rows(run: Run, contract: Contract) -> DataFrame:
    """Rows that came from the source: versions that a link added, at its moment, are not there."""
    rows = run.warehouse.read(contract)
    if contract is EVENTS and run.settings.sources.identities:
        links = run.warehouse.read(IDENTITIES).select("anonymous_id", "arrived_at").distinct()
        return rows.join(links, ["anonymous_id", "arrived_at"], "left_anti")
    return rows


def _rows_by_day(rows: DataFrame, days: DayRange) -> dict[dt.date, int]:
    inside: Column = F.expr(days.sql)
    with spark_errors("counting the rows of days"):
        counted = rows.where(inside).groupBy(days.column).agg(F.count(F.lit(1)).alias("rows"))
        return {row[0]: row["rows"] for row in counted.collect()}


def _refuse_fall(
    run: Run, contract: Contract, stored: Mapping[dt.date, int], shown: Mapping[dt.date, int]
) -> None:
    before = sum(count for day, count in stored.items() if shown.get(day))
    now = sum(count for day, count in shown.items() if stored.get(day))
    most = run.settings.intake.max_fall_share
    if before and now < before * (1 - most):
        raise InputError(
            f"sources.{contract.name} shows far fewer rows of days that were ingested before",
            found=f"{now:,} rows where {before:,} are stored; nothing was written",
            fix="check the source; if the rows are meant to go, set intake.max_fall_share=1",
        )
