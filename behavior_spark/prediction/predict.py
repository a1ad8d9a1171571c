"""Apply propensity models to features, in Spark workers."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StructField, StructType

from behavior_spark.model.arrays import Doubles, Integers
from behavior_spark.model.propensity.goals import Goal, Movable, Wanted
from behavior_spark.model.propensity.model import PropensityModel
from behavior_spark.model.propensity.population import TargetPopulation
from behavior_spark.model.propensity.sayings import Told
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
    """
    models_by_target, said, members = dict(models), dict(told), dict(populations or {})
    goal_of = dict(changes or {})
    until = {name: as_of + dt.timedelta(days=days) for name, days in horizons.items()}
    names = [n for n in USER_PROPENSITY.names if n != "decile"]
    schema = StructType([USER_PROPENSITY.field(n) for n in names])
    nulls = dict.fromkeys(PREDICTED, float("nan"))  # null: not predicted by this kind
    verdicts = {
        name: model.verdict.better_than_chance if model.verdict else None
        for name, model in models.items()
    }

    def run(frames: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        for rows in frames:
            for target, model in models_by_target.items():
                frame = members_of(rows, members.get(target))
                margins = model.margins(frame)
                asked = reasons if model.ranks else 0
                reasons_by_row = (
                    model.reasons(frame, said, top=asked) if asked else [[]] * len(frame)
                )
                goal = goal_of.get(target)
                nearest = (
                    model.changes(frame, goal, said, as_of=as_of) if goal else [None] * len(frame)
                )
                yield pd.DataFrame(
                    {
                        "user_id": frame["user_id"],
                        "as_of": as_of,
                        "target": target,
                        "score": margins,
                        **nulls,
                        **model.prediction_columns(margins, as_of),
                        # Null, not empty: reasons[0] of an empty array is an error in SQL.
                        "reasons": [[vars(reason) for reason in of_row] or None
                                    for of_row in reasons_by_row],
                        "model_digest": model.digest,
                        "valid_until": until[target],
                        "better_than_chance": verdicts[target],
                        "nearest_change": [vars(change) if change else None for change in nearest],
                    }
                )[names]

    nullable = StructType([StructField(f.name, f.dataType) for f in schema.fields])
    return features.mapInPandas(run, nullable)


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
