"""Train a sequence model on the driver, for next items and for user vectors."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyspark.sql import DataFrame

from behavior_spark.config.sequence import SequenceTraining
from behavior_spark.errors import InputError
from behavior_spark.features.item_histories import item_words
from behavior_spark.features.sampling import sampled_by_hash
from behavior_spark.files import read_json
from behavior_spark.io.failures import spark_errors
from behavior_spark.model.sequence import MODEL_FILE
from behavior_spark.pipelines.users.stored_models import Origin
from behavior_spark.shared_folder import SharedFolder

if TYPE_CHECKING:
    from behavior_spark.model.sequence.histories import Histories
    from behavior_spark.model.sequence.model import SequenceModel


def read_description(folder: Path) -> tuple[dict[str, Any], Origin]:
    """The description of a stored sequence model, and what it comes from; its weights are not read.

    Raises:
        ModelError: It cannot be read.
    """
    model = read_json(folder / MODEL_FILE)
    fingerprint = model["metadata"].get("fingerprint")
    return model, Origin(fingerprint, model["trained_through"], model["digest"])


def fit_histories(
    histories: DataFrame,
    settings: SequenceTraining,
    words: Mapping[str, list[str]] | None,
    *,
    fingerprint: str,
    as_of: dt.date,
) -> tuple[SequenceModel, Histories]:
    """A model of what users did before a day, and what it learned from.

    Args:
        histories: As ``item_histories`` gives it, of people.
        settings: How it is trained.
        words: Words of items as of the day; None: items have none.
        fingerprint: What the model rests on beside its events.
        as_of: The day.

    Raises:
        InputError: Nobody has events with an item.
        ModelError: No user has three events.
    """
    # torch takes seconds to import, and most nights train nothing.
    from behavior_spark.model.sequence.catalogue import ItemFacts
    from behavior_spark.model.sequence.fitting import FitOptions, fit_sequence_model
    from behavior_spark.model.sequence.training import TrainingOptions
    from behavior_spark.model.sequence.vocabulary import read_histories

    sample = sampled_by_hash(histories, most=settings.max_users)
    columns = ["items", "event_types", "event_times", "values"]
    with spark_errors("reading events to learn next items from"):
        table = sample.select(*columns).toArrow()
    if not table.num_rows:
        raise InputError(
            "nobody has events with an item to learn next items from",
            found=f"none in the {settings.days} days before {as_of}",
            fix="map item_id in sources.events, or correct the section's event_types and days",
        )
    vocabulary, read = read_histories(table.to_batches(), least=settings.min_item_events)
    facts = None
    if words is not None:
        facts = ItemFacts([words.get(item, []) for item in vocabulary.items])
    options = FitOptions(
        shape={
            "width": settings.width,
            "blocks": settings.blocks,
            "length": settings.length,
            "dropout": settings.dropout,
            "similarity": "cosine",
            "temperature": 0.07,
        },
        training=TrainingOptions(
            # A small log needs small batches: an epoch of one step teaches little.
            batch=max(16, min(256, len(read.windows(settings.length)) // 30)),
            rate=3e-3,
            own_dropout=0.1,
            epochs=settings.epochs,
            seed=settings.seed,
        ),
        networks=settings.networks,
    )
    model = fit_sequence_model(
        vocabulary,
        read,
        options,
        facts=facts,
        metadata={"fingerprint": fingerprint},
        trained_through=as_of.isoformat(),
    )
    return model, read


def publish(store: SharedFolder, model: SequenceModel) -> dict[str, Any]:
    """Store a model; give its description as it is stored."""
    model.save(store.path / model.digest)
    store.publish(model.digest)
    return read_description(store.path / model.digest)[0]


def words_at(items: DataFrame | None, as_of: dt.date) -> dict[str, list[str]] | None:
    """Words of items as of a day; None where items are not mapped."""
    if items is None:
        return None
    with spark_errors("reading words of items"):
        table: pa.Table = item_words(items, as_of).toArrow()
    return dict(
        zip(table.column("item_id").to_pylist(), table.column("words").to_pylist(), strict=True)
    )
