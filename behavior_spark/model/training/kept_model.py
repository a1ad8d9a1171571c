"""The text model that a training keeps: its frozen encoder's, or the fine-tuned one's if better."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from behavior_spark.config.tuning import Tuning
from behavior_spark.model.encoder.encoder import Encoder
from behavior_spark.model.encoder.model_folder import backbone_digest, trained_through
from behavior_spark.model.encoder.saving import save_encoder
from behavior_spark.model.heads.frozen_heads import (
    EncoderSetup,
    FittedHeads,
    fit_heads,
    trained_heads,
)
from behavior_spark.model.heads.head import Head
from behavior_spark.model.heads.head_metrics import LABEL_FINDINGS
from behavior_spark.model.heads.labelled import TaskSplit
from behavior_spark.model.registry.text_model import (
    load_text_model,
    save_text_model,
    text_model_digest,
)
from behavior_spark.shared_folder import SharedFolder

Mode = Literal["heads", "few", "full", "auto"]


@dataclass(frozen=True)
class FinetuneResult:
    """The text model that :func:`finetune` trained.

    Attributes:
        folder: Folder of the text model, for ``load_text_model``.
        digest: Its digest, also the folder's name.
        metrics: What was measured of each head, by the task's name.
        mode: The mode that was used.
        texts_stored: Texts whose embedding was read from the store.
        texts_embedded: Texts that were embedded by the encoder before fine-tuning.
    """

    folder: Path
    digest: str
    metrics: dict[str, dict[str, Any]] = field(default_factory=dict)
    mode: Mode = "heads"
    texts_stored: int = 0
    texts_embedded: int = 0


@dataclass(frozen=True)
class TrainingJob:
    """Arguments of training the encoder, with the heads on the frozen one.

    Picklable if ``setup`` is.
    """

    source: str
    setup: EncoderSetup
    splits: list[TaskSplit]
    root: Path
    tuning: Tuning
    seed: int
    frozen: FittedHeads
    settings: dict[str, Any]
    checkpoints: SharedFolder

    def keep_frozen(self, **more: Any) -> FinetuneResult:
        """Save the unchanged encoder with its heads; ``more`` goes into the metadata."""
        return self._save(self.source, self.frozen, self.settings | more, copy_encoder=False)

    def refitted(self) -> TrainingJob:
        """The same job; heads of splits with ``refit`` are fitted to held-out texts too."""
        if not any(split.refit for split in self.splits):
            return self
        weighting = self.tuning.class_weights
        fitted = fit_heads(self.source, self.setup, self.splits, class_weights=weighting)
        return replace(self, frozen=fitted)

    def keep_finetuned(self, folder: Path, fitted: FittedHeads, **more: Any) -> FinetuneResult:
        """Save the fine-tuned encoder in ``folder`` with its heads."""
        for name, head in fitted.heads.items():
            before = self.frozen.heads[name].metrics
            head.metrics["f1_frozen_encoder"] = before["f1"]
            # What the heads on the frozen encoder found in the labels is true of them still.
            found = {key: before[key] for key in LABEL_FINDINGS if key in before}
            head.metrics.update(found | head.metrics)
        shared = _share_last_day(fitted.heads)
        return self._save(
            str(folder), replace(fitted, heads=shared), self.settings | more, copy_encoder=True
        )

    def _save(
        self, source: str, fitted: FittedHeads, metadata: dict[str, Any], *, copy_encoder: bool
    ) -> FinetuneResult:
        heads = _not_before(trained_through(self.source), fitted.heads)
        digest = text_model_digest(backbone_digest(source, fitted.options), heads)
        folder = self.root / digest
        if folder.exists():
            load_text_model(folder)  # saved by an earlier, equal call; raises if it was changed
        else:
            save_text_model(
                folder,
                encoder_source=source,
                options=fitted.options,
                heads=heads,
                copy_encoder=copy_encoder,
                metadata=metadata | fitted.check,
            )
        metrics = {name: head.metrics for name, head in heads.items()}
        counts = self.frozen.stored, self.frozen.embedded
        return FinetuneResult(folder, digest, metrics, metadata["mode"], *counts)


def keep_better(
    job: TrainingJob, encoder: Encoder, layers: dict[str, Any], facts: dict[str, Any]
) -> FinetuneResult:
    """Save the fine-tuned encoder with its heads; after ``few`` the frozen one if it is better."""
    job.root.mkdir(parents=True, exist_ok=True)
    setup = replace(job.setup, stored=None, keep=None)
    with tempfile.TemporaryDirectory(prefix=".finetune-", dir=job.root) as scratch:
        folder = save_encoder(encoder, job.source, Path(scratch) / "encoder")
        if layers:
            fitted = trained_heads(str(folder), setup, job.splits, layers)
        else:
            weighting = job.tuning.class_weights
            fitted = fit_heads(str(folder), setup, job.splits, class_weights=weighting)
            before, after = _mean_f1(job.frozen.heads), _mean_f1(fitted.heads)
            facts |= {"macro_f1_frozen": before, "macro_f1_taught": after}
            if after < before:
                return job.keep_frozen(**facts)
        return job.keep_finetuned(folder, fitted, **facts)


def _mean_f1(heads: dict[str, Head]) -> float:
    return float(sum(head.metrics["f1"] for head in heads.values()) / len(heads))


def _share_last_day(heads: dict[str, Head]) -> dict[str, Head]:
    """Set ``trained_through`` of all heads to the latest: they share an encoder that saw it."""
    last_day = max((h.trained_through for h in heads.values() if h.trained_through), default=None)
    return _not_before(last_day, heads)


def _not_before(day: str | None, heads: dict[str, Head]) -> dict[str, Head]:
    """Heads with ``trained_through`` not before ``day``; unchanged if ``day`` is None."""
    if day is None:
        return heads
    return {
        name: replace(head, trained_through=max(day, head.trained_through or day))
        for name, head in heads.items()
    }
