"""How long a night will take: by this warehouse's own nights, else by nights that were measured.

A range is said, and what it rests on. A cluster has other rates than those that were measured on
one machine (``report.first_night``): nothing is said before its first night.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pyspark.errors import PySparkException
from pyspark.sql import functions as F

from behavior_spark.config import Settings
from behavior_spark.errors import BehaviorError
from behavior_spark.model.encoder.model_folder import resolve_model_folder
from behavior_spark.report.first_night import (
    EMBED,
    SHARES,
    Range,
    night_range,
    stage_ranges,
    texts_seconds,
)
from behavior_spark.runs.run import Run
from behavior_spark.schemas import RUNS

PAST_NIGHTS = 5
# Of the step that only a first night has, and of one that a night without work has not.
FIRST, WORKED = "foresee", "build features"


@dataclass(frozen=True)
class NightTime:
    """How long a night will take.

    Attributes:
        low: Seconds.
        high: Seconds.
        rests_on: What the range rests on.
        stages: Seconds of stages, lowest and highest; none where nights of this warehouse are
            known, whose stages the report shows.
    """

    low: float
    high: float
    rests_on: str
    stages: Mapping[str, Range] = field(default_factory=dict)

    def __str__(self) -> str:
        """Within the verdict's line."""
        if self.low == self.high:
            return f"{self.rests_on} took {_shown(self.low)}"
        return f"it takes about {span(self.low, self.high)} ({self.rests_on})"


def estimate_time(run: Run, events: int, texts: int) -> NightTime | None:
    """How long this run's night will take; None where nothing is known of it.

    Args:
        run: The run.
        events: Rows of events that the sources have.
        texts: Rows of texts that they have, of which each distinct one is embedded.
    """
    if run.warehouse.exists(RUNS):
        nights = run.warehouse.read(RUNS).where("status = 'done' AND command = 'nightly'")
        latest = nights.orderBy(F.desc("started_at")).limit(PAST_NIGHTS * 2)
        past = [(row["seconds"], row["stages"] or {}) for row in latest.collect()]
        if known := of_past_nights(past):
            return known
    if not is_local(run):
        return None
    left_out = _stages_left_out(run.settings)
    stages = [stage for stage in SHARES if stage not in left_out]
    return of_measured_rates(events, texts, _encoder_bytes(run.settings), stages)


def _stages_left_out(settings: Settings) -> set[str]:
    """Stages of a night that this config does not have."""
    wanted = {
        EMBED: settings.text.encoder and settings.sources.texts,
        "sessions": settings.sources.events, "audiences": settings.audiences,
        "risk alerts": settings.alerts, "service queue": settings.service,
    }  # fmt: skip
    return {stage for stage, has in wanted.items() if not has}


def of_past_nights(nights: Sequence[tuple[float, Mapping[str, float]]]) -> NightTime | None:
    """The range of the last nights that did their work; the first night alone if there is no other.

    Args:
        nights: Seconds and seconds by step, the latest first.
    """
    worked = [(seconds, steps) for seconds, steps in nights if WORKED in steps]
    later = [seconds for seconds, steps in worked if FIRST not in steps][:PAST_NIGHTS]
    if len(later) == 1:
        return NightTime(later[0], later[0], "the last night")
    if later:
        return NightTime(min(later), max(later), f"the last {len(later)} nights")
    if worked:
        return NightTime(worked[0][0], worked[0][0], "the first night, which read all days,")
    return None


def of_measured_rates(
    events: int, texts: int, encoder_bytes: float | None, stages: Iterable[str] = ()
) -> NightTime:
    """A first night on one machine, from rates that were measured on two cores.

    Args:
        events: Number of rows.
        texts: Number of rows.
        encoder_bytes: Size of the encoder's weights; None: no text is embedded.
        stages: Stages of the night.
    """
    low, high = night_range(events, texts=texts, encoder_bytes=encoder_bytes)
    by_stage = stage_ranges(
        stages, night_range(events), for_texts=texts_seconds(texts, encoder_bytes)
    )
    return NightTime(low, high, "a first night, by rates measured on two cores", by_stage)


def _encoder_bytes(settings: Settings) -> float | None:
    if not settings.text.encoder:
        return None
    try:
        folder = resolve_model_folder(settings.text.encoder)
    except BehaviorError:
        return None
    return float(sum(file.stat().st_size for file in folder.glob("*.safetensors")))


def is_local(run: Run) -> bool:
    """Whether Spark runs on this machine alone, whose rates were measured."""
    try:
        master = run.spark.conf.get("spark.master", "")
    except PySparkException:
        return False
    return str(master).startswith("local[") or master == "local"


def span(low: float, high: float) -> str:
    """Both ends in one unit.

    >>> span(74, 260), span(40, 80), span(5000, 15000)
    ('1 to 5 minutes', '40 to 80 s', '1 to 5 hours')
    """
    if high < 120:
        return f"{low:.0f} to {high:.0f} s"
    unit, name = (60.0, "minutes") if high < 2 * 3600 else (3600.0, "hours")
    least = int(low // unit)
    return (
        f"{least} to {-int(-high // unit)} {name}"
        if least
        else f"up to {-int(-high // unit)} {name}"
    )


def _shown(seconds: float) -> str:
    return f"{seconds:,.0f} s" if seconds < 120 else f"{seconds / 60:,.0f} minutes"
