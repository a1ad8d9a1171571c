"""Log rows of one simulated user, some of them late, duplicated, corrected, broken or anonymous.

No Spark here. Each row is a tuple in the order of the columns in `generate`. Times are
microseconds since 1970, UTC.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from behavior_spark.demo import incidents
from behavior_spark.demo import vocabulary as words
from behavior_spark.demo.behaviour import DAY, SECOND, Event, Life, Saying, crawl, live
from behavior_spark.demo.dice import Dice, scrambled
from behavior_spark.demo.incidents import Devices, Incident, PlantedEvent, plant, planted_events
from behavior_spark.demo.wording import compose

Row = tuple[Any, ...]

BOT: Final = 7  # index of the only user who is a bot
BOT_VIEWS_A_DAY: Final = 300
OUTCOME_DAYS: Final = 30  # of the log that follow the night
SPAM_DAYS: Final = 14
_PLANTED: Final = 1 << 22  # numbers of events and texts of incidents start here

LATE: Final = 0.02
DOUBLED: Final = 0.01
CORRECTED: Final = 0.18  # of checkouts: about one row in 250
BROKEN: Final = 0.003
LABEL_NOISE: Final = 0.04

LABELLED_PERIOD: Final = 0.4  # share of the days, from the first, whose texts may be labelled
LABELLED_TEXTS: Final = 1_700
LABELLED_SEARCHES: Final = 0.75  # share of labelled searches; of chats and reviews all
_LABELS_A_USER: Final = 4.2

AGENTS: Final = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Firefox/121.0",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_2) Safari/605.1",
    "Mozilla/5.0 (X11; Linux x86_64) Chrome/120.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_2) Mobile/15E148",
    "Mozilla/5.0 (Linux; Android 14) Chrome/120.0 Mobile",
    "ShopApp/5.4 (Android)",
)
_LIFE, _LOG, _WORDS, _READERS, _CHOSEN = range(5)
_EVENT_ID, _SESSION_ID, _TEXT_ID, _USER_ID = range(4)


@dataclass(frozen=True)
class UserLogs:
    """The raw rows of one user; they depend on these arguments only."""

    seed: int
    index: int
    users: int
    start: dt.date
    days: int
    incidents: bool = False  # whether some are planted; see `incidents`

    @cached_property
    def first_day(self) -> int:
        """The first day, as days since 1970."""
        return (self.start - dt.date(1970, 1, 1)).days

    @cached_property
    def life(self) -> Life:
        """The simulated life of the user, without errors of the log."""
        dice = self._dice(_LIFE)
        if self.index == BOT:
            views = BOT_VIEWS_A_DAY
            return crawl(dice, first_day=self.first_day, days=self.days, views_a_day=views)
        return live(dice, first_day=self.first_day, days=self.days)

    @cached_property
    def user_id(self) -> str:
        """An id that does not reveal the index."""
        return "u" + scrambled(self.index, 0, seed=self.seed, salt=_USER_ID)[:14]

    def list_events(self) -> list[Row]:
        """List the event rows, with duplicates, corrections and broken rows."""
        dice = self._dice(_LOG)
        rows: list[Row] = []
        for number, event in enumerate(self.life.events):
            if event.at < (self.first_day + self.days) * DAY:
                rows.extend(self._log(number, event, dice))
        rows.extend(self._planted_row(n, event) for n, event in enumerate(self.planted))
        return rows

    @cached_property
    def planted(self) -> list[PlantedEvent]:
        """Events of the incident that was planted with this user; none for most."""
        incident = self.incident
        if incident is None:
            return []
        return planted_events(
            incident, seed=self.seed, index=self.index, night=self._night,
            agent=self.life.traits.agent, agents=len(AGENTS),
        )  # fmt: skip

    @cached_property
    def incident(self) -> Incident | None:
        """What was planted with this user."""
        return plant(self.seed, self.users, BOT).get(self.index) if self.incidents else None

    @cached_property
    def _night(self) -> int:
        return self.first_day + self.days - OUTCOME_DAYS

    def list_planted(self) -> list[Row]:
        """Truth for a measure of alerts: uid, kind, group; spam of the last two weeks included."""
        kinds = [(self.incident.kind, self.incident.group)] if self.incident else []
        kinds = [kind for kind in kinds if kind[0] != incidents.FORWARDING]
        if self.index == BOT:
            kinds.append((incidents.BOT, ""))
        since, end = (self._night - SPAM_DAYS) * DAY, self._night * DAY
        if any(s.spam and since <= s.at < end for s in self.life.sayings):
            kinds.append((incidents.SPAM, ""))
        return [(self.user_id, kind, group) for kind, group in dict.fromkeys(kinds)]

    def list_texts(self) -> list[Row]:
        """List the text rows: id, uid, ts, received, kind, body."""
        dice, log = self._dice(_WORDS), self._dice(_LOG, _WORDS)
        return [
            (self._id("t", _TEXT_ID, saying.number), self.user_id, saying.at,
             _receive(saying.at, log), saying.kind, _write(saying, dice))
            for saying in self._sayings()
        ] + [
            (self._id("t", _TEXT_ID, _PLANTED + number), self.user_id, event.at,
             event.at + 5 * SECOND, "chat" if event.action == "contact_support" else "review",
             event.text)
            for number, event in enumerate(self.planted) if event.text
        ]  # fmt: skip

    def list_meanings(self) -> list[Row]:
        """Truth for a measure of the service queue: id, intent, emotion of every text of a life.

        Those of incidents are left out: nobody's need is in them.
        """
        return [
            (self._id("t", _TEXT_ID, s.number), "other" if s.spam else s.intent, s.emotion)
            for s in self._sayings()
        ]

    def list_labels(self) -> list[Row]:
        """List the labels of this user's early texts; in a large shop most users have none."""
        if not self.may_be_labelled():
            return []
        words_dice, dice = self._dice(_WORDS), self._dice(_READERS)
        last = (self.first_day + int(self.days * LABELLED_PERIOD)) * DAY
        rows: list[Row] = []
        for saying in self._sayings():
            body = _write(saying, words_dice)
            drawn = dice.chance(LABELLED_SEARCHES if saying.kind == "search" else 1.0)
            if drawn and saying.at < last and body and body.strip():
                rows.append(self._label(saying, body, dice))
        return rows

    def may_be_labelled(self) -> bool:
        """Whether this user's texts are labelled; does not simulate the user."""
        if self.index == BOT:
            return False
        return self._dice(_CHOSEN).chance(self._chosen_users() / self.users)

    def _chosen_users(self) -> float:
        return min(float(self.users), LABELLED_TEXTS / _LABELS_A_USER)

    def _dice(self, *purpose: int) -> Dice:
        return Dice(self.seed, self.index, *purpose)

    def _id(self, letter: str, salt: int, number: int) -> str:
        return letter + scrambled(self.index, number, seed=self.seed, salt=salt)

    def _sayings(self) -> list[Saying]:
        end = (self.first_day + self.days) * DAY
        return [saying for saying in self.life.sayings if saying.at < end]

    def _log(self, number: int, event: Event, dice: Dice) -> list[Row]:
        """Rows of one event: a second one if it is duplicated, another one if it is corrected."""
        event_id: str | None = self._id("e", _EVENT_ID, number)
        at: int | None = event.at
        amount, received = event.amount, _receive(event.at, dice)
        corrected_at: int | None = None
        if amount is not None and dice.chance(CORRECTED):
            corrected_at = received + int(dice.between(0.2, 60.0) * 3600 * SECOND)
        if dice.chance(BROKEN):
            event_id, at = (None, at) if dice.chance(0.5) else (event_id, None)
        row = self._row(event_id, at, received, event, amount)
        rows = [row, row] if dice.chance(DOUBLED) else [row]
        if corrected_at is not None and amount is not None:
            corrected = round(amount * dice.pick((0.9, 0.95, 1.05, 0.5)), 2)
            rows.append(self._row(event_id, at, corrected_at, event, corrected))
        return rows

    def _row(
        self, event_id: str | None, at: int | None, received: int, event: Event,
        amount: float | None,
    ) -> Row:  # fmt: skip
        text = None if event.text is None else self._id("t", _TEXT_ID, event.text)
        day = dt.date.fromordinal(received // DAY + _EPOCH).isoformat()
        return (
            event_id, self.user_id if event.named else None, at, received, event.action,
            event.item.sku if event.item else None, amount, text,
            self._id("s", _SESSION_ID, event.session), self._agent(event), day,
        )  # fmt: skip

    def _agent(self, event: Event) -> str:
        agent = self.life.traits.agent
        if self.incidents and self.index != BOT:
            agent = self._devices.of(event.session, event.at // DAY - self.first_day)
        return AGENTS[agent]

    @cached_property
    def _devices(self) -> Devices:
        return Devices(self.seed, self.index, agent=self.life.traits.agent, agents=len(AGENTS),
                       days=self.days)  # fmt: skip

    def _planted_row(self, number: int, event: PlantedEvent) -> Row:
        received = event.at + 5 * SECOND
        text = self._id("t", _TEXT_ID, _PLANTED + number) if event.text else None
        return (
            self._id("e", _EVENT_ID, _PLANTED + number), self.user_id, event.at, received,
            event.action, event.item.sku if event.item else None, event.amount, text,
            self._id("s", _SESSION_ID, _PLANTED), AGENTS[event.agent],
            dt.date.fromordinal(received // DAY + _EPOCH).isoformat(),
        )  # fmt: skip

    def _label(self, saying: Saying, body: str, dice: Dice) -> Row:
        intent, emotion, spam = saying.intent, saying.emotion, saying.spam
        if dice.chance(LABEL_NOISE):
            intent = dice.pick(words.INTENTS)
        if dice.chance(LABEL_NOISE):
            emotion = dice.pick(words.EMOTIONS)
        if dice.chance(LABEL_NOISE / 8):
            spam = not spam
        read_on = min(saying.at // DAY + 1 + dice.below(5), self.first_day + self.days - 1)
        return (
            self._id("t", _TEXT_ID, saying.number), body, intent, emotion,
            "spam" if spam else "ok", dt.date.fromordinal(read_on + _EPOCH),
        )  # fmt: skip


_EPOCH: Final = dt.date(1970, 1, 1).toordinal()


def _receive(at: int, dice: Dice) -> int:
    """Draw the time of arrival: usually seconds later; 1 to 72 hours later for late events."""
    hours = dice.between(1.0, 72.0) if dice.chance(LATE) else 0.0
    return at + int((hours * 3600 + dice.between(0.05, 40.0)) * SECOND)


def _write(saying: Saying, dice: Dice) -> str | None:
    return compose(saying.kind, saying.intent, saying.emotion, saying.item, saying.spam, dice)
