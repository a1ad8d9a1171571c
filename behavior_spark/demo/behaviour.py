"""Simulate one user of the shop: hidden traits and states that drive events and texts.

Nothing here uses Spark or tables. A user's state (see `STATES`) follows a Markov chain from day to
day. It determines what the user writes at once, and the chances of what the user buys or cancels in
the following weeks. So texts help to predict events, but never with certainty.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from behavior_spark.demo.catalogue import CATEGORIES, POPULARITY, Item, build_catalogue
from behavior_spark.demo.dice import Dice, cumulative

STATES: Final = ("idle", "browsing", "ready", "dissatisfied", "churned")
IDLE, BROWSING, READY, DISSATISFIED, CHURNED = STATES

# Way of writing of impatient users in the state DISSATISFIED; not a state of its own.
# IMPATIENT: below this patience they write so.
LEAVING: Final = "leaving"
IMPATIENT: Final = 0.5

SECOND: Final = 1_000_000
DAY: Final = 86_400 * SECOND

# By state: chance per day of a move to each other state.
MOVES: Final[dict[str, dict[str, float]]] = {
    IDLE: {BROWSING: 0.004, READY: 0.009, DISSATISFIED: 0.0010, CHURNED: 0.0003},
    BROWSING: {IDLE: 0.003, READY: 0.004, DISSATISFIED: 0.0010},
    READY: {IDLE: 0.001, DISSATISFIED: 0.0010},
    DISSATISFIED: {IDLE: 0.010, CHURNED: 0.004},
    CHURNED: {IDLE: 0.008},
}
# By state: visits per day of the average user, and the chances that a visit has each kind of event.
# BROWSING and READY differ only in the checkout and in what the user writes.
VISITS: Final = {IDLE: 0.20, BROWSING: 0.48, READY: 0.48, DISSATISFIED: 0.28, CHURNED: 0.01}
CART: Final = {IDLE: 0.10, BROWSING: 0.30, READY: 0.30, DISSATISFIED: 0.06, CHURNED: 0.02}
CHECKOUT: Final = {IDLE: 0.04, BROWSING: 0.05, READY: 0.75, DISSATISFIED: 0.10, CHURNED: 0.05}
SEARCH: Final = {IDLE: 0.10, BROWSING: 0.27, READY: 0.27, DISSATISFIED: 0.10, CHURNED: 0.10}
CONTACT: Final = {IDLE: 0.06, BROWSING: 0.06, READY: 0.06, DISSATISFIED: 0.26, CHURNED: 0.10}
SATED: Final = 0.12  # chance that a purchase ends the state READY
# Visits by day of the week relative to the average day, Monday first.
WEEK: Final = (0.92, 0.85, 0.90, 0.96, 1.08, 1.22, 1.15)

_LOOKING: Final = ("find_product", "compare", "ready_to_buy", "delivery_problem", "refund_request",
                   "cancel_intent", "praise", "complaint", "other")  # fmt: skip
SEARCHES: Final = {
    IDLE: cumulative((62, 24, 3, 3, 2, 0.5, 0, 1, 5)),
    BROWSING: cumulative((48, 46, 3, 1, 1, 0.3, 0, 0.5, 2)),
    READY: cumulative((20, 6, 72, 1, 1, 0.2, 0, 0.5, 2)),
    DISSATISFIED: cumulative((22, 8, 2, 18, 22, 4, 0, 18, 4)),
    LEAVING: cumulative((12, 8, 1, 8, 12, 44, 0, 11, 4)),
    CHURNED: cumulative((50, 20, 2, 2, 4, 10, 0, 4, 8)),
}
CHATS: Final = {
    IDLE: cumulative((24, 10, 6, 26, 10, 1.5, 12, 5, 12)),
    BROWSING: cumulative((34, 30, 6, 12, 5, 0.8, 6, 3, 7)),
    READY: cumulative((18, 6, 48, 12, 3, 0.5, 7, 2, 6)),
    DISSATISFIED: cumulative((3, 2, 1, 27, 31, 4, 1, 30, 4)),
    LEAVING: cumulative((2, 2, 1, 9, 10, 62, 1, 11, 2)),
    CHURNED: cumulative((8, 4, 1, 6, 16, 40, 2, 14, 8)),
}
_OPINIONS: Final = ("praise", "complaint", "refund_request", "cancel_intent", "ready_to_buy",
                    "delivery_problem")  # fmt: skip
REVIEWS: Final = {
    IDLE: cumulative((70, 14, 4, 1, 5, 8)),
    BROWSING: cumulative((68, 12, 4, 1, 8, 8)),
    READY: cumulative((56, 8, 2, 0.5, 28, 6)),
    DISSATISFIED: cumulative((6, 50, 26, 3, 0.5, 16)),
    LEAVING: cumulative((4, 36, 14, 40, 0.5, 6)),
    CHURNED: cumulative((10, 50, 20, 16, 0.5, 10)),
}
_FEELINGS: Final = ("joy", "anger", "sadness", "worry", "neutral")
FEELINGS: Final[dict[str, tuple[float, ...]]] = {
    "find_product": (12, 1, 1, 10, 76),
    "compare": (4, 1, 2, 18, 75),
    "ready_to_buy": (42, 1, 1, 8, 48),
    "delivery_problem": (0, 30, 16, 36, 18),
    "refund_request": (1, 32, 32, 8, 27),
    "cancel_intent": (1, 42, 26, 3, 28),
    "praise": (84, 0, 1, 1, 14),
    "complaint": (0, 48, 36, 4, 12),
    "other": (6, 3, 2, 6, 83),
}


class Event(NamedTuple):
    """One event as it really happened, before the log makes it late, duplicated or broken."""

    at: int  # microseconds since 1970, UTC
    action: str
    item: Item | None
    amount: float | None
    text: int | None  # number of the text written
    session: int
    named: bool  # whether the user was logged in


class Saying(NamedTuple):
    """The meaning of a text; `wording.compose` writes it in words."""

    number: int
    at: int
    kind: str
    intent: str
    emotion: str
    spam: bool
    item: Item


@dataclass(frozen=True, slots=True)
class Traits:
    """The traits of a user, which never change."""

    activity: float  # visits relative to the average user
    thrift: float  # sensitivity to prices, 0 to 1
    spending: float  # around 1; factor of the chance to become ready to buy
    patience: float  # 0 to 1; impatient users get angry and cancel, patient ones stay
    talk: float  # around 1; factor of the chances to write
    favourites: tuple[str, ...]
    agent: int
    hour: float  # of the day, UTC, around which visits begin
    joined: int  # day of the simulation
    spammer: bool
    bought_before: bool


@dataclass(slots=True)
class Life:
    """All events, texts and states of a user over the period."""

    traits: Traits
    events: list[Event] = field(default_factory=list)
    sayings: list[Saying] = field(default_factory=list)
    states: list[str] = field(default_factory=list)  # one per day; not in any table


def draw_traits(dice: Dice, *, days: int) -> Traits:
    """Draw a user."""
    first = dice.pick(CATEGORIES)
    second = dice.pick(CATEGORIES)
    return Traits(
        activity=_draw_activity(dice),
        thrift=dice.uniform(),
        spending=math.exp(1.3 * dice.normal() - 0.4),
        patience=dice.uniform(),
        talk=min(3.0, math.exp(0.5 * dice.normal() - 0.12)),
        favourites=(first,) if dice.chance(0.5) else (first, second),
        agent=dice.below(6),
        hour=dice.between(6.0, 20.0),
        joined=int(dice.uniform() * 0.5 * days) if dice.chance(0.25) else 0,
        spammer=dice.chance(0.02),
        bought_before=dice.chance(0.55),
    )


def _draw_activity(dice: Dice) -> float:
    """Draw visits relative to the average user: many inactive users and a heavy tail."""
    if dice.chance(0.20):
        return dice.between(0.05, 0.2)
    return min(6.0, math.exp(0.45 * dice.normal()) * (2.5 if dice.chance(0.05) else 1.0))


def live(dice: Dice, *, first_day: int, days: int) -> Life:
    """Simulate a user for `days` days from `first_day` (days since 1970)."""
    return Shopper(dice, draw_traits(dice, days=days), first_day=first_day, days=days).live()


class Shopper:
    """Simulates one user, day by day."""

    def __init__(self, dice: Dice, traits: Traits, *, first_day: int, days: int) -> None:
        self._dice, self._traits = dice, traits
        self._first_day, self._days = first_day, days
        self._life = Life(traits)
        self._state = dice.weighted(STATES, cumulative((38, 24, 28, 8, 2)))
        self._interest = dice.pick(traits.favourites)
        self._bought = traits.bought_before
        self._trouble: dict[int, bool] = {}  # days on which a bad order becomes known
        self._reviews: dict[int, Item] = {}
        self._sessions = 0

    def live(self) -> Life:
        """Simulate all days; return the life with its events in order of time."""
        for day in range(self._days):
            self._life.states.append(self._state)
            if day >= self._traits.joined:
                self._spend(day)
                self._move_on(day)
        self._life.events.sort(key=lambda event: event.at)
        return self._life

    def _move_on(self, day: int) -> None:
        dice, traits = self._dice, self._traits
        if self._trouble.pop(day, False) and self._state != CHURNED:
            self._state = DISSATISFIED
            return
        draw = dice.uniform()
        for state, chance in MOVES[self._state].items():
            if state == READY:
                chance *= traits.spending
            elif self._state == DISSATISFIED:
                chance *= 0.5 + (traits.patience if state == IDLE else 1.0 - traits.patience)
            draw -= chance
            if draw < 0.0:
                before, self._state = self._state, state
                if state in (BROWSING, READY) and before not in (BROWSING, READY):
                    favoured = dice.chance(0.65)
                    self._interest = dice.pick(traits.favourites if favoured else CATEGORIES)
                return

    def _spend(self, day: int) -> None:
        dice, traits, state = self._dice, self._traits, self._state
        weekday = WEEK[(self._first_day + day + 3) % 7]  # day 0 was a Thursday
        for _ in range(min(4, dice.poisson(VISITS[state] * traits.activity * weekday))):
            self._visit(day)
        if day in self._reviews:
            self._review(self._reviews.pop(day), day)
        hazard = 0.0005
        if state == DISSATISFIED:
            hazard = 0.045 if self._voice() == LEAVING else 0.004
        if self._bought and dice.chance(hazard):
            at, session = self._begin(day)
            self._add(at, "page_view", None, session)
            self._add(at + self._gap(), "cancel_order", self._wanted(), session)
        if traits.spammer and dice.chance(0.09):
            self._write_spam(day)

    def _begin(self, day: int) -> tuple[int, int]:
        hour = (self._traits.hour + 2.5 * self._dice.normal()) % 24.0
        self._sessions += 1
        at = (self._first_day + day) * DAY + int(hour * 3600 * SECOND)
        return at + self._dice.below(SECOND), self._sessions

    def _gap(self) -> int:
        mean = 480.0 if self._dice.chance(0.04) else 45.0
        return int(min(1700.0, 2.0 + self._dice.exponential(mean)) * SECOND)

    def _wanted(self) -> Item:
        dice, draw = self._dice, self._dice.uniform()
        if draw < 0.12:
            category = self._interest
        else:
            category = dice.pick(self._traits.favourites if draw < 0.50 else CATEGORIES)
        return dice.weighted(build_catalogue()[category], POPULARITY)

    def _sought(self) -> Item:
        category = self._interest if self._dice.chance(0.85) else self._dice.pick(CATEGORIES)
        return self._dice.weighted(build_catalogue()[category], POPULARITY)

    def _visit(self, day: int) -> None:
        dice, state = self._dice, self._state
        at, session = self._begin(day)
        in_cart = dice.chance(CART[state])
        searches = dice.chance(SEARCH[state])
        contacts = dice.chance(CONTACT[state] * self._traits.talk)
        named = in_cart or searches or contacts or dice.chance(0.82)
        self._add(at, "page_view", None, session, named=named)
        for step in range(1 + dice.poisson(1.2)):
            at += self._gap()
            if step == 0 and searches:
                self._search(at, session)
                at += self._gap()
            item = self._wanted()
            self._add(at, "page_view", item, session, named=named)
            if dice.chance(0.35):
                at += self._gap()
                self._add(at, "product_click", item, session, named=named)
        if in_cart:
            at = self._fill_cart(at, session, day)
        if contacts:
            self._chat(at + self._gap(), session)

    def _voice(self) -> str:
        leaving = self._state == DISSATISFIED and self._traits.patience < IMPATIENT
        return LEAVING if leaving else self._state

    def _search(self, at: int, session: int) -> None:
        dice, item = self._dice, self._sought()
        intent = dice.weighted(_LOOKING, SEARCHES[self._voice()])
        emotion = "neutral" if dice.chance(0.97) else dice.pick(("anger", "worry"))
        text = self._say(at, "search", intent, emotion, item)
        self._add(at, "search", None, session, text=text)

    def _chat(self, at: int, session: int) -> None:
        intent = self._dice.weighted(_LOOKING, CHATS[self._voice()])
        text = self._say(at, "chat", intent, self._feel(intent), self._sought())
        self._add(at, "contact_support", None, session, text=text)

    def _review(self, item: Item, day: int) -> None:
        at, session = self._begin(day)
        self._add(at, "page_view", item, session)
        intent = self._dice.weighted(_OPINIONS, REVIEWS[self._voice()])
        at += self._gap()
        text = self._say(at, "review", intent, self._feel(intent), item)
        self._add(at, "post_review", item, session, text=text)

    def _feel(self, intent: str) -> str:
        joy, anger, sadness, worry, neutral = FEELINGS[intent]
        heat = 2.0 * (1.0 - self._traits.patience)
        weights = (joy, anger * heat, sadness * (2.0 - heat), worry, neutral)
        return self._dice.weighted(_FEELINGS, cumulative(weights))

    def _fill_cart(self, at: int, session: int, day: int) -> int:
        dice, state = self._dice, self._state
        basket = []
        for _ in range(1 + dice.poisson(0.9)):
            basket.append(self._sought() if state == READY else self._wanted())
            at += self._gap()
            self._add(at, "add_to_cart", basket[-1], session)
        dear = max(item.price for item in basket) > 25.0
        if dice.chance(CHECKOUT[state] * (1.15 - (0.6 if dear else 0.2) * self._traits.thrift)):
            at += self._gap()
            for item in basket:
                paid = round(item.price * dice.pick((1.0, 1.0, 1.0, 0.9, 0.8)), 2)
                self._add(at, "checkout", item, session, amount=paid)
            self._after_checkout(basket[0], day)
        return at

    def _after_checkout(self, item: Item, day: int) -> None:
        dice, traits = self._dice, self._traits
        self._bought = True
        if dice.chance(0.03 + 0.06 * (1.0 - traits.patience)):
            self._trouble[day + 2 + dice.below(8)] = True
        if dice.chance(0.42 * traits.talk):
            self._reviews[day + 3 + dice.below(12)] = item
        if self._state == READY and dice.chance(SATED):
            self._state = IDLE

    def _write_spam(self, day: int) -> None:
        at, session = self._begin(day)
        kind = self._dice.pick(("chat", "review"))
        item = self._wanted()
        text = self._say(at, kind, "other", "neutral", item, spam=True)
        action = "contact_support" if kind == "chat" else "post_review"
        self._add(at, action, item if kind == "review" else None, session, text=text)

    def _say(
        self, at: int, kind: str, intent: str, emotion: str, item: Item, *, spam: bool = False
    ) -> int:
        number = len(self._life.sayings)
        self._life.sayings.append(Saying(number, at, kind, intent, emotion, spam, item))
        return number

    def _add(
        self, at: int, action: str, item: Item | None, session: int, *,
        amount: float | None = None, text: int | None = None, named: bool = True,
    ) -> None:  # fmt: skip
        self._life.events.append(Event(at, action, item, amount, text, session, named))


def crawl(dice: Dice, *, first_day: int, days: int, views_a_day: int) -> Life:
    """Simulate a bot: from the middle of the period, a page view every few minutes, all day."""
    life = Life(draw_traits(dice, days=days), states=[IDLE] * days)
    items = [item for shelf in build_catalogue().values() for item in shelf]
    pause = DAY // views_a_day
    for day in range(days // 2, days):
        start = (first_day + day) * DAY
        for view in range(views_a_day):
            at = start + view * pause + dice.below(2 * SECOND)
            item = items[view % len(items)]
            life.events.append(Event(at, "page_view", item, None, None, day, True))
    return life
