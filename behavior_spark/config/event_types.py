"""Find the event types that a config names: in conditions, features and funnels."""

from __future__ import annotations

import re

from behavior_spark.config.settings import Settings

_STRING = r"'((?:[^'\\]|\\.|'')*)'"
_EQUALS = re.compile(rf"(?<![\w.`])event_type\s*(?:=|==|<=>|<>|!=)\s*{_STRING}", re.IGNORECASE)
_REVERSED = re.compile(rf"{_STRING}\s*(?:=|==|<=>|<>|!=)\s*event_type\b", re.IGNORECASE)
_IN = re.compile(
    rf"(?<![\w.`])event_type\s+(?:NOT\s+)?IN\s*\(((?:\s*{_STRING}\s*,?)+)\)", re.IGNORECASE
)


def types_compared(condition: str) -> list[str]:
    """The distinct strings with which a condition compares the column ``event_type`` directly.

    >>> types_compared("event_type = 'buy' OR event_type IN ('a', 'b''c') OR kind = 'd'")
    ['buy', 'a', "b'c"]
    >>> types_compared("lower(event_type) = 'Buy' AND 'sell' = event_type")
    ['sell']
    """
    strings = _EQUALS.findall(condition) + _REVERSED.findall(condition)
    for match in _IN.findall(condition):
        strings += re.findall(_STRING, match[0])
    return list(dict.fromkeys(text.replace("''", "'").replace("\\'", "'") for text in strings))


def named_event_types(settings: Settings) -> dict[str, list[str]]:
    """Event types by the key of the config that names them."""
    features = settings.features
    places = {"population": types_compared(settings.population)}
    for name, target in settings.targets.items():
        places[f"targets.{name}.event"] = types_compared(target.event)
    for number, feature in enumerate(features.declared):
        for part, on in (("on", feature.on), ("to", feature.to)):
            if on is not None and on.where:
                places[f"features.declared[{number}].{part}.where"] = types_compared(on.where)
            if on is not None and on.type:
                places[f"features.declared[{number}].{part}.type"] = [on.type]
    for name, funnel in features.funnels.items():
        places[f"features.funnels.{name}.steps"] = list(funnel.steps)
    places["features.event_types"] = list(features.event_types)
    for column, types in features.without.by_column.items():
        places[f"features.without.{column}"] = list(types)
    places["pretrain.event_types"] = list(settings.pretrain.event_types or [])
    return {place: types for place, types in places.items() if types}
