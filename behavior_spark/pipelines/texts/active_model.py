"""The text model in use: the champion, else the configured encoder."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field, replace

from behavior_spark.config import Settings, TextSettings
from behavior_spark.errors import ModelError
from behavior_spark.model.encoder.model_folder import (
    backbone_digest,
    effective_options,
    resolve_model_folder,
    trained_through,
)
from behavior_spark.model.encoder.options import EncoderOptions, checked_precision
from behavior_spark.model.heads.head import Head
from behavior_spark.model.registry.store import CHAMPION, ModelStore
from behavior_spark.model.registry.text_model import TextModel
from behavior_spark.scoring.workers import EncoderRecipe


@dataclass(frozen=True)
class ActiveTextModel:
    """The encoder and heads a night uses.

    Attributes:
        source: Encoder folder or package.
        options: How texts become vectors.
        digest: The encoder's digest; embeddings are stored under it.
        heads: By name; may be empty.
        notes: What a reader should know, such as a head left out.
        unchecked: True while the encoder's precision has not been chosen.
    """

    source: str
    options: EncoderOptions
    digest: str
    heads: dict[str, Head] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    unchecked: bool = False

    @property
    def digests(self) -> dict[str, str]:
        """Digests of the encoder (``backbone``) and of each head (``head_<name>``)."""
        return {"backbone": self.digest} | {
            f"head_{name}": head.digest for name, head in self.heads.items()
        }


def encoder_options(text: TextSettings) -> EncoderOptions:
    """Options of the configured encoder; with precision "auto" in fp32, until one is chosen."""
    return EncoderOptions(
        pooling=text.pooling,
        max_length=text.max_length,
        precision="fp32" if text.precision == "auto" else text.precision,
        long_texts=text.long_texts,
        prompt=text.prompt,
        prompt_name=text.prompt_name,
        normal_form=text.normal_form,
    )


def recipe_of(model: ActiveTextModel, text: TextSettings) -> EncoderRecipe:
    """What a worker needs to load the model's encoder."""
    return EncoderRecipe(model.source, model.options, model.digest, text.token_budget, text.device)


def active_text_model(settings: Settings, as_of: dt.date) -> ActiveTextModel | None:
    """The published champion, else the configured encoder without heads; None without either.

    A head that learned from labels given on or after ``as_of`` is left out, because it would
    leak the future. If the encoder was fine-tuned with it, the configured encoder is used
    instead, without heads.

    Raises:
        ModelError: The encoder or the champion cannot be used.
    """
    text = settings.text
    if not text.encoder:
        return None
    store = ModelStore(settings.models_path)
    base = configured_encoder(text, store, as_of)
    champion = store.alias(CHAMPION)
    if champion is None:
        notes = ["text.heads are configured but not trained: run `behavior-spark finetune`"]
        return replace(base, notes=notes if text.heads else [])
    model = store.load(champion)
    late = late_heads(model, as_of)
    notes = [
        f"head {name} learned from labels of {as_of} or later and is left out" for name in late
    ]
    if late and not has_encoder(model, base):
        notes.append("so is the encoder tuned with it: the configured encoder is used")
        return replace(base, notes=notes)
    heads = {name: head for name, head in model.heads.items() if name not in late}
    return ActiveTextModel(model.encoder_source, model.options, model.backbone_digest, heads, notes)


def has_encoder(model: TextModel, base: ActiveTextModel) -> bool:
    """Whether a model uses the configured encoder unchanged, in any precision."""
    options = replace(model.options, precision=base.options.precision)
    return backbone_digest(model.encoder_source, options) == base.digest


def late_heads(model: TextModel, as_of: dt.date) -> set[str]:
    """Names of the heads that learned from labels given on ``as_of`` or later."""
    return {
        name
        for name, head in model.heads.items()
        if head.trained_through is not None and head.trained_through >= as_of.isoformat()
    }


def configured_encoder(text: TextSettings, store: ModelStore, as_of: dt.date) -> ActiveTextModel:
    """The encoder that the config names, in the precision configured or recorded for it.

    Raises:
        ModelError: It cannot be used, or was pretrained on texts of ``as_of`` or later.
    """
    source = str(text.encoder)
    last_day = trained_through(source)
    if last_day is not None and last_day >= as_of.isoformat():
        raise ModelError(
            f"the encoder {source} must not look back to {as_of}",
            found=f"it was pre-trained on texts through {last_day}",
            fix="use an encoder pre-trained earlier (pretrain --as-of), or a later --as-of",
        )
    options = effective_options(resolve_model_folder(source), encoder_options(text))
    digest = backbone_digest(source, options)
    if text.precision != "auto":
        return ActiveTextModel(source, options, digest)
    recorded = store.precision(digest)
    if recorded is None:
        return ActiveTextModel(source, options, digest, unchecked=True)
    options = replace(options, precision=checked_precision(recorded))
    return ActiveTextModel(source, options, backbone_digest(source, options))
