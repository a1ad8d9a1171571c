"""Describe features: what a config gives, without reading a table."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field

from behavior_spark.config import Settings
from behavior_spark.features.declared import Feature
from behavior_spark.features.feature_set import FeatureSet
from behavior_spark.features.inputs import Offer, unmapped, with_items
from behavior_spark.pipelines.texts.active_model import ActiveTextModel, active_text_model
from behavior_spark.runs.run import utc_today


@dataclass(frozen=True)
class Described:
    """Every feature in order, and what the reader should know."""

    features: list[Feature]
    notes: list[str] = field(default_factory=list)


def describe_features(settings: Settings, *, as_of: dt.date | None = None) -> Described:
    """The features of a night, in the order of the table's columns.

    Args:
        settings: The job's settings.
        as_of: The night, today (UTC) by default; it decides which text heads are in use.

    Raises:
        ConfigError: A declared feature cannot be built, or two have the same name.
        ModelError: The text model cannot be used.
    """
    model = active_text_model(settings, as_of or utc_today()) if settings.sources.texts else None
    feature_set = feature_set_of(settings, model)
    notes = [*(model.notes if model else []), *feature_set.notes]
    return Described(list(feature_set.features), notes)


def feature_set_of(settings: Settings, model: ActiveTextModel | None) -> FeatureSet:
    """The features that settings give with a text model; reads no table."""
    labels = {name: head.labels for name, head in model.heads.items()} if model else {}
    offer = Offer(
        texts=bool(settings.sources.texts),
        sessions=True,
        head_labels=labels,
        similar_to=tuple(with_items(settings.targets)) if model else (),
        attributes={
            name: source.feature_names
            for name, source in settings.sources.attributes.items()
        },
        without=unmapped(settings.sources),
        user_vector=vector.dimensions if (vector := settings.features.user_vector) else 0,
    )
    return FeatureSet.of(settings, offer)
