"""Check what audiences of a config name, before a night starts; no row is read."""

from __future__ import annotations

from pyspark.sql.types import StructType

from behavior_spark.io.expressions import check_condition
from behavior_spark.io.sources import map_contacts, read_raw
from behavior_spark.pipelines.texts.active_model import active_text_model
from behavior_spark.pipelines.users.describing import feature_set_of
from behavior_spark.runs.run import Run
from behavior_spark.schemas import EVENTS, ITEMS, USER_FEATURES, USER_PROFILE, USER_PROPENSITY


def check_audience_conditions(run: Run) -> None:
    """Check the conditions of audiences, and the mapping of contacts.

    Raises:
        ConfigError: A condition does not fit the tables that a night writes.
        InputError: The contacts cannot be read.
    """
    settings = run.settings
    if contacts := settings.sources.contacts:
        label = "sources.contacts"
        map_contacts(read_raw(run.spark, contacts, label=label), contacts, label=label)
    if not settings.audiences:
        return
    items = run.warehouse.empty(ITEMS).select("item_id", "title", "category", "price")
    if settings.recommendations.event:
        events = run.warehouse.empty(EVENTS)
        check_condition(events, settings.recommendations.event, label="recommendations.event")
    users = run.spark.createDataFrame([], user_columns(run))
    for name, audience in settings.audiences.items():
        if audience.exclude:
            check_condition(users, audience.exclude, label=f"audiences.{name}.exclude")
        if audience.items_where:
            check_condition(items, audience.items_where, label=f"audiences.{name}.items_where")


def user_columns(run: Run) -> StructType:
    """Columns of a user that conditions of audiences may name."""
    settings = run.settings
    model = active_text_model(settings, run.as_of) if settings.sources.texts else None
    features = USER_FEATURES.with_columns(feature_set_of(settings, model).columns)
    fields = {
        field.name: field
        for contract in (USER_PROPENSITY, USER_PROFILE, features)
        for field in contract.schema.fields
        if field.name not in ("reasons", "nearest_change")
    }
    return StructType(list(fields.values()))
