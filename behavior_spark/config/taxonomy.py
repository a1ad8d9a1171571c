"""The taxonomy: what event types mean."""

from __future__ import annotations

from typing import Literal, get_args

from pydantic import Field

from behavior_spark.config.section import Section

Kind = Literal[
    "browse", "search", "click", "cart", "purchase", "cancel", "contact", "post", "other"
]
Sentiment = Literal["positive", "neutral", "negative"]

_USUAL: dict[str, tuple[Kind, Sentiment]] = {
    "view": ("browse", "neutral"), "page_view": ("browse", "neutral"),
    "browse": ("browse", "neutral"), "search": ("search", "neutral"),
    "click": ("click", "neutral"), "cart": ("cart", "positive"),
    "add_to_cart": ("cart", "positive"), "purchase": ("purchase", "positive"),
    "order": ("purchase", "positive"), "cancel": ("cancel", "negative"),
    "return": ("cancel", "negative"), "refund": ("cancel", "negative"),
    "contact": ("contact", "neutral"), "complaint": ("contact", "negative"),
    "post": ("post", "neutral"), "review": ("post", "neutral"), "comment": ("post", "neutral"),
    "question": ("post", "neutral"), "answer": ("post", "positive"),
}  # fmt: skip


class Behaviour(Section):
    """Kind and sentiment of an event type: its entry in the taxonomy."""

    kind: Kind = Field("other", description=f"one of {', '.join(get_args(Kind))}")
    sentiment: Sentiment = Field("neutral", description="positive | neutral | negative")


def usual_behaviour(event_type: str) -> Behaviour:
    """Default kind and sentiment of an event type, from its name.

    >>> usual_behaviour("cancel").kind, usual_behaviour("cancel").sentiment
    ('cancel', 'negative')
    >>> usual_behaviour("badge").kind
    'other'
    """
    kind, sentiment = _USUAL.get(event_type, ("other", "neutral"))
    return Behaviour(kind=kind, sentiment=sentiment)
