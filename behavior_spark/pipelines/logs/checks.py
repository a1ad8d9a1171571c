"""Check a config against the tables it names: everything that can be known without reading rows."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from behavior_spark.cleaning import rows
from behavior_spark.io.failures import spark_errors
from behavior_spark.io.labels import read_labels
from behavior_spark.io.sources import check_condition
from behavior_spark.model.encoder.model_folder import (
    backbone_digest,
    resolve_model_folder,
    unused_prompts,
)
from behavior_spark.model.encoder.token_sample import unknown_share_of
from behavior_spark.pipelines.logs.attributes import mapped_attributes
from behavior_spark.pipelines.logs.ingestion import map_all, with_clean_texts, with_reasons
from behavior_spark.pipelines.texts.active_model import encoder_options
from behavior_spark.pipelines.texts.work import unknown_note
from behavior_spark.runs.run import Run
from behavior_spark.schemas import EVENTS, INPUTS, ITEMS, TEXTS

SAMPLE_ROWS = 5
# Texts whose words are looked up in the encoder's vocabulary.
SAMPLE_TEXTS = 200


def check_settings(run: Run) -> dict[str, dict[str, DataFrame]]:
    """Check sources, labels, conditions and the encoder's folder; start no model, read no row.

    Returns:
        The mapped sources by contract and source name.

    Raises:
        ConfigError: A mapping or a condition does not fit the tables.
        InputError: A table is not there or cannot be read.
        ModelError: The encoder is not there.
    """
    settings = run.settings
    mapped = map_all(run)
    mapped_attributes(run)
    events = run.warehouse.empty(EVENTS)
    items = run.warehouse.empty(ITEMS)
    check_condition(events, settings.population, label="population")
    for name, target in settings.targets.items():
        check_condition(events, target.event, label=f"targets.{name}.event")
        if target.item:
            check_condition(items, target.item, label=f"targets.{name}.item")
    for name, labels in settings.text.heads.items():
        label = f"text.heads.{name}"
        read_labels(run.spark, labels, label=label)
    if settings.text.encoder:
        resolve_model_folder(settings.text.encoder)
    return mapped


def sample_rows(
    run: Run, mapped: dict[str, dict[str, DataFrame]]
) -> dict[str, list[dict[str, object]]]:
    """Five mapped rows of each source as they would be stored: cleaned, masked, with reasons.

    Says, too, where the encoder's vocabulary does not know the texts' words.

    Raises:
        ModelError: A file of the encoder is damaged, or cannot be read.
    """
    _check_encoder(run, mapped)
    shown: dict[str, list[dict[str, object]]] = {}
    for table, sources in mapped.items():
        contract = INPUTS[table]
        for name, frame in sources.items():
            sample = with_reasons(run, frame.limit(SAMPLE_ROWS), contract)
            checked = with_clean_texts(run, sample, contract)
            chosen = [n for n in contract.names if n in checked.columns and n != "arrived_day"]
            with spark_errors(f"reading sources.{table}"):
                collected = checked.select(*chosen, F.col(rows.REASON).alias("refused")).collect()
            shown[table if name == table else f"{table} from {name}"] = [
                row.asDict() for row in collected
            ]
    return shown


def _check_encoder(run: Run, mapped: dict[str, dict[str, DataFrame]]) -> None:
    """Read all files of the encoder but start no model; note what does not fit the texts."""
    text = run.settings.text
    if not text.encoder:
        return
    options = encoder_options(text)
    backbone_digest(text.encoder, options)
    if prompts := unused_prompts(text.encoder, options):
        run.note(
            f"the encoder has prompts ({', '.join(prompts)}) and none is put before texts; "
            "text.prompt_name chooses one"
        )
    folder = resolve_model_folder(text.encoder)
    for name, frame in mapped.get(TEXTS.name, {}).items():
        rows_read = with_reasons(run, frame.limit(SAMPLE_TEXTS), TEXTS)
        with spark_errors(f"reading sources.{TEXTS.name}"):
            found = with_clean_texts(run, rows_read, TEXTS).select("text").collect()
        sample = [row["text"] for row in found if row["text"]]
        if note := unknown_note(unknown_share_of(folder, sample)):
            run.note(f"{name}: {note}")
