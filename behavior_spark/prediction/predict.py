"""Apply propensity models to features, in Spark workers."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import StructField, StructType

from behavior_spark.model.arrays import Doubles, Floats, Integers
from behavior_spark.model.propensity.feature_matrix import matrix_of_batch, require_columns
from behavior_spark.model.propensity.goals import Goal, Movable, Wanted
from behavior_spark.model.propensity.model import PropensityModel
from behavior_spark.model.propensity.population import TargetPopulation
from behavior_spark.model.propensity.sayings import Told
from behavior_spark.names import quoted_name
from behavior_spark.schemas import USER_PROPENSITY

# Steps per unit of score (log-odds): the resolution of decile limits.
SCORE_STEPS = 1000
# Columns of predictions; which of them are filled depends on the kind of target.
PREDICTED = ("probability", "expected", "expected_low", "expected_high")


def score_steps(margins: Doubles) -> Integers:
    """Steps of scores, int64 (rows,): score * 1000, rounded down as :func:`with_decile` does."""
    return np.floor(margins * SCORE_STEPS).astype(np.int64)


def columns_needed(
    models: Mapping[str, PropensityModel], populations: Mapping[str, TargetPopulation]
) -> list[str]:
    """The features that models and populations read, sorted."""
    needed = {name for model in models.values() for name in model.features}
    return sorted(needed | {name for of in populations.values() for name in of.columns})


def members_of(rows: pd.DataFrame, population: TargetPopulation | None) -> pd.DataFrame:
    """The rows that are of a population; without one all."""
    return rows if population is None else rows[population.members(rows)]


def decile_cuts(histogram: Sequence[tuple[int, int]]) -> list[int]:
    """Nine steps, descending: the lower limits of deciles 1 to 9.

    Args:
        histogram: (step, users) pairs of one target.

    >>> decile_cuts([(step, 1) for step in range(20)])
    [18, 16, 14, 12, 10, 8, 6, 4, 2]
    """
    total = sum(users for _, users in histogram)
    cuts: list[int] = []
    above = 0
    for step, users in sorted(histogram, reverse=True):
        above += users
        while len(cuts) < 9 and above * 10 >= total * (len(cuts) + 1):
            cuts.append(step)
    return cuts


def goals(
    wanted: Mapping[str, Wanted | None],
    movable: Mapping[str, Movable],
    cuts: Mapping[str, Sequence[int]],
) -> dict[str, Goal]:
    """What changes of predictions are looked for, by target; none where nothing is movable.

    Args:
        wanted: Which way each target should go; targets without are left out.
        movable: Features that a business can move.
        cuts: Limits of the deciles, from :func:`decile_cuts`.
    """
    if not movable:
        return {}
    return {
        name: Goal(way, movable, tuple(step / SCORE_STEPS for step in cuts.get(name, ())))
        for name, way in wanted.items()
        if way
    }


def predict(
    features: DataFrame,
    models: Mapping[str, PropensityModel],
    *,
    horizons: Mapping[str, int],
    told: Mapping[str, Told],
    reasons: int,
    as_of: dt.date,
    populations: Mapping[str, TargetPopulation] | None = None,
    changes: Mapping[str, Goal] | None = None,
) -> DataFrame:
    """Predictions of every target for the users of its population.

    Args:
        features: ``user_id`` and the features of models and populations, one row per user.
        models: Models by target; they are pickled into the function.
        horizons: Horizon of each target, in days.
        told: What reasons say of each feature.
        reasons: For each prediction up to so many reasons that raise it, and so many that lower it.
        as_of: Day of the prediction.
        populations: Populations by target; of others everybody is a member.
        changes: By target the change that is looked for; of others none is, at no cost.

    Returns:
        One row per target and user of its population, with the columns of ``user_propensity``
        except ``decile``.

    Raises:
        ModelError: A feature of a model is missing.
    """
    members = dict(populations or {})
    schema = StructType(
        [
            StructField(field.name, field.dataType)
            for field in USER_PROPENSITY.schema.fields
            if field.name != "decile"
        ]
    )
    for target, model in models.items():
        require_columns(features, model.features, target)
    scorers = [
        _Scorer(
            target, model, members.get(target), dict(told), reasons if model.ranks else 0, as_of,
            as_of + dt.timedelta(days=horizons[target]), to_arrow_schema(schema),
            (changes or {}).get(target),
        )
        for target, model in models.items()
    ]  # fmt: skip

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for scorer in scorers:
                yield scorer.score(batch)

    numbers = [
        F.col(quoted_name(name)).cast("double").alias(name)
        for name in columns_needed(models, members)
    ]
    return features.select("user_id", *numbers).mapInArrow(run, schema)


@dataclass(frozen=True)
class _Scorer:
    """What a worker does for one target; it travels with the function.

    Attributes:
        target: The target.
        model: Its model.
        population: Whom it is about; None: everybody.
        told: What reasons say of each feature.
        reasons: Most reasons in each direction.
        as_of: Day of the prediction.
        until: End of the horizon.
        schema: Arrow schema of the predictions.
        goal: The change that is looked for; None: none.
    """

    target: str
    model: PropensityModel
    population: TargetPopulation | None
    told: Mapping[str, Told]
    reasons: int
    as_of: dt.date
    until: dt.date
    schema: pa.Schema
    goal: Goal | None

    def score(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The predictions for the members among a batch's users."""
        population, model = self.population, self.model
        if population is not None and population.columns:
            members = population.members(batch.select(list(population.columns)).to_pandas())
            batch = batch.filter(pa.array(members))
        values = matrix_of_batch(batch, model.features)
        margins = model.margins_of(values)
        predicted = model.prediction_columns(margins, self.as_of)
        numbers = {"score": margins, **predicted}
        verdict = model.verdict.better_than_chance if model.verdict else None
        same = {
            "as_of": self.as_of, "target": self.target, "model_digest": model.digest,
            "valid_until": self.until, "better_than_chance": verdict,
        }  # fmt: skip
        columns = {
            "user_id": batch.column("user_id"),
            # NaN is null: not predicted by this kind.
            **{name: pa.array(numbers[name], pa.float64(), from_pandas=True) for name in numbers},
            **{name: pa.repeat(pa.scalar(value, self.schema.field(name).type), batch.num_rows)
               for name, value in same.items()},
            "reasons": self._reasons(values),
            "nearest_change": self._changes(batch),
        }  # fmt: skip
        arrays = [
            columns[field.name].cast(field.type) if field.name in columns
            else pa.nulls(batch.num_rows, field.type)
            for field in self.schema
        ]  # fmt: skip
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)

    def _changes(self, batch: pa.RecordBatch) -> pa.Array:
        kind = self.schema.field("nearest_change").type
        if self.goal is None:
            return pa.nulls(batch.num_rows, kind)
        found = self.model.changes(batch.to_pandas(), self.goal, self.told, as_of=self.as_of)
        return pa.array([vars(change) if change else None for change in found], kind)

    def _reasons(self, values: Floats) -> pa.Array:
        kind = self.schema.field("reasons").type
        if not self.reasons or not len(values):
            return pa.nulls(len(values), kind)
        table = self.model.reason_table(values, self.told, top=self.reasons)
        columns = {
            "feature": pa.array(self.model.features).take(pa.array(table.features)),
            "value": pa.array(table.values, from_pandas=True),
            "contribution": pa.array(table.contributions),
            "text": pa.array(table.texts, pa.string()),
        }
        fields = [kind.value_type.field(i) for i in range(kind.value_type.num_fields)]
        reasons = pa.StructArray.from_arrays(
            [columns[field.name].cast(field.type) for field in fields], fields=fields
        )
        # Null, not empty: reasons[0] of an empty array is an error in SQL.
        return pa.ListArray.from_arrays(
            pa.array(table.offsets, pa.int32()), reasons, type=kind,
            mask=pa.array(np.diff(table.offsets) == 0),
        )  # fmt: skip


def with_decile(predictions: DataFrame, cuts: Mapping[str, Sequence[int]]) -> DataFrame:
    """Add ``decile`` from the limits of :func:`decile_cuts`: 1 for the highest scores.

    Targets without limits have none.
    """
    step = F.floor(F.col("score") * SCORE_STEPS)
    decile: Column = F.lit(None).cast("int")
    for target, steps in cuts.items():
        place = sum(((step < cut).cast("int") for cut in steps), F.lit(1))
        decile = F.when(F.col("target") == target, place).otherwise(decile)
    return predictions.withColumn("decile", decile.cast("int"))
