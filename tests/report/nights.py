"""Facts of a night that were made up: nothing of Spark is needed to render them."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd

from behavior_spark.model.propensity.verdict import CHANCE, Gain, TargetVerdict
from behavior_spark.model.topics import Topic, Topics
from behavior_spark.report.outcomes import Measured, Outcome
from behavior_spark.report.page.facts import NightFacts, NightRun, TargetFacts
from behavior_spark.report.page.life_cycle import STATES

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


def verdict(
    *, chance: tuple[float, float, float] = (0.3, 0.28, 0.32), **over: tuple[float, float, float]
) -> TargetVerdict:
    """A verdict: what the model gains over chance and baselines, with intervals."""
    gains = {CHANCE: Gain(*chance), **{name: Gain(*gain) for name, gain in over.items()}}
    return TargetVerdict("roc_auc", "AUC", 500, gains)


def target(name: str = "purchase_30d", **changes: Any) -> TargetFacts:
    """A target with a model, not yet measured."""
    known: dict[str, Any] = {
        "name": name, "description": "buys something", "event": "event_type = 'purchase'",
        "digest": "aa", "trained_through": "2024-04-30",
        "holdout": {"rows": 500, "positives": 100, "roc_auc": figure(0.8),
                    "lift_at_10pct": figure(3.0)},
        "baselines": {"recency": {"roc_auc": figure(0.6), "lift_at_10pct": figure(1.5),
                                  "roc_auc_gain_of_model": figure(0.2)}},
        "verdict": verdict(recency=(0.2, 0.18, 0.22)),
        "scores": scores(),
    }  # fmt: skip
    return TargetFacts(**known | changes)


def measured_target(
    *, auc: float = 0.81, gain: tuple[float, float, float] = (0.2, 0.1, 0.3), **changes: Any
) -> TargetFacts:
    """A target whose horizon has passed: 195 of 1,000 did it, where 200 were expected."""
    happened = scores().assign(hits=0.0)
    happened.loc[:194, "hits"] = 1.0
    outcome = Outcome(
        target="purchase_30d", as_of=AS_OF, horizon_days=30, users=1000, positives=195,
        mean_probability=0.2, trained_through="2024-04-30",
        measured={"AUC": Measured(auc, auc - 0.02, auc + 0.02)},
        baselines={"recency": Measured(0.6, 0.58, 0.62)}, gains={"recency": Gain(*gain)},
    )  # fmt: skip
    return target(measured_as_of=AS_OF, happened=happened, outcome=outcome, **changes)


def week(number: int) -> dt.date:
    """The first day of a week before the night; -1: the last."""
    return AS_OF + dt.timedelta(days=7 * number)


def moved() -> pd.DataFrame:
    """A score and a feature that stay as they are."""
    rows = []
    for now in (False, True):
        for step in range(10):
            rows.append(("score", "purchase_30d", now, step, 100, 20.0))
            rows.append(("feature", HOSTILE, now, step, 100, 100.0 * step))
    return pd.DataFrame(rows, columns=["kind", "name", "now", "step", "users", "total"])


def topics(**changes: Any) -> Topics:
    """Two topics of 200 texts, and one that is hidden."""
    known: dict[str, Any] = {
        "topics": (Topic(("parcel", "tracking"), 120, 60, 130), Topic((HOSTILE,), 60, 40, 61)),
        "texts": 200, "users": 90, "hidden": 1, "silhouette": 0.21,
    }  # fmt: skip
    return Topics(**known | changes)


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
        "moved_from": AS_OF - dt.timedelta(days=1),
        "moved": moved(),
        "service": pd.DataFrame(
            {"queue": [HOSTILE, "tiny"], "texts": [50, 3], "users": [48, 3], "high": [8, 0],
             "raised": [0, 0], "needs": [38, 0], "replies": [24, 0]}
        ),
        "moved_since_training": moved(), "trained_target": "purchase_30d",
        "topics": topics(),
        "scripts": pd.DataFrame(
            {"script": ["Latin", "Cyrillic", "Thai", ""], "texts": [150, 30, 15, 5],
             "users": [80, 20, 9, 12], "unread": [3, 30, 15, 0], "tokens": [900, 600, 90, 0],
             "unknown": [0, 6, 90, 0], "letters": [3600, 620, 200, 0]}
        ),
        "words": {HOSTILE: HOSTILE, "visits": "visits in 30 days"},
        "reasons": pd.DataFrame(
            {"target": "purchase_30d", "feature": ["visits", HOSTILE, "rare"],
             "users": [800, 300, 9], "size": [0.5, 0.3, 0.2], "raises": [0.6, 0.1, 1.0]}
        ),
        "examples": pd.DataFrame(
            {"target": "purchase_30d", "decile": [1, 10], "user_key": ["0a1b2c3d4e", "5f6a7b8c9d"],
             "predicted": [0.39, 0.01], "reasons": [[HOSTILE], ["visits: 0 (lowers)"]],
             "change": [None, "if answered within 2 hours rather than 9: 1 % -> 3 %"]}
        ),
        "alerts": pd.DataFrame(
            {"alert_id": ["a" * 64, "b" * 64], "kind": ["event_rate", "refused_rows"],
             "severity": ["high", "low"], "score": [0.9, 0.6], "status": ["new", "again"],
             "evidence": ["147 events in one hour", HOSTILE]}
        ),
        "periods": pd.DataFrame(
            {"cohort": [week(-3)] * 3 + [week(-2)] * 2 + [week(-1)],
             "period": [week(-3), week(-2), week(-1), week(-2), week(-1), week(-1)],
             "users": [100, 50, 3, 40, 20, 5]}
        ),
        "states": pd.DataFrame(
            {"period": [week(-2)] * 5 + [week(-1)] * 5, "state": [*STATES, *STATES],
             "users": [50, 0, 40, 50, 0, 23, 0, 5, 117, 0]}
        ),
        "funnels": pd.DataFrame(
            {"funnel": HOSTILE, "step": ["view", HOSTILE, "purchase"], "users": [500, 200, 4]}
        ),
        "segments": pd.DataFrame(
            {"segment": [HOSTILE, "loyal", "tiny"], "users": [300, 600, 9],
             "purchase_30d": [0.1, 0.3, 0.9]}
        ),
        "texts": pd.DataFrame(
            {"head": "intent", "period": [week(-2), week(-2), week(-1), week(-1)],
             "label": [HOSTILE, None, HOSTILE, "rare"], "texts": [60, 20, 80, 7],
             "users": [50, 20, 60, 5]}
        ),
    }  # fmt: skip
    return NightFacts(**known | changes)
