"""Declared features: what can be said, and what is refused in words that say what to do."""

from __future__ import annotations

from typing import Any

import pytest

from behavior_spark.config import FeatureSettings, validate_settings
from behavior_spark.errors import ConfigError


def settings(declared: dict[Any, Any], **more: Any) -> FeatureSettings:
    features = {"event_types": ["view", "cart", "cancel"], "declared": [declared], **more}
    tree = {
        "warehouse": "w",
        "sources": {"events": {"path": "p", "columns": {}}},
        "features": features,
        "targets": {"buys": {"event": "event_type = 'cart'"}},
    }
    return validate_settings(tree).features


@pytest.mark.parametrize(
    ("declared", "says"),
    [
        ({"op": "median"}, "op"),
        ({"op": "count", "on": {"type": "view", "kind": "browse"}}, "one of type, kind"),
        ({"op": "count", "on": {"where": "value > 5"}}, "where and name go together"),
        ({"op": "count", "on": {"kind": "purchase"}}, "no event type is of kind purchase"),
        ({"op": "sum", "of": "item_id"}, "sum of item_id is not supported: use sum of value"),
        ({"op": "count", "of": "value"}, "count of value is not supported: use count without of"),
        ({"op": "ratio"}, "both are needed"),
        ({"op": "recency", "windows": [7]}, "leave out windows"),
        ({"op": "trend", "windows": [7]}, "two or more"),
        ({"op": "streak", "windows": [90]}, "at most 62 days"),
        ({"op": "count", "windows": [7, 7]}, "ascending"),
        ({"op": "count", "windows": [1000]}, "730 days at most"),
        ({"op": "count", "name": "n"}, "one name for 4 columns"),
        ({"op": "count", "name": "N!", "windows": [7]}, "lower-case"),
        ({"op": "text_share", "head": "mood"}, "text_share needs label"),
        ({"op": "text_share", "head": "m", "label": "l", "on": {"type": "view"}}, "leave out on"),
        ({"op": "count", "head": "mood"}, "count has no head"),
    ],
)
def test_a_declaration_that_cannot_be_is_refused(declared: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=r"features\.?") as refused:
        settings(declared)
    assert says in str(refused.value)


def test_a_bare_on_in_yaml_is_the_word_and_not_true() -> None:
    found = settings({True: {"type": "view"}, "op": "count"})
    assert found.declared[0].on.type == "view"


def test_kinds_and_signs_come_from_usual_names_and_from_the_taxonomy() -> None:
    found = settings(
        {"op": "count", "on": {"kind": "purchase"}},
        taxonomy={"cart": {"kind": "purchase", "sentiment": "positive"}},
    )
    assert found.types_of(found.declared[0].on) == ["cart"]
    meanings = {name: (b.kind, b.sentiment) for name, b in found.behaviours.items()}
    assert meanings["view"] == ("browse", "neutral")
    assert meanings["cancel"] == ("cancel", "negative")


def test_words_of_an_event_type_leave_its_usual_kind_as_it_is() -> None:
    found = settings({"op": "count"}, taxonomy={"purchase": {"told": ["order line"]}})
    meant = found.behaviours["purchase"]
    assert (meant.kind, meant.sentiment, meant.told) == ("purchase", "positive", ["order line"])
    with pytest.raises(ConfigError, match="told"):
        settings({"op": "count"}, taxonomy={"purchase": {"told": ["a", "b", "c"]}})


def test_an_unknown_group_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(ConfigError, match="no group sesions; known: activity, attributes"):
        settings({"op": "count"}, groups=["sesions"])


def test_a_job_without_the_features_of_its_baseline_is_refused() -> None:
    with pytest.raises(ConfigError, match="needs activity"):
        settings({"op": "count"}, groups=["sessions", "declared"])
