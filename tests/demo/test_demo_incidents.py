"""Incidents planted among the simulated users, without Spark."""

from __future__ import annotations

import datetime as dt
import re
from collections import Counter

import pytest

from behavior_spark.demo.behaviour import DAY
from behavior_spark.demo.incidents import (
    FORWARDERS,
    SCRAPERS,
    SPAMMERS,
    SUSPECT_WORDS,
    TAKEOVERS,
    WRITERS,
)
from behavior_spark.demo.logs import BOT, OUTCOME_DAYS, Row, UserLogs
from behavior_spark.model.anomaly.near_texts import packed_runs, similarities

USERS, DAYS, START = 120, 80, dt.date(2024, 1, 1)
NIGHT = ((START - dt.date(1970, 1, 1)).days + DAYS - OUTCOME_DAYS) * DAY


@pytest.fixture(scope="module")
def shop() -> list[UserLogs]:
    return [UserLogs(7, index, USERS, START, DAYS, True) for index in range(USERS)]


def of_kind(user: UserLogs, kind: str) -> bool:
    return user.incident is not None and user.incident.kind == kind


def texts_of(user: UserLogs) -> list[str]:
    return [event.text for event in user.planted if event.text]


def without_agent(row: Row) -> Row:
    return row[:9] + row[10:]


def test_all_other_rows_are_those_of_a_shop_without_incidents(shop: list[UserLogs]) -> None:
    for user in shop:
        plain = UserLogs(user.seed, user.index, USERS, START, DAYS)
        rows, others = user.list_events(), plain.list_events()
        assert [*map(without_agent, rows[: len(others)])] == [*map(without_agent, others)]
        assert len(rows) - len(others) == len(user.planted)
        assert user.list_texts()[: len(plain.list_texts())] == plain.list_texts()
        assert user.list_labels() == plain.list_labels()
        assert not plain.list_planted() or plain.index == BOT or plain.life.traits.spammer


def test_the_truth_names_who_was_planted_and_all_happens_in_the_week_before_the_night(
    shop: list[UserLogs],
) -> None:
    kinds = Counter(kind for user in shop for _, kind, _ in user.list_planted())
    assert (kinds["takeover"], kinds["scraping"], kinds["campaign"], kinds["bot"]) == (
        TAKEOVERS, SCRAPERS, WRITERS, 1
    )  # fmt: skip
    for user in shop:
        assert all(NIGHT - 7 * DAY <= event.at < NIGHT for event in user.planted)
        assert bool(user.planted) == (user.incident is not None)
    assert not UserLogs(7, 3, 40, START, DAYS, True).planted  # too small a shop


def test_spam_is_in_the_truth_and_who_forwards_it_is_innocent(shop: list[UserLogs]) -> None:
    writers = [user for user in shop if of_kind(user, "spam")]
    innocent = [user for user in shop if of_kind(user, "forwarding")]
    assert (len(writers), len(innocent)) == (SPAMMERS, FORWARDERS)
    for user in writers:
        assert [kind for _, kind, _ in user.list_planted()] == ["spam"]
    for user in innocent:
        assert user.life.traits.spammer or not user.list_planted()
        assert {event.action for event in user.planted} == {"contact_support"}
    # Neither a count of texts nor a list of words tells the one from the other.
    assert min(len(texts_of(user)) for user in writers) == 1
    words = re.compile(rf"\b({'|'.join(SUSPECT_WORDS)})\b", re.IGNORECASE)
    for users in (writers, innocent):
        found = [bool(words.search(text)) for user in users for text in texts_of(user)]
        assert 0 < sum(found) < len(found)
    chats = {row[0] for user in innocent for row in user.list_texts()[-1:] if row[4] == "chat"}
    assert len(chats) == FORWARDERS


def test_incidents_are_not_certain_signs_and_ordinary_users_show_them_too(
    shop: list[UserLogs],
) -> None:
    stolen = [u for u in shop if u.incident and u.incident.kind == "takeover"]
    same = [u for u in stolen if all(e.agent == u.life.traits.agent for e in u.planted)]
    assert 0 < len(same) < len(stolen)
    ordinary = [u for u in shop if u.incident is None and u.index != BOT]
    two = sum(len({row[9] for row in user.list_events()}) > 1 for user in ordinary)
    assert 0.1 < two / len(ordinary) < 0.5
    adverts = [text for u in shop if of_kind(u, "campaign") for text in texts_of(u)]
    pairs = [(a, b) for a in adverts for b in adverts if a < b]
    similar = similarities(*(packed_runs(side) for side in zip(*pairs, strict=True)))
    assert len(set(adverts)) > 1 and 0.3 < similar.min() < 1
