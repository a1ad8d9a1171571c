"""Register a trained text model: its record and card, and its place as the challenger."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from behavior_spark.io.tracking import tracked_version
from behavior_spark.model.heads.labelled import LabelledTexts
from behavior_spark.model.registry.learned_from import LearnedFrom
from behavior_spark.model.registry.records import ModelRecord, data_fingerprint
from behavior_spark.model.registry.store import CHALLENGER, CHAMPION
from behavior_spark.pipelines.text_models.evaluation import text_store
from behavior_spark.runs.run import Run, redacted, versions


def register_model(
    run: Run,
    digest: str,
    tasks: Sequence[LabelledTexts],
    learned: LearnedFrom,
    *,
    encoder: str,
    figures: Mapping[str, float],
) -> ModelRecord:
    """Give a trained model its record and card, and make it the challenger.

    Args:
        run: The run.
        digest: Digest of the published model.
        tasks: Labelled texts it was trained on.
        learned: Hashes of the texts it has learned from.
        encoder: Digest of the encoder that training began with.
        figures: What training measured, for MLflow.
    """
    store, text = text_store(run), run.settings.text
    folder = store.folder(digest)
    model = store.load(digest)
    days = [head.trained_through for head in model.heads.values() if head.trained_through]
    champion = store.alias(CHAMPION)
    record = ModelRecord(
        digest=digest,
        parents={"encoder": encoder, "champion": champion if champion != digest else None},
        trained_through=max(days, default=None),
        data={
            task.name: {
                "fingerprint": data_fingerprint(task.texts, list(task.labels)),
                "texts": len(task.texts),
            }
            for task in tasks
        },
        config=json.loads(redacted(run.settings))["text"],
        licence=text.licence,
        versions=versions(),
    )
    if not (folder / "record.json").exists():
        learned.save(folder)
    record = record.save(folder)
    store.shared.publish(digest)
    if champion != digest:
        store.set_alias(CHALLENGER, digest)
    note = tracked_version(
        run.settings.name,
        digest=digest,
        folder=folder,
        parameters={"mode": text.finetune, "encoder": text.encoder, **_data_parameters(record)},
        figures=figures,
    )
    if note:
        run.note(note)
    return record


def _data_parameters(record: ModelRecord) -> dict[str, Any]:
    fingerprints = {f"{name}_data": data["fingerprint"] for name, data in record.data.items()}
    return fingerprints | {"trained_through": record.trained_through}
