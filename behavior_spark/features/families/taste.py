"""Family ``taste``: a user's history of a target's items, and how his items go with them.

Of targets with a condition on items. Counts of the target over windows leave out how regularly it
is bought, and what else goes into such baskets; ``benchmarks/taste.py`` measures their worth.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from behavior_spark.config.taste import TasteSettings
from behavior_spark.features.declared import DOUBLE, LONG, Feature
from behavior_spark.features.family import Family
from behavior_spark.features.inputs import Inputs, Request, with_items
from behavior_spark.features.item_affinity import (
    MILLION,
    SIDES,
    USER,
    by_user_and_item,
    item_weights,
    touched_items,
)
from behavior_spark.features.operation import lately, within
from behavior_spark.features.targets import with_own_history
from behavior_spark.features.tiles.definitions import Definition
from behavior_spark.features.tiles.planning import PlanMaker, target_words
from behavior_spark.model.propensity.sayings import Saying, Told, Unit

MONTH_DAYS = 30


class Taste(Family):
    """History of a target's items, and co-occurrence of a user's items with them."""

    name = "taste"
    order = 25
    source = "events and items"

    def definitions(self, plan: PlanMaker) -> list[Definition]:
        """None, but tiles of the targets, which ``join`` reads."""
        for name in _targets(Request(plan.settings, plan.targets)):
            plan.of_target(name)
        return []

    def features(self, request: Request) -> list[Feature]:
        """For each target: own history, then co-occurrence over baskets and over users."""
        features = []
        for name in _targets(request):
            features += _own_history(name, request)
            for side in SIDES:
                features += _affinity(name, side, request)
        return [replace(feature, reads="item_id") for feature in features]

    def join(
        self, frame: DataFrame, inputs: Inputs, days: Sequence[dt.date], request: Request
    ) -> DataFrame:
        """Read the tiles of the last days once for all targets."""
        targets, settings = _targets(request), _settings(request)
        if not targets or inputs.activity is None:
            return frame
        touched = touched_items(
            inputs.activity,
            days,
            targets,
            event_types=settings.event_types or request.settings.event_types,
            memory=settings.days,
        )
        by_item = by_user_and_item(touched, targets, half_life_days=settings.half_life_days)
        weights = item_weights(by_item, targets, smoothing=settings.smoothing)
        users = _by_user(
            by_item.join(weights, ["as_of", "item_id"], "left"), targets, settings.days
        )
        return frame.join(users, list(USER), "left")


def _settings(request: Request) -> TasteSettings:
    return request.settings.taste or TasteSettings()


def _targets(request: Request) -> list[str]:
    """Targets with a condition on items whose past is worth features."""
    own = with_own_history(request.targets, request.settings.event_types)
    filtered = set(with_items(request.targets))
    return [name for name in own if name in filtered]


def _own_history(name: str, request: Request) -> list[Feature]:
    settings = _settings(request)
    days, half_life = settings.days, f"{settings.half_life_days:g}"
    events, when = f"events that count for {name}", lately(days)
    one_told, told_many = target_words(name, request.targets[name])
    no_event = f"no {one_told} {when}"

    def told(aspect: str, some: str, *, one: str = "", unit: Unit = "number") -> Told:
        # One subject with the counts of the family ``targets``.
        return Told(name, aspect, Saying(some, one=one, zero=no_event, none=no_event, unit=unit))

    return [
        Feature(f"{name}_decayed", DOUBLE,
                f"{events} {within(days)}, each halved for every {half_life} days since",
                told=told("decayed",
                          f"{{n}} {told_many}, where one of {half_life} days ago is half",
                          one=f"1 {one_told}, where one of {half_life} days ago is half")),
        Feature(f"{name}_item_count_{days}d", LONG, f"distinct items of {events} {within(days)}",
                told=told("items", f"{{n}} different items that count for {name} {when}",
                          one=f"always the same item that counts for {name} {when}")),
        Feature(f"{name}_basket_count_{days}d", LONG,
                f"days with {events} {within(days)}",
                told=told("baskets", f"{{n}} days with {told_many} {when}",
                          one=f"1 day with {told_many} {when}")),
        Feature(f"{name}_basket_share_{days}d", DOUBLE,
                f"share of days with an item that have {events} {within(days)}", zero=False,
                told=told("share", f"{{n}} of the baskets {when} have {told_many}", unit="share")),
        Feature(f"{name}_month_count_{days}d", LONG,
                f"months of {MONTH_DAYS} days with {events} {within(days)}",
                told=told("months", f"{{n}} months with {told_many} {when}",
                          one=f"1 month with {told_many} {when}")),
    ]  # fmt: skip


def _affinity(name: str, side: str, request: Request) -> list[Feature]:
    settings = _settings(request)
    days, half_life = settings.days, f"{settings.half_life_days:g}"
    inside, when = within(days), lately(days)
    weight = f"log of how much more often than usual {side}s with an item have {name}"
    lift = {"basket": f"go into baskets with {name}", "user": f"are of people who do {name}"}[side]

    def feature(statistic: str, words: str, subject: str, weight_of: str = "") -> Feature:
        usual = f"{subject} {lift} as often as usual"
        saying = Saying(
            f"{subject} {lift} {{n}} times as often as usual", zero=usual, unit="lift",
            none=f"no item tells of a taste for {name} {when}",
        )  # fmt: skip
        if weight_of:
            saying = replace(
                saying, some=f"{weight_of} with a weight of {{n}}, by {side}s", zero="",
                unit="number",
            )  # fmt: skip
        return Feature(
            f"{name}_{side}_taste_{statistic}", DOUBLE, f"{words} ({weight})",
            zero=False, window=days, told=Told(f"taste of {name}", f"{side} {statistic}", saying),
        )  # fmt: skip

    speak = f"the items {when} speak for {name}"
    return [
        feature("mean", f"mean weight of the distinct items {inside}", f"the items {when}"),
        feature("sum", f"sum of the positive weights of the distinct items {inside}",
                "", speak),
        feature("max", f"largest weight of an item {inside}",
                f"at most, items {when}"),
        feature("decayed", f"sum of weights of items {inside}, each halved for every {half_life} "
                "days since",
                "", f"{speak}, older ones less,"),
        feature("last", f"mean weight of the items of the last day with items {inside}",
                "the items of the last basket"),
    ]  # fmt: skip


def _by_user(items: DataFrame, targets: Sequence[str], days: int) -> DataFrame:
    """The features of all targets: one row per ``as_of, user_id``.

    Args:
        items: From ``by_user_and_item``, with weights.
        targets: Names of targets.
        days: Days before as_of that were read.
    """
    columns = [column for name in targets for column in _of_target(name, days)]
    return items.groupBy(*USER).agg(*columns)


def _of_target(name: str, days: int) -> list[Column]:
    share = F.try_divide(F.sum(f"new_basket_{name}"), F.sum("new_baskets"))
    columns = {
        f"{name}_decayed": F.sum(f"decayed_{name}") / MILLION,
        f"{name}_item_count_{days}d": F.count_if(F.col(f"hits_{name}") > 0),
        f"{name}_basket_count_{days}d": F.sum(f"days_{name}"),
        f"{name}_basket_share_{days}d": share,
        f"{name}_month_count_{days}d": F.bit_count(F.bit_or(f"months_{name}")),
    }
    for side in SIDES:
        taste = f"{name}_{side}_taste"
        weight = F.when(F.col("baskets") > 0, F.col(f"{side}_weight_{name}"))
        # Rounded term by term: the sum of whole numbers is the same in any order.
        recent = F.round(weight * F.col("decay") / MILLION).cast("long")
        in_last = F.when(F.col("in_last"), weight)
        columns |= {
            f"{taste}_mean": F.try_divide(F.sum(weight), F.count(weight)) / MILLION,
            f"{taste}_sum": F.sum(F.when(weight.isNotNull(), F.greatest(weight, F.lit(0))))
            / MILLION,
            f"{taste}_max": F.max(weight) / MILLION,
            f"{taste}_decayed": F.sum(recent) / MILLION,
            f"{taste}_last": F.try_divide(F.sum(in_last), F.count(in_last)) / MILLION,
        }
    return [value.alias(column) for column, value in columns.items()]


FAMILY = Taste()
