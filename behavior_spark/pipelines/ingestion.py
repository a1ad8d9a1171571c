"""Ingestion: raw tables -> clean events, texts and items, with every row accounted for."""

from __future__ import annotations

import datetime as dt
from functools import partial, reduce

from pyspark.sql import DataFrame, Observation
from pyspark.sql import functions as F

from behavior_spark.cleaning import rows
from behavior_spark.cleaning.columns import clean_text_column, pseudonym_column
from behavior_spark.config import Source
from behavior_spark.io.failures import spark_errors
from behavior_spark.io.sources import map_source, read_raw
from behavior_spark.pipelines.run import Run, SourceCounts, last_night_before
from behavior_spark.schemas import INPUTS, ITEMS, QUARANTINE, Contract

_ROW_JSON_CAP = 2000


def ingest_stage(run: Run) -> None:
    """Read what arrived since the last night, clean it and write it.

    A night reads the arrival days [last night's as_of, as_of) and replaces exactly
    those, so that a rerun gives the same rows. Items are read whole.
    """
    mapped = map_all(run)
    start = last_night_before(run)
    if start is not None:
        start -= dt.timedelta(days=run.settings.lookback_days)
    run.ingested_from = start
    refused: list[DataFrame] = []
    for contract in INPUTS.values():
        if contract.name in mapped:
            with run.stage(f"ingest {contract.name}"):
                frames = mapped[contract.name].values()
                union = reduce(lambda a, b: a.unionByName(b, allowMissingColumns=True), frames)
                refused += _ingest_one(run, union, contract, start)
    _write_quarantine(run, refused)
    events = run.sources[0]
    if events.rows_in == 0:
        run.note("no event arrived in this night's days: tables stay as they are")


def map_all(run: Run) -> dict[str, dict[str, DataFrame]]:
    """Every source mapped to its contract, by contract and source name.

    All mappings are checked before any row is read.
    """
    mapped: dict[str, dict[str, DataFrame]] = {}
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


def _ingest_one(
    run: Run, mapped: DataFrame, contract: Contract, start: dt.date | None
) -> list[DataFrame]:
    """Clean and write one contract; returns lazy frames of refused rows, if any."""
    privacy, text = run.settings.privacy, run.settings.text
    clean = clean_text_column(
        max_chars=text.max_chars, mask=privacy.mask_personal_data, key=privacy.pseudonymise_key
    )
    dated = contract is not ITEMS
    read, kept, written = Observation(), Observation(), Observation()
    one = F.lit(1)

    prepared = rows.prepare(mapped, contract)
    if privacy.pseudonymise_key and "user_id" in prepared.columns:
        hide = pseudonym_column(key=privacy.pseudonymise_key)
        prepared = prepared.withColumn("user_id", hide(F.col("user_id")))
    inside = rows.within_night(start, run.as_of) if dated else F.lit(True)
    later = F.col("arrived_day") >= F.lit(run.as_of) if dated else F.lit(False)
    reasoned = rows.with_reason(prepared, contract)
    seen = reasoned.observe(
        read,
        F.count_if(inside).alias("rows_in"),
        F.count_if(later).alias("not_yet"),
        F.count_if(inside & F.col(rows.REASON).isNotNull()).alias("refused"),
    ).where(inside)
    valid = seen.where(F.col(rows.REASON).isNull())
    numbered = (
        rows.number_copies(valid, contract.key) if dated else rows.number_item_copies(valid)
    ).observe(kept, F.count_if(F.col(rows.COPY) > 1).alias("duplicates"))
    cleaned = rows.clean_texts(numbered.where(F.col(rows.COPY) == 1), contract, clean=clean)
    user = F.col("user_id").isNull() if "user_id" in cleaned.columns else F.lit(False)
    ok = F.col(rows.REASON).isNull()
    out = cleaned.observe(
        written,
        F.count_if(ok).alias("rows_out"),
        F.count_if(~ok).alias("refused"),
        F.count_if(ok & user).alias("without_user"),
        F.sum("_masked").alias("masked"),
        F.count_if(F.col("_cut")).alias("cut"),
        F.count(one).alias("n"),
    ).where(ok)

    with spark_errors(f"ingest {contract.name}"):
        run.warehouse.replace(out, contract, where=_own_days(contract, start, run.as_of))
        first, second, third = read.get, kept.get, written.get
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
    run.figures[f"{contract.name}_masked"] = third["masked"] or 0
    run.figures[f"{contract.name}_cut"] = third["cut"]
    run.say(describe(counts))

    mask = clean_text_column(max_chars=_ROW_JSON_CAP, mask=True, key=privacy.pseudonymise_key)
    hold = partial(rows.quarantine_rows, run_id=run.run_id, as_of=run.as_of, clean=mask)
    frames = []
    if first["refused"]:
        early = reasoned.where(inside & F.col(rows.REASON).isNotNull())
        frames.append(hold(early, contract))
    if third["refused"]:
        late = cleaned.where(F.col(rows.REASON).isNotNull())
        frames.append(hold(late, contract))
    return frames


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


def _own_days(contract: Contract, start: dt.date | None, as_of: dt.date) -> str:
    if contract is ITEMS:
        return "true"
    where = f"arrived_day < DATE'{as_of}'"
    return where if start is None else f"arrived_day >= DATE'{start}' AND {where}"


def _write_quarantine(run: Run, refused: list[DataFrame]) -> None:
    """Replace this night's quarantined rows."""
    if not refused and not run.warehouse.exists(QUARANTINE):
        run.warehouse.create(QUARANTINE)
        return
    empty = run.spark.createDataFrame([], QUARANTINE.schema)
    frame = reduce(lambda a, b: a.unionByName(b), refused, empty)
    with run.stage("quarantine"), spark_errors("writing quarantine"):
        run.warehouse.replace(frame, QUARANTINE, where=f"as_of = DATE'{run.as_of}'")
