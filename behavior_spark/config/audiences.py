"""The sections ``audiences`` and ``recommendations``: whom to reach, and with which items."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from pydantic import Field, model_validator

from behavior_spark.config.section import Section
from behavior_spark.config.targets import Target

# Kinds of targets whose predictions are numbers: there is no probability to choose by.
WITHOUT_PROBABILITY = ("count", "amount")


class Audience(Section):
    """People who are likely to fulfil a target, chosen by exactly one rule."""

    target: str = Field(description="name of a target; its predictions order the people")
    threshold: float | None = Field(
        None, gt=0, le=1, description="rule: everybody with this probability or a higher one"
    )
    top: int | None = Field(None, ge=1, description="rule: this many people, the likeliest first")
    budget: float | None = Field(
        None,
        gt=0,
        description="rule: the likeliest first, until reaching them has cost this much; nobody "
        "whose expected profit is not above 0; needs cost and value",
    )
    profitable: bool = Field(
        False,
        description="rule: everybody whose expected profit (probability x value - cost) is above "
        "0; needs cost and value",
    )
    cost: float | None = Field(None, gt=0, description="cost of reaching one person")
    value: float | None = Field(None, gt=0, description="worth of one conversion")
    exclude: str | None = Field(
        None,
        description="SQL condition on a user: who is left out; over user_features and "
        "user_profile, such as purchase_count_7d > 0 OR segment = 'lapsed'",
    )
    consent: str | None = Field(
        None,
        description="attribute that must be true (1) for a user to be in, such as "
        "attribute_crm_newsletter; an unknown one counts as no",
    )
    every_days: int | None = Field(
        None,
        ge=1,
        description="who was in this audience within so many days before is left out; none: no cap",
    )
    holdout: float = Field(
        0.1,
        ge=0,
        lt=1,
        description="share of the members who are not reached, to measure the effect by",
    )
    salt: str | None = Field(
        None,
        description="what the arms are drawn with, beside the user id; audiences with one salt "
        "hold the same users out; by default the audience's name",
    )
    items: int = Field(5, ge=0, le=50, description="items to recommend to each member; 0: none")
    items_where: str | None = Field(
        None, description="SQL condition on an item that may be recommended"
    )
    items_again: bool = Field(
        False,
        description="whether items that the member has had may be recommended; his own past then "
        "counts beside what goes together",
    )

    @model_validator(mode="after")
    def _one_rule(self) -> Audience:
        rules = {"threshold": self.threshold, "top": self.top, "budget": self.budget}
        given = [name for name, value in rules.items() if value is not None]
        given += ["profitable"] if self.profitable else []
        if len(given) != 1:
            found = " and ".join(given) or "none"
            raise ValueError(
                f"give exactly one of threshold, top, budget, profitable: there is {found}"
            )
        if given[0] in ("budget", "profitable") and None in (self.cost, self.value):
            raise ValueError(f"{given[0]} needs cost and value")
        return self

    @property
    def rule(self) -> str:
        """Who is in, in words."""
        if self.threshold is not None:
            return f"probability of {self.threshold:g} or more"
        if self.top is not None:
            return f"the first {self.top:,}"
        if self.budget is not None:
            return f"a budget of {self.budget:,g}"
        return "expected profit above 0"

    def salt_of(self, name: str) -> str:
        """What the arms are drawn with."""
        return self.salt if self.salt is not None else name


class Recommendations(Section):
    """How items for members of audiences are found: by a sequence model, and what goes together."""

    next_items: bool = Field(
        True,
        description="with a section sequence, a member's next items come first; false: what users "
        "have had together alone",
    )
    event: str | None = Field(
        None,
        description="SQL condition on an event by which a user has had its item; by default "
        "event_type = 'purchase' where features.event_types has it, else every event",
    )
    history_items: int = Field(
        50, ge=1, le=500, description="latest items of a user that count, at most"
    )
    learn_days: int = Field(
        365, ge=1, description="days before as_of from which it is learned what goes together"
    )
    learn_users: int = Field(
        200_000,
        ge=1,
        description="users from whom it is learned, at most; of more, a sample by hash",
    )


def check_audiences(
    audiences: Mapping[str, Audience],
    *,
    targets: Mapping[str, Target],
    attributes: Collection[str],
    items: bool,
) -> None:
    """Check that audiences fit the targets and attributes.

    Args:
        audiences: Audiences by name.
        targets: Targets by name.
        attributes: Names of the features that are attributes of users.
        items: Whether there are items to recommend.

    Raises:
        ValueError: One does not; the message names it.
    """
    for name, audience in audiences.items():
        target = targets.get(audience.target)
        if target is None:
            known = ", ".join(targets) or "there is none"
            raise ValueError(f"audiences.{name}: no target {audience.target!r}; known: {known}")
        if target.kind in WITHOUT_PROBABILITY:
            raise ValueError(
                f"audiences.{name}: {audience.target} is of kind {target.kind}, which predicts no "
                "probability; choose a target of kind does or does_not"
            )
        if target.kind == "does_not" and audience.value is not None:
            raise ValueError(
                f"audiences.{name}: {audience.target} predicts that nothing happens, which is no "
                "conversion with a value; use threshold or top, without value"
            )
        if audience.consent is not None and audience.consent not in attributes:
            known = ", ".join(sorted(attributes)) or "none: map sources.attributes"
            raise ValueError(
                f"audiences.{name}: consent {audience.consent!r} is no attribute of users; "
                f"known: {known}"
            )
        if audience.items_where and not items:
            raise ValueError(f"audiences.{name}: items_where needs sources.items")
