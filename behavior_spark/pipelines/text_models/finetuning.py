"""Fine-tune heads, and the encoder where asked, on the labelled tables of ``text.heads``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import RenderableType

from behavior_spark.cleaning.text import text_hash
from behavior_spark.config.labels import PARTS
from behavior_spark.errors import ConfigError
from behavior_spark.io.failures import spark_errors
from behavior_spark.model.encoder.model_folder import backbone_digest, resolve_model_folder
from behavior_spark.model.heads.labelled import LabelledTexts
from behavior_spark.model.registry.store import CHAMPION, ModelStore
from behavior_spark.model.registry.text_model import TextModel, load_text_model
from behavior_spark.pipelines.text_models.labelled_tables import labelled_rows, labelled_task
from behavior_spark.pipelines.text_models.promotion import learned_from, register_model
from behavior_spark.pipelines.texts.active_model import (
    ActiveTextModel,
    configured_encoder,
    has_encoder,
)
from behavior_spark.pipelines.texts.scoring import stored_embeddings
from behavior_spark.report.quality import heads_table
from behavior_spark.runs.run import Run
from behavior_spark.runs.stages import StageResult, stage
from behavior_spark.schemas import ANNOTATIONS, TEXT_EMBEDDINGS, TEXTS

if TYPE_CHECKING:
    from behavior_spark.model.training.finetune import FinetuneResult, Stored


@dataclass(frozen=True)
class Finetuned(StageResult):
    """A trained text model; it is in the registry.

    Attributes:
        digest: The model's.
        heads: For each head what training measured on held-out texts.
        texts_stored: Labelled texts whose embedding was in the store.
        goes_to_gate: Whether the gate is to decide now if it becomes the champion.
    """

    digest: str
    heads: Mapping[str, Mapping[str, Any]]
    texts_stored: int
    goes_to_gate: bool

    @property
    def figures_by_head(self) -> dict[str, dict[str, float]]:
        """The single numbers of each head, by name."""
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
        """Texts found in the store, and measures of each head."""
        return {"texts_stored": self.texts_stored} | {
            f"{head}_{name}": number
            for head, numbers in self.figures_by_head.items()
            for name, number in numbers.items()
        }

    @property
    def models(self) -> Mapping[str, str]:
        """The model."""
        return {"text": self.digest}

    @property
    def details(self) -> Mapping[str, Any]:
        """All that was measured; ``promotion`` is the gate's answer, where it was asked."""
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
        for name in text.heads:  # a wrong test table is found before hours of training
            labelled_rows(run, name, parts=PARTS)
        tasks = [labelled_task(run, name) for name in text.heads]
    with run.step(f"fine-tune ({text.finetune})"):
        result = train_text_model(run, tasks)
    trained = Finetuned(result.digest, result.metrics, result.texts_stored, False)
    store = ModelStore(Path(run.settings.models_path))
    base = configured_encoder(text, store, run.as_of)
    learned = learned_from(tasks, run.settings)
    register_model(
        run, result.digest, tasks, learned, encoder=base.digest, figures=trained.figures
    )
    if store.alias(CHAMPION) == result.digest:
        run.note(f"{result.digest} is the champion already: the same model came out")
        return trained
    if text.promote == "auto":
        return replace(trained, goes_to_gate=True)
    run.note(f"{result.digest} is the challenger: `behavior-spark promote` makes it champion")
    return trained


def train_text_model(run: Run, tasks: Sequence[LabelledTexts]) -> FinetuneResult:
    """Train on ``tasks`` as ``text.finetune`` and ``text.tuning`` say, and publish the model.

    Texts whose embedding is in the store, under the configured encoder, are read from there.
    """
    from behavior_spark.model.training.finetune import (
        finetune,  # torch: seconds that other commands spare
    )

    settings, text = run.settings, run.settings.text
    store = ModelStore(Path(settings.models_path))
    base = configured_encoder(text, store, run.as_of)
    result = finetune(
        base.source,
        base.options,
        list(tasks),
        Path(settings.models_path) / "text",
        mode=text.finetune,
        tuning=text.tuning,
        seed=settings.training.seed,
        max_examples=text.max_examples,
        choose_precision=base.unchecked,
        device=None if text.device == "auto" else text.device,
        stored=_from_store(run, base.digest),
        progress=progress_of(run),
    )
    _keep_precision(store, base, load_text_model(result.folder))
    run.say(f"mode {result.mode}; {result.texts_stored:,} embeddings were in the store")
    return result


def _keep_precision(store: ModelStore, base: ActiveTextModel, model: TextModel) -> None:
    """Record the precision that was chosen for the encoder as it is, as a night would."""
    if base.unchecked and "precision" in model.metadata and has_encoder(model, base):
        exact = replace(base.options, precision="fp32")
        store.record_precision(backbone_digest(base.source, exact), model.metadata["precision"])


def _from_store(run: Run, digest: str) -> Stored:
    """Looks up the embeddings of texts by their hash, where their backbone is this one."""
    key = run.settings.privacy.pseudonymise_key

    def look_up(wanted: str, texts: Sequence[str]) -> dict[str, np.ndarray]:
        if wanted != digest or not texts or not run.warehouse.exists(TEXT_EMBEDDINGS):
            return {}
        of_hash = {text_hash(text, key=key): text for text in texts}
        asked = run.spark.createDataFrame([(each,) for each in of_hash], "text_hash string")
        found = stored_embeddings(run, digest).where("embedding IS NOT NULL")
        with spark_errors("reading stored embeddings"):
            table = found.join(asked, "text_hash", "left_semi").toArrow()
        if not table.num_rows:
            return {}
        column = table.column("embedding").combine_chunks()
        vectors = np.asarray(column.flatten(), dtype=np.float32).reshape(table.num_rows, -1)
        hashes = table.column("text_hash").to_pylist()
        return {of_hash[each]: vector for each, vector in zip(hashes, vectors, strict=True)}

    return look_up


def progress_of(run: Run) -> Callable[[str, int, int], None]:
    """Says how far a stage is, at each tenth of it."""
    shown: dict[str, int] = {}

    def tell(stage: str, done: int, total: int) -> None:
        tenth = 10 * done // max(total, 1)
        if shown.get(stage) != tenth:
            shown[stage] = tenth
            run.say(f"{stage}: {done:,} of {total:,}")

    return tell
