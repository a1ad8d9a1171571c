"""Whether a night can run: asked by ``check``, and before any work by the first night."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from rich.console import RenderableType
from rich.text import Text

from behavior_spark.cleaning.log_extent import (
    ExtentQuestion,
    LogExtent,
    extent_row,
    item_column,
    read_extent,
)
from behavior_spark.cleaning.rows import REASON
from behavior_spark.config import Target
from behavior_spark.errors import BehaviorError, InputError
from behavior_spark.features.targets import item_matches, match_column
from behavior_spark.io.failures import spark_errors
from behavior_spark.pipelines.logs.event_types import all_named_types
from behavior_spark.pipelines.logs.mapped_sources import (
    MappedSources,
    with_clean_texts,
    with_reasons,
)
from behavior_spark.pipelines.logs.night_time import NightTime, estimate_time, is_local, span
from behavior_spark.pipelines.logs.refusals import LATE_DAYS, refusal_of_rows, refusal_of_types
from behavior_spark.pipelines.logs.target_outlook import (
    TargetOutlook,
    days_to_learn,
    target_outlook,
)
from behavior_spark.report.first_night import FORESEEN, Range, night_range
from behavior_spark.report.tables import rows_table
from behavior_spark.runs.run import Run
from behavior_spark.runs.stages import StageResult, stage
from behavior_spark.schemas import EVENTS, ITEMS, RUNS


@dataclass(frozen=True)
class Verdict(StageResult):
    """Whether the night can run.

    Attributes:
        as_of: The night's day; the one that fits, where the one that was asked for does not.
        refusal: Why it cannot run; None if it can.
        extent: What the log holds; None where nothing was looked at.
        targets: Outlook of each target.
        time: How long the night will take; None where nothing is known of it.
        unlinked: Whether a night will give users events that are a visitor's yet.
    """

    as_of: dt.date
    refusal: BehaviorError | None = None
    extent: LogExtent | None = None
    targets: Mapping[str, TargetOutlook] = field(default_factory=dict)
    time: NightTime | None = None
    unlinked: bool = False

    @property
    def details(self) -> Mapping[str, Any]:
        """The verdict as plain data."""
        if self.extent is None:
            return {}
        targets = {name: vars(outlook) for name, outlook in self.targets.items()}
        return {
            "verdict": {
                "can_run": self.refusal is None,
                "as_of": self.as_of.isoformat(),
                "targets": targets,
                "seconds": [self.time.low, self.time.high] if self.time else None,
                "seconds_by_stage": {n: list(s) for n, s in self._stages.items()},
            }
        }

    @property
    def failure(self) -> BehaviorError | None:
        """The refusal, which the command line raises after all else is shown."""
        return self.refusal

    @property
    def _stages(self) -> Mapping[str, Range]:
        return self.time.stages if self.time and self.refusal is None else {}

    def blocks(self) -> list[RenderableType]:
        """Before a first night, a guess for its stages; the verdict is the last line."""
        rows = [{"stage": name, "takes about": span(*ends)} for name, ends in self._stages.items()]
        if not rows:
            return []
        words = "Stages of a first night: a guess, by rates measured on two cores"
        return [Text(f"\n{words}", style="bold"), rows_table(rows)]

    def last_line(self) -> str | None:
        """One line: yes or no, the day, the targets and the time."""
        if self.refusal is not None:
            return f"verdict: the night cannot run: {self.refusal.problem}"
        if self.extent is None:
            return None
        ends = f"; your log ends {self.extent.last:%Y-%m-%d}" if self.extent.last else ""
        parts = [f"verdict: the night can run with --as-of {self.as_of}{ends}"]
        parts += [f"{name}{outlook}" for name, outlook in self.targets.items()]
        if self.unlinked:
            parts.append("visitors are not linked yet")
        if self.time is not None:
            parts.append(str(self.time))
        return "; ".join(parts)


@dataclass(frozen=True)
class Foreseen(StageResult):
    """What the first night of a log can learn.

    Attributes:
        targets: Outlook of each target; none on later nights.
        seconds: What the night may take without its texts, on one machine; None elsewhere.
    """

    targets: Mapping[str, TargetOutlook] = field(default_factory=dict)
    seconds: Range | None = None

    @property
    def figures(self) -> Mapping[str, float]:
        """Both ends of the guess."""
        if self.seconds is None:
            return {}
        return dict(zip(FORESEEN, self.seconds, strict=True))


@stage("foresee", does="say before any work whether the night can run, and what it can learn")
def foresee_stage(run: Run, mapped: MappedSources) -> Foreseen:
    """Look at all events once, on the first night alone: later ones know their log.

    Raises:
        InputError: No event can be used, as_of is past the log's end, or no target can be learned.
        ConfigError: The config names a type that no event has, and means another.
    """
    if EVENTS.name not in mapped or run.warehouse.exists(EVENTS):
        return Foreseen()
    with run.step("foresee"):
        verdict = judge(run, mapped, look_at_extent(run, mapped, run.as_of), run.as_of)
    if verdict.refusal is not None:
        raise verdict.refusal
    for name, outlook in verdict.targets.items():
        if outlook.problem:
            run.note(f"{name} will not be predicted: {outlook.problem}")
    events = verdict.extent.rows if verdict.extent else 0
    return Foreseen(verdict.targets, night_range(events) if is_local(run) else None)


@stage(
    "verdict",
    does="say whether the night can run, on which as_of, and what it can learn",
    reads=(RUNS,),
)
def verdict_stage(
    run: Run, mapped: MappedSources, ends: dt.date | None, *, texts: int = 0
) -> Verdict:
    """The verdict of ``check``, for the day that fits where the run's does not.

    Args:
        run: The run.
        mapped: The sources.
        ends: The as_of that sees the whole log; None without usable events.
        texts: Rows of texts that the sources have.
    """
    if EVENTS.name not in mapped:
        return Verdict(run.as_of)
    past = ends is not None and (run.as_of - ends).days > LATE_DAYS
    as_of = ends if past and ends is not None else run.as_of
    extent = look_at_extent(run, mapped, as_of)
    verdict = judge(run, mapped, extent, as_of)
    return Verdict(
        as_of, verdict.refusal, extent, verdict.targets, estimate_time(run, extent.rows, texts),
        unlinked=bool(run.settings.sources.identities),
    )  # fmt: skip


def look_at_extent(run: Run, mapped: MappedSources, as_of: dt.date) -> LogExtent:
    """One query over all sources of events, and those of items where targets ask for them."""
    settings = run.settings
    question = ExtentQuestion(
        as_of=as_of,
        targets=settings.targets,
        days=days_to_learn(settings, as_of),
        population=settings.population,
        types=all_named_types(settings),
    )
    frames = [
        with_reasons(run, frame, EVENTS).select(*EVENTS.names, REASON)
        for frame in mapped[EVENTS.name].values()
    ]
    events = reduce(lambda a, b: a.unionByName(b), frames)
    if of_items := {name: target for name, target in settings.targets.items() if target.item}:
        events = events.join(_fulfilled(run, mapped, of_items), "item_id", "left")
    with spark_errors("looking at events"):
        row = extent_row(events, question).first()
    return read_extent(row.asDict() if row else {}, question)


def _fulfilled(run: Run, mapped: MappedSources, targets: Mapping[str, Target]) -> DataFrame:
    """For each item the time since which it fulfils the condition of each target."""
    frames = [
        with_clean_texts(run, with_reasons(run, frame, ITEMS), ITEMS)
        .where(F.col(REASON).isNull())
        .select("item_id", "title", "category", "price", "valid_from")
        for frame in mapped[ITEMS.name].values()
    ]
    items = reduce(lambda a, b: a.unionByName(b), frames)
    return item_matches(items, targets).withColumnsRenamed(
        {match_column(name): item_column(name) for name in targets}
    )


def judge(run: Run, mapped: MappedSources, extent: LogExtent, as_of: dt.date) -> Verdict:
    """What the figures mean for a night."""
    settings = run.settings
    outlooks = {name: target_outlook(settings, extent, name, as_of) for name in settings.targets}
    refusal = refusal_of_rows(settings, extent, as_of)
    if refusal is None:
        refusal = refusal_of_types(settings, mapped, extent)
    if refusal is None and outlooks and all(outlook.problem for outlook in outlooks.values()):
        refusal = InputError(
            "no target can be predicted",
            found="; ".join(f"{name}: {outlook.problem}" for name, outlook in outlooks.items()),
            fix="a shorter horizon_days, another condition, or a longer log",
        )
    return Verdict(as_of, refusal, extent, outlooks)
