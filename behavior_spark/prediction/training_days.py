"""Which as-of days a model learns from."""

from __future__ import annotations

import datetime as dt


def training_days(
    as_of: dt.date, *, horizon_days: int, count: int, every_days: int, first_event: dt.date
) -> list[dt.date]:
    """As-of days, ascending, whose horizon has passed by ``as_of`` and that have a past.

    The latest is ``as_of - horizon_days``, the others lie ``every_days`` apart before it.
    A day needs at least a week of history; where the log is too short for that, the
    latest day alone may have less.

    >>> training_days(dt.date(2024, 4, 1), horizon_days=30, count=3, every_days=30,
    ...               first_event=dt.date(2024, 1, 1))
    [datetime.date(2024, 2, 1), datetime.date(2024, 3, 2)]
    """
    latest = as_of - dt.timedelta(days=horizon_days)
    days = [latest - dt.timedelta(days=every_days * back) for back in range(count)]
    past = [day for day in days if day >= first_event + dt.timedelta(days=7)]
    if not past and latest > first_event:
        past = [latest]
    return sorted(past)
