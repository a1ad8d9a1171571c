"""The features of the family ``taste`` again, by plain loops over all users of a day."""

from __future__ import annotations

import datetime as dt
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Event = dict[str, Any]
DAYS, HALF_LIFE, SMOOTHING, MILLION = 365, 90.0, 30.0, 1_000_000


def taste(
    events: Mapping[str, Sequence[Event]],
    day: dt.date,
    event_types: Sequence[str],
    targets: Mapping[str, Callable[[Event], bool]],
) -> dict[str, dict[str, Any]]:
    """Features of each user.

    Args:
        events: What the day sees of each user, all of it with ``event_time``.
        day: The as_of.
        event_types: Types whose items are in baskets.
        targets: Whether an event counts for a target with items, by the target's name.
    """
    table: dict[str, dict[str, Any]] = {}
    for name, counts in targets.items():
        hits: dict[str, list[Event]] = {}
        baskets: dict[str, dict[int, set[str]]] = {}
        for user, mine in events.items():
            for event in mine:
                ago = (day - event["event_time"].date()).days
                if event["item_id"] is None or ago > DAYS:
                    continue
                if event["event_type"] in event_types:
                    of_user = baskets.setdefault(user, {})
                    of_user.setdefault(ago, set()).add(event["item_id"])
                if counts(event):
                    hits.setdefault(user, []).append(event | {"ago": ago})
        hit_days = {user: {event["ago"] for event in mine} for user, mine in hits.items()}
        by_basket = [
            (items, ago in hit_days.get(user, set()))
            for user, of_user in baskets.items()
            for ago, items in of_user.items()
        ]
        by_user = [
            (set().union(*of_user.values()), user in hits) for user, of_user in baskets.items()
        ]
        weights = {"basket": weights_of(by_basket), "user": weights_of(by_user)}
        for user in events:
            row = own_history(name, hits.get(user, []), baskets.get(user, {}))
            for side, of_items in weights.items():
                row |= affinity(f"{name}_{side}_taste", baskets.get(user, {}), of_items)
            table[user] = table.get(user, {}) | row
    return table


def weights_of(baskets: Sequence[tuple[set[str], bool]]) -> dict[str, int]:
    """Weight of each item in millionths; none where no basket has the target."""
    share = sum(hit for _, hit in baskets) / len(baskets) if baskets else 0
    if not share:
        return {}
    having = Counter(item for items, _ in baskets for item in items)
    both = Counter(item for items, hit in baskets if hit for item in items)
    return {
        item: millionths(math.log((both[item] + SMOOTHING * share) / (n + SMOOTHING) / share))
        for item, n in having.items()
    }


def own_history(
    name: str, hits: Sequence[Event], baskets: Mapping[int, set[str]]
) -> dict[str, Any]:
    days = {event["ago"] for event in hits}
    share = len(days & baskets.keys()) / len(baskets) if baskets else None
    return {
        f"{name}_decayed": sum(decay(event["ago"]) for event in hits) / MILLION,
        f"{name}_item_count_{DAYS}d": len({event["item_id"] for event in hits}),
        f"{name}_basket_count_{DAYS}d": len(days),
        f"{name}_basket_share_{DAYS}d": share,
        f"{name}_month_count_{DAYS}d": len({(ago - 1) // 30 for ago in days}),
    }


def affinity(
    prefix: str, baskets: Mapping[int, set[str]], weights: Mapping[str, int]
) -> dict[str, float | None]:
    statistics = ("mean", "sum", "max", "decayed", "last")
    if not baskets or not weights:
        return {f"{prefix}_{statistic}": None for statistic in statistics}
    items = set().union(*baskets.values())
    own = [weights[item] for item in items]
    last = [weights[item] for item in baskets[min(baskets)]]
    recent = 0
    for item in items:
        decays = sum(decay(ago) for ago, touched in baskets.items() if item in touched)
        recent += round_half_up(weights[item] * decays / MILLION)
    values = (
        sum(own) / len(own),
        sum(weight for weight in own if weight > 0),
        max(own),
        recent,
        sum(last) / len(last),
    )
    return {
        f"{prefix}_{statistic}": value / MILLION
        for statistic, value in zip(statistics, values, strict=True)
    }


def decay(ago: int) -> int:
    return millionths(0.5 ** (ago / HALF_LIFE))


def millionths(number: float) -> int:
    return round_half_up(number * MILLION)


def round_half_up(number: float) -> int:
    """As SQL's round: halves away from zero."""
    return int(math.copysign(math.floor(abs(number) + 0.5), number))
