"""The text model of a run, with its precision chosen and recorded where it was not yet."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from pyspark.sql import DataFrame

from behavior_spark.io.failures import spark_errors
from behavior_spark.model.encoder.model_folder import backbone_digest
from behavior_spark.model.registry.store import ModelStore
from behavior_spark.pipelines.texts.active_model import (
    ActiveTextModel,
    active_text_model,
    recipe_of,
)
from behavior_spark.runs.run import Run
from behavior_spark.scoring.embedding import check_on_worker

SAMPLE = 2_000


def checked_text_model(run: Run, texts: DataFrame) -> ActiveTextModel | None:
    """The active text model; an encoder seen for the first time is checked on a worker.

    Args:
        run: The run.
        texts: ``text_hash, text`` that the model is to read; a sample of them is used.

    Raises:
        ModelError: The encoder cannot be used.
    """
    model = active_text_model(run.settings, run.as_of)
    if model is None or not model.unchecked:
        return model
    options = replace(model.options, precision="fp32")
    digest = backbone_digest(model.source, options)
    recipe = recipe_of(replace(model, options=options, digest=digest), run.settings.text)
    with run.step("check precision"), spark_errors("checking the encoder's precision"):
        row = check_on_worker(texts.limit(SAMPLE), recipe).first()
    found = json.loads(row["found"]) if row else {}
    if found:
        run.note(f"the encoder runs in {found['precision']}: {found['reason']}")
    if found.get("settled"):
        ModelStore(Path(run.settings.models_path)).record_precision(digest, found)
    return active_text_model(run.settings, run.as_of)
