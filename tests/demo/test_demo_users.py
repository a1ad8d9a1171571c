"""The simulated users, without Spark."""

from __future__ import annotations

import datetime as dt
import re
from collections import Counter

import pytest

from behavior_spark.demo.behaviour import DAY, READY, SECOND
from behavior_spark.demo.catalogue import CATEGORIES, list_items
from behavior_spark.demo.dice import Dice, scrambled
from behavior_spark.demo.logs import BOT, BOT_VIEWS_A_DAY, Row, UserLogs
from behavior_spark.demo.vocabulary import EMOTIONS, INTENTS, TEST_CARDS

USERS, DAYS, START = 300, 150, dt.date(2024, 1, 1)
ACTIONS = {
    "page_view",
    "product_click",
    "search",
    "add_to_cart",
    "checkout",
    "cancel_order",
    "contact_support",
    "post_review",
}


def simulate(index: int, *, seed: int = 7, users: int = USERS) -> UserLogs:
    return UserLogs(seed, index, users, START, DAYS)


@pytest.fixture(scope="module")
def shop() -> list[UserLogs]:
    return [simulate(index) for index in range(USERS)]


@pytest.fixture(scope="module")
def events(shop: list[UserLogs]) -> list[Row]:
    return [row for user in shop for row in user.list_events()]


@pytest.fixture(scope="module")
def texts(shop: list[UserLogs]) -> list[Row]:
    return [row for user in shop for row in user.list_texts()]


@pytest.fixture(scope="module")
def labels(shop: list[UserLogs]) -> list[Row]:
    return [row for user in shop for row in user.list_labels()]


def test_a_user_is_the_same_each_time_and_another_with_another_seed() -> None:
    first, again, other = simulate(3), simulate(3), simulate(3, seed=8)
    assert first.list_events() == again.list_events()
    assert first.list_texts() == again.list_texts()
    assert first.list_labels() == again.list_labels()
    assert first.user_id != other.user_id
    assert [row[3] for row in first.list_events()] != [row[3] for row in other.list_events()]


def test_ids_do_not_collide_and_do_not_count() -> None:
    ids = [scrambled(i, n, seed=7) for i in range(200) for n in range(200)]
    assert len(set(ids)) == len(ids)
    assert ids != sorted(ids)


def test_the_log_has_its_share_of_blemishes(events: list[Row]) -> None:
    total = len(events)
    doubled = total - len(set(events))
    late = sum(row[2] is not None and row[3] - row[2] > 1800 * SECOND for row in events)
    broken = sum(row[0] is None or row[2] is None for row in events)
    anonymous = sum(row[1] is None for row in events)
    arrivals: dict[str, set[int]] = {}
    for row in events:
        if row[0] is not None and row[2] is not None:
            arrivals.setdefault(row[0], set()).add(row[3])
    corrected = sum(len(times) > 1 for times in arrivals.values())
    assert 0.007 < doubled / total < 0.013
    assert 0.015 < late / total < 0.030
    assert 0.002 < broken / total < 0.0045
    assert 0.03 < anonymous / total < 0.09
    assert 0.0025 < corrected / total < 0.007


def test_events_keep_what_their_columns_promise(events: list[Row], texts: list[Row]) -> None:
    written, skus = {row[0] for row in texts}, {item.sku for item in list_items()}
    first = (START - dt.date(1970, 1, 1)).days * DAY
    for _, uid, at, received, action, sku, amount, text, session, agent, day in events:
        assert action in ACTIONS and session and agent
        assert at is None or first <= at < first + DAYS * DAY
        assert at is None or at <= received <= at + 6 * DAY
        assert day == str(dt.date.fromordinal(received // DAY + dt.date(1970, 1, 1).toordinal()))
        assert (amount is not None) == (action == "checkout")
        assert uid is not None or action in ("page_view", "product_click")
        assert (text is not None) == (action in ("search", "contact_support", "post_review"))
        assert text is None or text in written
        assert sku is None or sku in skus


def test_the_bot_views_pages_all_day_and_the_rest_do_not(shop: list[UserLogs]) -> None:
    per_day = {
        user.index: max(Counter(event.at // DAY for event in user.life.events).values(), default=0)
        for user in shop
    }
    assert per_day.pop(BOT) == pytest.approx(BOT_VIEWS_A_DAY, abs=2)
    assert max(per_day.values()) < 100


def test_texts_are_many_varied_and_messy(texts: list[Row]) -> None:
    bodies = [row[5] for row in texts]
    filled = [body for body in bodies if body and body.strip()]
    assert 8 * USERS < len(bodies) < 20 * USERS
    assert len(set(filled)) / len(filled) > 0.7
    assert {row[4] for row in texts} == {"search", "chat", "review"}
    assert 0.002 < 1 - len(filled) / len(bodies) < 0.03
    assert not any("{" in body or "}" in body for body in filled)
    everything = "\n".join(filled)
    for sign in ("&nbsp;", "<p>", "@example", "+49", "192.0.2.", "\u200b", "שלום", "😀"):
        assert sign in everything
    assert any(card in everything for card in TEST_CARDS)


@pytest.mark.parametrize("card", TEST_CARDS)
def test_card_numbers_pass_the_check_that_maskers_use(card: str) -> None:
    digits = [int(digit) for digit in re.sub(r"\D", "", card)][::-1]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[1::2]]
    assert (sum(digits[::2]) + sum(doubled)) % 10 == 0


def test_labels_are_of_early_readable_texts_only(texts: list[Row], labels: list[Row]) -> None:
    by_id = {row[0]: row for row in texts}
    end = ((START - dt.date(1970, 1, 1)).days + int(DAYS * 0.4)) * DAY
    assert 2 * USERS < len(labels) < 6 * USERS
    assert len({row[0] for row in labels}) == len(labels)
    for text, body, intent, emotion, spam, labelled_on in labels:
        assert by_id[text][2] < end and by_id[text][5] == body and body.strip()
        assert intent in INTENTS and emotion in EMOTIONS and spam in ("spam", "ok")
        written = dt.date.fromordinal(by_id[text][2] // DAY + dt.date(1970, 1, 1).toordinal())
        assert written < labelled_on
    assert {row[2] for row in labels} == set(INTENTS)
    assert 0.01 < sum(row[4] == "spam" for row in labels) / len(labels) < 0.12


def test_a_large_shop_has_as_many_labels_as_a_small_one() -> None:
    few = [len(simulate(index, users=1_000_000).list_labels()) for index in range(2_000)]
    assert sum(few) < 40


def test_no_state_foretells_a_purchase_for_sure(shop: list[UserLogs]) -> None:
    as_of = DAYS - 30
    cut = ((START - dt.date(1970, 1, 1)).days + as_of) * DAY
    bought = {
        user.index: any(e.action == "checkout" and e.at >= cut for e in user.life.events)
        for user in shop
    }
    ready = [bought[user.index] for user in shop if user.life.states[as_of] == READY]
    others = [bought[user.index] for user in shop if user.life.states[as_of] != READY]
    assert 0.2 < sum(bought.values()) / USERS < 0.45
    assert 0.4 < sum(ready) / len(ready) < 0.9
    assert 0.05 < sum(others) / len(others) < 0.35


def test_the_catalogue_has_distinct_items_in_eight_categories() -> None:
    items = list_items()
    assert len(items) == len({item.sku for item in items}) == 120
    assert len({item.title for item in items}) == 120
    assert Counter(item.category for item in items) == dict.fromkeys(CATEGORIES, 15)
    assert all(item.price > 0 for item in items)


def test_dice_draw_what_they_say() -> None:
    dice = Dice(1, 2)
    assert sum(dice.poisson(0.7) for _ in range(4000)) / 4000 == pytest.approx(0.7, abs=0.06)
    assert sum(dice.normal() for _ in range(4000)) / 4000 == pytest.approx(0.0, abs=0.06)
    assert sum(dice.exponential(3.0) for _ in range(4000)) / 4000 == pytest.approx(3.0, abs=0.25)
