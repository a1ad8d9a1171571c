"""Train the encoder further on the warehouse's own texts, without labels: ``pretrain``."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from behavior_spark.errors import ConfigError, InputError
from behavior_spark.features.text_pairs import text_pairs
from behavior_spark.io.corpus import remove_corpus, write_corpus
from behavior_spark.io.expressions import check_condition
from behavior_spark.model.registry.store import ModelStore
from behavior_spark.pipelines.text_models.finetuning import progress_of
from behavior_spark.pipelines.texts.active_model import configured_encoder
from behavior_spark.pipelines.texts.scoring import known_texts
from behavior_spark.runs.run import Run
from behavior_spark.runs.stages import StageResult, stage
from behavior_spark.schemas import EVENTS, ITEMS, TEXTS
from behavior_spark.shared_folder import SharedFolder

if TYPE_CHECKING:
    from behavior_spark.model.pretraining.pretrain import PretrainedEncoder


@dataclass(frozen=True)
class Pretrained(StageResult):
    """An encoder that was trained further on texts without labels.

    Attributes:
        encoder: Folder or address of the new encoder.
        digest: Its digest.
        steps: Training steps (batches).
        before: Figures on held-out texts before training, by name.
        after: Figures on held-out texts after training, by name.
        curve: Loss over the steps.
        packed: Whether batches were packed, without padding.
    """

    encoder: str
    digest: str
    steps: int
    before: Mapping[str, float]
    after: Mapping[str, float]
    curve: Any
    packed: bool

    @property
    def figures(self) -> Mapping[str, float]:
        """Steps, and each figure before and after."""
        figures: dict[str, float] = {"steps": self.steps}
        for name in self.after:
            figures |= {f"{name}_before": self.before[name], f"{name}_after": self.after[name]}
        return figures

    @property
    def models(self) -> Mapping[str, str]:
        """Digest of the new encoder."""
        return {"encoder": self.digest}

    @property
    def details(self) -> Mapping[str, Any]:
        """All attributes as plain data."""
        return {
            "encoder": self.encoder,
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

    The result is a new encoder under ``models/encoders``; set ``text.encoder`` to use it. It
    records the last day of its texts, and nights before that day's end refuse it.

    Raises:
        ConfigError: No encoder is configured, or a setting does not fit.
        InputError: A table is missing.
        ModelError: There are too few texts to learn from.
    """
    # Imported here because it loads torch, which takes seconds.
    from behavior_spark.model.pretraining.pretrain import pretrain

    settings, chosen = run.settings, run.settings.pretrain
    if not settings.text.encoder:
        raise ConfigError("nothing to pre-train: text.encoder is not set")
    models = SharedFolder(settings.models_path)
    base = configured_encoder(settings.text, ModelStore(models.location), run.as_of)
    encoders = models / "encoders"
    # A rerun of a killed run overwrites this folder. It finds its checkpoint all the same,
    # because that is named by the inputs, not by this folder.
    corpus = encoders / f".corpus-{chosen.method}"
    try:
        with run.step("write texts"):
            folder = write_corpus(_rows(run), corpus, files=max(1, run.parallelism))
        device = None if settings.text.device == "auto" else settings.text.device
        with run.step(f"pretrain ({chosen.method})"):
            pretrained = pretrain(
                base.source,
                base.options,
                folder,
                encoders.path,
                settings=chosen,
                last_day=(run.as_of - dt.timedelta(days=1)).isoformat(),
                device=device,
                progress=progress_of(run),
                checkpoints=SharedFolder(settings.checkpoints_path),
            )
    finally:
        remove_corpus(corpus)  # leave no users' texts behind, also after an error
    encoders.publish(pretrained.digest)
    return _result(run, pretrained, encoders / pretrained.digest)


def _rows(run: Run) -> DataFrame:
    """Distinct texts (``text``) or pairs of texts (``left, right``) known before the night."""
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


def _result(run: Run, pretrained: PretrainedEncoder, encoder: SharedFolder) -> Pretrained:
    outcome = pretrained.outcome
    for name in outcome.after:
        run.say(
            f"{name} of held-out texts: {outcome.before[name]:.4g} -> {outcome.after[name]:.4g}"
        )
    if pretrained.new_word_head:
        run.note("the encoder came without a head for words: `before` is after that head learned")
    run.note(f"set text.encoder to {encoder.location}, fine-tune, and compare before you use it")
    return Pretrained(
        encoder=encoder.location,
        digest=pretrained.digest,
        steps=outcome.steps,
        before=outcome.before,
        after=outcome.after,
        curve=outcome.curve,
        packed=pretrained.packed,
    )
