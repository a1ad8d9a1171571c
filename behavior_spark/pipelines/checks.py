"""Check a config against the tables it names: everything that can be known without reading rows."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import TimestampType
from rich.console import RenderableType

from behavior_spark.cleaning import rows
from behavior_spark.cleaning.source_facts import (
    LAST,
    describe_facts,
    fitting_as_of,
    source_metrics,
    type_counts,
)
from behavior_spark.errors import Problems
from behavior_spark.io.counting import aggregated
from behavior_spark.io.expressions import check_condition
from behavior_spark.io.failures import spark_errors
from behavior_spark.io.labels import read_labels
from behavior_spark.model.encoder.model_folder import (
    backbone_digest,
    resolve_model_folder,
    unused_prompts,
)
from behavior_spark.model.encoder.token_sample import unknown_share_of
from behavior_spark.pipelines.logs.attributes import describe_attributes, mapped_attributes
from behavior_spark.pipelines.logs.event_types import (
    all_named_types,
    describe_missing_types,
    refuse_types_never_stored,
)
from behavior_spark.pipelines.logs.mapped_sources import (
    MappedSources,
    map_all,
    with_clean_texts,
    with_reasons,
)
from behavior_spark.pipelines.texts.active_model import encoder_options
from behavior_spark.pipelines.texts.work import unknown_note
from behavior_spark.pipelines.uses.audience_check import check_audience_conditions
from behavior_spark.pipelines.uses.service_check import check_service_settings
from behavior_spark.report.tables import SampledRows
from behavior_spark.runs.run import Run
from behavior_spark.runs.stages import StageResult, stage
from behavior_spark.schemas import EVENTS, INPUTS, ITEMS, TEXTS, Contract

SAMPLE_ROWS = 5
# Texts whose words are looked up in the encoder's vocabulary.
SAMPLE_TEXTS = 200


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
        rows: By source; attributes too.
        ends: The as_of that sees the whole log; None without usable events.
        texts: Rows of texts that the sources have.
    """

    rows: dict[str, list[dict[str, object]]]
    ends: dt.date | None = None
    texts: int = 0

    @property
    def details(self) -> Mapping[str, Any]:
        """The rows."""
        return {"rows": self.rows}

    def blocks(self) -> list[RenderableType]:
        """One table for each source."""
        return [SampledRows(rows, title=name) for name, rows in self.rows.items()]


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
    problems = Problems()
    mapped: MappedSources = {}
    with problems.gathered():
        mapped = map_all(run)
    with problems.gathered():
        mapped_attributes(run)
    with problems.gathered():
        refuse_types_never_stored(settings)
    events = run.warehouse.empty(EVENTS)
    items = run.warehouse.empty(ITEMS)
    with problems.gathered():
        check_condition(events, settings.population, label="population")
    for name, target in settings.targets.items():
        with problems.gathered():
            check_condition(events, target.event, label=f"targets.{name}.event")
        if target.item:
            with problems.gathered():
                check_condition(items, target.item, label=f"targets.{name}.item")
    for check in (check_audience_conditions, check_service_settings):
        with problems.gathered():
            check(run)
    for name, labels in settings.text.heads.items():
        with problems.gathered():
            read_labels(run.spark, labels, label=f"text.heads.{name}")
    problems.raise_any()
    if settings.text.encoder:
        resolve_model_folder(settings.text.encoder)
    return mapped


@stage("sample", does="map five rows of each source, as they would be stored, and look at all")
def sample_stage(run: Run, checked: Checked) -> Sampled:
    """Five mapped rows of each source as they would be stored: cleaned, masked, with reasons.

    All rows of a source are read once, for what a reader should know of them: see the notes.
    Says, too, where the encoder's vocabulary does not know the texts' words.

    Raises:
        ModelError: A file of the encoder is damaged, or cannot be read.
    """
    _check_encoder(run, checked.mapped)
    shown: dict[str, list[dict[str, object]]] = {}
    for table, sources in checked.mapped.items():
        contract = INPUTS[table]
        for name, frame in sources.items():
            shown[table if name == table else f"{table} from {name}"] = _sample(
                run, frame, contract
            )
    for name, frame in mapped_attributes(run).items():
        shown[f"attributes from {name}"] = _sample_attributes(frame, name)
    ends, texts = look_at_sources(run, checked.mapped)
    return Sampled(shown, ends, texts)


def _check_encoder(run: Run, mapped: MappedSources) -> None:
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
            cleaned = with_clean_texts(run, rows_read, TEXTS).select("text").collect()
        sample = [row["text"] for row in cleaned if row["text"]]
        if note := unknown_note(unknown_share_of(folder, sample)):
            run.note(f"{name}: {note}")


def _sample(run: Run, frame: DataFrame, contract: Contract) -> list[dict[str, object]]:
    sample = with_reasons(run, frame.limit(SAMPLE_ROWS), contract)
    clean = with_clean_texts(run, sample, contract)
    chosen = [n for n in contract.names if n in clean.columns and n != "arrived_day"]
    with spark_errors(f"reading sources.{contract.name}"):
        collected = clean.select(
            *[_shown(clean, name) for name in chosen], F.col(rows.REASON).alias("refused")
        ).collect()
    return [row.asDict() for row in collected]


def _sample_attributes(frame: DataFrame, name: str) -> list[dict[str, object]]:
    with spark_errors(f"reading sources.attributes.{name}"):
        rows_read = frame.select(*[_shown(frame, column) for column in frame.columns])
        return [row.asDict() for row in rows_read.limit(SAMPLE_ROWS).collect()]


def look_at_sources(run: Run, mapped: MappedSources) -> tuple[dt.date | None, int]:
    """Note what all rows of the sources tell: one aggregation for each source.

    Returns:
        The as_of that sees all events, None without usable ones; and the number of texts.
    """
    ends: list[int] = []
    texts = 0
    types = all_named_types(run.settings)
    counts = dict.fromkeys(types, 0)
    for table, sources in mapped.items():
        for name, frame in sources.items():
            contract = INPUTS[table]
            label = f"sources.{table}" if name == table else f"sources.{table} ({name})"
            reasoned = with_reasons(run, frame, contract)
            metrics = source_metrics(
                reasoned,
                contract,
                types if contract is EVENTS else (),
                mapped=run.settings.sources.mapped(table),
                without=run.settings.features.without.by_column,
            )
            with spark_errors(f"reading sources.{table}"):
                facts = aggregated(reasoned, metrics)
            texts += facts["rows"] if contract is TEXTS else 0
            ends += [facts[LAST]] if contract is EVENTS and facts.get(LAST) else []
            for line in describe_facts(facts, contract, label=label):
                run.note(line)
            if contract is EVENTS:
                counted = type_counts(facts, types)
                counts = {kind: counts[kind] + counted[kind] for kind in types}
    lines = describe_attributes(run)
    if EVENTS.name in mapped:
        frames = [frame.select("event_type") for frame in mapped[EVENTS.name].values()]
        events = reduce(lambda a, b: a.unionByName(b), frames)
        lines = describe_missing_types(run.settings, counts, events) + lines
    for line in lines:
        run.note(line)
    last = dt.datetime(1970, 1, 1) + dt.timedelta(microseconds=max(ends, default=0))
    return (fitting_as_of(last) if ends else None), texts


def _shown(frame: DataFrame, name: str) -> Column:
    """A column as it can be shown: Python knows no year after 9999."""
    if isinstance(frame.schema[name].dataType, TimestampType):
        return F.col(name).cast("string").alias(name)
    return F.col(name)
