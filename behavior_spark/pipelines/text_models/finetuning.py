"""Fine-tune heads, and the encoder where asked, on the labelled tables of ``text.heads``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from behavior_spark.cleaning.text import text_hash
from behavior_spark.config.labels import PARTS
from behavior_spark.errors import ConfigError
from behavior_spark.io.failures import spark_errors
from behavior_spark.model.encoder.model_folder import backbone_digest, resolve_model_folder
from behavior_spark.model.heads.labelled import LabelledTexts
from behavior_spark.model.registry.store import CHAMPION, ModelStore
from behavior_spark.model.registry.text_model import TextModel, load_text_model
from behavior_spark.pipelines.text_models.labelled_tables import labelled_rows, labelled_task
from behavior_spark.pipelines.text_models.promotion import gate_stage, learned_from, register_stage
from behavior_spark.pipelines.texts.active_model import (
    ActiveTextModel,
    configured_encoder,
    has_encoder,
)
from behavior_spark.pipelines.texts.scoring import stored_embeddings
from behavior_spark.runs.run import Run
from behavior_spark.schemas import TEXT_EMBEDDINGS

if TYPE_CHECKING:
    from behavior_spark.model.training.finetune import FinetuneResult, Stored


def finetune_stage(run: Run) -> dict[str, Any]:
    """Train one head for each entry of ``text.heads``; the result becomes the challenger.

    With ``text.promote: auto`` the gate then decides whether it becomes the champion.

    Returns:
        ``heads``: metrics of each on held-out texts; ``promotion``: what the gate said, or None.

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
    with run.stage("read labels"):
        for name in text.heads:  # a wrong test table is found before hours of training
            labelled_rows(run, name, parts=PARTS)
        tasks = [labelled_task(run, name) for name in text.heads]
    with run.stage(f"fine-tune ({text.finetune})"):
        result = train_text_model(run, tasks)
    run.models["text"] = result.digest
    for name, metrics in result.metrics.items():
        for key in ("accuracy", "precision", "recall", "f1"):
            value = metrics.get(key)
            if isinstance(value, int | float):
                run.figures[f"{name}_{key}"] = float(value)
    return {"heads": result.metrics, "promotion": _enter(run, result, tasks)}


def _enter(
    run: Run, result: FinetuneResult, tasks: Sequence[LabelledTexts]
) -> dict[str, Any] | None:
    """Register what was trained, and take it to the gate where the config says so."""
    store, text = ModelStore(Path(run.settings.models_path)), run.settings.text
    base = configured_encoder(text, store, run.as_of)
    learned = learned_from(tasks, run.settings)
    register_stage(run, result.digest, tasks, learned, encoder=base.digest)
    if store.alias(CHAMPION) == result.digest:
        run.note(f"{result.digest} is the champion already: the same model came out")
    elif text.promote == "auto":
        return gate_stage(run, result.digest)
    else:
        run.note(f"{result.digest} is the challenger: `behavior-spark promote` makes it champion")
    return None


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
    run.figures["texts_stored"] = result.texts_stored
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
