"""Ingestion: raw tables -> clean events, texts and items, with every row accounted for."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import reduce

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from behavior_spark.config import Source
from behavior_spark.errors import InputError
from behavior_spark.io.day_range import DayRange
from behavior_spark.io.failures import spark_errors
from behavior_spark.io.small_data import MOST_SOURCE_BYTES, are_small
from behavior_spark.pipelines.logs.links import link_history
from behavior_spark.pipelines.logs.mapped_sources import MappedSources
from behavior_spark.pipelines.logs.quarantine import write_quarantine
from behavior_spark.pipelines.logs.retention import as_before_on_failure
from behavior_spark.pipelines.logs.taking import take
from behavior_spark.runs.run import Run
from behavior_spark.runs.stages import StageResult, stage
from behavior_spark.schemas import (
    EVENTS,
    IDENTITIES,
    INPUTS,
    ITEMS,
    QUARANTINE,
    TEXTS,
    Contract,
)


@dataclass(frozen=True)
class Ingested(StageResult):
    """What a night took in; its rows are counted in ``run.sources``.

    Attributes:
        masked: Personal data masked in the texts of each contract.
        cut: Texts of each contract that were cut to ``text.max_chars``.
        linked: Events that a link gave a user; None without links.
        changed: Values that were put right, such as ``events_user_id_trimmed``.
        by_source: Rows of tables with several sources, such as ``events_read_from:clicks``.
    """

    masked: dict[str, int]
    cut: dict[str, int]
    linked: int | None
    changed: dict[str, int]
    by_source: dict[str, int]

    @property
    def figures(self) -> Mapping[str, float]:
        """Counts by contract."""
        counts: dict[str, float] = {f"{name}_masked": count for name, count in self.masked.items()}
        counts |= {f"{name}_cut": count for name, count in self.cut.items()}
        counts |= self.changed | self.by_source
        return counts if self.linked is None else counts | {"events_linked": self.linked}


@stage(
    "ingest",
    does="raw tables to clean events, texts and items; refused rows to quarantine",
    writes=(EVENTS, TEXTS, ITEMS, IDENTITIES, QUARANTINE),
)
def ingest_stage(run: Run, mapped: MappedSources) -> Ingested:
    """Read what arrived since the last night, clean it and write it.

    A night reads the arrival days [last night's as_of, as_of) and replaces exactly
    those, so that a rerun gives the same rows. Items are read whole, and new versions added. A
    night that fails leaves the tables as they were.

    Args:
        run: The run.
        mapped: The sources, mapped and checked (``map_all``).
    """
    start = run.past.ingested_before
    if start is not None:
        start -= dt.timedelta(days=run.settings.lookback_days)
    run.ingested_from = start
    refused: list[tuple[Contract, DataFrame]] = []
    masked: dict[str, int] = {}
    cut: dict[str, int] = {}
    changed: dict[str, int] = {}
    by_source: dict[str, int] = {}
    contracts = [contract for contract in INPUTS.values() if contract.name in mapped]
    written = DayRange("arrived_day", since=start, before=run.as_of)
    with as_before_on_failure(run, [*contracts, QUARANTINE], days=written):
        for contract in contracts:
            with run.step(f"ingest {contract.name}"), _plans_for(run, contract):
                frames = mapped[contract.name]
                union = reduce(
                    lambda a, b: a.unionByName(b, allowMissingColumns=True), frames.values()
                )
                names = tuple(frames) if len(frames) > 1 else ()
                taken = take(run, union, contract, start, sources=names)
                refused += [(contract, frame) for frame in taken.refused]
                masked[contract.name], cut[contract.name] = taken.masked, taken.cut
                changed |= taken.changed
                by_source |= taken.by_source
        linked = link_history(run, start) if IDENTITIES.name in mapped else None
        write_quarantine(run, refused)
        main = EVENTS if EVENTS.name in mapped else TEXTS
        if not any(c.rows_in for c in run.sources if c.table_name == main.name):
            _check_history(run, main)
    return Ingested(masked, cut, linked, changed, by_source)


def _plans_for(run: Run, contract: Contract) -> AbstractContextManager[None]:
    """A block in which plans suit the size of a contract's sources, and of its table."""
    sources: list[Source] = getattr(run.settings.sources, contract.name)
    places = [source.path for source in sources if source.path]
    small = len(places) == len(sources) and are_small(places, most_bytes=MOST_SOURCE_BYTES)
    return run.plans_over([contract]) if small else nullcontext()


def _check_history(run: Run, main: Contract) -> None:
    """A night without new rows is a quiet one; a job without any has nothing to work on.

    Args:
        run: The run.
        main: Events; of a job without them, texts.
    """
    midnight = F.lit(run.as_of).cast("timestamp")
    with spark_errors(f"reading {main.name}"):
        none = run.warehouse.read(main).where(F.col("arrived_at") < midnight).isEmpty()
    if none:
        sources: list[Source] = getattr(run.settings.sources, main.name)
        places = ", ".join(source.location for source in sources)
        raise InputError(
            f"no {main.name} before {run.as_of}",
            found=f"nothing usable in {places}",
            fix=f"check sources.{main.name} with `behavior-spark check`, and --as-of",
        )
    run.note(f"none of the {main.name} arrived in this night's days")
