"""The model of user vectors: found, or trained on what was known before the training days."""

from __future__ import annotations

import datetime as dt
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from behavior_spark.config.sequence import UserVectorSettings
from behavior_spark.errors import BehaviorError
from behavior_spark.features.item_histories import item_histories
from behavior_spark.files import digest_of
from behavior_spark.pipelines.users.sequence_training import (
    fit_histories,
    publish,
    read_description,
    words_at,
)
from behavior_spark.pipelines.users.stored_models import newest_model
from behavior_spark.prediction.training_days import training_days
from behavior_spark.prediction.user_vectors import UserVectorRecipe
from behavior_spark.runs.run import Run
from behavior_spark.shared_folder import SharedFolder


def user_vectors(
    run: Run, events: DataFrame, items: DataFrame | None, *, train: bool
) -> UserVectorRecipe | None:
    """The model of the night's user vectors; None where none is asked for, or none can be.

    It must have learned from nothing later than the first training day of a model of this night,
    so that no training row has a vector that knows what followed.

    Args:
        run: The run.
        events: All versions of events.
        items: Versions of items; None: they are not mapped.
        train: Whether to train where no valid model exists.
    """
    settings = run.settings.features.user_vector
    if settings is None or not run.settings.features.built("user_vector"):
        return None
    before = first_training_day(run, events)
    if before is None:
        run.note("no user vectors: the log has no training day yet")
        return None
    described = _valid_model(run, settings, before)
    if described is None and train:
        try:
            with run.step("train user vectors"):
                described = _train(run, settings, events, items, before)
        except BehaviorError as error:
            run.note(f"no user vectors: before {before}, {error.line}")
    if described is None:
        if not train:
            run.note(f"no user vectors: no valid model trained before {before}")
        return None
    through = dt.date.fromisoformat(described["trained_through"])
    return UserVectorRecipe(
        model_store(run).location, described["digest"], settings.dimensions, through
    )


def first_training_day(run: Run, events: DataFrame) -> dt.date | None:
    """The earliest of the newest ``training.as_of_days`` training days of any target."""
    training = run.settings.training
    row = events.agg(F.to_date(F.min("event_time")).alias("day")).first()
    if row is None or row["day"] is None:
        return None
    horizons = {target.horizon_days for target in run.settings.targets.values()}
    days = [
        day
        for horizon in horizons
        for day in training_days(
            run.as_of,
            horizon_days=horizon,
            count=training.as_of_days,
            every_days=training.every_days,
            first_event=row["day"],
        )
    ]
    return min(days, default=None)


def model_store(run: Run) -> SharedFolder:
    """Folder of models of user vectors, one subfolder a digest."""
    return SharedFolder(f"{run.settings.models_path}/user_vector")


def _valid_model(run: Run, settings: UserVectorSettings, before: dt.date) -> dict[str, Any] | None:
    """The description of the newest model that is old enough, and not too old."""
    return newest_model(
        run, model_store(run), read_description, fingerprint=_fingerprint(run, settings),
        through=before, fresh_days=settings.retrain_every_days, name="model of user vectors",
    )  # fmt: skip


def _train(
    run: Run,
    settings: UserVectorSettings,
    events: DataFrame,
    items: DataFrame | None,
    before: dt.date,
) -> dict[str, Any]:
    from behavior_spark.model.sequence.user_vectors import PROJECTION, with_user_vectors

    histories = item_histories(
        events,
        before,
        event_types=settings.event_types,
        days=settings.days,
        newest=settings.max_events,
    )
    model, learned = fit_histories(
        histories,
        settings,
        words_at(items, before),
        fingerprint=_fingerprint(run, settings),
        as_of=before,
    )
    model = with_user_vectors(model, learned, dimensions=settings.dimensions)
    described = publish(model_store(run), model)
    run.say(
        f"user vectors: model {model.digest} of {model.metadata['events']:,} events before "
        f"{before}; {settings.dimensions} components hold "
        f"{model.metadata[PROJECTION]['explained']:.0%} of the spread of its vectors"
    )
    return described


def _fingerprint(run: Run, settings: UserVectorSettings) -> str:
    """What a model rests on beside its events."""
    return digest_of(
        {
            "user_vector": settings.model_dump(mode="json", exclude={"retrain_every_days"}),
            "items": bool(run.settings.sources.items),
        }
    )
