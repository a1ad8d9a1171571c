"""Look at the user's tables, choose a mapping, kinds and targets, and write them as a config."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from rich.console import Console

from behavior_spark.cleaning.source_facts import fitting_as_of
from behavior_spark.config import LocalSpark, Source, load_settings
from behavior_spark.errors import ConfigError
from behavior_spark.io.session import spark_session
from behavior_spark.io.source_format import guess_source
from behavior_spark.io.sources import read_raw
from behavior_spark.pipelines.logs.starting.event_log import ReadLog, read_log
from behavior_spark.pipelines.logs.starting.guesses import guess_leaves
from behavior_spark.pipelines.logs.starting.leaves import leaves_of
from behavior_spark.pipelines.logs.starting.mapping import map_plainly, row_id
from behavior_spark.pipelines.logs.starting.page import (
    config_page,
    features_block,
    links_block,
    source_block,
    targets_block,
)
from behavior_spark.pipelines.logs.starting.profile import sample_of
from behavior_spark.pipelines.logs.starting.proposals import propose_targets
from behavior_spark.schemas import EVENTS, ITEMS, TEXTS, Contract


@dataclass(frozen=True)
class Written:
    """What init wrote.

    Attributes:
        path: The config.
        as_of: A day whose night sees the whole log: the day after its last one. None where no
            event has a usable time.
    """

    path: Path
    as_of: dt.date | None

    def read_text(self) -> str:
        """The config's text."""
        return self.path.read_text(encoding="utf-8")


def write_config(
    *,
    events: str,
    texts: str | None,
    items: str | None,
    output: Path,
    force: bool = False,
    spark: SparkSession | None = None,
    console: Console | None = None,
) -> Written:
    """Read the tables, guess the mapping by names and contents, and write a commented config.

    Args:
        events: Path or ``catalog.schema.table`` of the event log.
        texts: Likewise, of texts.
        items: Likewise, of items.
        output: YAML file to write.
        force: Replace an existing file.
        spark: Session; a local one by default.
        console: Where progress and the profile are shown. Default: standard error.

    Raises:
        ConfigError: The file exists.
        InputError: A table cannot be read.
    """
    if output.exists() and not force:
        raise ConfigError(f"{output} exists", fix="give another --output, or --force")
    console = console or Console(stderr=True)
    with spark_session(LocalSpark(), name="init", given=spark) as session:
        console.print(f"reading {events} ...", markup=False)
        source = guess_source(events)
        log = read_log(read_raw(session, source, label="--events"), source)
        blocks = [_block(log.frame, log.source, EVENTS, log)]
        if log.mapping.links:
            blocks.append(links_block(log.source, log.mapping.links))
        for contract, place in ((TEXTS, texts), (ITEMS, items)):
            if place is not None:
                console.print(f"reading {place} ...", markup=False)
                blocks.append(_other_block(session, contract, place))
    for line in log.described:
        console.print(f"  {line}", markup=False, highlight=False, soft_wrap=True)
    page = config_page(
        output,
        seen=log.described,
        blocks=blocks,
        features=features_block(log.chosen, _having(log)),
        targets=targets_block(propose_targets(log.chosen, days=log.profile.days)),
        texts=texts is not None,
    )
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(page, encoding="utf-8")
    load_settings([output])  # what init writes must load
    last = log.profile.arrived
    return Written(output, fitting_as_of(last) if last else None)


def _having(log: ReadLog) -> dict[str, frozenset[str]]:
    """Kinds that have each column of those mapped: of the others no feature is built anyway."""
    if log.profile.first is None:  # no row can be used: nothing is known of its kinds
        return {}
    return {name: kinds for name, kinds in log.profile.having.items() if name in log.source.columns}


def _block(frame: DataFrame, source: Source, contract: Contract, log: ReadLog) -> str:
    return source_block(
        contract, source, _columns(frame), log.mapping, placeholders=_placeholders(frame)
    )


def _other_block(session: SparkSession, contract: Contract, place: str) -> str:
    source = guess_source(place)
    frame = read_raw(session, source, label=f"--{contract.name}")
    leaves = leaves_of(frame.schema, sample_of(frame, label=f"--{contract.name}"))
    mapping = map_plainly(guess_leaves(leaves, contract), contract.names)
    return source_block(
        contract, source, _columns(frame), mapping, placeholders=_placeholders(frame)
    )


def _columns(frame: DataFrame) -> Sequence[str]:
    kinds = [(field.name, field.dataType.simpleString()) for field in frame.schema.fields]
    return [f"{name} {kind if len(kind) <= 120 else kind[:117] + '...'}" for name, kind in kinds]


def _placeholders(frame: DataFrame) -> dict[str, str]:
    """What stands for a column that was not found: a hash of the row for an id, else null."""
    made = row_id(frame.schema)
    return {"event_id": made, "text_id": made} | dict.fromkeys(
        ("user_id", "event_time", "event_type", "text_time", "text", "item_id"),
        "cast(null AS string)",
    )
