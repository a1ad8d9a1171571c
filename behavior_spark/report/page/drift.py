"""How far distributions moved between two nights.

The population stability index (Siddiqi 2006, "Credit risk scorecards") compares the shares of
users in bins: sum of (now - before) * ln(now / before). Below 0.1 little has moved, above 0.25
much; small samples move it too.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from behavior_spark.report.page.ranked import rows_of

BINS = 10
MODERATE, LARGE = 0.1, 0.25


def moved_most(moved: pd.DataFrame) -> pd.DataFrame:
    """Each score and feature with its index, the largest first.

    Args:
        moved: As ``NightFacts.moved``.

    Returns:
        kind, name, psi, before and now (means of known values), known_before and known_now (shares
        of users with a value), words (``much``, ``somewhat``, ``little``).
    """
    rows = []
    for (kind, name), part in moved.groupby(["kind", "name"], sort=True):
        counts = part.pivot_table(
            index="step", columns="now", values="users", aggfunc="sum", dropna=False
        )
        counts = counts.reindex(columns=[False, True]).fillna(0.0).sort_index()
        missing = part[part["step"].isna()].groupby("now")["users"].sum()
        missing = missing.reindex([False, True]).fillna(0.0)
        known = counts[counts.index.notna()]
        index, bins = stability_index(known, missing)
        users = known.sum() + missing
        totals = part[part["step"].notna()].groupby("now")["total"].sum()
        means = totals.reindex([False, True]) / known.sum()
        floor = 2 * max(bins - 1, 1) * float((1 / users.clip(lower=1)).sum())
        rows.append((kind, name, index, *means, *(known.sum() / users), _words(index, floor)))
    columns = ["kind", "name", "psi", "before", "now", "known_before", "known_now", "words"]
    frame = pd.DataFrame(rows, columns=columns)
    return frame.sort_values(["psi", "name"], ascending=[False, True], ignore_index=True)


def stability_index(known: pd.DataFrame, missing: pd.Series) -> tuple[float, int]:
    """Index and number of bins of two distributions.

    Args:
        known: Users by step, in order: columns False (before) and True (now).
        missing: Users without a value, likewise.
    """
    before = known[False].to_numpy(dtype=float)
    total = before.sum()
    if total:  # bins of about equal size before; all that is above the last goes into it
        middle = (before.cumsum() - before / 2) / total
        bins = np.minimum((middle * BINS).astype(int), BINS - 1)
    else:
        bins = np.zeros(len(before), dtype=int)
    grouped = known.groupby(bins).sum()
    table = np.vstack([grouped.to_numpy(dtype=float), missing.to_numpy(dtype=float)])
    table = table[table.sum(axis=1) > 0]
    if not len(table) or not table.sum(axis=0).all():
        return 0.0, len(table)
    # Half a user in an empty bin, so that the logarithm is finite.
    shares = np.maximum(table, 0.5) / np.maximum(table, 0.5).sum(axis=0)
    return float(((shares[:, 1] - shares[:, 0]) * np.log(shares[:, 1] / shares[:, 0])).sum()), len(
        table
    )


def _words(index: float, floor: float) -> str:
    if index >= max(LARGE, floor):
        return "much"
    return "somewhat" if index >= max(MODERATE, floor) else "little"


def names_with(frame: pd.DataFrame, words: str, *, kind: str) -> list[str]:
    """Names of scores or features that moved so."""
    return [row.name for row in rows_of(frame) if row.words == words and row.kind == kind]
