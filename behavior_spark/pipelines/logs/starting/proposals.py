"""Targets that a log can teach, by what its kinds of events mean."""

from __future__ import annotations

from dataclasses import dataclass

from behavior_spark.names import sql_text
from behavior_spark.pipelines.logs.starting.kinds import ChosenKinds

# What people ask for, in this order.
_WANTED = (
    "purchase", "order", "payment", "subscribe", "sign_up", "checkout", "add_to_cart", "trial",
    "message", "review", "cancel", "refund", "search", "login", "click",
)  # fmt: skip
_DOES = {
    "purchase": "buys", "order": "orders", "payment": "pays", "subscribe": "subscribes",
    "sign_up": "signs up", "cancel": "cancels", "refund": "gives something back",
    "add_to_cart": "puts something into the cart", "message": "writes to us",
}  # fmt: skip


@dataclass(frozen=True)
class ProposedTarget:
    """A target of the config.

    Attributes:
        name: Its name.
        event: SQL condition on an event.
        horizon_days: Days ahead.
        description: What a high prediction means.
        kind: As ``targets.*.kind``.
        why: Why it is proposed, for a comment.
        also: Keys that it may have too, each with what it does, for comments.
    """

    name: str
    event: str
    horizon_days: int
    description: str
    kind: str = "does"
    why: str = ""
    also: tuple[str, ...] = ()


def horizon_for(days: int) -> int:
    """Days to look ahead in a log of so many days: it has to hold several horizons.

    >>> horizon_for(180), horizon_for(60), horizon_for(20)
    (30, 14, 7)
    """
    return 30 if days >= 90 else 14 if days >= 45 else 7


def propose_targets(chosen: ChosenKinds, *, days: int) -> list[ProposedTarget]:
    """What somebody will do that is worth most, and who will stay away.

    Args:
        chosen: Kinds of events.
        days: Days of the log.
    """
    horizon = horizon_for(days)
    targets = []
    for wanted in _WANTED:
        names = [n for n in chosen.kept if (m := chosen.meaning(n)) and m.name == wanted]
        if names:
            # Of several kinds of one meaning the one that most users have.
            name = max(names, key=lambda kind: (chosen.users(kind), chosen.events(kind)))
            does = _DOES.get(wanted, f"does {name}")
            why = f"{chosen.events(name):,} events {name} of about {chosen.users(name):,} users"
            targets.append(_of_kind(f"{wanted}_{horizon}d", name, horizon, does, why))
            break
    if not targets and chosen.kept:
        name = max(chosen.kept, key=chosen.events)
        why = "no kind's meaning is known: the commonest; choose what matters"
        targets.append(_of_kind(f"{name}_{horizon}d", name, horizon, f"does {name}", why))
    churn = ProposedTarget(
        f"churn_{horizon}d", "true", horizon, f"does nothing for {horizon} days", "does_not",
        "of all users so far, those who left long ago included",
        (f"seen_within_days: {3 * horizon}  # of users with an event in these days alone",),
    )  # fmt: skip
    return [*targets, churn]


def _of_kind(target: str, name: str, horizon: int, does: str, why: str) -> ProposedTarget:
    condition = f"event_type = {sql_text(name)}"
    again = "who: before  # of users who did it before alone; never_before: the first time"
    meaning = f"{does} within {horizon} days"
    return ProposedTarget(target, condition, horizon, meaning, why=why, also=(again,))
