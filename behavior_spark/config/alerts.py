"""The section ``alerts``: what a security team is shown of a night."""

from __future__ import annotations

from pydantic import Field, field_validator

from behavior_spark.config.section import Section, known_name
from behavior_spark.config.sources import Source
from behavior_spark.extensions import ALERT_KINDS


class AlertCaps(Section):
    """Alerts of one night at most, by severity; what is left out is counted."""

    high: int = Field(50, ge=0, description="alerts of severity high a night, at most")
    medium: int = Field(50, ge=0, description="alerts of severity medium a night, at most")
    low: int = Field(50, ge=0, description="alerts of severity low a night, at most")


class UnusualBehaviour(Section):
    """Users unlike their peers, by an isolation forest over the night's features."""

    share: float = Field(
        0.001,
        gt=0,
        le=0.1,
        description="share of users to alert: the rate of false alarms where nobody is an attacker",
    )
    sample: int = Field(
        20_000, ge=100, le=200_000, description="users that the forest is fitted to"
    )
    trees: int = Field(100, ge=10, le=1000, description="trees of the forest")
    features: list[str] = Field(
        default_factory=list, description="features to compare; none: all that models learn from"
    )


class EventRate(Section):
    """Users with many more events in an hour or a day than they and their peers usually have."""

    per_hour: int = Field(30, ge=1, description="fewer events in an hour are never alerted")
    per_day: int = Field(100, ge=1, description="fewer events in a day are never alerted")
    times_own: float = Field(5.0, ge=1, description="times the median of the user's own past")
    times_peers: float = Field(
        2.0, ge=1, description="times the busiest past hour or day of 99 % of the peers"
    )


class AccountTakeover(Section):
    """Days on which a user was active by a device, at a place, at a time or on items unlike his."""

    false_alarms: float = Field(
        0.001,
        gt=0,
        le=0.1,
        description="share of the days of ordinary users that may be alerted, by the model that "
        "docs/alerts.md states",
    )
    least_days: int = Field(
        5, ge=2, description="active days of own past that are needed; else silent, and counted"
    )


class TextAbuse(Section):
    """Users whose texts a head reads as abuse."""

    labels: dict[str, list[str]] = Field(
        default={"spam": ["spam"]}, description="head -> its labels that are abuse"
    )
    least_texts: float = Field(
        2.0, gt=0, description="such texts to expect within days (the sum of their probabilities), "
        "to be alerted",
    )  # fmt: skip
    probability: float = Field(
        0.1, ge=0, le=1, description="texts with a smaller probability of the labels count as none"
    )
    days: int = Field(7, ge=1, description="days of texts that are counted together")


class SimilarTexts(Section):
    """Groups of users who write nearly the same text within some days."""

    least_users: int = Field(4, ge=2, description="users of a group, at least")
    least_words: int = Field(6, ge=1, description="shorter texts are ignored (thank you)")
    similarity: float = Field(
        0.5, ge=0.4, le=1, description="Jaccard similarity of runs of five characters"
    )
    days: int = Field(3, ge=1, description="days within which the users write")
    times_usual: float = Field(
        3.0, ge=1, description="times the users who wrote such texts in as many days before"
    )


class Bursts(Section):
    """Many refused rows of a source, or links of visitors, against earlier nights."""

    least_rows: int = Field(50, ge=1, description="fewer rows a night are never alerted")
    times_usual: float = Field(3.0, ge=1, description="times the median of the nights before")
    least_nights: int = Field(5, ge=2, description="nights before that are needed; else silent")
    users_per_visitor: int = Field(
        5, ge=2, description="users that one visitor was linked to, to be alerted"
    )
    visitors_per_user: int = Field(
        20, ge=2, description="visitors that were linked to one user, to be alerted"
    )


class AlertFeedback(Source):
    """A table of yours with what people decided about alerts."""

    columns: dict[str, str] = Field(
        default={"alert_id": "alert_id", "verdict": "verdict", "by": "by", "at": "at"},
        description="alert_id, verdict (confirmed or dismissed), by (who), at (when) -> SQL "
        "expression over your columns",
    )

    @field_validator("columns")
    @classmethod
    def _complete(cls, value: dict[str, str]) -> dict[str, str]:
        names = {"alert_id", "verdict", "by", "at"}
        if set(value) != names:
            raise ValueError(f"map exactly {', '.join(sorted(names))}")
        return value


class Alerts(Section):
    """What is alerted, how much of it, and what people have decided about earlier alerts."""

    days: int = Field(
        1, ge=1, le=31, description="rows that arrived in so many days before as_of are looked at"
    )
    history_days: int = Field(
        60, ge=7, le=365, description="days before those: everybody's own past"
    )
    peers: str = Field(
        "segment",
        description="users are compared with those of the same value: segment, or a column of "
        "user_features; all: with everybody",
    )
    least_peers: int = Field(
        30, ge=2, description="smaller groups of peers are compared with everybody"
    )
    at_most: AlertCaps = Field(default=AlertCaps(), description="alerts a night by severity")
    leave_out: list[str] = Field(default_factory=list, description="kinds of alerts not wanted")
    unusual_behaviour: UnusualBehaviour = Field(
        default=UnusualBehaviour(), description="users unlike their peers"
    )
    event_rate: EventRate = Field(default=EventRate(), description="events per hour and day")
    account_takeover: AccountTakeover = Field(
        default=AccountTakeover(), description="users unlike their own past"
    )
    text_abuse: TextAbuse = Field(default=TextAbuse(), description="spam and abuse in texts")
    similar_texts: SimilarTexts = Field(
        default=SimilarTexts(), description="nearly equal texts of several users"
    )
    bursts: Bursts = Field(default=Bursts(), description="refused rows and links of visitors")
    feedback: AlertFeedback | None = Field(
        None, description="your table of verdicts about alerts; columns alert_id, verdict, by, at"
    )
    feedback_days: int = Field(
        90, ge=1, description="days for which a verdict counts for later alerts"
    )

    @field_validator("leave_out")
    @classmethod
    def _known_kinds(cls, value: list[str]) -> list[str]:
        return [known_name(ALERT_KINDS, name) for name in value]

    @field_validator(
        "at_most", "unusual_behaviour", "event_rate", "account_takeover", "text_abuse",
        "similar_texts", "bursts", mode="before",
    )  # fmt: skip
    @classmethod
    def _empty_section(cls, value: object) -> object:
        return {} if value is None else value  # all lines of the section are comments
