"""Family ``user_vector``: what a sequence model makes of the order of a user's items.

The model learned from what was known before ``trained_through`` alone. An as_of before that day
has no vector, as the model knows what followed; at any later as_of a user's events up to it are
read by that one model, so that the numbers of all days mean the same.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from behavior_spark.config.sequence import UserVectorSettings
from behavior_spark.features.declared import DOUBLE, Feature
from behavior_spark.features.family import Family
from behavior_spark.features.inputs import Inputs, Request
from behavior_spark.features.item_histories import item_histories_at
from behavior_spark.features.operation import within
from behavior_spark.model.propensity.sayings import Saying, Told


class UserVector(Family):
    """Principal components of a sequence model's user vector: ``user_vector_1`` and on."""

    name = "user_vector"
    order = 27

    def features(self, request: Request) -> list[Feature]:
        """One feature for each component; none without a model."""
        days = _settings(request).days
        some = "the order of the items, as a sequence model reads it (component {place}: {{n}})"
        return [
            Feature(
                f"user_vector_{place}",
                DOUBLE,
                f"component {place} of the user vector of a sequence model over items "
                f"{within(days)}",
                zero=False,
                window=days,
                reads="item_id",
                told=Told("order of items", "user vector", Saying(
                    some.format(place=place), none="no item that the sequence model knows")),
            )
            for place in range(1, request.offer.user_vector + 1)
        ]  # fmt: skip

    def join(
        self, frame: DataFrame, inputs: Inputs, days: Sequence[dt.date], request: Request
    ) -> DataFrame:
        """Read the events of all days once; days that the model must not see get null."""
        source, count = inputs.user_vectors, request.offer.user_vector
        if source is None or not count:
            return frame
        settings = _settings(request)
        able = [day for day in days if day >= source.trained_through]
        if not able:
            missing = F.lit(None).cast("double")
            return frame.withColumns({f"user_vector_{n}": missing for n in range(1, count + 1)})
        histories = item_histories_at(
            inputs.events,
            able,
            event_types=settings.event_types,
            days=settings.days,
            newest=settings.max_events,
        )
        vectors = source.vectors(histories)
        numbers = [F.get("vector", F.lit(n)).alias(f"user_vector_{n + 1}") for n in range(count)]
        return frame.join(vectors.select("as_of", "user_id", *numbers), ["as_of", "user_id"],
                          "left")  # fmt: skip


def _settings(request: Request) -> UserVectorSettings:
    return request.settings.user_vector or UserVectorSettings()


FAMILY = UserVector()
