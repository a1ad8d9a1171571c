"""Train heads on a frozen encoder, or the encoder too: by contrast, or with all its heads."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

from behavior_spark.config.tuning import Tuning
from behavior_spark.errors import ModelError
from behavior_spark.model.encoder.encoder import Encoder
from behavior_spark.model.encoder.loading import quiet_transformers
from behavior_spark.model.encoder.model_folder import (
    TOKENIZER_FILES,
    EncoderOptions,
    backbone_digest,
    resolve_model_folder,
    trained_through,
)
from behavior_spark.model.heads.frozen_heads import (
    Fitted,
    Place,
    Stored,
    device_of,
    fit_heads,
    trained_heads,
)
from behavior_spark.model.heads.head import Head
from behavior_spark.model.heads.kind import find_head_kind
from behavior_spark.model.heads.labelled import (
    LabelledTexts,
    TaskSplit,
    split_task,
    with_label_names,
)
from behavior_spark.model.registry.text_model import (
    load_text_model,
    save_text_model,
    text_model_digest,
)
from behavior_spark.model.training.checkpoint import Checkpoint, fingerprint
from behavior_spark.model.training.contrastive import contrast_classes
from behavior_spark.model.training.distributed import (
    from_first,
    own_device,
    process_group,
    rank,
    run_processes,
    world_size,
)
from behavior_spark.model.training.joint import train_together

__all__ = ["FinetuneResult", "LabelledTexts", "Mode", "Progress", "Stored", "finetune"]

Progress = Callable[[str, int, int], None]
Mode = Literal["heads", "few", "full", "auto"]

# Median texts of a label between which `auto` teaches the encoder by contrast.
FEW = (8, 64)
DEFAULT = Tuning()


@dataclass(frozen=True)
class FinetuneResult:
    """What :func:`finetune` made.

    Attributes:
        folder: The text model, ready for ``load_text_model``.
        digest: Its digest, also the folder's name.
        metrics: Per task what its head records.
        mode: The mode that was used.
        texts_stored: Texts whose embedding was stored.
    """

    folder: Path
    digest: str
    metrics: dict[str, dict[str, Any]] = field(default_factory=dict)
    mode: Mode = "heads"
    texts_stored: int = 0


def finetune(
    encoder_source: str,
    options: EncoderOptions,
    tasks: list[LabelledTexts],
    output_root: Path,
    *,
    mode: Mode = "heads",
    tuning: Tuning = DEFAULT,
    validation_share: float = 0.15,
    seed: int = 0,
    max_examples: int | None = None,
    choose_precision: bool = False,
    device: str | None = None,
    stored: Stored | None = None,
    progress: Progress | None = None,
) -> FinetuneResult:
    """Learn one head per task and write ``<output_root>/<digest>/``; the same seed, the same model.

    ``heads`` keeps the encoder and embeds each text once, or not at all where ``stored`` has it.
    ``full`` starts from those heads and then trains everything (Kumar et al. 2022, "Fine-Tuning
    can Distort Pretrained Features", arXiv 2202.10054) and keeps the epoch with the best mean
    validation macro-F1, the frozen start included. ``few`` teaches the encoder by contrast (see
    :mod:`behavior_spark.model.training.contrastive`), then fits heads. Where a taught encoder is no
    better on held-out texts, the encoder stays as it was, so that stored embeddings remain good.

    A run that was killed goes on where it was when it is called again with the same arguments.
    Started in several processes (``torchrun``, ``TorchDistributor``) they share the work.

    Args:
        encoder_source: Folder or ``package:`` name of the encoder to start from.
        options: How texts become vectors.
        tasks: One per head, with different names.
        output_root: Folder for model folders.
        mode: One of those, or ``auto``: ``few`` where every task has one label a text and a
            median of 8 to 64 texts a label, else ``heads``.
        tuning: How the encoder learns.
        validation_share: Share of different texts held out, where a task does not say.
        seed: Order of texts, dropout, and the choice of ``max_examples``.
        max_examples: At most so many texts per task.
        choose_precision: Let a self-check choose between bf16 and fp32, and record it.
        device: As for :meth:`Encoder.load`.
        stored: Looks up embeddings that were computed before.
        progress: Called with a stage (``embed`` in texts, ``train`` and ``contrast`` in steps,
            ``heads``), how much is done, and how much there is.

    Raises:
        ModelError: The encoder cannot be used, or a task has too little to learn from.
    """
    _check_arguments(tasks, mode=mode)
    splits = [
        split_task(task, validation_share=validation_share, seed=seed, max_examples=max_examples)
        for task in tasks
    ]
    mode = _chosen(mode, splits)
    if mode == "few" and tuning.label_names:
        splits = [with_label_names(split) for split in splits]
    device = own_device(device)
    place = Place(options, choose_precision, device, stored, progress or _silent)
    settings = {"mode": mode, "seed": seed, "validation_share": validation_share}
    with process_group(device_of(device)):
        # A start that has learned from the held-out texts would look better than it is.
        first = [replace(s, refit=False) for s in splits] if mode == "full" else splits
        frozen = from_first(
            lambda: fit_heads(encoder_source, place, first, class_weights=tuning.class_weights)
        )
        job = _Job(encoder_source, place, splits, output_root, tuning, seed, frozen, settings)
        if mode == "heads":
            return from_first(job.keep_frozen)
        if tuning.processes > 1 and world_size() == 1:
            alone = replace(job, place=replace(place, stored=None, tell=_silent))
            return run_processes(_teach, tuning.processes, alone, mode)
        return _teach(job, mode)


@dataclass(frozen=True)
class _Job:
    """All that teaching an encoder needs; picklable where ``place`` is."""

    source: str
    place: Place
    splits: list[TaskSplit]
    root: Path
    tuning: Tuning
    seed: int
    frozen: Fitted
    settings: dict[str, Any]

    def keep_frozen(self, **more: Any) -> FinetuneResult:
        """The model of the heads on the encoder as it was."""
        return self._save(self.source, self.frozen, self.settings | more, copy_encoder=False)

    def refitted(self) -> _Job:
        """The same with heads that may learn from held-out texts in the end."""
        if not any(split.refit for split in self.splits):
            return self
        weighting = self.tuning.class_weights
        fitted = fit_heads(self.source, self.place, self.splits, class_weights=weighting)
        return replace(self, frozen=fitted)

    def keep_taught(self, folder: Path, taught: Fitted, **more: Any) -> FinetuneResult:
        """The model of the encoder in ``folder`` and its heads."""
        for name, head in taught.heads.items():
            head.metrics["f1_frozen_encoder"] = self.frozen.heads[name].metrics["f1"]
        shared = _share_last_day(taught.heads)
        return self._save(
            str(folder), replace(taught, heads=shared), self.settings | more, copy_encoder=True
        )

    def _save(
        self, source: str, fitted: Fitted, metadata: dict[str, Any], *, copy_encoder: bool
    ) -> FinetuneResult:
        heads = _not_before(trained_through(self.source), fitted.heads)
        digest = text_model_digest(backbone_digest(source, fitted.options), heads)
        folder = self.root / digest
        if folder.exists():
            load_text_model(folder)  # made before by the same call; refuse it if it was changed
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
        return FinetuneResult(folder, digest, metrics, metadata["mode"], self.frozen.stored)


def _teach(job: _Job, mode: Mode) -> FinetuneResult:
    """Train the encoder, in this process's share of the work; the first process saves."""
    place, tuning = job.place, job.tuning
    plain = replace(place.options, precision="fp32")
    encoder = Encoder.load(job.source, plain, device=own_device(place.device), trainable=True)
    with process_group(encoder.device):
        run = fingerprint(mode, job.seed, tuning.model_dump(), encoder.digest, world_size(),
                          [_identity(split) for split in job.splits])  # fmt: skip
        checkpoint = Checkpoint(
            job.root, run, every_seconds=tuning.checkpoint_seconds, writes=rank() == 0
        )
        arguments: dict[str, Any] = {"seed": job.seed, "tell": place.tell, "checkpoint": checkpoint}
        facts: dict[str, Any] = {"tuning": tuning.model_dump(), "processes": world_size()}
        layers = {}
        if mode == "few":
            contrast_classes(encoder, job.splits, tuning, **arguments)
        else:
            start = job.frozen.heads
            trained = train_together(encoder, job.splits, start, tuning, **arguments)
            layers = trained.layers
            facts |= {"best_epoch": trained.best_epoch, "macro_f1_by_epoch": trained.scores}

        def finish() -> FinetuneResult:
            if facts.get("best_epoch") == 0:
                result = job.refitted().keep_frozen(**facts)
            else:
                result = _keep_better(job, encoder, layers, facts)
            checkpoint.remove()
            return result

        return from_first(finish)


def _keep_better(
    job: _Job, encoder: Encoder, layers: dict[str, Any], facts: dict[str, Any]
) -> FinetuneResult:
    """Save the taught encoder with its heads; after ``few`` the frozen one if it is better."""
    job.root.mkdir(parents=True, exist_ok=True)
    place = replace(job.place, stored=None)
    with tempfile.TemporaryDirectory(prefix=".finetune-", dir=job.root) as scratch:
        folder = save_encoder(encoder, job.source, Path(scratch) / "encoder")
        if layers:
            taught = trained_heads(str(folder), place, job.splits, layers)
        else:
            weighting = job.tuning.class_weights
            taught = fit_heads(str(folder), place, job.splits, class_weights=weighting)
            before, after = _mean_f1(job.frozen.heads), _mean_f1(taught.heads)
            facts |= {"macro_f1_frozen": before, "macro_f1_taught": after}
            if after < before:
                return job.keep_frozen(**facts)
        return job.keep_taught(folder, taught, **facts)


def save_encoder(encoder: Encoder, source: str, folder: Path) -> Path:
    """The weights of ``encoder`` with the tokenizer files of ``source``, byte for byte."""
    model: Any = encoder.model
    with quiet_transformers():
        model.save_pretrained(folder)
    for name in TOKENIZER_FILES:
        path = resolve_model_folder(source) / name
        if path.exists():
            shutil.copy(path, folder / name)
    return folder


def _check_arguments(tasks: list[LabelledTexts], *, mode: str) -> None:
    names = [task.name for task in tasks]
    if not tasks or len(set(names)) != len(names):
        raise ModelError("finetune needs one or more tasks with different names", found=str(names))
    if mode not in get_args(Mode):
        raise ModelError("unknown mode of finetune", found=mode, fix="heads, few, full or auto")
    several = [task.name for task in tasks if not find_head_kind(task.kind).exclusive]
    if mode == "few" and several:
        raise ModelError(
            f"the mode few needs one label a text, and {several[0]!r} has several",
            fix="text.finetune=heads or full",
        )


def _chosen(mode: Mode, splits: Sequence[TaskSplit]) -> Mode:
    if mode != "auto":
        return mode
    few = all(s.rules.exclusive and FEW[0] <= s.labels_a_class <= FEW[1] for s in splits)
    return "few" if few else "heads"


def _identity(split: TaskSplit) -> Any:
    return [split.name, split.labels, split.texts, split.targets.tolist(),
            split.validation.tolist()]  # fmt: skip


def _mean_f1(heads: dict[str, Head]) -> float:
    return float(sum(head.metrics["f1"] for head in heads.values()) / len(heads))


def _silent(*_: Any) -> None:
    """No progress is shown."""


def _share_last_day(heads: dict[str, Head]) -> dict[str, Head]:
    """One backbone learned from every task, so each head has seen the last day of them all."""
    last = max((h.trained_through for h in heads.values() if h.trained_through), default=None)
    return _not_before(last, heads)


def _not_before(day: str | None, heads: dict[str, Head]) -> dict[str, Head]:
    """Heads whose last day is ``day`` at the earliest; as they are without a day."""
    if day is None:
        return heads
    return {
        name: replace(head, trained_through=max(day, head.trained_through or day))
        for name, head in heads.items()
    }
