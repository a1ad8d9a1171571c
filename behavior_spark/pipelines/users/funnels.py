"""How many users and sessions come to each step of the configured funnels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from behavior_spark.config import Funnel
from behavior_spark.errors import ConfigError
from behavior_spark.features.sessions.by_user import sessions_seen
from behavior_spark.features.sessions.funnels import count_reached
from behavior_spark.io.failures import spark_errors
from behavior_spark.markdown import table_row
from behavior_spark.runs.run import Run
from behavior_spark.runs.stages import StageResult, stage
from behavior_spark.schemas import SESSIONS


@dataclass(frozen=True)
class FunnelStep:
    """One step of a funnel.

    Attributes:
        funnel: Its funnel.
        step: Event type.
        users: Users that came to it, in order.
        sessions: Sessions likewise; None where the funnel is within days.
        of_first: Users over those of the first step; None where there are none.
        of_before: Users over those of the step before; None likewise.
    """

    funnel: str
    step: str
    users: int
    sessions: int | None
    of_first: float | None
    of_before: float | None


@dataclass(frozen=True)
class FunnelsCounted(StageResult):
    """Steps of every funnel.

    Attributes:
        steps: In order.
    """

    steps: list[FunnelStep]

    @property
    def details(self) -> Mapping[str, Any]:
        """The steps, and the page."""
        return {"funnels": [asdict(step) for step in self.steps], "markdown": self.page()}

    def blocks(self) -> list[RenderableType]:
        """The page, as it stands."""
        return [Text(self.page())]

    def page(self) -> str:
        """The steps as one table."""
        return funnels_markdown(self.steps)


@stage("funnel", does="count users and sessions at each step of the funnels", reads=(SESSIONS,))
def funnel_stage(run: Run, *, days: int | None) -> FunnelsCounted:
    """Counts of every funnel over the days before as_of, as known then.

    Raises:
        ConfigError: No funnel is configured, or days is not positive.
        InputError: Sessions were not built.
    """
    funnels, windows = run.settings.features.funnels, run.settings.features.windows_days
    if not funnels:
        raise ConfigError(
            "no funnel is configured",
            fix="for example features.funnels: {buy: {steps: [view, cart, purchase]}}",
        )
    if days is not None and days < 1:
        raise ConfigError("days is not positive", found=str(days), fix="give 1 or more")
    days = days or windows[-1]
    sessions = run.warehouse.require(SESSIONS, made_by="build-features")
    seen = sessions_seen(sessions, [run.as_of])
    steps: list[FunnelStep] = []
    with run.step("funnels"), spark_errors("counting funnels"):
        for name, funnel in funnels.items():
            rows = count_reached(seen, funnel, days=days).drop("as_of").collect()
            steps += _steps(name, funnel, [(r["step"], r["users"], r["sessions"]) for r in rows])
    return FunnelsCounted(steps)


def _steps(
    name: str, funnel: Funnel, furthest: list[tuple[int, int | None, int | None]]
) -> list[FunnelStep]:
    """Who came to a step is who got as far or further."""
    steps: list[FunnelStep] = []
    for place, kind in enumerate(funnel.steps, 1):
        beyond = [row for row in furthest if row[0] >= place]
        users = sum(row[1] or 0 for row in beyond)
        sessions = sum(row[2] or 0 for row in beyond) if funnel.within == "session" else None
        first = steps[0].users if steps else users
        before = steps[-1].users if steps else users
        steps.append(
            FunnelStep(
                name, kind, users, sessions,
                users / first if first else None, users / before if before else None,
            )
        )  # fmt: skip
    return steps


def funnels_markdown(steps: list[FunnelStep]) -> str:
    """The steps as one Markdown table."""
    lines = ["| funnel | step | users | of first | of before | sessions |"]
    lines.append("| --- | --- | ---: | ---: | ---: | ---: |")
    for step in steps:
        shares = (
            "-" if share is None else f"{share:.1%}" for share in (step.of_first, step.of_before)
        )
        sessions = "-" if step.sessions is None else f"{step.sessions:,}"
        cells = (step.funnel, step.step, f"{step.users:,}", *shares, sessions)
        lines.append(table_row(cells))
    return "\n".join(lines) + "\n"
