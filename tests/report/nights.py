"""Facts of a night that were made up: nothing of Spark is needed to render them."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd

from behavior_spark.report.outcomes import Measured, Outcome
from behavior_spark.report.page.facts import NightFacts, NightRun, TargetFacts

AS_OF = dt.date(2024, 4, 30)
# What a log may hold, and a page must show as it stands.
HOSTILE = "<script>alert(1)</script>\"' onload=x & {{ 7*7 }}"


def night_run(**changes: Any) -> NightRun:
    """A night that read 1,000 events and 100 texts."""
    known: dict[str, Any] = {
        "run_id": "f" * 32, "command": "nightly", "as_of": AS_OF,
        "started_at": dt.datetime(2024, 4, 30, 1), "seconds": 100.0, "status": "done",
        "sources": {
            "events": {"rows_in": 1000, "rows_out": 960, "duplicates": 30, "refused": 10,
                       "without_user": 7},
            "texts": {"rows_in": 100, "rows_out": 100, "duplicates": 0, "refused": 0,
                      "without_user": 0},
        },
        "stages": {"ingest": 40.0, "features": 35.0, HOSTILE: 25.0},
        "models": {"purchase_30d": "aa"},
    }  # fmt: skip
    return NightRun(**known | changes)


def scores(users: int = 1000, *, rate: float = 0.2) -> pd.DataFrame:
    """Users by score; the probability falls from 2 * rate to 0."""
    chance = np.linspace(2 * rate, 0, users)
    return pd.DataFrame(
        {
            "step": np.arange(users, 0, -1), "users": 1.0, "expected": chance,
            "variance": chance * (1 - chance),
        }
    )  # fmt: skip


def figure(value: float) -> dict[str, float]:
    """A measure with an interval."""
    return {"value": value, "low": value - 0.02, "high": value + 0.02}


def target(name: str = "purchase_30d", **changes: Any) -> TargetFacts:
    """A target with a model, not yet measured."""
    known: dict[str, Any] = {
        "name": name, "description": "buys something", "event": "event_type = 'purchase'",
        "digest": "aa", "trained_through": "2024-04-30",
        "holdout": {"rows": 500, "positives": 100, "roc_auc": figure(0.8),
                    "lift_at_10pct": figure(3.0)},
        "baselines": {"recency": {"roc_auc": figure(0.6), "lift_at_10pct": figure(1.5),
                                  "roc_auc_gain_of_model": figure(0.2)}},
        "scores": scores(),
    }  # fmt: skip
    return TargetFacts(**known | changes)


def measured_target(**changes: Any) -> TargetFacts:
    """A target whose horizon has passed: 195 of 1,000 did it, where 200 were expected."""
    happened = scores().assign(hits=0.0)
    happened.loc[:194, "hits"] = 1.0
    outcome = Outcome(
        target="purchase_30d", as_of=AS_OF, horizon_days=30, users=1000, positives=195,
        mean_probability=0.2, trained_through="2024-04-30",
        measured={"AUC": Measured(0.81, 0.79, 0.83)},
    )  # fmt: skip
    return target(measured_as_of=AS_OF, happened=happened, outcome=outcome, **changes)


def night(**changes: Any) -> NightFacts:
    """A night without anything to complain about, with hostile names wherever a log has names."""
    days = [AS_OF - dt.timedelta(days=back) for back in range(10, 0, -1)]
    known: dict[str, Any] = {
        "job": "shop", "as_of": AS_OF, "run": night_run(),
        "refused": pd.DataFrame(
            {"table_name": ["events"], "source": [HOSTILE], "reason": [HOSTILE], "rows": [10]}
        ),
        "by_day": pd.DataFrame({"table_name": "events", "day": days, "rows": 96}),
        "targets": (measured_target(description=HOSTILE),),
    }  # fmt: skip
    return NightFacts(**known | changes)
