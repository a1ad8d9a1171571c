"""What a night could learn of each target, from what its log holds."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from behavior_spark.cleaning.log_extent import LogExtent
from behavior_spark.config import Settings
from behavior_spark.features.targets import outcome_of
from behavior_spark.prediction.training_days import training_days


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


def target_outlook(
    settings: Settings, extent: LogExtent, name: str, as_of: dt.date
) -> TargetOutlook:
    """What can be learned of a target by a night of ``as_of``."""
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


def days_to_learn(settings: Settings, as_of: dt.date) -> dict[str, list[dt.date]]:
    """Training days of each target in a log that is long enough."""
    training = settings.training
    return {
        name: [
            as_of - dt.timedelta(days=target.horizon_days + training.every_days * step)
            for step in range(training.as_of_days)
        ]
        for name, target in settings.targets.items()
    }
