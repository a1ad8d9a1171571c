"""Choose the training days of a propensity model."""

from __future__ import annotations

import datetime as dt


def training_days(
    as_of: dt.date, *, horizon_days: int, count: int, every_days: int, first_event: dt.date
) -> list[dt.date]:
    """Training days, ascending: as-of days whose horizon has passed by ``as_of``.

    The latest is ``as_of - horizon_days``; the others are ``every_days`` apart before it. A day
    needs at least a week of history. If no day has it, only the latest is used, if it has any
    history.

    >>> training_days(dt.date(2024, 4, 1), horizon_days=30, count=3, every_days=30,
    ...               first_event=dt.date(2024, 1, 1))
    [datetime.date(2024, 2, 1), datetime.date(2024, 3, 2)]
    """
    latest = as_of - dt.timedelta(days=horizon_days)
    days = [latest - dt.timedelta(days=every_days * step) for step in range(count)]
    with_history = [day for day in days if day >= first_event + dt.timedelta(days=7)]
    if not with_history and latest > first_event:
        with_history = [latest]
    return sorted(with_history)
