"""Fine-tune: train heads on a frozen encoder, or the encoder too (by contrast, or jointly)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

from behavior_spark.config.tuning import Tuning
from behavior_spark.errors import ModelError
from behavior_spark.model.encoder.encoder import Encoder
from behavior_spark.model.encoder.failures import MOST_FAILED
from behavior_spark.model.encoder.options import EncoderOptions
from behavior_spark.model.heads.frozen_heads import (
    EncoderSetup,
    FittedHeads,
    Keep,
    Stored,
    device_of,
    fit_heads,
)
from behavior_spark.model.heads.kind import find_head_kind
from behavior_spark.model.heads.labelled import (
    LabelledTexts,
    TaskSplit,
    split_task,
    with_label_names,
)
from behavior_spark.model.training.checkpoint import FOLDER, Checkpoint, fingerprint
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
from behavior_spark.model.training.kept_model import (
    FinetuneResult,
    Mode,
    TrainingJob,
    keep_better,
)
from behavior_spark.shared_folder import SharedFolder

__all__ = ["FinetuneResult", "Keep", "LabelledTexts", "Mode", "Progress", "Stored", "finetune"]

Progress = Callable[[str, int, int], None]

# `auto` chooses `few` if the median number of texts a label is between these, in every task.
FEW = (8, 64)
DEFAULT = Tuning()


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
    keep: Keep | None = None,
    progress: Progress | None = None,
    checkpoints: SharedFolder | None = None,
    max_failed_share: float = MOST_FAILED,
) -> FinetuneResult:
    """Train one head per task and write the text model to ``<output_root>/<digest>/``.

    ``heads`` does not change the encoder; it embeds each text once, unless ``stored`` has it.
    ``full`` starts from those heads, then trains encoder and heads together (Kumar et al. 2022,
    "Fine-Tuning can Distort Pretrained Features", arXiv 2202.10054) and keeps the epoch with the
    best mean macro-F1 on held-out texts, which may be the start. ``few`` fine-tunes the encoder
    by contrast (:mod:`behavior_spark.model.training.contrastive`), then fits heads. If the
    encoder before fine-tuning is better on held-out texts, it is kept, so that its stored
    embeddings can still be used.

    The same seed gives the same model. A killed run continues from its checkpoint when it is
    called again with the same arguments. Started in several processes (``torchrun``,
    ``TorchDistributor``), they share the work.

    Args:
        encoder_source: Folder or ``package:`` name of the encoder to start from.
        options: How texts become vectors.
        tasks: One per head, with different names.
        output_root: Folder in which the model's folder is written.
        mode: ``heads``, ``few``, ``full``, or ``auto``: ``few`` if every task has one label a
            text and a median of 8 to 64 texts a label, else ``heads``.
        tuning: Rates, epochs, batch sizes and processes.
        validation_share: Share of distinct texts to hold out, for tasks that do not name one.
        seed: Seed of the order of texts, of dropout, and of the choice of ``max_examples``.
        max_examples: Maximum number of texts per task.
        choose_precision: Let a self-check choose between bf16 and fp32, and record it.
        device: As for :meth:`Encoder.load`.
        stored: Looks up embeddings that were computed before.
        keep: Keeps the embeddings of the encoder before fine-tuning that ``stored`` did not have.
        progress: Called with a stage (``embed`` in texts, ``train`` and ``contrast`` in steps,
            ``heads``), the amount done, and the total.
        checkpoints: Folder of the checkpoints of this run and others; default
            ``<output_root>/.training``.
        max_failed_share: Training stops where the encoder fails on a larger share of the texts.

    Raises:
        ModelError: The encoder cannot be used or fails on too many texts, or a task has too few
            texts to learn from.
    """
    _check_arguments(tasks, mode=mode)
    splits = [
        split_task(task, validation_share=validation_share, seed=seed, max_examples=max_examples)
        for task in tasks
    ]
    mode = _chosen_mode(mode, splits)
    if mode == "few" and tuning.label_names:
        splits = [with_label_names(split) for split in splits]
    device = own_device(device)
    setup = EncoderSetup(
        options, choose_precision, device, stored, progress or _silent, keep, max_failed_share
    )
    settings = {"mode": mode, "seed": seed, "validation_share": validation_share}
    with process_group(device_of(device)):
        frozen = from_first(
            lambda: _heads_on_frozen_encoder(encoder_source, setup, splits, tuning, mode)
        )
        measured = {name: head.metrics.get("baselines") for name, head in frozen.heads.items()}
        splits = [replace(split, baselines=measured[split.name]) for split in splits]
        checkpoints = checkpoints or SharedFolder(output_root / FOLDER)
        job = TrainingJob(
            encoder_source, setup, splits, output_root, tuning, seed, frozen, settings, checkpoints
        )
        return from_first(job.keep_frozen) if mode == "heads" else _train_in_processes(job, mode)


def _heads_on_frozen_encoder(
    source: str, setup: EncoderSetup, splits: list[TaskSplit], tuning: Tuning, mode: Mode
) -> FittedHeads:
    """Fit heads on the unchanged encoder; the start of ``full``, the result of ``heads``.

    For ``full`` heads are not refitted to held-out texts: their score would be too high to be
    compared with later epochs.
    """
    if mode == "full":
        splits = [replace(split, refit=False) for split in splits]
    return fit_heads(source, setup, splits, class_weights=tuning.class_weights)


def _train_in_processes(job: TrainingJob, mode: Mode) -> FinetuneResult:
    """Train the encoder in this process, or start ``tuning.processes`` processes for it."""
    if job.tuning.processes <= 1 or world_size() > 1:
        return _train_encoder(job, mode)
    picklable = replace(job, setup=replace(job.setup, stored=None, tell=_silent, keep=None))
    return run_processes(_train_encoder, job.tuning.processes, picklable, mode)


def _train_encoder(job: TrainingJob, mode: Mode) -> FinetuneResult:
    """Train the encoder; processes share the work, and the first one saves the model."""
    setup, tuning = job.setup, job.tuning
    plain = replace(setup.options, precision="fp32")
    encoder = Encoder.load(job.source, plain, device=own_device(setup.device), trainable=True)
    with process_group(encoder.device):
        run = fingerprint(mode, job.seed, tuning.model_dump(), encoder.digest, world_size(),
                          [_identity(split) for split in job.splits])  # fmt: skip
        checkpoint = Checkpoint(
            job.checkpoints, run, every_seconds=tuning.checkpoint_seconds, writes=rank() == 0
        )
        arguments: dict[str, Any] = {"seed": job.seed, "tell": setup.tell, "checkpoint": checkpoint}
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
                result = keep_better(job, encoder, layers, facts)
            checkpoint.remove()
            return result

        return from_first(finish)


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


def _chosen_mode(mode: Mode, splits: Sequence[TaskSplit]) -> Mode:
    if mode != "auto":
        return mode
    few = all(s.rules.exclusive and FEW[0] <= s.texts_per_label <= FEW[1] for s in splits)
    return "few" if few else "heads"


def _identity(split: TaskSplit) -> Any:
    return [split.name, split.labels, split.texts, split.targets.tolist(),
            split.validation.tolist()]  # fmt: skip


def _silent(*_: Any) -> None:
    """No progress is shown."""
