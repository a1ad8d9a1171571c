"""Train the encoder further on the warehouse's own texts, without labels: ``pretrain``."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from behavior_spark.errors import ConfigError, InputError
from behavior_spark.features.text_pairs import text_pairs
from behavior_spark.io.corpus import remove_corpus, write_corpus
from behavior_spark.io.sources import check_condition
from behavior_spark.model.registry.store import ModelStore
from behavior_spark.pipelines.text_models.finetuning import progress_of
from behavior_spark.pipelines.texts.active_model import configured_encoder
from behavior_spark.pipelines.texts.scoring import known_texts
from behavior_spark.runs.run import Run
from behavior_spark.runs.stages import StageResult, stage
from behavior_spark.schemas import EVENTS, ITEMS, TEXTS

if TYPE_CHECKING:
    from behavior_spark.model.pretraining.pretrain import PretrainedEncoder


@dataclass(frozen=True)
class Pretrained(StageResult):
    """An encoder that was trained further on texts without labels.

    Attributes:
        encoder: Its folder.
        digest: Its digest.
        steps: Batches learned from.
        before: Figures on held-out texts before, by name.
        after: And after.
        curve: Loss over the steps.
        packed: Whether texts were computed without padding.
    """

    encoder: Path
    digest: str
    steps: int
    before: Mapping[str, float]
    after: Mapping[str, float]
    curve: Any
    packed: bool

    @property
    def figures(self) -> Mapping[str, float]:
        """Steps, and each figure before and after."""
        found: dict[str, float] = {"steps": self.steps}
        for name in self.after:
            found |= {f"{name}_before": self.before[name], f"{name}_after": self.after[name]}
        return found

    @property
    def models(self) -> Mapping[str, str]:
        """The encoder."""
        return {"encoder": self.digest}

    @property
    def details(self) -> Mapping[str, Any]:
        """All of it as plain data."""
        return {
            "encoder": str(self.encoder),
            "digest": self.digest,
            "before": dict(self.before),
            "after": dict(self.after),
            "curve": self.curve,
            "packed": self.packed,
        }


@stage(
    "pretrain",
    does="train the encoder further on the warehouse's texts, without labels",
    reads=(EVENTS, ITEMS, TEXTS),
    models=("text",),
)
def pretrain_stage(run: Run) -> Pretrained:
    """Train the configured encoder further on the texts known before the night.

    The result is an encoder of its own under ``models/encoders``; ``text.encoder`` is to name
    it. It knows the last day it saw, and no earlier night takes it.

    Raises:
        ConfigError: No encoder is configured, or a setting does not fit.
        InputError: A table is missing.
        ModelError: There is too little to learn from.
    """
    from behavior_spark.model.pretraining.pretrain import (
        pretrain,  # torch: seconds that other commands spare
    )

    settings, chosen = run.settings, run.settings.pretrain
    if not settings.text.encoder:
        raise ConfigError("nothing to pre-train: text.encoder is not set")
    models = Path(settings.models_path)
    base = configured_encoder(settings.text, ModelStore(models), run.as_of)
    # A rerun after a kill finds the checkpoint by its inputs, not by this folder; it replaces
    # what the killed run left here.
    folder = models / "encoders" / f".corpus-{chosen.method}"
    try:
        with run.step("write texts"):
            write_corpus(_rows(run), folder, files=max(1, run.parallelism))
        device = None if settings.text.device == "auto" else settings.text.device
        with run.step(f"pretrain ({chosen.method})"):
            made = pretrain(
                base.source,
                base.options,
                folder,
                models / "encoders",
                settings=chosen,
                last_day=(run.as_of - dt.timedelta(days=1)).isoformat(),
                device=device,
                progress=progress_of(run),
            )
    finally:
        remove_corpus(folder)  # people's words do not stay behind, whatever went wrong
    return _told(run, made)


def _rows(run: Run) -> DataFrame:
    """``text``, or ``left, right``: the distinct texts or pairs known before the night."""
    chosen, warehouse = run.settings.pretrain, run.warehouse
    if chosen.method == "behaviour":
        events = warehouse.require(EVENTS, made_by="ingest")
        sources = run.settings.sources
        if not (sources.items or sources.texts):
            raise ConfigError(
                "pretrain.method=behaviour pairs the texts of events",
                found="neither sources.items nor sources.texts",
                fix="map one of them, with item_id or text_id in the events",
            )
        rows = text_pairs(
            events,
            warehouse.read(ITEMS) if sources.items else None,
            warehouse.read(TEXTS) if sources.texts else None,
            as_of=run.as_of,
            event_types=chosen.event_types,
        )
    elif chosen.where:
        texts = warehouse.require(TEXTS, made_by="ingest")
        check_condition(texts, chosen.where, label="pretrain.where")
        seen = texts.where(F.col("arrived_at") < F.lit(run.as_of).cast("timestamp"))
        rows = seen.where(chosen.where).select("text").distinct()
    else:
        if not (warehouse.exists(TEXTS) or warehouse.exists(ITEMS)):
            raise InputError("there are no texts yet", fix="run `behavior-spark ingest` first")
        rows = known_texts(warehouse, run.as_of).select("text")
    rows = rows.where(" AND ".join(f"trim({name}) <> ''" for name in rows.columns))
    if chosen.max_texts:
        rows = rows.orderBy(F.xxhash64(*rows.columns), *rows.columns).limit(chosen.max_texts)
    return rows


def _told(run: Run, made: PretrainedEncoder) -> Pretrained:
    outcome = made.outcome
    for name in outcome.after:
        run.say(
            f"{name} of held-out texts: {outcome.before[name]:.4g} -> {outcome.after[name]:.4g}"
        )
    if made.new_word_head:
        run.note("the encoder came without a head for words: `before` is after that head learned")
    run.note(f"set text.encoder to {made.folder}, fine-tune, and compare before you use it")
    return Pretrained(
        encoder=made.folder,
        digest=made.digest,
        steps=outcome.steps,
        before=outcome.before,
        after=outcome.after,
        curve=outcome.curve,
        packed=made.packed,
    )
