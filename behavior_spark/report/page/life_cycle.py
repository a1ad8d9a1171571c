"""States of people from the periods in which they were active."""

from __future__ import annotations

import pandas as pd

# Who had no event for more than this many periods is dormant; who returns after that is back.
AWAY = 4
STATES = ("returning", "back", "new", "quiet", "dormant")


def states_by_period(counts: pd.DataFrame) -> pd.DataFrame:
    """People by state in each period before 0: period, state, users.

    ``new``: the first period with an event. ``returning``: active, with at most ``AWAY`` empty
    periods before. ``back``: active after more. ``quiet``: not active, for at most ``AWAY``
    periods. ``dormant``: not active for longer.

    Args:
        counts: Users by active period (below 0), periods since the active one before (``away``,
            NaN: none) and until the next (``until``, NaN: none), both capped above AWAY + 1;
            ``users``.
    """
    rows: list[tuple[int, str, int]] = []
    away, until = counts["away"].fillna(0), counts["until"].fillna(AWAY + 2)
    seen = dormant = 0
    start = int(counts["period"].min()) if len(counts) else 0
    for period in range(start, 0):
        here = counts["period"] == period

        def users_where(condition: pd.Series) -> int:
            return int(counts.loc[condition, "users"].sum())

        users = {
            "new": users_where(here & (away == 0)),
            "returning": users_where(here & (away > 0) & (away <= AWAY + 1)),
            "back": users_where(here & (away > AWAY + 1)),
        }
        seen += users["new"]
        # Dormant begins after AWAY whole empty periods, and ends with the next event.
        left = (counts["period"] == period - AWAY - 1) & (until > AWAY + 1)
        dormant += users_where(left) - users["back"]
        users["dormant"] = dormant
        users["quiet"] = seen - sum(users.values())
        rows += [(period, state, users[state]) for state in STATES]
    return pd.DataFrame(rows, columns=["period", "state", "users"])
