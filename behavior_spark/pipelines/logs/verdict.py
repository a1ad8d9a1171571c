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

from behavior_spark.cleaning.log_extent import (
    ExtentQuestion,
    LogExtent,
    extent_row,
    item_column,
    read_extent,
)
from behavior_spark.cleaning.rows import REASON
from behavior_spark.config import Settings, Target
from behavior_spark.errors import BehaviorError, ConfigError, InputError
from behavior_spark.features.targets import item_matches, match_column, outcome_of
from behavior_spark.io.failures import spark_errors
from behavior_spark.pipelines.logs.event_types import all_named_types, misspelt_types
from behavior_spark.pipelines.logs.mapped_sources import (
    MappedSources,
    with_clean_texts,
    with_reasons,
)
from behavior_spark.pipelines.logs.night_time import NightTime, estimate_time, is_local, span
from behavior_spark.prediction.training_days import training_days
from behavior_spark.report.first_night import FORESEEN, Range, night_range
from behavior_spark.report.tables import rows_table
from behavior_spark.runs.run import Run
from behavior_spark.runs.stages import StageResult, stage
from behavior_spark.schemas import EVENTS, ITEMS

# A quiet weekend, or a feed that is a day late, is no mistake.
LATE_DAYS = 7


@dataclass(frozen=True)
class TargetOutlook:
    """What can be learned of a target.

    Attributes:
        positives: How many users of the newest training day fulfil it.
        users: How many users there were then.
        learned: How many positives (of the rarer outcome) all training days have.
        problem: Why it cannot be learned; empty if it can.
    """

    positives: int
    users: int
    learned: int
    problem: str = ""

    def __str__(self) -> str:
        """After the target's name, in a line."""
        if self.problem:
            return f" is left out ({self.problem})"
        return f": {self.positives:,} of {self.users:,} users"


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
        title = "stages of a first night: a guess, by rates measured on two cores"
        return [rows_table(rows, title=title)]

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


@stage("verdict", does="say whether the night can run, on which as_of, and what it can learn")
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
        days=_days(settings, as_of),
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
    outlooks = {name: _outlook(settings, extent, name, as_of) for name in settings.targets}
    refusal = _refusal_of_rows(settings, extent, as_of)
    if refusal is None:
        refusal = _refusal_of_types(settings, mapped, extent)
    if refusal is None and outlooks and all(outlook.problem for outlook in outlooks.values()):
        refusal = InputError(
            "no target can be predicted",
            found="; ".join(f"{name}: {outlook.problem}" for name, outlook in outlooks.items()),
            fix="a shorter horizon_days, another condition, or a longer log",
        )
    return Verdict(as_of, refusal, extent, outlooks)


def _refusal_of_rows(settings: Settings, extent: LogExtent, as_of: dt.date) -> BehaviorError | None:
    places = ", ".join(source.location for source in settings.sources.events)
    if not extent.rows:
        return InputError(
            f"no events before {as_of}",
            found=f"no row in {places}",
            fix="check sources.events.path, and its where",
        )
    if extent.refused == extent.rows or extent.fitting is None:
        return InputError(
            f"every row of {places} would be refused",
            found=f"{extent.rows:,} rows; such as: {extent.reason}",
            fix="see the sample of `behavior-spark check`, and map sources.events.columns anew",
        )
    if (as_of - extent.fitting).days > LATE_DAYS:
        return InputError(
            f"as_of {as_of} is past the log's end: nobody has done anything lately",
            found=f"your log ends {extent.last:%Y-%m-%d}",
            fix=f"use --as-of {extent.fitting}",
        )
    if not extent.seen:
        return InputError(
            f"no events before {as_of}",
            found=f"your log begins {extent.first:%Y-%m-%d} and ends {extent.last:%Y-%m-%d}",
            fix=f"use --as-of {extent.fitting}",
        )
    return None


def _refusal_of_types(
    settings: Settings, mapped: MappedSources, extent: LogExtent
) -> BehaviorError | None:
    """A type that no event has, where the config must mean another of nearly the same name."""
    misspelt = misspelt_types(settings, extent.types, _types(mapped))
    if not misspelt:
        return None
    first = misspelt[0]
    more = f", and {len(misspelt) - 1} more" if len(misspelt) > 1 else ""
    return ConfigError(
        f"{first.place}: no event is of the type '{first.name}'{more}",
        found=f"there are {first.events:,} '{first.meant}'",
        fix=f"write '{first.meant}'",
    )


def _outlook(settings: Settings, extent: LogExtent, name: str, as_of: dt.date) -> TargetOutlook:
    target, wanted = settings.targets[name], settings.training.min_positives
    newest = as_of - dt.timedelta(days=target.horizon_days)
    happens = outcome_of(target).happens

    def of_day(day: dt.date) -> tuple[int, int]:
        members = extent.users if target.of_everybody else extent.members[name]
        doers, users = extent.doers[name].get(day, 0), members.get(day, 0)
        return (doers, users) if happens else (max(0, users - doers), users)

    positives, users = of_day(newest)
    if extent.first is None:
        return TargetOutlook(positives, users, 0, "no usable event")
    if not extent.happened[name]:
        return TargetOutlook(positives, users, 0, "its condition is true of no event")
    days = training_days(
        as_of,
        horizon_days=target.horizon_days,
        count=settings.training.as_of_days,
        every_days=settings.training.every_days,
        first_event=extent.first.date(),
    )
    if not days:
        ends = f"{extent.first:%Y-%m-%d} to {as_of}"
        why = f"too little history: {ends}, and a horizon of {target.horizon_days} days"
        return TargetOutlook(positives, users, 0, why)
    counts = [of_day(day) for day in days]
    learned = sum(count for count, _ in counts)
    if not happens:
        learned = min(learned, sum(total - count for count, total in counts))
    # What visitors did before they were known will count for users once links are read.
    if learned < wanted and not settings.sources.identities:
        what = "positives" if happens else "rows of the rarer outcome"
        why = f"{learned:,} {what}, {wanted:,} are wanted (training.min_positives)"
        return TargetOutlook(positives, users, learned, why)
    return TargetOutlook(positives, users, learned)


def _days(settings: Settings, as_of: dt.date) -> dict[str, list[dt.date]]:
    """Training days of each target in a log that is long enough."""
    training = settings.training
    return {
        name: [
            as_of - dt.timedelta(days=target.horizon_days + training.every_days * step)
            for step in range(training.as_of_days)
        ]
        for name, target in settings.targets.items()
    }


def _types(mapped: MappedSources) -> DataFrame:
    frames = [frame.select("event_type") for frame in mapped[EVENTS.name].values()]
    first, *others = frames
    for frame in others:
        first = first.unionByName(frame)
    return first
