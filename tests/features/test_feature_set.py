"""What is declared is what is built, and every name means one thing."""

from __future__ import annotations

import dataclasses
import re

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from behavior_spark.config import DeclaredFeature, FeatureSettings, On, Target, validate_settings
from behavior_spark.config.behaviour import Without
from behavior_spark.errors import ConfigError
from behavior_spark.features.declared import Feature
from behavior_spark.features.feature_set import FeatureSet
from behavior_spark.features.inputs import Inputs, Offer
from behavior_spark.names import label_slugs
from behavior_spark.schemas import EVENTS, USER_FEATURES
from tests.features.frames import (
    FEATURES,
    TARGETS,
    build_features,
    feature_set,
    list_features,
    make_inputs,
)
from tests.features.random_logs import DAYS, random_log
from tests.stored_tables import same_rows


@pytest.fixture(scope="module")
def inputs(spark: SparkSession) -> Inputs:
    return make_inputs(spark, random_log(3, cases=2))


def built_schema(inputs: Inputs) -> StructType:
    return build_features(inputs, DAYS, settings=FEATURES, targets=TARGETS).schema


def declared(inputs: Inputs) -> list[Feature]:
    return list_features(FEATURES, TARGETS, inputs)


@pytest.mark.parametrize("left_out", [(), ("embeddings",), ("texts",), ("texts", "items")])
def test_what_is_declared_is_what_is_built_in_order(
    inputs: Inputs, left_out: tuple[str, ...]
) -> None:
    some = dataclasses.replace(inputs, **dict.fromkeys(left_out))
    targets = {n: t for n, t in TARGETS.items() if some.items is not None or not t.item}
    frame = build_features(some, DAYS, settings=FEATURES, targets=targets)
    features = list_features(FEATURES, targets, some)
    built = [(field.name, field.dataType) for field in frame.schema]
    assert built[:2] == [(name, USER_FEATURES.field(name).dataType) for name in USER_FEATURES.names]
    assert built[2:] == [(feature.name, feature.data_type) for feature in features]


def test_every_feature_says_what_it_means_and_no_two_say_the_same(inputs: Inputs) -> None:
    features = declared(inputs)
    assert all(feature.field.metadata["comment"].strip() for feature in features)
    comments = [feature.comment for feature in features]
    assert len(set(comments)) == len(comments)


def test_every_feature_has_a_sentence_for_reasons_whatever_its_value(inputs: Inputs) -> None:
    numeric = [feature for feature in declared(inputs) if feature.numeric]
    for feature in numeric:
        saying = feature.in_reasons.saying
        said = [saying.of(value) for value in (None, 0.0, 1.0, 4.0, 0.25, 12345.678)]
        assert all(said) and len(set(said)) >= 2 and "{" not in "".join(said), feature.name
        if not feature.zero:
            assert "unknown" not in said[0], feature.name
    subjects = {feature.in_reasons.subject for feature in numeric}
    assert len(subjects) * 5 < len(numeric)  # features of one subject are one reason


def test_names_are_unique_and_plain(inputs: Inputs) -> None:
    names = [feature.name for feature in declared(inputs)]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", name) for name in names)


def test_labels_that_read_alike_get_columns_of_their_own(inputs: Inputs) -> None:
    labels = ["refund", "Refund!", "REFUND?", "возврат", "спасибо", "thanks a lot"]
    some = dataclasses.replace(inputs, head_labels={"mood": labels})
    shares = [name for name in built_schema(some).names if name.startswith("mood_")]
    assert len(set(shares)) == len(labels) * len(FEATURES.windows_days)
    assert {"mood_refund_share_7d", "mood_thanks_a_lot_share_7d"} <= set(shares)


def test_a_label_keeps_its_column_whatever_the_order_of_labels() -> None:
    labels = ["refund", "Refund!", "REFUND?", "возврат", "спасибо"]
    assert label_slugs(labels) == label_slugs(labels[::-1])
    assert label_slugs(["возврат"]) == {"возврат": "other"}


@pytest.mark.parametrize(
    ("event_types", "target", "heads", "name"),
    [
        (["event"], "buys", {}, "event_count_all"),
        (["session"], "buys", {}, "session_count_all"),
        (["text"], "buys", {}, "text_count_1d"),
        (["click"], "click_item", {}, "click_item_count_1d"),
        (["click"], "buys", {"a": ["b c", "d"], "a_b": ["c", "d"]}, "a_b_c_share_1d"),
    ],
    ids=["event", "session", "text", "target", "heads"],
)
def test_two_features_of_one_name_are_refused_with_what_to_rename(
    inputs: Inputs, event_types: list[str], target: str, heads: dict[str, list[str]], name: str
) -> None:
    some = dataclasses.replace(inputs, head_labels=heads)
    settings = FeatureSettings(event_types=event_types)
    targets = {target: Target(event="true")}
    with pytest.raises(ConfigError, match=f"two features would be named {name}\n") as refused:
        build_features(some, DAYS, settings=settings, targets=targets)
    assert refused.value.fix is not None and "rename" in refused.value.fix


def test_reasons_say_what_people_call_events_or_what_the_config_calls_them() -> None:
    settings = FeatureSettings.model_validate({
        "event_types": ["purchase", "cart", "sign_up", "parcel"], "windows_days": [7],
        "taxonomy": {"parcel": {"told": ["delivery", "deliveries"]}},
        "declared": [{"on": {"kind": "purchase"}, "op": "mean", "of": "value"},
                     {"on": {"where": "value > 9", "name": "dear_one"}, "op": "recency"}],
    })  # fmt: skip
    item = "title LIKE '%LUNCH%'"
    targets = {
        "lunch": Target(event="event_type = 'purchase'", item=item, told=["lunch box bought"]),
        "other": Target(event="value > 1"),
    }
    told = FeatureSet.make(settings, targets).told

    def says(feature: str, value: float) -> str:
        return told[feature].saying.of(value)

    assert says("purchase_recency_days", 5.5) == "last purchase 5 days ago"
    assert says("cart_count_7d", 2.0) == "2 additions to the cart in the last 7 days"
    assert says("sign_up_count_7d", 1.0) == "1 sign up event in the last 7 days"
    assert says("parcel_count_7d", 3.0) == "3 deliveries in the last 7 days"
    assert says("kind_purchase_value_mean_7d", 3.0) == (
        "purchases worth 3 on average in the last 7 days"
    )
    assert says("dear_one_recency_days", 0.2) == "last dear one event less than a day ago"
    assert says("lunch_recency_days", 1.0) == "last lunch box bought 1 day ago"
    assert says("other_recency_days", 1.0) == "last event that counts for other 1 day ago"


def test_movable_are_features_by_name_before_event_type_before_group() -> None:
    entries = {
        "click": "either", "click_count_all": "fixed", "activity": "lower",
        "buy_value_7d": {"direction": "higher", "told": "spends {n} a week"},
    }  # fmt: skip
    settings = FeatureSettings.model_validate({"event_types": ["click", "buy"], "movable": entries})
    targets = {"buys": Target(event="true", wanted="more")}
    features = FeatureSet.make(settings, targets)
    movable = features.movable
    assert movable["buy_value_7d"].direction == "higher" and not movable["buy_value_7d"].whole
    saying = features.told["buy_value_7d"].saying
    assert saying.instead_of(20.0, 5.0) == "spends 20 a week rather than 5"
    assert features.told["buy_count_7d"].saying.of(2.0) == "2 buy events in the last 7 days"
    assert "click_count_all" not in movable
    assert movable["click_count_7d"].direction == "either" and movable["click_count_7d"].whole
    assert movable["click_recency_days"].whole  # days are told whole
    assert movable["buy_count_7d"].direction == "lower"
    assert not any(name.startswith("buys_") for name in movable)
    assert FeatureSet.make(FeatureSettings(event_types=["click"]), targets).movable == {}
    many = {"click": {"direction": "lower", "told": "{n} clicks"}}
    with pytest.raises(ConfigError, match="told is of many features"):
        made = FeatureSettings.model_validate({"event_types": ["click"], "movable": many})
        FeatureSet.make(made, targets)
    wrong = FeatureSettings.model_validate(
        {"event_types": ["click"], "movable": {"clicks": "lower"}}
    )
    with pytest.raises(ConfigError, match="movable names clicks") as refused:
        FeatureSet.make(wrong, targets)
    assert "features describe" in str(refused.value.fix)


def test_of_a_log_without_values_and_items_only_what_is_the_same_for_all_is_left_out(
    inputs: Inputs,
) -> None:
    bare = dataclasses.replace(
        inputs,
        events=inputs.events.withColumn("value", F.lit(None).cast(EVENTS.field("value").dataType))
        .withColumn("item_id", F.lit(None).cast("string")),
    )  # fmt: skip
    sources = validate_settings(
        {
            "sources": {
                "events": {
                    "path": "log",
                    "columns": {
                        "event_id": "id", "user_id": "u", "event_time": "t", "event_type": "k"
                    },
                }
            },
            "features": {"event_types": ["click"]},
            "targets": {"buys": {"event": "true"}},
            "warehouse": {"path": "w"},
        }
    ).sources  # fmt: skip
    every = feature_set(bare)
    some = FeatureSet.make(FEATURES, TARGETS, "true", Offer.of(bare, TARGETS, sources=sources))
    left_out = [feature.name for feature in some.left_out]
    assert len(left_out) > len(FEATURES.event_types) * len(FEATURES.windows_days)
    assert {f.name for f in every.features} == {f.name for f in some.features} | set(left_out)
    assert "maps no item_id and no value" in some.notes[0]
    table = every.build(bare, DAYS)
    values = table.agg(
        *[F.count_distinct(F.coalesce(F.col(n).cast("string"), F.lit(""))) for n in left_out]
    ).collect()[0]
    assert set(values) == {1}
    assert same_rows(some.build(bare, DAYS), table.drop(*left_out))
    assert not every.left_out and not every.notes


def test_features_of_what_a_kind_never_has_are_not_built_and_the_others_stay_as_they_were(
    inputs: Inputs,
) -> None:
    first, second, *_ = FEATURES.event_types
    lists = {"value": [first, second], "item_id": [second]}
    settings = FEATURES.model_copy(update={"without": Without(**lists)})
    declared_sum = DeclaredFeature(on=On(type=first), op="sum", of="value", windows=[3])
    every = FeatureSet.make(FEATURES, TARGETS, "true", Offer())
    some = FeatureSet.make(settings, TARGETS, "true", Offer())
    windows = len(FEATURES.windows_days)
    left_out = {feature.name for feature in some.left_out}
    assert len(left_out) == 2 * (1 + windows) + windows
    assert all(re.match(rf"{first}_value|{second}_(value|item)", name) for name in left_out)
    assert {f.name for f in every.features} == {f.name for f in some.features} | left_out
    assert some.plan.digest == every.plan.digest  # stored tiles are the same
    assert f"{len(left_out)} features are left out" in some.notes[0]
    assert "features.without" in some.notes[0] and len(some.notes) == 1
    # What somebody has declared is built in any case.
    asked = settings.model_copy(update={"declared": [declared_sum]})
    assert f"{first}_value_3d" in FeatureSet.make(asked, TARGETS, "true", Offer()).names
    kept = [feature.name for feature in some.features]
    built = every.build(inputs, DAYS).select("user_id", "as_of", *kept)
    assert same_rows(some.build(inputs, DAYS), built)
