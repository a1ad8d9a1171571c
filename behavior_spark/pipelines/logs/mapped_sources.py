"""The sources as the config maps them: rows of each contract, ready to be ingested."""

from __future__ import annotations

from typing import TypeAlias

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from behavior_spark.cleaning import rows
from behavior_spark.cleaning.columns import clean_text_column, pseudonym_column
from behavior_spark.cleaning.personal_data import masking_of
from behavior_spark.cleaning.readings import read_rows
from behavior_spark.config import Source
from behavior_spark.errors import MissingInputError, Problems
from behavior_spark.io.sources import map_source, read_raw
from behavior_spark.runs.run import Run
from behavior_spark.schemas import INPUTS, Contract

# Mapped sources by contract and source name.
MappedSources: TypeAlias = dict[str, dict[str, DataFrame]]


def map_all(run: Run) -> MappedSources:
    """Every source mapped to its contract, by contract and source name.

    All mappings are checked before any row is read. An optional source that is not there is left
    out, with a note.

    Raises:
        InputError: Another source is not there, or cannot be read.
        ConfigError: A mapping is not SQL over the source's columns, or gives a wrong type.
    """
    mapped: MappedSources = {}
    problems = Problems()
    for contract in INPUTS.values():
        sources: list[Source] = getattr(run.settings.sources, contract.name)
        for index, source in enumerate(sources):
            label = source_label(contract, sources, index)
            name = source.name or label.removeprefix("sources.")
            with problems.gathered():
                if (raw := _read(run, source, label)) is None:
                    continue
                frame = read_rows(map_source(raw, source, contract, label=label), contract)
                own = run.settings.sources.id_prefixes(contract.name, index)
                frame = rows.with_own_ids(frame, own).withColumn(rows.SOURCE, F.lit(name))
                mapped.setdefault(contract.name, {})[name] = frame
    problems.raise_any()
    return mapped


def _read(run: Run, source: Source, label: str) -> DataFrame | None:
    """The source's rows as they are; None, with a note, where an optional one is not there."""
    try:
        return read_raw(run.spark, source, label=label)
    except MissingInputError as error:
        if not source.optional:
            raise
        run.note(
            f"{error.problem}: read without it, as it is optional. When it comes, ingest "
            "into a new warehouse: this one has passed its days"
        )
        return None


def source_label(contract: Contract, sources: list[Source], index: int) -> str:
    """How a source is named in messages: as it stands in the config."""
    return f"sources.{contract.name}" + (f"[{index}]" if len(sources) > 1 else "")


def with_reasons(run: Run, mapped: DataFrame, contract: Contract) -> DataFrame:
    """Mapped rows made ready, users as pseudonyms where configured, with reasons to be refused."""
    skew = run.settings.intake.clock_skew_seconds
    prepared = rows.prepare(mapped, contract, skew_seconds=skew)
    key = run.settings.privacy.pseudonymise_key
    for name in ("user_id", "anonymous_id"):
        if key and name in prepared.columns:
            prepared = prepared.withColumn(name, pseudonym_column(key=key)(F.col(name)))
    return rows.with_reason(prepared, contract)


def with_clean_texts(run: Run, frame: DataFrame, contract: Contract) -> DataFrame:
    """Rows with their text normalised, masked, capped and hashed as the settings say."""
    privacy, text = run.settings.privacy, run.settings.text
    clean = clean_text_column(
        max_chars=text.max_chars,
        mask=masking_of(privacy),
        key=privacy.pseudonymise_key,
        form=text.normal_form,
    )
    return rows.clean_texts(frame, contract, clean=clean)
