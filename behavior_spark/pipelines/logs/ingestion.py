"""Ingestion: raw tables -> clean events, texts and items, with every row accounted for."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial, reduce

from pyspark.sql import Column, DataFrame, Observation
from pyspark.sql import functions as F

from behavior_spark.cleaning import rows
from behavior_spark.cleaning.columns import clean_text_column, pseudonym_column
from behavior_spark.cleaning.identities import linked_versions, with_known_users
from behavior_spark.config import Source
from behavior_spark.errors import InputError
from behavior_spark.io.day_range import DayRange
from behavior_spark.io.failures import spark_errors
from behavior_spark.io.sources import map_source, read_raw
from behavior_spark.runs.run import Run, SourceCounts, last_night_before
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

_ROW_JSON_CAP = 2000


# Mapped sources by contract and source name.
MappedSources = dict[str, dict[str, DataFrame]]


@dataclass(frozen=True)
class Ingested(StageResult):
    """What a night took in; its rows are counted in ``run.sources``.

    Attributes:
        masked: Personal data masked in the texts of each contract.
        cut: Texts of each contract that were cut to ``text.max_chars``.
        linked: Events that a link gave a user; None without links.
    """

    masked: dict[str, int]
    cut: dict[str, int]
    linked: int | None

    @property
    def figures(self) -> Mapping[str, float]:
        """Counts by contract."""
        counts: dict[str, float] = {f"{name}_masked": count for name, count in self.masked.items()}
        counts |= {f"{name}_cut": count for name, count in self.cut.items()}
        return counts if self.linked is None else counts | {"events_linked": self.linked}


@stage(
    "ingest",
    does="raw tables to clean events, texts and items; refused rows to quarantine",
    writes=(EVENTS, TEXTS, ITEMS, IDENTITIES, QUARANTINE),
)
def ingest_stage(run: Run, mapped: MappedSources) -> Ingested:
    """Read what arrived since the last night, clean it and write it.

    A night reads the arrival days [last night's as_of, as_of) and replaces exactly
    those, so that a rerun gives the same rows. Items are read whole.

    Args:
        run: The run.
        mapped: The sources, mapped and checked (``map_all``).
    """
    start = last_night_before(run)
    if start is not None:
        start -= dt.timedelta(days=run.settings.lookback_days)
    run.ingested_from = start
    refused: list[DataFrame] = []
    masked: dict[str, int] = {}
    cut: dict[str, int] = {}
    for contract in INPUTS.values():
        if contract.name in mapped:
            with run.step(f"ingest {contract.name}"):
                frames = mapped[contract.name].values()
                union = reduce(lambda a, b: a.unionByName(b, allowMissingColumns=True), frames)
                taken = _ingest_one(run, union, contract, start)
                refused += taken.refused
                masked[contract.name], cut[contract.name] = taken.masked, taken.cut
    linked = _link_history(run, start) if IDENTITIES.name in mapped else None
    _write_quarantine(run, refused)
    if not any(c.rows_in for c in run.sources if c.table_name == EVENTS.name):
        _check_history(run)
    return Ingested(masked, cut, linked)


def _links(run: Run) -> DataFrame:
    midnight = F.lit(run.as_of).cast("timestamp")
    return run.warehouse.read(IDENTITIES).where(F.col("arrived_at") < midnight)


def _link_history(run: Run, start: dt.date | None) -> int:
    """Add the versions by which this night's links give earlier events their user.

    Returns how many.

    They arrive on this night's days, which a rerun replaces.
    """
    with run.step("link identities"), spark_errors("linking identities"):
        midnight = F.lit(run.as_of).cast("timestamp")
        events = run.warehouse.snapshot(EVENTS).where(F.col("arrived_at") < midnight)
        added = _Counted.over(
            linked_versions(events, _links(run), since=start), rows=F.count(F.lit(1))
        )
        days = None if start is None else DayRange("arrived_day", since=start)
        run.warehouse.append(added.frame, EVENTS, days=days)
        linked = added.counts()["rows"]
    run.say(f"events that a link gave a user: {linked:,}")
    return linked


def _check_history(run: Run) -> None:
    """A night without new events is a quiet one; a job without any has nothing to work on."""
    midnight = F.lit(run.as_of).cast("timestamp")
    with spark_errors("reading events"):
        none = run.warehouse.read(EVENTS).where(F.col("arrived_at") < midnight).isEmpty()
    if none:
        places = ", ".join(source.location for source in run.settings.sources.events)
        raise InputError(
            f"no events before {run.as_of}",
            found=f"nothing usable in {places}",
            fix="check sources.events with `behavior-spark check`, and --as-of",
        )
    run.note("no event arrived in this night's days")


def map_all(run: Run) -> MappedSources:
    """Every source mapped to its contract, by contract and source name.

    All mappings are checked before any row is read.
    """
    mapped: MappedSources = {}
    for contract in INPUTS.values():
        sources: list[Source] = getattr(run.settings.sources, contract.name)
        for index, source in enumerate(sources):
            label = source_label(contract, sources, index)
            raw = read_raw(run.spark, source, label=label)
            name = source.name or label.removeprefix("sources.")
            frame = map_source(raw, source, contract, label=label)
            mapped.setdefault(contract.name, {})[name] = frame.withColumn(rows.SOURCE, F.lit(name))
    return mapped


def source_label(contract: Contract, sources: list[Source], index: int) -> str:
    """How a source is named in messages: as it stands in the config."""
    return f"sources.{contract.name}" + (f"[{index}]" if len(sources) > 1 else "")


@dataclass(frozen=True)
class _Counted:
    """A frame whose rows are counted while it is written."""

    frame: DataFrame
    metrics: list[Column]
    observation: Observation

    @classmethod
    def over(cls, frame: DataFrame, **metrics: Column) -> _Counted:
        """Count while rows pass; ``frame`` is the one to go on with."""
        named = [metric.alias(name) for name, metric in metrics.items()]
        observation = Observation()
        return cls(frame.observe(observation, *named), named, observation)

    def counts(self) -> dict[str, int]:
        """What was counted, after the write.

        Where a night has no rows Spark prunes the counting with them: then count anew.
        """
        try:
            found = self.observation.get
        except Exception:
            row = self.frame.agg(*self.metrics).first()
            found = row.asDict() if row else {}
        return {name: int(value or 0) for name, value in found.items()}


@dataclass(frozen=True)
class _Taken:
    """What became of one contract's rows: lazy frames of those refused, and counts of texts."""

    refused: list[DataFrame]
    masked: int
    cut: int


def _ingest_one(
    run: Run, mapped: DataFrame, contract: Contract, start: dt.date | None
) -> _Taken:
    """Clean and write one contract."""
    read, inside = _read(run, mapped, contract, start)
    valid = read.frame.where(inside & F.col(rows.REASON).isNull())
    dated = contract is not ITEMS
    kept = _Counted.over(
        rows.number_copies(valid, contract.key) if dated else rows.number_item_copies(valid),
        duplicates=F.count_if(F.col(rows.COPY) > 1),
    )
    fresh = kept.frame.where(F.col(rows.COPY) == 1)
    if contract is EVENTS and run.settings.sources.identities:
        fresh = with_known_users(fresh, _links(run))
    written = _clean(run, fresh, contract)
    out = written.frame.where(F.col(rows.REASON).isNull())
    with spark_errors(f"ingest {contract.name}"):
        run.warehouse.replace(out, contract, where=_own_days(contract, start, run.as_of))
        first, second, third = read.counts(), kept.counts(), written.counts()
    counts = SourceCounts(
        table_name=contract.name,
        rows_in=first["rows_in"],
        rows_out=third["rows_out"],
        duplicates=second["duplicates"],
        refused=first["refused"] + third["refused"],
        without_user=third["without_user"],
        not_yet=first["not_yet"],
    )
    run.sources.append(counts)
    run.say(describe(counts))
    broken = F.col(rows.REASON).isNotNull()
    early = [read.frame.where(inside & broken)] if first["refused"] else []
    late = [written.frame.where(broken)] if third["refused"] else []
    hold = _quarantine_form(run)
    refused = [hold(frame, contract) for frame in early + late]
    return _Taken(refused, third["masked"], third["cut"])


def with_reasons(run: Run, mapped: DataFrame, contract: Contract) -> DataFrame:
    """Mapped rows made ready, users as pseudonyms where configured, with reasons to be refused."""
    prepared = rows.prepare(mapped, contract)
    key = run.settings.privacy.pseudonymise_key
    for name in ("user_id", "anonymous_id"):
        if key and name in prepared.columns:
            prepared = prepared.withColumn(name, pseudonym_column(key=key)(F.col(name)))
    return rows.with_reason(prepared, contract)


def with_clean_texts(run: Run, frame: DataFrame, contract: Contract) -> DataFrame:
    """Rows with their text normalised, masked, capped and hashed as the settings say."""
    privacy, text = run.settings.privacy, run.settings.text
    clean = clean_text_column(
        max_chars=text.max_chars, mask=privacy.mask_personal_data, key=privacy.pseudonymise_key
    )
    return rows.clean_texts(frame, contract, clean=clean)


def _read(
    run: Run, mapped: DataFrame, contract: Contract, start: dt.date | None
) -> tuple[_Counted, Column]:
    """The source's rows with their reasons to be refused, and which of them are this night's."""
    dated = contract is not ITEMS
    inside = rows.within_night(start, run.as_of) if dated else F.lit(True)
    later = F.col("arrived_day") >= F.lit(run.as_of) if dated else F.lit(False)
    read = _Counted.over(
        with_reasons(run, mapped, contract),
        rows_in=F.count_if(inside),
        not_yet=F.count_if(later),
        refused=F.count_if(inside & F.col(rows.REASON).isNotNull()),
    )
    return read, inside


def _clean(run: Run, frame: DataFrame, contract: Contract) -> _Counted:
    """Rows with clean texts; those whose text came to nothing carry a reason."""
    cleaned = with_clean_texts(run, frame, contract)
    nobody = F.col("user_id").isNull() if "user_id" in cleaned.columns else F.lit(False)
    ok = F.col(rows.REASON).isNull()
    return _Counted.over(
        cleaned,
        rows_out=F.count_if(ok),
        refused=F.count_if(~ok),
        without_user=F.count_if(ok & nobody),
        masked=F.sum("_masked"),
        cut=F.count_if(F.col("_cut")),
    )


def _quarantine_form(run: Run) -> Callable[[DataFrame, Contract], DataFrame]:
    key = run.settings.privacy.pseudonymise_key
    mask = clean_text_column(max_chars=_ROW_JSON_CAP, mask=True, key=key)
    return partial(rows.quarantine_rows, run_id=run.run_id, as_of=run.as_of, clean=mask)


def describe(counts: SourceCounts) -> str:
    """Counts of a contract in one line."""
    line = (
        f"{counts.table_name}: {counts.rows_in:,} in = {counts.rows_out:,} out"
        f" + {counts.duplicates:,} duplicates + {counts.refused:,} refused"
    )
    if counts.without_user:
        line += f"; {counts.without_user:,} without a user"
    if counts.not_yet:
        line += f"; {counts.not_yet:,} not before as_of"
    return line if counts.balanced else f"{line} (DOES NOT ADD UP)"


def _own_days(contract: Contract, start: dt.date | None, as_of: dt.date) -> str | DayRange:
    return "true" if contract is ITEMS else DayRange("arrived_day", since=start, before=as_of)


def _write_quarantine(run: Run, refused: list[DataFrame]) -> None:
    """Replace this night's quarantined rows."""
    if not refused and not run.warehouse.exists(QUARANTINE):
        run.warehouse.create(QUARANTINE)
        return
    empty = run.warehouse.empty(QUARANTINE)
    frame = reduce(lambda a, b: a.unionByName(b), refused, empty)
    with run.step("quarantine"), spark_errors("writing quarantine"):
        run.warehouse.replace(frame, QUARANTINE, where=f"as_of = DATE'{run.as_of}'")
