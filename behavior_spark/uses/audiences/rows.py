"""Rows of the tables ``audiences`` and ``audience_results``, from counts."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping
from typing import Any

from behavior_spark.config import Audience
from behavior_spark.model.measures.two_arms import (
    detectable_difference,
    difference_interval,
    expected_interval,
    ratio_interval,
)
from behavior_spark.uses.audiences.arms import HOLDOUT, REACHED
from behavior_spark.uses.audiences.membership import REASONS

READY, EMPTY, REFUSED = "ready", "empty", "refused"
MORE, FEWER, CANNOT_TELL, NO_HOLDOUT = "more", "fewer", "cannot tell", "no holdout"


def hindrance_of(facts: Mapping[str, Any] | None) -> str | None:
    """Why no audience can be chosen by a target's predictions; None if one can.

    Args:
        facts: Row of ``prediction_facts``; None if there are no predictions.
    """
    if not facts or not facts["users"]:
        return "there are no predictions of its target"
    if not facts["probabilities"]:
        return "its target has no probabilities"
    if not facts["deciles"] or facts["most"] - facts["least"] < 1e-9:
        return "its target's model tells nobody from anybody: every choice would be by chance"
    return None


def audience_row(
    name: str,
    audience: Audience,
    *,
    as_of: dt.date,
    valid_until: dt.date,
    facts: Mapping[str, Any] | None,
    counts: Mapping[str, float] | None,
) -> dict[str, Any]:
    """A row of ``audiences``.

    Args:
        name: Name of the audience.
        audience: What it was chosen by.
        as_of: The night.
        valid_until: End of the target's horizon.
        facts: Row of ``prediction_facts`` of its target.
        counts: Its measures of ``measures_of``; None where it was refused.
    """
    row: dict[str, Any] = {
        "audience": name,
        "as_of": as_of,
        "target": audience.target,
        "rule": audience.rule,
        "valid_until": valid_until,
        "users": int(facts["users"]) if facts else 0,
        "model_digest": facts["model_digest"] if facts else None,
    }
    if counts is None or facts is None:
        return row | {"status": REFUSED, "remark": hindrance_of(facts)}
    reached, holdout = int(counts[REACHED]), int(counts[HOLDOUT])
    left_out = {f"left_out_{reason}": int(counts[reason]) for reason in REASONS}
    expected = counts["expected"]
    low, high = expected_interval(expected, counts["variance"], count=reached)
    rate = expected / reached if reached else 0.0
    priced = audience.cost is not None and audience.value is not None
    detectable = detectable_difference(rate, reached, holdout)
    members = reached + holdout
    return row | left_out | {
        "status": READY if members else EMPTY,
        "remark": _remark(members, holdout, detectable, rate),
        "members": members,
        "reached": reached,
        "holdout": holdout,
        "expected": expected,
        "expected_low": low,
        "expected_high": high,
        "expected_at_random": float(facts["mean"] or 0.0) * reached,
        "expected_profit": counts["profit"] if priced else None,
        "detectable": detectable,
        "balanced": row["users"] == members + sum(left_out.values()),
    }  # fmt: skip


def _remark(members: int, holdout: int, detectable: float | None, rate: float) -> str | None:
    if not members:
        return "nobody is in"
    if not holdout:
        return "nobody is held out: what reaching changes cannot be measured"
    if detectable is not None and detectable > max(rate, 1e-9):
        return (
            f"{holdout:,} held out show a difference of {100 * detectable:.0f} percentage points "
            f"or more, which is above the expected rate of {rate:.0%}: hold out more, or measure "
            "over several nights"
        )
    return None


def result_row(
    key: Mapping[str, Any], arms: Mapping[str, Mapping[str, Any]], *, measured_on: dt.date
) -> dict[str, Any]:
    """A row of ``audience_results``.

    Args:
        key: ``audience, as_of, target, valid_until``.
        arms: ``members``, ``conversions`` and ``expected`` of each arm that has members.
        measured_on: The night that measures.
    """
    nobody = {"members": 0, "conversions": 0, "expected": None}
    reached, held = arms.get(REACHED, nobody), arms.get(HOLDOUT, nobody)
    hits, count = int(reached["conversions"]), int(reached["members"])
    held_hits, held_count = int(held["conversions"]), int(held["members"])
    row = dict(key) | {
        "measured_on": measured_on,
        "reached": count,
        "reached_conversions": hits,
        "holdout": held_count,
        "holdout_conversions": held_hits,
        "expected": reached["expected"],
        "reached_rate": hits / count if count else None,
        "holdout_rate": held_hits / held_count if held_count else None,
    }
    if not count or not held_count:
        return row | {"verdict": NO_HOLDOUT}
    difference = hits / count - held_hits / held_count
    low, high = difference_interval(hits, count, held_hits, held_count)
    lift_low, lift_high = ratio_interval(hits, count, held_hits, held_count)
    return row | {
        "difference": difference,
        "difference_low": low,
        "difference_high": high,
        "lift": row["reached_rate"] / row["holdout_rate"] if held_hits else None,
        "lift_low": lift_low,
        "lift_high": lift_high if math.isfinite(lift_high) else None,
        "incremental": difference * count,
        "incremental_low": low * count,
        "incremental_high": high * count,
        "detectable": detectable_difference(held_hits / held_count, count, held_count),
        "verdict": MORE if low > 0 else FEWER if high < 0 else CANNOT_TELL,
    }
