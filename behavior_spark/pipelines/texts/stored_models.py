"""The score store's tables and the models whose rows they hold: which are there, which in use."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

from behavior_spark.config import Settings, TextSettings
from behavior_spark.errors import ConfigError, InputError, ModelError
from behavior_spark.io.failures import spark_errors
from behavior_spark.model.encoder.model_folder import Precision, backbone_digest, checked_precision
from behavior_spark.model.registry.promotions import lineage
from behavior_spark.model.registry.store import ModelStore
from behavior_spark.model.registry.text_model import load_text_model
from behavior_spark.pipelines.texts.active_model import active_text_model, encoder_options
from behavior_spark.runs.run import Run
from behavior_spark.schemas import TEXT_EMBEDDINGS, TEXT_SCORES, Contract

_SHOWN = 8


@dataclass(frozen=True)
class Store:
    """A table of the store: its rows' word in figures, and the column of the model's digest."""

    contract: Contract
    word: str
    digest: str

    @property
    def identity(self) -> list[str]:
        """Columns that tell rows of one key apart. Narrow: no vector is read to find them."""
        extra = [n for n in ("error", "scored_at") if n in self.contract.names]
        return [*self.contract.key, *extra]


STORES = (
    Store(TEXT_EMBEDDINGS, "embeddings", "backbone_digest"),
    Store(TEXT_SCORES, "scores", "head_digest"),
)


def rows_by_digest(run: Run, store: Store) -> dict[str, int]:
    """Rows of each model in a table: a handful of models."""
    with spark_errors(f"reading the models of table {store.contract.name}"):
        rows = run.warehouse.read(store.contract).groupBy(store.digest).count().collect()
    return {row[0]: row[1] for row in sorted(rows)}


def models_to_remove(
    run: Run, stored: dict[str, dict[str, int]], *, other_models: bool, models: Sequence[str]
) -> dict[str, dict[str, int]]:
    """The digests to remove, with their rows, by the word of the table.

    Raises:
        ConfigError: No encoder is set to compare other models with.
        InputError: No row has one of ``models``.
    """
    there = {digest for found in stored.values() for digest in found}
    unknown = sorted(set(models) - there)
    if unknown:
        raise InputError(
            f"no row of the model {unknown[0]}",
            found="; ".join(f"{word} of {listed(found)}" for word, found in stored.items()),
            fix="give the whole digest of a model that is there (--model, 16 characters)",
        )
    named = set(models)
    if other_models:
        named |= there - _models_in_use(run.settings, run.as_of)
    elif models:
        # To remove the model of the night is allowed, and costs a night's scoring.
        with suppress(ModelError, ConfigError):
            for digest in sorted(named & _models_in_use(run.settings, run.as_of)):
                run.note(f"model {digest} is in use: the next score-texts makes its rows again")
    return {
        word: {digest: rows for digest, rows in found.items() if digest in named}
        for word, found in stored.items()
    }


def _models_in_use(settings: Settings, as_of: dt.date) -> set[str]:
    """Digests of the backbones and heads that the night, an alias or the config names.

    And those of the champion before the present one: a rollback reads its scores.
    """
    active = active_text_model(settings, as_of)
    if active is None:
        raise ConfigError(
            "--other-models cannot tell which models are in use",
            found="text.encoder is not set",
            fix="set text.encoder, or name the models to remove with --model DIGEST",
        )
    store = ModelStore(Path(settings.models_path))
    used = {active.digest, *(head.digest for head in active.heads.values())}
    used |= _configured_backbones(settings.text, store)
    for digest in sorted({*store.aliases().values(), *lineage(store)[-2:]}):
        model = load_text_model(store.folder(digest))
        used |= {model.backbone_digest, *(head.digest for head in model.heads.values())}
    return used


def _configured_backbones(text: TextSettings, store: ModelStore) -> set[str]:
    """Digests of the configured encoder: in every precision where none has been chosen yet."""
    source, options = str(text.encoder), encoder_options(text)
    plain = backbone_digest(source, options)
    if text.precision != "auto":
        return {plain}
    recorded = store.precision(plain)
    chosen = get_args(Precision) if recorded is None else (checked_precision(recorded),)
    return {backbone_digest(source, replace(options, precision=each)) for each in chosen}


def listed(found: Mapping[str, int]) -> str:
    """Digests with their rows, the first few."""
    shown = [f"{digest} ({rows:,})" for digest, rows in list(found.items())[:_SHOWN]]
    more = len(found) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "") or "no model"
