"""The models that have rows in the score store, and which are in use."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import get_args

from behavior_spark.config import Settings, TextSettings
from behavior_spark.errors import ConfigError, InputError, ModelError
from behavior_spark.io.failures import spark_errors
from behavior_spark.model.encoder.model_folder import backbone_digest
from behavior_spark.model.encoder.options import Precision, checked_precision
from behavior_spark.model.registry.promotions import lineage
from behavior_spark.model.registry.store import ModelStore
from behavior_spark.pipelines.texts.active_model import active_text_model, encoder_options
from behavior_spark.runs.run import Run
from behavior_spark.scoring.stored_rows import Store

_SHOWN = 8


def rows_by_digest(run: Run, store: Store) -> dict[str, int]:
    """Number of rows of each model in a table, by digest. A table has few models."""
    with spark_errors(f"reading the models of table {store.contract.name}"):
        rows = run.warehouse.read(store.contract).groupBy(store.digest).count().collect()
    return {row[0]: row[1] for row in sorted(rows)}


def models_to_remove(
    run: Run, stored: dict[str, dict[str, int]], *, other_models: bool, models: Sequence[str]
) -> dict[str, dict[str, int]]:
    """Digests to remove with their number of rows, by :attr:`Store.word`.

    Args:
        run: The run.
        stored: Number of rows by word and digest.
        other_models: Remove all models that are not in use.
        models: Digests to remove.

    Raises:
        ConfigError: ``other_models`` without ``text.encoder``.
        InputError: One of ``models`` has no row.
    """
    there = {digest for rows in stored.values() for digest in rows}
    unknown = sorted(set(models) - there)
    if unknown:
        raise InputError(
            f"no row of the model {unknown[0]}",
            found="; ".join(f"{word} of {listed(rows)}" for word, rows in stored.items()),
            fix="give the whole digest of a model that is there (--model, 16 characters)",
        )
    named = set(models)
    if other_models:
        named |= there - _models_in_use(run.settings, run.as_of)
    elif models:
        # Removing a model in use is allowed; the next night scores its texts again.
        with suppress(ModelError, ConfigError):
            for digest in sorted(named & _models_in_use(run.settings, run.as_of)):
                run.note(f"model {digest} is in use: the next score-texts makes its rows again")
    return {
        word: {digest: count for digest, count in rows.items() if digest in named}
        for word, rows in stored.items()
    }


def _models_in_use(settings: Settings, as_of: dt.date) -> set[str]:
    """Digests of encoders and heads that the night, an alias or the config names.

    The previous champion counts as in use too: a rollback reads its scores.
    """
    active = active_text_model(settings, as_of)
    if active is None:
        raise ConfigError(
            "--other-models cannot tell which models are in use",
            found="text.encoder is not set",
            fix="set text.encoder, or name the models to remove with --model DIGEST",
        )
    store = ModelStore(settings.models_path)
    used = {active.digest, *(head.digest for head in active.heads.values())}
    used |= _configured_encoders(settings.text, store)
    for digest in sorted({*store.aliases().values(), *lineage(store)[-2:]}):
        model = store.load(digest)
        used |= {model.backbone_digest, *(head.digest for head in model.heads.values())}
    return used


def _configured_encoders(text: TextSettings, store: ModelStore) -> set[str]:
    """Digests of the configured encoder; one for each precision if none has been chosen yet."""
    source, options = str(text.encoder), encoder_options(text)
    digest = backbone_digest(source, options)
    if text.precision != "auto":
        return {digest}
    recorded = store.precision(digest)
    precisions = get_args(Precision) if recorded is None else (checked_precision(recorded),)
    return {
        backbone_digest(source, replace(options, precision=precision)) for precision in precisions
    }


def listed(rows: Mapping[str, int]) -> str:
    """The first few digests with their number of rows, as words."""
    shown = [f"{digest} ({count:,})" for digest, count in list(rows.items())[:_SHOWN]]
    more = len(rows) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "") or "no model"
