"""The user's own tables about users, mapped for a join as of each day."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from behavior_spark.cleaning.columns import pseudonym_column
from behavior_spark.cleaning.readings import CHANGED, RAW, UNREAD, read_attributes
from behavior_spark.io.sources import map_attributes, read_raw
from behavior_spark.runs.run import Run


def mapped_attributes(run: Run) -> dict[str, DataFrame]:
    """``sources.attributes`` by name: ``user_id, valid_from, known_at`` and doubles.

    User ids are pseudonyms where they are so in the other tables. A row with a time that cannot
    be read is left out; `check` counts them.

    Raises:
        ConfigError: A mapping does not fit its table.
        InputError: A table cannot be read.
    """
    mapped = {}
    for name, source in run.settings.sources.attributes.items():
        label = f"sources.attributes.{name}"
        raw = map_attributes(read_raw(run.spark, source, label=label), source, label=label)
        read = read_attributes(raw).where(F.col(UNREAD).isNull())
        notes = [name for name in read.columns if name.startswith((UNREAD, RAW, CHANGED))]
        frame = read.drop(*notes)
        key = run.settings.privacy.pseudonymise_key
        if key:
            frame = frame.withColumn("user_id", pseudonym_column(key=key)(F.col("user_id")))
        mapped[name] = frame
    return mapped
