"""How far distributions moved between two nights, as ``model.propensity.sketch`` measures it."""

from __future__ import annotations

import numpy as np
import pandas as pd

from behavior_spark.model.propensity.sketch import BINS, drift_between
from behavior_spark.report.page.ranked import rows_of


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
        binned = _in_bins(known)
        sides = ([*binned[side], missing[side]] for side in (False, True))
        drift = drift_between(str(name), *sides)
        users = known.sum() + missing
        totals = part[part["step"].notna()].groupby("now")["total"].sum()
        means = totals.reindex([False, True]) / known.sum()
        rows.append((kind, name, drift.psi, *means, *(known.sum() / users), drift.words))
    columns = ["kind", "name", "psi", "before", "now", "known_before", "known_now", "words"]
    frame = pd.DataFrame(rows, columns=columns)
    return frame.sort_values(["psi", "name"], ascending=[False, True], ignore_index=True)


def _in_bins(known: pd.DataFrame) -> pd.DataFrame:
    """At most ten bins of steps, of about equal size before; all that is above goes into the last.

    Args:
        known: Users by step, in order: columns False (before) and True (now).
    """
    before = known[False].to_numpy(dtype=float)
    total = before.sum()
    if len(known) <= BINS or not total:
        return known
    middle = (before.cumsum() - before / 2) / total
    return known.groupby(np.minimum((middle * BINS).astype(int), BINS - 1)).sum()


def names_with(frame: pd.DataFrame, words: str, *, kind: str) -> list[str]:
    """Names of scores or features that moved so."""
    return [row.name for row in rows_of(frame) if row.words == words and row.kind == kind]
