"""Incidents planted in the shop's last week before the night: what alerts are measured against.

A few accounts are taken over, a few users scrape the shop for an hour, some users write the same
advertisement, and some write spam of many kinds. None can be told with certainty: some thieves use
the kind of device that the user has, some scrapers are slow, advertisements differ in words, and
who writes spam may write it once; and ordinary users buy new phones, use two devices, and forward
the spam that they got to the shop, to ask whether it is genuine. Draws come from streams of their
own, so all other rows stay the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

from behavior_spark.demo.behaviour import DAY, SECOND
from behavior_spark.demo.catalogue import Item, list_items
from behavior_spark.demo.dice import Dice
from behavior_spark.demo.wording import compose

TAKEOVER, SCRAPING, CAMPAIGN, SPAM, BOT = "takeover", "scraping", "campaign", "spam", "bot"
# Innocent: who forwards spam. No incident, and not in the truth.
FORWARDING = "forwarding"
TAKEOVERS, SCRAPERS, WRITERS, SPAMMERS, FORWARDERS = 8, 4, 7, 8, 4
LEAST_USERS: Final = 60
LAST_DAYS: Final = 6  # before the night, on which incidents happen
SAME_KIND_OF_DEVICE: Final = 0.25
NEW_PHONE, SECOND_DEVICE = 0.05, 0.25
_SHOP, _ONE, _DEVICES = 90, 91, 92

_ADVERT: Final = (
    "this shop is fine but look at {where} there you get the very same things for half of the "
    "price and the delivery is free all week long"
)
_PLACES: Final = ("bargain dot example", "halfprice dot example")
_CHANGES: Final = (
    ("fine", "okay"), ("look at", "have a look at"), ("very same", "same"), ("get", "find"),
    ("half of the price", "half the price"), ("all week long", "this week"), ("things", "items"),
)  # fmt: skip


# A naive rule against spam: what an analyst writes down in ten minutes without reading a text.
SUSPECT_WORDS: Final = (
    "free", "winner", "you won", "prize", "bitcoin", "crypto", "casino", "jackpot", "lottery",
    "loan", "pills", "followers", "earn", "guaranteed", "congratulations", "telegram", "http",
    "https", "www",
)  # fmt: skip
_FORWARDED: Final = (
    "I got this from you, is it genuine? {spam}", "someone sent me this in your name: {spam}",
    "{spam} - this came to my inbox, please check", "your shop was named in this message: {spam}",
)  # fmt: skip


class PlantedEvent(NamedTuple):
    """An event of an incident: microseconds since 1970, action, item, amount, device, session."""

    at: int
    action: str
    item: Item | None
    amount: float | None
    agent: int
    session: int
    text: str | None


@dataclass(frozen=True)
class Incident:
    """What happens with a user.

    Attributes:
        kind: takeover, scraping, campaign or spam; forwarding is innocent.
        group: Which campaign; empty for others.
    """

    kind: str
    group: str = ""


@lru_cache(maxsize=8)
def plant(seed: int, users: int, bot: int) -> dict[int, Incident]:
    """Index of a user -> the incident; none in a shop that is too small."""
    if users < LEAST_USERS:
        return {}
    dice, chosen = Dice(seed, _SHOP), [bot]
    while len(chosen) < 1 + TAKEOVERS + SCRAPERS + WRITERS + SPAMMERS + FORWARDERS:
        index = dice.below(users)
        if index not in chosen:
            chosen.append(index)
    kinds = (
        [Incident(TAKEOVER)] * TAKEOVERS + [Incident(SCRAPING)] * SCRAPERS
        + [Incident(CAMPAIGN, "advert")] * WRITERS
        + [Incident(SPAM)] * SPAMMERS + [Incident(FORWARDING)] * FORWARDERS
    )  # fmt: skip
    return dict(zip(chosen[1:], kinds, strict=True))


def planted_events(
    incident: Incident, *, seed: int, index: int, night: int, agent: int, agents: int
) -> list[PlantedEvent]:
    """The events of an incident, in order.

    Args:
        incident: What happens.
        seed: Seed of the shop.
        index: The user.
        night: Day of the night, as days since 1970; all happens in the days before.
        agent: The user's usual kind of device.
        agents: Number of kinds.
    """
    dice = Dice(seed, index, _ONE)
    day = night - 1 - dice.below(LAST_DAYS)
    at = day * DAY + int(dice.uniform() * 22 * 3600) * SECOND
    if incident.kind == SCRAPING:
        return _scrape(dice, at - at % (3600 * SECOND), agent)
    if incident.kind == CAMPAIGN:
        # All within two days.
        at = (night - 1 - dice.below(2)) * DAY + int(dice.between(7, 22) * 3600) * SECOND
        text = _advert(dice)
        item = dice.pick(list_items())
        return [PlantedEvent(at, "post_review", item, None, agent, 0, text)]
    if incident.kind in (SPAM, FORWARDING):
        return _write_spam(dice, night, agent, forwarded=incident.kind == FORWARDING)
    if not dice.chance(SAME_KIND_OF_DEVICE):
        agent = (agent + 1 + dice.below(agents - 1)) % agents
    return _steal(dice, at, agent)


def _scrape(dice: Dice, at: int, agent: int) -> list[PlantedEvent]:
    """Pages one after the other within an hour: 50 to 250 of them."""
    views, items = 50 + dice.below(200), list_items()
    times = sorted(at + int(dice.uniform() * 3600 * SECOND) for _ in range(views))
    return [
        PlantedEvent(time, "page_view", items[number % len(items)], None, agent, 0, None)
        for number, time in enumerate(times)
    ]


def _steal(dice: Dice, at: int, agent: int) -> list[PlantedEvent]:
    """A thief looks around, then buys some dear items."""
    events = [PlantedEvent(at, "page_view", None, None, agent, 0, None)]
    dear = sorted(list_items(), key=lambda item: -item.price)[:30]
    basket = [dice.pick(dear) for _ in range(1 + dice.below(4))]
    for item in basket:
        for action in ("page_view", "product_click", "add_to_cart"):
            at += int(dice.between(2, 40)) * SECOND
            events.append(PlantedEvent(at, action, item, None, agent, 0, None))
    at += int(dice.between(5, 60)) * SECOND
    return events + [PlantedEvent(at, "checkout", i, i.price, agent, 0, None) for i in basket]


def _write_spam(dice: Dice, night: int, agent: int, *, forwarded: bool) -> list[PlantedEvent]:
    """One to five texts of spam on the days before the night; one to three of who forwards them."""
    events = []
    for _ in range(1 + dice.below(3 if forwarded else 5)):
        at = (night - 1 - dice.below(LAST_DAYS)) * DAY + int(dice.between(7, 22) * 3600) * SECOND
        kind = "chat" if forwarded or dice.chance(0.5) else "review"
        item = dice.pick(list_items())
        text = (compose(kind, "other", "neutral", item, True, dice) or "").strip() or "free spins"
        if forwarded:
            text = dice.pick(_FORWARDED).format(spam=text)
        action = "contact_support" if kind == "chat" else "post_review"
        about = item if kind == "review" else None
        events.append(PlantedEvent(at, action, about, None, agent, 0, text))
    return sorted(events, key=lambda event: event.at)


def _advert(dice: Dice) -> str:
    text = _ADVERT.format(where=_PLACES[0])
    for before, after in _CHANGES:
        if dice.chance(0.3):
            text = text.replace(before, after)
    return text


class Devices:
    """The devices of an ordinary user: one, sometimes a second one, sometimes a new one."""

    def __init__(self, seed: int, index: int, *, agent: int, agents: int, days: int) -> None:
        dice = Dice(seed, index, _DEVICES)
        other = (agent + 1 + dice.below(agents - 1)) % agents
        self._agent, self._other = agent, other
        self._second = dice.chance(SECOND_DEVICE)
        self._from = dice.below(days) if dice.chance(NEW_PHONE) else days
        self._seed, self._index = seed, index

    def of(self, session: int, day: int) -> int:
        """The kind of device of a visit; ``day`` counts from the first day of the log."""
        if day >= self._from:
            return self._other
        mixed = (session * 2654435761 + self._index * 40503 + self._seed) % 100
        return self._other if self._second and mixed < 20 else self._agent
