"""The text model in use, and its making: fine-tune heads (and the encoder) on labelled tables."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, StringType

from behavior_spark.cleaning.text import clean_text
from behavior_spark.config import Settings, TextSettings
from behavior_spark.errors import ConfigError, InputError
from behavior_spark.io.failures import spark_errors
from behavior_spark.io.sources import map_labels
from behavior_spark.model.bundle import load_text_model
from behavior_spark.model.finetune import finetune
from behavior_spark.model.heads import Head
from behavior_spark.model.labelled import LabelledTexts
from behavior_spark.model.model_folder import (
    EncoderOptions,
    backbone_digest,
    checked_precision,
    effective_options,
    resolve_model_folder,
)
from behavior_spark.model.registry import CHAMPION, ModelStore
from behavior_spark.pipelines.held_out import read_labels
from behavior_spark.pipelines.promotion import gate_stage, learned_from, register_stage
from behavior_spark.pipelines.run import Run
from behavior_spark.scoring.workers import EncoderRecipe

MOST_LABELS = 200_000


@dataclass(frozen=True)
class ActiveTextModel:
    """The encoder and heads a night uses.

    Attributes:
        source: Encoder folder or package.
        options: How texts become vectors.
        digest: The backbone's digest: the key of its embeddings.
        heads: By name; may be empty.
        notes: What a reader should know, such as a head left out.
        unchecked: Whether its precision is still to be chosen.
    """

    source: str
    options: EncoderOptions
    digest: str
    heads: dict[str, Head] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    unchecked: bool = False


def encoder_options(text: TextSettings) -> EncoderOptions:
    """Options of the configured encoder; in fp32 where the precision is to be chosen."""
    return EncoderOptions(
        pooling=text.pooling,
        max_length=text.max_length,
        precision="fp32" if text.precision == "auto" else text.precision,
        long_texts=text.long_texts,
    )


def recipe_of(model: ActiveTextModel, text: TextSettings) -> EncoderRecipe:
    """What a worker needs to load the model's encoder."""
    return EncoderRecipe(model.source, model.options, model.digest, text.token_budget, text.device)


def active_text_model(settings: Settings, as_of: dt.date) -> ActiveTextModel | None:
    """The published champion, else the configured encoder without heads; None without either.

    A model that learned from labels given on or after ``as_of`` must not look back: such a
    head is left out, and where the encoder itself was tuned with it, the configured one is
    used instead.

    Raises:
        ModelError: The encoder or the champion cannot be used.
    """
    text = settings.text
    if not text.encoder:
        return None
    store = ModelStore(Path(settings.models_path))
    base = _configured_encoder(text, store)
    champion = store.alias(CHAMPION)
    if champion is None:
        notes = ["text.heads are configured but not trained: run `behavior-spark finetune`"]
        return replace(base, notes=notes if text.heads else [])
    model = load_text_model(store.folder(champion))
    late = {
        name for name, head in model.heads.items()
        if head.trained_through is not None and head.trained_through >= as_of.isoformat()
    }  # fmt: skip
    notes = [
        f"head {name} learned from labels of {as_of} or later and is left out" for name in late
    ]
    if late and model.backbone_digest != base.digest:
        notes.append("so is the encoder tuned with it: the configured encoder is used")
        return replace(base, notes=notes)
    heads = {name: head for name, head in model.heads.items() if name not in late}
    return ActiveTextModel(model.encoder_source, model.options, model.backbone_digest, heads, notes)


def _configured_encoder(text: TextSettings, store: ModelStore) -> ActiveTextModel:
    """The encoder that config names, in the precision it names or that was recorded for it."""
    source = str(text.encoder)
    options = effective_options(resolve_model_folder(source), encoder_options(text))
    digest = backbone_digest(source, options)
    if text.precision != "auto":
        return ActiveTextModel(source, options, digest)
    recorded = store.precision(digest)
    if recorded is None:
        return ActiveTextModel(source, options, digest, unchecked=True)
    options = replace(options, precision=checked_precision(recorded))
    return ActiveTextModel(source, options, backbone_digest(source, options))


def finetune_stage(run: Run) -> dict[str, Any]:
    """Train one head for each entry of ``text.heads``; the result becomes the challenger.

    With ``text.promote: auto`` the gate then decides whether it becomes the champion.

    Returns:
        ``heads``: metrics of each on held-out texts; ``promotion``: what the gate said, or None.

    Raises:
        ConfigError: No heads are configured.
        InputError: A labelled table gives nothing to learn from.
    """
    settings, text = run.settings, run.settings.text
    if not text.encoder or not text.heads:
        raise ConfigError(
            "nothing to fine-tune: text.heads is empty",
            fix="add text.heads.<name> with path, text and label (see conf/demo.yaml)",
        )
    resolve_model_folder(text.encoder)
    with run.stage("read labels"):
        tasks = [_read_task(run, name) for name in text.heads]
    store = ModelStore(Path(settings.models_path))
    with run.stage(f"fine-tune ({text.finetune})"):
        result = finetune(
            text.encoder,
            encoder_options(text),
            tasks,
            Path(settings.models_path) / "text",
            mode=text.finetune,
            epochs=text.epochs,
            seed=settings.training.seed,
            max_examples=text.max_examples,
            choose_precision=text.precision == "auto",
            device=None if text.device == "auto" else text.device,
            progress=_progress(run),
        )
    run.models["text"] = result.digest
    for name, metrics in result.metrics.items():
        for key in ("accuracy", "precision", "recall", "f1"):
            value = metrics.get(key)
            if isinstance(value, int | float):
                run.figures[f"{name}_{key}"] = float(value)
    base = backbone_digest(text.encoder, encoder_options(text))
    learned = learned_from(tasks, settings)
    register_stage(run, result.digest, tasks, learned, encoder=base)
    promotion = None
    if store.alias(CHAMPION) == result.digest:
        run.note(f"{result.digest} is the champion already: the same model came out")
    elif text.promote == "auto":
        promotion = gate_stage(run, result.digest)
    else:
        run.note(f"{result.digest} is the challenger: `behavior-spark promote` makes it champion")
    return {"heads": result.metrics, "promotion": promotion}


def _read_task(run: Run, name: str) -> LabelledTexts:
    labels = run.settings.text.heads[name]
    label = f"text.heads.{name}"
    frame = map_labels(read_labels(run, labels, label=label), labels, label=label)
    kind = frame.schema["label"].dataType
    multi = isinstance(kind, ArrayType)
    if not isinstance(kind, StringType) and not multi:
        raise ConfigError(f"{label}.label must be a string or an array", found=kind.simpleString())
    if labels.day:
        # A label without a day cannot be shown to be early enough.
        frame = frame.where(F.col("day") < F.lit(run.as_of))
    frame = frame.where(F.col("text").isNotNull() & F.col("label").isNotNull())
    with spark_errors(label):
        # Labels are what people wrote by hand; a cap keeps a wrong table off the driver.
        table: pd.DataFrame = (
            frame.orderBy(F.xxhash64("text"), "text").limit(MOST_LABELS).toPandas()
        )
    if table.empty:
        raise InputError(
            f"{label}: no labelled row", found=f"before {run.as_of}" if labels.day else None
        )
    run.say(f"{name}: {len(table):,} labelled texts")
    cap, mask = run.settings.text.max_chars, run.settings.privacy.mask_personal_data
    return LabelledTexts(
        name=name,
        texts=[clean_text(str(t), max_chars=cap, mask=mask).text for t in table["text"]],
        labels=[list(v) for v in table["label"]] if multi else [str(v) for v in table["label"]],
        multi_label=multi,
        abstain=labels.abstain,
        days=[None if pd.isna(d) else str(d) for d in table["day"]] if labels.day else None,
    )


def _progress(run: Run):  # type: ignore[no-untyped-def]
    shown: dict[str, int] = {}

    def tell(stage: str, done: int, total: int) -> None:
        tenth = 10 * done // max(total, 1)
        if shown.get(stage) != tenth:
            shown[stage] = tenth
            run.say(f"{stage}: {done:,} of {total:,}")

    return tell
