"""The taxonomy: what event types mean."""

from __future__ import annotations

from collections.abc import Sequence
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


# One event of a usual type in a sentence, and several where an s is not enough.
_USUAL_WORDS: dict[str, tuple[str, ...]] = {
    "view": ("view",), "page_view": ("page view",), "search": ("search", "searches"),
    "click": ("click",), "cart": ("addition to the cart", "additions to the cart"),
    "add_to_cart": ("addition to the cart", "additions to the cart"),
    "purchase": ("purchase",), "order": ("order",), "cancel": ("cancellation",),
    "return": ("return",), "refund": ("refund",), "contact": ("contact",),
    "complaint": ("complaint",), "post": ("post",), "review": ("review",),
    "comment": ("comment",), "question": ("question",), "answer": ("answer",),
    "vote": ("vote",), "badge": ("badge",),
}  # fmt: skip


class Behaviour(Section):
    """Kind and sentiment of an event type: its entry in the taxonomy."""

    kind: Kind = Field("other", description=f"one of {', '.join(get_args(Kind))}")
    sentiment: Sentiment = Field("neutral", description="positive | neutral | negative")
    told: list[str] = Field(
        default_factory=list,
        max_length=2,
        description="one event in reasons, and several if an s is not enough, such as [delivery, "
        "deliveries]; by default a usual name's own word, else 'NAME event'",
    )


def usual_behaviour(event_type: str) -> Behaviour:
    """Default kind and sentiment of an event type, from its name.

    >>> usual_behaviour("cancel").kind, usual_behaviour("cancel").sentiment
    ('cancel', 'negative')
    >>> usual_behaviour("badge").kind
    'other'
    """
    kind, sentiment = _USUAL.get(event_type, ("other", "neutral"))
    return Behaviour(kind=kind, sentiment=sentiment)


def described(event_type: str, entry: Behaviour | None) -> Behaviour:
    """An entry of the taxonomy; what it leaves out is as usual for the event type's name."""
    usual = usual_behaviour(event_type)
    if entry is None:
        return usual
    left_out = {"kind", "sentiment"} - entry.model_fields_set
    return entry.model_copy(update={name: getattr(usual, name) for name in left_out})


def event_words(event_type: str, told: Sequence[str] = ()) -> tuple[str, str]:
    """One event of a type in a sentence, and several.

    >>> event_words("purchase"), event_words("sign_up")
    (('purchase', 'purchases'), ('sign up event', 'sign up events'))
    >>> event_words("delivery", ["delivery", "deliveries"])
    ('delivery', 'deliveries')
    """
    one, *several = told or _USUAL_WORDS.get(event_type, (f"{event_type.replace('_', ' ')} event",))
    return one, several[0] if several else f"{one}s"


def with_article(noun: str) -> str:
    """A noun with its article.

    >>> with_article("order"), with_article("purchase")
    ('an order', 'a purchase')
    """
    return f"{'an' if noun[:1].lower() in set('aeio') else 'a'} {noun}"
