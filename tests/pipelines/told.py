"""Check sentences of reasons against a user's raw events, in pandas."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator

import pandas as pd

_WHEN = r"(?P<when>in the last day|in the last (?P<days>\d+) days|so far)"
_TYPE = r"(?P<type>[a-z]+)"
_SENTENCES = {
    "count": re.compile(rf"(?P<n>[\d,]+|no) {_TYPE} events? {_WHEN}"),
    "recency": re.compile(
        r"last (?P<type>[a-z]+ )?event (?P<ago>less than a day|[\d,]+ days?) ago"
    ),
    "items": re.compile(rf"(?P<n>[\d,]+) different items among the {_TYPE} events {_WHEN}"),
    "worth": re.compile(rf"{_TYPE} events worth (?P<n>[\d.,]+) {_WHEN}"),
}


def kinds_that_are_true(text: str, events: pd.DataFrame, as_of: dt.date) -> Iterator[str]:
    """Kinds of the sentences in a reason that are known here; each is asserted to be true.

    Args:
        text: A reason, such as "2 cart events so far, last cart event 3 days ago (raises)".
        events: The user's events that were known before as_of.
        as_of: Day of the prediction.
    """
    told = re.sub(r" \((raises|lowers)\)$", "", text)
    for sentence in re.split(r", (?=[a-z\d])", told):
        for kind, pattern in _SENTENCES.items():
            said = pattern.fullmatch(sentence)
            if said:
                assert _is_true(kind, said.groupdict(), events, as_of), sentence
                yield kind


def _is_true(kind: str, said: dict[str, str | None], events: pd.DataFrame, as_of: dt.date) -> bool:
    night = pd.Timestamp(as_of)
    of_type = events
    if said.get("type"):
        of_type = events[events["event_type"] == str(said["type"]).strip()]
    if kind == "recency":
        days = (night - of_type["event_time"].max()).days
        ago = {0: "less than a day", 1: "1 day"}.get(days, f"{days} days")
        return said["ago"] == ago
    if said["when"] != "so far":
        start = night - pd.Timedelta(days=int(said["days"] or 1))
        of_type = of_type[of_type["event_time"] >= start]
    number = float(str(said["n"]).replace("no", "0").replace(",", ""))
    if kind == "count":
        return len(of_type) == number
    if kind == "items":
        return of_type["item_id"].nunique() == number
    worth = float(of_type["value"].astype(float).sum())
    return abs(worth - number) <= max(0.006 * abs(worth), 0.006)  # told to three digits
