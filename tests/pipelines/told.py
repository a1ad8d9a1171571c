"""Check sentences of reasons against a user's raw events, in pandas."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator

import pandas as pd

_WHEN = r"(?P<when>in the last day|in the last (?P<days>\d+) days|so far)"
# What people call events, and their types; "event" is one of any type.
_TYPES = {
    "view": "view", "views": "view", "click": "click", "clicks": "click", "search": "search",
    "searches": "search", "addition to the cart": "cart", "additions to the cart": "cart",
    "purchase": "purchase", "purchases": "purchase", "cancellation": "cancel",
    "cancellations": "cancel", "contact": "contact", "contacts": "contact", "review": "review",
    "reviews": "review", "event": None, "events": None,
}  # fmt: skip
_WHAT = f"(?P<what>{'|'.join(_TYPES)})"
_SENTENCES = {
    "count": re.compile(rf"(?P<n>[\d,]+|no) {_WHAT} {_WHEN}"),
    "recency": re.compile(rf"last {_WHAT} (?P<ago>less than a day|[\d,]+ days?) ago"),
    "items": re.compile(rf"(?P<n>[\d,]+) different items among the {_WHAT} {_WHEN}"),
    "worth": re.compile(rf"{_WHAT} worth (?P<n>[\d.,]+) {_WHEN}"),
}


def kinds_that_are_true(text: str, events: pd.DataFrame, as_of: dt.date) -> Iterator[str]:
    """Kinds of the sentences in a reason that are known here; each is asserted to be true.

    Args:
        text: A reason, such as "2 purchases so far, last purchase 3 days ago (raises)".
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
    event_type = _TYPES[str(said["what"])]
    of_type = events if event_type is None else events[events["event_type"] == event_type]
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
