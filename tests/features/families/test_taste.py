"""Taste: random logs against a plain reference, whose features there are, and how they are told."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyspark.sql import SparkSession

from behavior_spark.config import FeatureSettings, Target
from behavior_spark.config.taste import TasteSettings
from behavior_spark.features.feature_set import FeatureSet
from behavior_spark.features.inputs import Inputs, Offer
from behavior_spark.schemas import EVENTS, ITEMS
from tests.features.frames import FEATURES, Table, as_table, assert_same, table
from tests.features.frames import TARGETS as RANDOM_TARGETS
from tests.features.random_logs import DAYS, POPULATION_SQL, SETTINGS, random_log
from tests.features.reference import Log, reference_features
from tests.features.test_point_in_time import change_after

BAGS = {"event": "event_type = 'purchase'", "item": "title LIKE '%BAG%'"}
TARGETS = {
    "bags": Target(**BAGS),
    "no_bags": Target(kind="does_not", **BAGS),
    "buys": Target(event="event_type = 'purchase'"),
    "spends": Target(event="value > 5"),
}


ALONE = FEATURES.model_copy(update={"groups": ["taste"], "taste": TasteSettings()})
WITH_TASTE = replace(SETTINGS, taste=True)


def tastes_of(spark: SparkSession, log: Log, days: Sequence[dt.date]) -> Table:
    """The family's columns, from rows in their order of the log."""
    inputs = Inputs(table(spark, EVENTS, log.events), items=table(spark, ITEMS, log.items))
    chosen = FeatureSet.make(ALONE, RANDOM_TARGETS, POPULATION_SQL)
    return as_table(chosen.build(inputs, days))


def expected(log: Log, days: Sequence[dt.date]) -> Table:
    return {
        (day, user): {name: row[name] for name in row if "taste" in name or "_365d" in name
                      or name.endswith("_decayed")}
        for day in days
        for user, row in reference_features(log, day, WITH_TASTE).items()
    }  # fmt: skip


@settings(max_examples=2, deadline=None, derandomize=True, database=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_taste_equals_the_plain_reference_and_no_order_of_rows_or_later_row_changes_it(
    spark: SparkSession, seed: int
) -> None:
    dice, log = random.Random(seed), random_log(seed, cases=150)
    early = DAYS[:2]
    wanted = expected(log, early)
    # What is known later is changed, added and taken away; rows come in another order.
    changed = change_after(log, early[-1], dice)
    dice.shuffle(changed.events)
    dice.shuffle(changed.items)
    assert expected(changed, [DAYS[2]]) != expected(log, [DAYS[2]])
    assert_same(tastes_of(spark, changed, [early[1], early[0]]), wanted, changed)
    assert_same(tastes_of(spark, log, DAYS), wanted | expected(log, [DAYS[2]]), log)
    values = [row["takes_bag_basket_taste_mean"] for row in wanted.values()]
    assert len({value for value in values if value is not None}) > 20


def features_of(offer: Offer | None = None, **settings: object) -> FeatureSet:
    chosen = FeatureSettings.model_validate({"event_types": ["purchase"], "taste": {}, **settings})
    return FeatureSet.make(chosen, TARGETS, offer=offer)


def names_of(features: FeatureSet) -> list[str]:
    return [feature.name for feature in features.features if feature.group == "taste"]


def test_targets_with_a_condition_on_items_have_a_taste_and_no_others() -> None:
    names = names_of(features_of())
    assert len(names) == 15 and all(name.startswith("bags_") for name in names)
    assert {"bags_decayed", "bags_basket_taste_mean", "bags_user_taste_last"} < set(names)
    assert names_of(features_of(groups=["activity"])) == []
    assert names_of(features_of(taste=None)) == []


def test_taste_that_cannot_be_is_refused_with_what_can() -> None:
    with pytest.raises(ValueError, match="taste needs the section taste"):
        features_of(groups=["taste"], taste=None)
    with pytest.raises(ValueError, match="taste: no event type cart; list it in event_types"):
        features_of(taste={"event_types": ["cart"]})
    with pytest.raises(ValueError, match="listed twice"):
        features_of(taste={"event_types": ["purchase", "purchase"]})


def test_a_log_without_items_has_no_taste_and_says_so() -> None:
    features = features_of(Offer(without=frozenset({"item_id"})))
    assert names_of(features) == []
    assert sum(feature.group == "taste" for feature in features.left_out) == 15


def test_only_taste_makes_tiles_of_each_item_of_a_target() -> None:
    def items(features: FeatureSet) -> dict[str, str]:
        return {mark.behaviour: mark.item for mark in features.plan.marks}

    assert items(features_of())["?target.bags"] == "item_id"
    assert items(features_of())["?target.spends"] == "''"
    assert items(features_of(taste=None))["?target.bags"] == "''"
    assert items(features_of(groups=["targets"]))["?target.bags"] == "''"
    assert items(features_of(groups=["taste"])) == {"?target.bags": "item_id"}


def test_reasons_tell_taste_in_words() -> None:
    told = {feature.name: feature.in_reasons for feature in features_of().features}

    def say(name: str, value: float | None) -> str:
        return told[f"bags_{name}"].saying.of(value)

    assert say("basket_taste_mean", 0.6931472) == (
        "the items in the last 365 days go into baskets with bags 2 times as often as usual"
    )
    assert say("user_taste_last", -0.6931472) == (
        "the items of the last basket are of people who do bags 0.5 times as often as usual"
    )
    assert say("basket_taste_max", None) == (
        "no item tells of a taste for bags in the last 365 days"
    )
    assert say("basket_share_365d", 0.125) == (
        "12 % of the baskets in the last 365 days have events that count for bags"
    )
    assert (
        say("month_count_365d", 1) == "1 month with events that count for bags in the last 365 days"
    )
    assert say("decayed", 0) == "no event that counts for bags in the last 365 days"
    # Counts of the target are one reason, what goes with it is another.
    assert told["bags_decayed"].subject == told["bags_count_30d"].subject
    assert told["bags_basket_taste_mean"].subject == told["bags_user_taste_sum"].subject
    assert told["bags_decayed"].subject != told["bags_user_taste_sum"].subject
