"""Fine-tune heads, and the encoder where asked, on the labelled tables of ``text.heads``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from rich.console import RenderableType

from behavior_spark.config.labels import PARTS
from behavior_spark.errors import ConfigError
from behavior_spark.model.encoder.model_folder import backbone_digest, resolve_model_folder
from behavior_spark.model.heads.findings import describe_findings, doubtful
from behavior_spark.model.heads.labelled import LabelledTexts
from behavior_spark.model.registry.store import CHAMPION, ModelStore
from behavior_spark.model.registry.text_model import TextModel
from behavior_spark.model.registry.training_texts import learned_from
from behavior_spark.pipelines.text_models.label_embeddings import keep_with, look_up_with
from behavior_spark.pipelines.text_models.labelled_tables import labelled_rows, labelled_task
from behavior_spark.pipelines.text_models.registration import register_model
from behavior_spark.pipelines.texts.active_model import (
    ActiveTextModel,
    configured_encoder,
    has_encoder,
)
from behavior_spark.report.quality import heads_table
from behavior_spark.runs.run import Run
from behavior_spark.runs.stages import StageResult, stage
from behavior_spark.schemas import ANNOTATIONS, TEXT_EMBEDDINGS, TEXTS
from behavior_spark.shared_folder import SharedFolder

if TYPE_CHECKING:
    from behavior_spark.model.training.finetune import FinetuneResult


@dataclass(frozen=True)
class Finetuned(StageResult):
    """A text model that was trained and published in the registry.

    Attributes:
        digest: Digest of the model.
        heads: What training measured on held-out texts, by head.
        texts_stored: Labelled texts whose embedding was read: of a night or an earlier training.
        texts_embedded: Labelled texts that were embedded by the encoder before fine-tuning.
        goes_to_gate: Whether the gate must decide in this run if it becomes the champion.
    """

    digest: str
    heads: Mapping[str, Mapping[str, Any]]
    texts_stored: int
    texts_embedded: int
    goes_to_gate: bool

    @property
    def figures_by_head(self) -> dict[str, dict[str, float]]:
        """Accuracy, precision, recall and F1 of each head, where measured."""
        return {
            head: {
                name: float(metrics[name])
                for name in ("accuracy", "precision", "recall", "f1")
                if isinstance(metrics.get(name), int | float)
            }
            for head, metrics in self.heads.items()
        }

    @property
    def figures(self) -> Mapping[str, float]:
        """Numbers of embeddings read and made, and measures of each head."""
        counts = {"texts_stored": self.texts_stored, "texts_embedded": self.texts_embedded}
        return counts | {
            f"{head}_{name}": number
            for head, numbers in self.figures_by_head.items()
            for name, number in numbers.items()
        }

    @property
    def models(self) -> Mapping[str, str]:
        """Digest of the model."""
        return {"text": self.digest}

    @property
    def details(self) -> Mapping[str, Any]:
        """What was measured, by head; the gate's stage sets ``promotion``."""
        return {"heads": dict(self.heads), "promotion": None}

    def blocks(self) -> list[RenderableType]:
        """Measures of each head as a table."""
        return [heads_table(self.figures_by_head)]


@stage(
    "finetune",
    does="train the heads of text.heads, and the encoder too where asked",
    reads=(TEXT_EMBEDDINGS, ANNOTATIONS, TEXTS),
    models=("text",),
)
def finetune_stage(run: Run) -> Finetuned:
    """Train one head for each entry of ``text.heads``; the result becomes the challenger.

    Raises:
        ConfigError: No heads are configured.
        InputError: A labelled table gives nothing to learn from.
    """
    text = run.settings.text
    if not text.encoder or not text.heads:
        raise ConfigError(
            "nothing to fine-tune: text.heads is empty",
            fix="add text.heads.<name> with path, text and label (see conf/demo.yaml)",
        )
    resolve_model_folder(text.encoder)
    with run.step("read labels"):
        for name in text.heads:  # report a wrong test table now, not after hours of training
            labelled_rows(run, name, parts=PARTS)
        tasks = [labelled_task(run, name) for name in text.heads]
    with run.step(f"fine-tune ({text.finetune})"):
        result = train_text_model(run, tasks)
    for name, metrics in result.metrics.items():
        for line in describe_findings(metrics):
            run.note(f"{name}: {line}")
    counts = result.texts_stored, result.texts_embedded
    if to_look_at := [name for name, metrics in result.metrics.items() if doubtful(metrics)]:
        heads = " ".join(f"--head {name}" for name in to_look_at)
        run.note(f"`behavior-spark check-labels {heads} --output FILE` lists these labels")
    trained = Finetuned(result.digest, result.metrics, *counts, False)
    store = ModelStore(run.settings.models_path)
    base = configured_encoder(text, store, run.as_of)
    learned = learned_from(tasks, run.settings)
    register_model(run, result.digest, tasks, learned, encoder=base.digest, figures=trained.figures)
    if store.alias(CHAMPION) == result.digest:
        run.note(f"{result.digest} is the champion already: the same model came out")
        return trained
    if text.promote == "auto":
        return replace(trained, goes_to_gate=True)
    run.note(f"{result.digest} is the challenger: `behavior-spark promote` makes it champion")
    return trained


def train_text_model(run: Run, tasks: Sequence[LabelledTexts]) -> FinetuneResult:
    """Train on ``tasks`` by ``text.finetune`` and ``text.tuning``, and publish the model.

    Embeddings that the configured encoder has in the warehouse, or that an earlier training made,
    are read, not computed; new ones are kept in the registry.
    """
    # Imported here because it loads torch, which takes seconds.
    from behavior_spark.model.training.finetune import finetune

    settings, text = run.settings, run.settings.text
    store = ModelStore(settings.models_path)
    base = configured_encoder(text, store, run.as_of)
    result = finetune(
        base.source,
        base.options,
        list(tasks),
        store.root,
        mode=text.finetune,
        tuning=text.tuning,
        seed=settings.training.seed,
        max_examples=text.max_examples,
        choose_precision=base.unchecked,
        device=None if text.device == "auto" else text.device,
        stored=look_up_with(run, base.digest),
        keep=keep_with(run),
        progress=progress_of(run),
        checkpoints=SharedFolder(settings.checkpoints_path),
        max_failed_share=text.max_failed_share,
    )
    store.shared.publish(result.digest)
    _keep_precision(store, base, store.load(result.digest))
    run.say(
        f"mode {result.mode}; {result.texts_embedded:,} texts embedded, {result.texts_stored:,} "
        "taken from before"
    )
    return result


def _keep_precision(store: ModelStore, base: ActiveTextModel, model: TextModel) -> None:
    """Record the precision that fine-tuning chose for the unchanged encoder, as a night does."""
    if base.unchecked and "precision" in model.metadata and has_encoder(model, base):
        exact = replace(base.options, precision="fp32")
        store.record_precision(backbone_digest(base.source, exact), model.metadata["precision"])


def progress_of(run: Run) -> Callable[[str, int, int], None]:
    """A function that prints a stage's progress at each tenth of its total."""
    shown: dict[str, int] = {}

    def tell(stage: str, done: int, total: int) -> None:
        tenth = 10 * done // max(total, 1)
        if shown.get(stage) != tenth:
            shown[stage] = tenth
            run.say(f"{stage}: {done:,} of {total:,}")

    return tell
