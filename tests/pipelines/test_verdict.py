"""Before any work: whether a night can run, and if not, why and what to write instead."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession
from rich.console import Console

from behavior_spark.config import Settings, validate_settings
from behavior_spark.errors import BehaviorError
from behavior_spark.pipelines import commands
from behavior_spark.pipelines.logs.verdict import Verdict

QUIET = Console(quiet=True)
AS_OF = dt.date(2024, 6, 30)
FIRST, USERS = dt.datetime(2024, 3, 1, 12), 40
COLUMNS = {"event_id": "id", "user_id": "who", "event_time": "at", "event_type": "what"}


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Each user views on every third day; every second one buys every tenth day, to 29 June."""
    rows = []
    for day in range(121):
        time = FIRST + dt.timedelta(days=day)
        for user in range(USERS):
            if (day + user) % 3 == 0 or day == 120:
                rows.append((user, time, "view"))
            if user % 2 == 0 and (day + user) % 10 == 0:
                rows.append((user, time + dt.timedelta(hours=1), "purchase"))
    path = tmp_path_factory.mktemp("log") / "events.json"
    path.write_text("\n".join(
        json.dumps({"id": f"e{n}", "who": f"u{user}", "at": str(time), "what": what,
                    "item": f"i{user % 8}"})
        for n, (user, time, what) in enumerate(rows)
    ))  # fmt: skip
    return path


def config(log: Path, warehouse: Path, **changes: Any) -> Settings:
    columns = {**COLUMNS, **changes.pop("columns", {})}
    items = {"items": changes.pop("items")} if "items" in changes else {}
    tree = {
        "warehouse": str(warehouse),
        "sources": {
            "events": {"path": str(log), "format": "json", "columns": columns},
            **items,
        },
        "features": {"event_types": ["view", "purchase"]},
        "targets": {"buys_30d": {"event": "event_type = 'purchase'"}},
    }
    return validate_settings({**tree, **changes})


def test_a_verdict_counts_who_did_what_on_the_newest_training_day(
    spark: SparkSession, log: Path, tmp_path: Path
) -> None:
    away = {"event": "event_type = 'purchase'", "kind": "does_not"}
    bought = {"event": "event_type = 'purchase'"}
    never = {"event": "event_type = 'view' AND value > 5"}
    again, first = {**bought, "who": "before"}, {**bought, "who": "never_before"}
    lately = {**away, "who": "before", "seen_within_days": 2}
    # Every fourth buyer buys i0, as every fourth buys i2, which is tea too late to be counted.
    tea = {**bought, "item": "category = 'tea'"}
    items = tmp_path / "items.json"
    items.write_text(
        '{"id": "i0", "group": "tea", "since": "2024-01-01"}\n'
        '{"id": "i2", "group": "tea", "since": "2025-01-01"}\n'
        '{"id": "i4", "group": "mug", "since": "2024-01-01"}'
    )
    columns = {"item_id": "id", "category": "group", "valid_from": "since"}
    job = config(
        log, tmp_path / "w", columns={"item_id": "item"},
        items={"path": str(items), "format": "json", "columns": columns},
        targets={"buys": bought, "away": away, "never": never, "again": again, "first": first,
                 "lately": lately, "tea": tea},
    )  # fmt: skip
    checked = commands.check(job, spark=spark, console=QUIET, as_of=dt.date(2026, 1, 1))
    verdict = checked.of(Verdict)
    assert (verdict.as_of, verdict.failure) == (AS_OF, None)
    outlooks = verdict.targets
    assert [outlooks[name].users for name in ("buys", "away", "never")] == [USERS] * 3
    assert [outlooks[name].positives for name in ("buys", "away", "never")] == [20, 20, 0]
    # Every second user buys, so that only the others are of the population of a first time.
    assert [outlooks[name].users for name in ("again", "first")] == [20, 20]
    assert [outlooks[name].positives for name in ("again", "first")] == [20, 0]
    assert 0 < outlooks["lately"].users < 20 and outlooks["lately"].positives == 0
    assert (outlooks["tea"].positives, outlooks["tea"].users) == (5, USERS)
    assert outlooks["never"].problem == "its condition is true of no event"
    assert checked.last_lines() == [
        "verdict: the night can run with --as-of 2024-06-30; your log ends 2024-06-29; "
        "buys: 20 of 40 users; away: 20 of 40 users; "
        "never is left out (its condition is true of no event); again: 20 of 20 users; "
        "first is left out (0 positives, 20 are wanted (training.min_positives)); "
        "lately is left out (0 rows of the rarer outcome, 20 are wanted (training.min_positives)); "
        "tea is left out (15 positives, 20 are wanted (training.min_positives)); "
        "it takes about 1 to 5 minutes (a first night, by rates measured on two cores)"
    ]
    assert not (tmp_path / "w").exists()


MISSPELT = {"buys_30d": {"event": "event_type = 'purchse'"}}
REFUSALS: dict[str, tuple[dict[str, Any], dt.date, tuple[str, ...]]] = {
    "past the log's end": (
        {}, dt.date(2026, 1, 1), ("your log ends 2024-06-29", "fix: use --as-of 2024-06-30")
    ),
    "before the log": (
        {}, dt.date(2024, 1, 1), ("begins 2024-03-01", "fix: use --as-of 2024-06-30")
    ),
    "misspelt in a target": (
        {"targets": MISSPELT}, AS_OF,
        ("targets.buys_30d.event", "no event is of the type 'purchse'", "write 'purchase'"),
    ),
    "misspelt in the features": (
        {"features": {"event_types": ["views", "purchase"]}}, AS_OF,
        ("features.event_types", "'views'", "write 'view'"),
    ),
    "wrong capitals": (
        {"targets": {"b": {"event": "event_type = 'Purchase'"}}}, AS_OF, ("write 'purchase'",),
    ),
    "every row refused": (
        {"columns": {"event_time": "what"}}, AS_OF, ("would be refused", "is not a timestamp"),
    ),
    "no target": (
        {"targets": {"b": {"event": "event_type = 'purchase'", "horizon_days": 200}}}, AS_OF,
        ("no target can be predicted", "too little history", "200 days"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("why", REFUSALS)
def test_a_first_night_that_cannot_end_well_stops_before_any_work(
    spark: SparkSession, log: Path, tmp_path: Path, why: str
) -> None:
    changes, as_of, told = REFUSALS[why]
    job = config(log, tmp_path / "w", **changes)
    with pytest.raises(BehaviorError) as raised:
        commands.nightly(job, as_of=as_of, spark=spark, console=QUIET)
    message = str(raised.value)
    assert all(part in message for part in told), message
    assert message.count("\n") <= 2
    assert not (tmp_path / "w" / "events").exists()
