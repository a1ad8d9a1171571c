"""Random logs of many users, with cases planted among them: what alerts are measured against."""

from __future__ import annotations

import datetime as dt
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

AS_OF = dt.date(2024, 6, 1)
PAST_DAYS = 30
CATEGORIES = ["kitchen", "garden", "toys", "books", "sport", "music"]
WORDS = re.findall(
    r"\w+",
    "parcel arrived late and the box was open please send another one or give the money back "
    "thanks for your quick help with my order it works well so far but the colour is not what "
    "I saw in the shop can you tell me when it will be there again",
)
OFFER = re.findall(
    r"\w+",
    "visit our channel now and win a free voucher for every friend that you invite before sunday "
    "this offer is real",
)


@dataclass(frozen=True)
class Takeover:
    """What a thief changes: any of device, place, hour, category."""

    signals: tuple[str, ...]


@dataclass(frozen=True)
class Burst:
    """Events in one hour of the last day."""

    events: int


@dataclass(frozen=True)
class Campaign:
    """Users who write one text within a day, each with some words of their own."""

    users: int
    own_words: int


@dataclass
class Log:
    """Rows of events and texts, and who was planted."""

    events: list[dict[str, Any]] = field(default_factory=list)
    texts: list[dict[str, Any]] = field(default_factory=list)
    users: dict[str, str] = field(default_factory=dict)  # user -> group of peers

    def add_event(self, user: str, at: dt.datetime, **values: Any) -> None:
        self.events.append({"user_id": user, "event_time": at, "event_type": "view", **values})

    def add_text(self, user: str, at: dt.datetime, text: str) -> None:
        self.texts.append({"user_id": user, "text_time": at, "text": text})


TAKEOVERS = st.lists(
    st.lists(
        st.sampled_from(["device", "place", "hour", "category"]), min_size=1, unique=True
    ).map(lambda names: Takeover(tuple(sorted(names)))),
    min_size=12, max_size=20,
)  # fmt: skip
BURSTS = st.lists(st.integers(20, 400).map(Burst), min_size=6, max_size=12)
CAMPAIGNS = st.lists(
    st.builds(Campaign, users=st.integers(2, 12), own_words=st.integers(0, 8)),
    min_size=4, max_size=8,
)  # fmt: skip
SEEDS = st.integers(0, 10_000)


def random_log(
    seed: int,
    *,
    takeovers: Sequence[Takeover] = (),
    bursts: Sequence[Burst] = (),
    campaigns: Sequence[Campaign] = (),
    users: int = 260,
) -> tuple[Log, dict[str, Takeover], dict[str, Burst], list[tuple[Campaign, list[str]]]]:
    """Ordinary users with habits of their own, some of whom buy a new phone or travel."""
    dice, log = random.Random(seed), Log()
    names = [f"u{number:04d}" for number in range(users)]
    habits = {name: _habits(dice) for name in names}
    for name in names:
        log.users[name] = habits[name]["group"]
        _live(log, name, habits[name], dice)
    # Only who has a past can be taken over: that others are silent is tested elsewhere.
    steady = [n for n in names if habits[n]["rate"] > 0.5]
    chosen = dice.sample(steady, len(takeovers) + len(bursts))
    stolen = dict(zip(chosen, takeovers, strict=False))
    bursting = dict(zip(chosen[len(takeovers):], bursts, strict=True))  # fmt: skip
    for name, case in stolen.items():
        _steal(log, name, habits[name], case, dice)
    for name, burst in bursting.items():
        at = _moment(dice, PAST_DAYS + 1, habits[name]["hour"]).replace(minute=0, second=0)
        for _ in range(burst.events):
            log.add_event(name, at + dt.timedelta(seconds=dice.randrange(3600)),
                          device=habits[name]["device"], place=habits[name]["place"],
                          category=dice.choice(CATEGORIES))  # fmt: skip
    groups = [(campaign, dice.sample(names, campaign.users)) for campaign in campaigns]
    for number, (campaign, members) in enumerate(groups):
        _campaign(log, number, campaign, members, dice)
    return log, stolen, bursting, groups


def _habits(dice: random.Random) -> Mapping[str, Any]:
    return {
        "rate": dice.choice([0.2, 0.6, 0.6, 0.8]),
        "group": dice.choice(["new", "loyal"]),
        "device": f"agent {dice.randrange(6)}",
        "place": f"country {dice.randrange(4)}",
        "hour": dice.uniform(6, 20),
        "likes": dice.sample(CATEGORIES, 2),
        # The innocent who look alike: a new phone, a journey on the last day.
        "new_phone": dice.random() < 0.02,
        "journey": dice.random() < 0.02,
    }


def _moment(dice: random.Random, day: int, hour: float) -> dt.datetime:
    start = dt.datetime.combine(AS_OF, dt.time(), dt.UTC) - dt.timedelta(days=PAST_DAYS + 2 - day)
    return start + dt.timedelta(hours=(hour + dice.gauss(0, 2)) % 24)


def _live(log: Log, name: str, habit: Mapping[str, Any], dice: random.Random) -> None:
    for day in range(1, PAST_DAYS + 2):
        if dice.random() > habit["rate"]:
            continue
        last = day == PAST_DAYS + 1
        device = "agent new" if last and habit["new_phone"] else habit["device"]
        place = "country far" if last and habit["journey"] else habit["place"]
        at = _moment(dice, day, habit["hour"])
        for _ in range(1 + int(dice.expovariate(0.2))):
            likes = habit["likes"] if dice.random() < 0.8 else CATEGORIES
            category = dice.choice(likes)
            log.add_event(name, at, device=device, place=place, category=category)
            at = min(at + dt.timedelta(seconds=dice.uniform(5, 120)), _midnight(at))
        if dice.random() < 0.2:
            text = " ".join(dice.choices(WORDS, k=dice.randint(6, 20)))
            log.add_text(name, at, text if dice.random() > 0.05 else "thank you very much for all")


def _midnight(at: dt.datetime) -> dt.datetime:
    return dt.datetime.combine(at.date(), dt.time(23, 59, 59), dt.UTC)


def _steal(
    log: Log, name: str, habit: Mapping[str, Any], case: Takeover, dice: random.Random
) -> None:
    """The thief's visit on the last day, beside whatever the user does himself."""
    changed = set(case.signals)
    hour = habit["hour"] + 12 if "hour" in changed else habit["hour"]
    at = _moment(dice, PAST_DAYS + 1, hour)
    other = [c for c in CATEGORIES if c not in habit["likes"]]
    for _ in range(dice.randint(3, 10)):
        log.add_event(
            name, at,
            device="agent of a thief" if "device" in changed else habit["device"],
            place="country of a thief" if "place" in changed else habit["place"],
            category=other[0] if "category" in changed else dice.choice(habit["likes"]),
        )  # fmt: skip
        at = min(at + dt.timedelta(seconds=dice.uniform(5, 60)), _midnight(at))


def _campaign(
    log: Log, number: int, campaign: Campaign, members: Sequence[str], dice: random.Random
) -> None:
    """Each member's text: a common one of its own campaign, with some words exchanged."""
    order = random.Random(number)
    common = order.sample(OFFER, len(OFFER)) + [f"offer{'abcdefgh'[number]}"] * 3
    for member in members:
        words = list(common)
        for place in dice.sample(range(len(words)), campaign.own_words):
            words[place] = "".join(dice.choices("qwertzuiop", k=6))
        at = _moment(dice, PAST_DAYS + 1, 12.0)
        log.add_text(member, min(at, _midnight(at)), " ".join(words))
