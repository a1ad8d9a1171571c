"""Small random logs full of edges: many independent users, so that one Spark job tries many cases.

Times gather around midnights, window edges and session gaps; rows arrive late, come again with
other content, lose or change their user; items get their titles one after the other.
"""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Sequence
from decimal import Decimal

import numpy as np

from tests.features.reference import Log, PlainSettings, PlainTarget, Row, midnight

DAYS = (dt.date(2024, 2, 27), dt.date(2024, 3, 1), dt.date(2024, 3, 9))
KNOWN_BEFORE = dt.date(2024, 3, 14)
WINDOWS = (1, 7, 30)
GAP_MINUTES = 30
LABELS = {"mood": {"glad": "glad", "Sad!": "sad_a87f28f5", "sad": "sad"}}

TYPES = ("click", "purchase", "view", "robot")
TITLES = ("RED BAG", "BLUE BAG", "BAG", "CUP", "TEA CUP", "RED LAMP")
TEXTS = ("I like it", "where is my bag", "broken", "thanks", "RED BAG", "unread", "failed")
VALUES = (None, Decimal("0"), Decimal("2.5"), Decimal("7.1"), Decimal("-3.3333"), Decimal("19.99"))

_SECOND, _MICRO = dt.timedelta(seconds=1), dt.timedelta(microseconds=1)
_EDGES = (dt.timedelta(), _SECOND, -_SECOND, -_MICRO, _MICRO, dt.timedelta(hours=9, minutes=30))
_PAUSE = dt.timedelta(minutes=GAP_MINUTES)
_PAUSES = (dt.timedelta(), _PAUSE, _PAUSE + _SECOND, _PAUSE + _MICRO, _PAUSE - _SECOND, _PAUSE * 2)
_LATE = (
    dt.timedelta(),
    dt.timedelta(),
    _MICRO,
    dt.timedelta(hours=5),
    dt.timedelta(days=3, hours=1),
)

TARGETS_SQL = {
    "buys": ("event_type = 'purchase'", None, 7),
    "takes_bag": ("event_type IN ('purchase', 'click')", "title LIKE '%BAG%'", 3),
    "spends": ("value > 5", None, 10),
    "cheap": ("event_type = 'view'", "price < 10", 5),
}
POPULATION_SQL = "event_type <> 'robot'"
SETTINGS = PlainSettings(
    event_types=("click", "purchase"),
    windows=WINDOWS,
    gap_minutes=GAP_MINUTES,
    targets={
        "buys": PlainTarget(lambda e: e["event_type"] == "purchase", 7, own_history=False),
        "takes_bag": PlainTarget(
            lambda e: e["event_type"] in ("purchase", "click"),
            3,
            item=lambda i: i["title"] is not None and "BAG" in i["title"],
        ),
        "spends": PlainTarget(lambda e: e["value"] is not None and e["value"] > 5, 10),
        "cheap": PlainTarget(
            lambda e: e["event_type"] == "view",
            5,
            item=lambda i: i["price"] is not None and i["price"] < 10,
        ),
    },
    population=lambda e: e["event_type"] != "robot",
    head_labels=LABELS,
)


def random_log(seed: int, *, cases: int) -> Log:
    """A log of ``cases`` independent cases, each with one user or two that share events."""
    dice = random.Random(seed)
    log = Log()
    for title in TITLES + TEXTS:
        if title != "unread":
            log.embeddings[f"h:{title}"] = None if title == "failed" else _unit_vector(dice)
    log.labels["mood"] = {
        f"h:{text}": dice.choice([None, *LABELS["mood"]]) for text in TEXTS if text != "unread"
    }
    for case in range(cases):
        users = [f"u{case}", f"u{case}"] + [f"u{case}b"] * dice.randint(0, 1)
        items = [f"i{case}-{index}" for index in range(dice.randint(0, 3))]
        for item in items:
            log.items += _item_versions(dice, item)
        for table, size in ((log.events, dice.randint(0, 12)), (log.texts, dice.randint(0, 4))):
            is_event = table is log.events
            time = None
            for index in range(size):
                time = random_time(dice, time)
                row = (
                    _event(dice, f"e{case}-{index}", users, items, time)
                    if is_event
                    else _text(dice, f"t{case}-{index}", users, time)
                )
                table += [row, *_later_versions(dice, row, users, items)]
    return log


def random_time(dice: random.Random, before: dt.datetime | None = None) -> dt.datetime:
    """A time at or near an edge, or at a session's length from the time before."""
    if before is not None and dice.random() < 0.4:
        return before + dice.choice(_PAUSES)
    day = dice.choice(DAYS) - dt.timedelta(days=dice.choice((*WINDOWS, 0, 0, 2, 3, 6, 29, 31, 60)))
    if dice.random() < 0.3:
        after = dice.choice((0, 0, 1, 2, *(target[2] for target in TARGETS_SQL.values())))
        day = dice.choice((*DAYS, KNOWN_BEFORE)) + dt.timedelta(days=after)
    if dice.random() < 0.6:
        return midnight(day) + dice.choice(_EDGES)
    return midnight(day) + dt.timedelta(seconds=dice.randrange(86_400))


def _event(
    dice: random.Random, key: str, users: Sequence[str], items: Sequence[str], time: dt.datetime
) -> Row:
    return {
        "event_id": key,
        "user_id": dice.choice(users) if dice.random() < 0.95 else None,
        "event_time": time,
        "event_type": dice.choice(TYPES),
        "item_id": dice.choice([*items, *items, "nowhere", None]),
        "value": dice.choice(VALUES),
        "session_id": dice.choice((None, None, None, "s1", "s2")),
        "arrived_at": time + dice.choice(_LATE),
    }


def _text(dice: random.Random, key: str, users: Sequence[str], time: dt.datetime) -> Row:
    return {
        "text_id": key,
        "user_id": dice.choice(users) if dice.random() < 0.95 else None,
        "text_time": time,
        "text_hash": f"h:{dice.choice(TEXTS)}",
        "arrived_at": time + dice.choice(_LATE),
    }


def _later_versions(
    dice: random.Random, row: Row, users: Sequence[str], items: Sequence[str]
) -> list[Row]:
    """Up to two corrections, each known later than what it corrects."""
    versions = []
    arrived = row["arrived_at"]
    time_name = "event_time" if "event_id" in row else "text_time"
    for _ in range(dice.choice((0, 0, 0, 1, 1, 2))):
        arrived = max(arrived + _MICRO, random_time(dice) if dice.random() < 0.7 else arrived)
        time = row[time_name]
        if dice.random() < 0.3:
            time = min(random_time(dice), arrived)
        new = (
            _event(dice, row["event_id"], users, items, time)
            if "event_id" in row
            else _text(dice, row["text_id"], users, time)
        )
        versions.append(new | {"arrived_at": max(arrived, time)})
        arrived = versions[-1]["arrived_at"]
    return versions


def _item_versions(dice: random.Random, item: str) -> list[Row]:
    times = {random_time(dice) for _ in range(dice.randint(1, 3))}
    if dice.random() < 0.4:
        times.add(dt.datetime(1970, 1, 1, tzinfo=dt.UTC))
    versions = []
    for time in times:
        title = dice.choice((*TITLES, None))
        versions.append(
            {
                "item_id": item,
                "title": title,
                "category": dice.choice(("bags", "cups", None)),
                "price": dice.choice((None, Decimal("4"), Decimal("12"))),
                "valid_from": time,
                "title_hash": None if title is None else f"h:{title}",
            }
        )
    return versions


def _unit_vector(dice: random.Random) -> list[float]:
    vector = np.array([dice.gauss(0, 1) for _ in range(5)])
    return [float(x) for x in (vector / np.linalg.norm(vector)).astype(np.float32)]
