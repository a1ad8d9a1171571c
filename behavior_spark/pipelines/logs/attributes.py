"""The user's own tables about users, mapped for a join as of each day."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from behavior_spark.cleaning.columns import pseudonym_column
from behavior_spark.cleaning.readings import UNREAD, read_attributes
from behavior_spark.config import Attributes
from behavior_spark.io.counting import aggregated
from behavior_spark.io.failures import spark_errors
from behavior_spark.io.sources import NOT_FINITE, map_attributes, read_raw
from behavior_spark.runs.run import Run
from behavior_spark.schemas import EVENTS


def mapped_attributes(run: Run) -> dict[str, DataFrame]:
    """``sources.attributes`` by name: ``user_id, valid_from, known_at`` and doubles.

    User ids are pseudonyms where they are so in the other tables. A row with a time that cannot
    be read is left out; ``describe_attributes`` counts them.

    Raises:
        ConfigError: A mapping does not fit its table.
        InputError: A table cannot be read.
    """
    mapped = {}
    for name, source in run.settings.sources.attributes.items():
        read = _read(run, name, source).where(F.col(UNREAD).isNull())
        mapped[name] = read.drop(*[column for column in read.columns if column.startswith("_")])
    return mapped


def describe_attributes(run: Run) -> list[str]:
    """What of the tables counts for nobody: one aggregation for each, over all its rows.

    Users are compared with those of the stored events, where there are any yet.
    """
    lines = []
    for name, source in run.settings.sources.attributes.items():
        read = _read(run, name, source)
        with spark_errors(f"reading sources.attributes.{name}"):
            unknown = F.lit(False)
            if run.warehouse.exists(EVENTS):
                users = run.warehouse.read(EVENTS).select(F.col("user_id").alias("_user"))
                read = read.join(users.distinct(), F.col("user_id") == F.col("_user"), "left")
                unknown = F.col("user_id").isNotNull() & F.col("_user").isNull()
            unread = F.col(UNREAD).isNotNull()
            conditions = {
                "have a time that cannot be read: left out": unread,
                "have no user": F.col("user_id").isNull(),
                "have no valid_from": ~unread & F.col("valid_from").isNull(),
                "are of users without a stored event": unknown,
                "have an infinity or NaN: null": F.col(NOT_FINITE) > 0,
            }
            for category in source.categories:
                what = f"have a {category} that is none of categories.{category}: other"
                conditions[what] = F.col(source.category_features(category)[None]) > 0
            counts = aggregated(read, {what: F.count_if(of) for what, of in conditions.items()})
        lines += [f"sources.attributes.{name}: {n:,} {what}" for what, n in counts.items() if n]
    return lines


def _read(run: Run, name: str, source: Attributes) -> DataFrame:
    label = f"sources.attributes.{name}"
    frame = map_attributes(read_raw(run.spark, source, label=label), source, label=label)
    frame = read_attributes(frame)
    key = run.settings.privacy.pseudonymise_key
    if key:
        frame = frame.withColumn("user_id", pseudonym_column(key=key)(F.col("user_id")))
    return frame
