"""Take one contract's rows: read, refuse, deduplicate, clean and write them, counting each row."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from behavior_spark.cleaning import rows
from behavior_spark.cleaning.identities import with_known_users
from behavior_spark.cleaning.item_versions import CONTESTED, NEW, compare_versions
from behavior_spark.cleaning.kinds_without import counts_against, describe_against
from behavior_spark.cleaning.readings import (
    change_counts,
    describe_changes,
    figures_of_changes,
)
from behavior_spark.errors import InputError
from behavior_spark.io.counting import Counted
from behavior_spark.io.day_range import DayRange
from behavior_spark.io.failures import spark_errors
from behavior_spark.pipelines.logs.event_types import all_named_types, describe_missing_types
from behavior_spark.pipelines.logs.links import known_links
from behavior_spark.pipelines.logs.mapped_sources import with_clean_texts, with_reasons
from behavior_spark.pipelines.logs.quarantine import texts_that_become_empty
from behavior_spark.pipelines.logs.retention import days_to_replace
from behavior_spark.runs.run import Run, SourceCounts
from behavior_spark.schemas import EVENTS, ITEMS, Contract


@dataclass(frozen=True)
class Taken:
    """What became of one contract's rows: lazy frames of those refused, and counts of texts.

    The refused rows are read from the source once more, by plans of their own: what counts rows
    in the first pass would keep Spark from dropping all others before any work.
    """

    refused: list[DataFrame]
    masked: int
    cut: int
    changed: dict[str, int]
    by_source: dict[str, int]


def take(
    run: Run,
    mapped: DataFrame,
    contract: Contract,
    start: dt.date | None,
    *,
    sources: tuple[str, ...],
) -> Taken:
    """Clean and write one contract; rows are counted by the ``sources`` named."""
    reasoned = with_reasons(run, mapped, contract)
    reasoned = reasoned if contract is ITEMS else rows.not_before(reasoned, start)
    read, inside = _read(run, reasoned, contract, start, sources=sources)
    usable = inside & F.col(rows.REASON).isNull()
    kept = _count_copies(rows.numbered(read.frame.where(usable), contract), sources)
    fresh = kept.frame.where(F.col(rows.COPY) == 1)
    if contract is EVENTS and run.settings.sources.identities:
        fresh = with_known_users(fresh, known_links(run))
    written = _clean(run, fresh, contract, sources=sources)
    out = written.frame.where(F.col(rows.REASON).isNull())
    with spark_errors(f"ingest {contract.name}"):
        _write(run, out, reasoned, contract, start)
        first, second, third = read.counts(), kept.counts(), written.counts()
    _refuse_bad_times(run, contract, first)
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
    run.say(counts.line)
    _tell(run, contract, first, conflicts=second["conflicts"], sources=sources)
    refused = []
    if first["refused"]:
        refused.append(reasoned.where(inside & F.col(rows.REASON).isNotNull()))
    if third["refused"]:
        refused.append(texts_that_become_empty(run, reasoned.where(usable)))
    changed = figures_of_changes(contract, first)
    by_source = _rows_by_source(contract, sources, first, second, third)
    return Taken(refused, third["masked"], third["cut"], changed, by_source)


def _tell(
    run: Run,
    contract: Contract,
    first: dict[str, int],
    *,
    conflicts: int,
    sources: tuple[str, ...],
) -> None:
    """Say and note what reading has counted."""
    if sources:
        read_from = [f"{name} {first[f'read of {n}']:,}" for n, name in enumerate(sources)]
        run.say(f"{contract.name} by source: {', '.join(read_from)}")
    for line in describe_changes(contract, first):
        run.note(line)
    if conflicts:
        run.note(f"{contract.name}: {conflicts:,} rows have the id of another row, but "
                 "another user or type: does one numbering serve two things?")  # fmt: skip
    if contract is EVENTS:
        _note_missing_types(run, first)
        for line in describe_against(first):
            run.note(line)


def _count_copies(copies: DataFrame, sources: tuple[str, ...]) -> Counted:
    return Counted.over(
        copies,
        duplicates=F.count_if(F.col(rows.COPY) > 1),
        conflicts=F.count_if(F.col(rows.CONFLICT)),
        **_by_source(sources, duplicates=F.col(rows.COPY) > 1),
    )


def _by_source(sources: tuple[str, ...], **conditions: Column) -> dict[str, Column]:
    """Counts of rows by source, where a condition holds; named such as ``refused of 0``."""
    return {
        f"{name} of {n}": F.count_if(condition & (F.col(rows.SOURCE) == source))
        for name, condition in conditions.items()
        for n, source in enumerate(sources)
    }


def _rows_by_source(
    contract: Contract, sources: tuple[str, ...], *counted: dict[str, int]
) -> dict[str, int]:
    """Figures of each source: rows read, kept, duplicates and refused."""
    return {
        f"{contract.name}_{name}_from:{source}": sum(
            counts.get(f"{name} of {n}", 0) for counts in counted
        )
        for n, source in enumerate(sources)
        for name in ("read", "kept", "duplicates", "refused")
    }


def _refuse_bad_times(run: Run, contract: Contract, counts: dict[str, int]) -> None:
    """Stop where so many rows have no usable time that the source cannot be meant so."""
    bad, rows_in = counts.get(rows.BAD_TIMES, 0), counts["rows_in"]
    if not bad:
        return
    told = rows.describe_bad_times(counts)
    if bad > rows_in * run.settings.intake.max_bad_times_share:
        raise InputError(
            f"sources.{contract.name}: most times cannot be right",
            found=f"of {rows_in:,} rows {told}; the tables are as they were",
            fix="see `behavior-spark check`; timestamp_millis(x) and timestamp_seconds(x) say the "
            "unit; intake.max_bad_times_share is the limit",
        )
    run.note(f"{contract.name}: {told}")


def _read(
    run: Run,
    reasoned: DataFrame,
    contract: Contract,
    start: dt.date | None,
    *,
    sources: tuple[str, ...],
) -> tuple[Counted, Column]:
    """The source's rows, counted, and which of them are this night's."""
    dated = contract is not ITEMS
    inside = rows.within_night(start, run.as_of) if dated else F.lit(True)
    later = F.col("arrived_day") >= F.lit(run.as_of) if dated else F.lit(False)
    read = Counted.over(
        reasoned,
        rows_in=F.count_if(inside),
        not_yet=F.count_if(later),
        refused=F.count_if(inside & F.col(rows.REASON).isNotNull()),
        **change_counts(
            reasoned, contract, among=inside, mapped=run.settings.sources.mapped(contract.name)
        ),
        **rows.time_counts(contract, among=inside),
        **_type_counts(run, contract, inside),
        **_by_source(sources, read=inside, refused=inside & F.col(rows.REASON).isNotNull()),
    )
    return read, inside


def _type_counts(run: Run, contract: Contract, inside: Column) -> dict[str, Column]:
    if contract is not EVENTS:
        return {}
    named = enumerate(all_named_types(run.settings))
    counts = {f"type {n}": F.count_if(inside & (F.col("event_type") == kind)) for n, kind in named}
    without, good = run.settings.features.without.by_column, F.col(rows.REASON).isNull()
    return counts | counts_against(without, among=inside & good)


def _note_missing_types(run: Run, counts: dict[str, int]) -> None:
    """On the first night: a type that the config names and no event has."""
    named = {kind: counts[f"type {n}"] for n, kind in enumerate(all_named_types(run.settings))}
    if run.ingested_from is None:
        for line in describe_missing_types(run.settings, named, run.warehouse.read(EVENTS)):
            run.note(line)


def _clean(run: Run, frame: DataFrame, contract: Contract, *, sources: tuple[str, ...]) -> Counted:
    """Rows with clean texts; those whose text came to nothing carry a reason."""
    cleaned = with_clean_texts(run, frame, contract)
    nobody = F.col("user_id").isNull() if "user_id" in cleaned.columns else F.lit(False)
    ok = F.col(rows.REASON).isNull()
    return Counted.over(
        cleaned,
        rows_out=F.count_if(ok),
        refused=F.count_if(~ok),
        without_user=F.count_if(ok & nobody),
        masked=F.sum("_masked"),
        cut=F.count_if(F.col("_cut")),
        **_by_source(sources, kept=ok, refused=~ok),
    )


def _write(
    run: Run, out: DataFrame, reasoned: DataFrame, contract: Contract, start: dt.date | None
) -> None:
    """Replace the night's days; of items add what is new, so that no version is lost."""
    if contract is ITEMS:
        _add_item_versions(run, out)
        return
    days = DayRange("arrived_day", since=start, before=run.as_of)
    days = days_to_replace(run, reasoned, contract, days)
    run.warehouse.replace(out, contract, where=days)


def _add_item_versions(run: Run, shown: DataFrame) -> None:
    run.warehouse.create(ITEMS)
    stored = run.warehouse.snapshot(ITEMS)
    compared = Counted.over(
        compare_versions(stored, shown, as_of=run.as_of),
        contested=F.count_if(F.col(CONTESTED)),
    )
    run.warehouse.append(compared.frame.where(F.col(NEW)), ITEMS)
    contested = compared.counts()["contested"]
    if contested:
        run.note(f"items: {contested:,} versions are not what was stored of the same moment; what "
                 "was stored stays")  # fmt: skip
