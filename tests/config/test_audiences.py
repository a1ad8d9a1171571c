"""Audiences in a config: exactly one rule, a target with a probability, a consent that is known."""

from __future__ import annotations

from typing import Any

import pytest

from behavior_spark.config import validate_settings
from behavior_spark.errors import ConfigError

BASE: dict[str, Any] = {
    "warehouse": "build/x",
    "sources": {
        "events": {"path": "e", "columns": {"event_id": "i", "user_id": "u", "event_time": "t",
                                            "event_type": "k"}},
        "attributes": {"crm": {"path": "c", "columns": {"user_id": "u", "valid_from": "t",
                                                        "news": "news"}}},
    },
    "features": {"event_types": ["purchase"]},
    "targets": {
        "buy": {"event": "event_type = 'purchase'"},
        "stop": {"event": "event_type = 'purchase'", "kind": "does_not"},
        "spend": {"event": "event_type = 'purchase'", "kind": "amount"},
    },
}  # fmt: skip


def load(**audience: Any) -> Any:
    return validate_settings(BASE | {"audiences": {"a": {"target": "buy"} | audience}})


@pytest.mark.parametrize(
    ("audience", "rule"),
    [
        ({"threshold": 0.3}, "probability of 0.3 or more"),
        ({"top": 4000}, "the first 4,000"),
        ({"budget": 50, "cost": 1, "value": 3}, "a budget of 50"),
        ({"profitable": True, "cost": 1, "value": 3}, "expected profit above 0"),
        ({"target": "stop", "top": 3}, "the first 3"),
        ({"top": 3, "consent": "attribute_crm_news"}, "the first 3"),
    ],
)
def test_each_rule_is_said_in_words(audience: dict[str, Any], rule: str) -> None:
    assert load(**audience).audiences["a"].rule == rule


@pytest.mark.parametrize(
    ("audience", "message"),
    [
        ({}, "exactly one of threshold, top, budget, profitable: there is none"),
        ({"top": 3, "threshold": 0.5}, "there is threshold and top"),
        ({"budget": 5, "cost": 1}, "budget needs cost and value"),
        ({"profitable": True}, "profitable needs cost and value"),
        ({"top": 3, "target": "bye"}, "no target 'bye'; known: buy, stop, spend"),
        ({"top": 3, "target": "spend"}, "of kind amount, which predicts no probability"),
        ({"top": 3, "target": "stop", "value": 2}, "no conversion with a value"),
        ({"top": 3, "consent": "news"}, "known: attribute_crm_news"),
        ({"top": 3, "holdout": 1.0}, "less than 1"),
        ({"top": 3, "items_where": "price < 3"}, "items_where needs sources.items"),
    ],
)
def test_what_cannot_be_chosen_is_refused_with_what_to_do(
    audience: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError) as error:
        load(**audience)
    assert message in str(error.value)


def test_contacts_need_a_user_and_something_to_reach_him_by() -> None:
    sources = BASE["sources"] | {"contacts": {"path": "c", "columns": {"email": "mail"}}}
    with pytest.raises(ConfigError, match="map user_id, and one column"):
        validate_settings(BASE | {"sources": sources})
