"""Check a config against the tables it names: everything that can be known without reading rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pyspark.sql import functions as F
from rich.console import RenderableType

from behavior_spark.cleaning import rows
from behavior_spark.io.failures import spark_errors
from behavior_spark.io.labels import read_labels
from behavior_spark.io.sources import check_condition
from behavior_spark.model.encoder.model_folder import resolve_model_folder
from behavior_spark.pipelines.logs.attributes import mapped_attributes
from behavior_spark.pipelines.logs.ingestion import (
    MappedSources,
    map_all,
    with_clean_texts,
    with_reasons,
)
from behavior_spark.report.tables import records
from behavior_spark.runs.run import Run
from behavior_spark.runs.stages import StageResult, stage
from behavior_spark.schemas import EVENTS, INPUTS, ITEMS

SAMPLE_ROWS = 5


@dataclass(frozen=True)
class Checked(StageResult):
    """A config that fits its tables.

    Attributes:
        mapped: The sources, mapped to their contracts.
    """

    mapped: MappedSources


@dataclass(frozen=True)
class Sampled(StageResult):
    """Rows as they would be stored.

    Attributes:
        rows: By source.
    """

    rows: dict[str, list[dict[str, object]]]

    @property
    def details(self) -> Mapping[str, Any]:
        """The rows."""
        return {"rows": self.rows}

    def blocks(self) -> list[RenderableType]:
        """One table for each source."""
        return [records(rows, title=name) for name, rows in self.rows.items()]


@stage("check", does="compare the config with the tables that it names", models=("text",))
def check_stage(run: Run) -> Checked:
    """Check sources, labels, conditions and the encoder's folder; start no model, read no row.

    Raises:
        ConfigError: A mapping or a condition does not fit the tables.
        InputError: A table is not there or cannot be read.
        ModelError: The encoder is not there.
    """
    with run.step("check"):
        return Checked(_checked_sources(run))


def _checked_sources(run: Run) -> MappedSources:
    settings = run.settings
    _ = settings.models_path  # a place that models cannot be in is refused before any work
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


@stage("sample", does="map five rows of each source, as they would be stored")
def sample_stage(run: Run, checked: Checked) -> Sampled:
    """Five mapped rows of each source as they would be stored: cleaned, masked, with reasons."""
    shown: dict[str, list[dict[str, object]]] = {}
    for table, sources in checked.mapped.items():
        contract = INPUTS[table]
        for name, frame in sources.items():
            sample = with_reasons(run, frame.limit(SAMPLE_ROWS), contract)
            clean = with_clean_texts(run, sample, contract)
            chosen = [n for n in contract.names if n in clean.columns and n != "arrived_day"]
            with spark_errors(f"reading sources.{table}"):
                collected = clean.select(*chosen, F.col(rows.REASON).alias("refused")).collect()
            shown[table if name == table else f"{table} from {name}"] = [
                row.asDict() for row in collected
            ]
    return Sampled(shown)
