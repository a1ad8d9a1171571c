"""Family ``attributes``: attributes of users from your own tables, as known at as_of."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence

from pyspark.sql import DataFrame

from behavior_spark.features.declared import DOUBLE, Feature
from behavior_spark.features.family import Family
from behavior_spark.features.inputs import Inputs, Request
from behavior_spark.features.slowly_changing import join_as_of
from behavior_spark.model.propensity.sayings import Saying, Told


class Attributes(Family):
    """Columns of ``sources.attributes``: ``attribute_<table>_<column>``."""

    name = "attributes"
    order = 70
    source = "attributes"

    def features(self, request: Request) -> list[Feature]:
        """One feature for each column."""
        return [
            Feature(f"attribute_{name}_{column}", DOUBLE,
                    f"{column} of {name}, as known at as_of", zero=False,
                    told=Told(f"{name}.{column}", "value", Saying(
                        f"{column} of {name} is {{n}}", none=f"{column} of {name} is not known")))
            for name, columns in request.offer.attributes.items()
            for column in columns
        ]  # fmt: skip

    def join(
        self, frame: DataFrame, inputs: Inputs, days: Sequence[dt.date], request: Request
    ) -> DataFrame:
        """Join the latest row of each table that was valid and known at as_of."""
        return join_attributes(frame, inputs.attributes, request.offer.attributes)


def join_attributes(
    frame: DataFrame, tables: Mapping[str, DataFrame], attributes: Mapping[str, Sequence[str]]
) -> DataFrame:
    """Add the attributes of each table as known at as_of.

    Args:
        frame: Rows with ``user_id`` and ``as_of`` (date).
        tables: Tables by name: ``user_id, valid_from, known_at`` and doubles.
        attributes: Columns to add, by table.
    """
    for name, columns in attributes.items():
        renamed = {column: f"attribute_{name}_{column}" for column in columns}
        frame = join_as_of(
            frame,
            tables[name].withColumnsRenamed(renamed),
            on=["user_id"],
            columns=list(renamed.values()),
            known_at="known_at",
        )
    return frame


FAMILY = Attributes()
