"""The page of a night: facts from the tables, views of them, one HTML file."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from behavior_spark.errors import InputError
from behavior_spark.io.failures import spark_errors
from behavior_spark.pipelines.reports.night.alerts_read import read_alerts
from behavior_spark.pipelines.reports.night.audiences_read import read_audiences
from behavior_spark.pipelines.reports.night.moved_read import (
    feature_words,
    night_before,
    read_moved,
)
from behavior_spark.pipelines.reports.night.people_read import read_people
from behavior_spark.pipelines.reports.night.reasons_read import read_examples, read_reasons
from behavior_spark.pipelines.reports.night.runs_read import (
    READERS,
    read_runs,
    refused_rows,
    rows_by_day,
)
from behavior_spark.pipelines.reports.night.service_read import read_service
from behavior_spark.pipelines.reports.night.targets_read import (
    models_of_night,
    predicted_nights,
    read_targets,
)
from behavior_spark.pipelines.reports.night.texts_read import read_texts
from behavior_spark.pipelines.reports.night.topics_read import read_topics
from behavior_spark.pipelines.reports.outcomes import Reported
from behavior_spark.report.page import (
    NightFacts,
    night_page,
    render_page,
    require_page_packages,
)
from behavior_spark.report.page.facts import NightRun
from behavior_spark.runs.run import Run
from behavior_spark.runs.stages import stage
from behavior_spark.schemas import (
    AUDIENCE_RESULTS,
    AUDIENCES,
    EVENTS,
    ITEMS,
    QUARANTINE,
    RISK_ALERTS,
    RUNS,
    SERVICE_QUEUE,
    SESSIONS,
    TEXT_EMBEDDINGS,
    TEXT_SCORES,
    TEXTS,
    USER_FEATURES,
    USER_PROFILE,
    USER_PROPENSITY,
)


@dataclass(frozen=True)
class NightReported(Reported):
    """A night as a page, and what happened after it where that is known.

    Attributes:
        content: The page as HTML.
        verdict: Its first line.
        remarks: What speaks against using the night without care.
    """

    content: str = ""
    verdict: str = ""
    remarks: tuple[str, ...] = ()

    @property
    def details(self) -> Mapping[str, Any]:
        """The outcomes and the verdict; the page itself is in ``--output``."""
        return {**super().details, "verdict": self.verdict, "remarks": list(self.remarks)}

    def blocks(self) -> list[RenderableType]:
        """The verdict with its remarks, then the outcomes."""
        remarks = [Text(f"  - {remark}") for remark in self.remarks]
        return [Text(f"\n{self.verdict}", style="bold"), *remarks, *super().blocks()]

    def html(self) -> str:
        """The page."""
        return self.content


@stage(
    "night-page",
    does="the night as one HTML page: rows, targets, people, texts, cost",
    reads=(
        RUNS,
        QUARANTINE,
        EVENTS,
        TEXTS,
        ITEMS,
        TEXT_EMBEDDINGS,
        TEXT_SCORES,
        SESSIONS,
        USER_FEATURES,
        USER_PROPENSITY,
        USER_PROFILE,
        AUDIENCES,
        AUDIENCE_RESULTS,
        RISK_ALERTS,
        SERVICE_QUEUE,
    ),
    models=("text", "propensity"),
)
def night_page_stage(run: Run, *, compare: dt.date | None = None) -> NightReported:
    """Read the facts of the night ``run.as_of`` and write them as a page.

    Args:
        run: The run.
        compare: The night to compare with; by default the last one before.

    Raises:
        SetupError: A package that the page needs is not installed.
        InputError: No run of this day has read rows, and nobody was predicted.
    """
    require_page_packages()
    with run.step("read facts"), spark_errors("reading the facts of the night"):
        facts = read_facts(run, compare=compare)
    with run.step("write page"):
        page = night_page(facts)
        content = render_page(page)
    outcomes = [
        target.outcome for target in facts.targets
        if target.outcome and target.measured_as_of == run.as_of
    ]  # fmt: skip
    return NightReported(
        run.settings.name, outcomes, content, page.verdict.line, tuple(page.verdict.reasons)
    )


def read_facts(run: Run, *, compare: dt.date | None = None) -> NightFacts:
    """The facts of the night ``run.as_of``; ``compare``: as in ``night_page_stage``.

    Raises:
        InputError: No run of this day has read rows, and nobody was predicted.
    """
    runs = read_runs(run)
    readers = [r for r in runs if r.command in READERS and r.status == "done"]
    night = next((r for r in reversed(readers) if r.as_of == run.as_of), None)
    nights = predicted_nights(run)
    if night is None and not any(run.as_of in by_day for by_day in nights.values()):
        last = max((r.as_of for r in readers), default=None)
        raise InputError(
            f"there is no night of {run.as_of}",
            found=f"the last one before is {last}" if last else "no run has read rows yet",
            fix=f"run `behavior-spark nightly --as-of {run.as_of}`, or choose another day",
        )
    earlier = [r for r in readers if r.as_of < run.as_of]
    moved_from = night_before(nights, run.as_of)
    if compare is not None:
        earlier = [r for r in readers if r.as_of == compare]
        moved_from = compare if any(compare in by_day for by_day in nights.values()) else None
        if not earlier or compare == run.as_of:
            raise InputError(
                f"the night of {run.as_of} cannot be compared with {compare}",
                found="no run of that day before it has read rows",
                fix="choose a night that is in the table runs, before --as-of",
            )
    models = models_of_night(run, nights)
    targets = read_targets(run, nights, models)
    moved = read_moved(run, moved_from, models)
    first_ranked = next((target.name for target in targets if target.ranks), "")
    return NightFacts(
        job=run.settings.name,
        as_of=run.as_of,
        run=night,
        previous=earlier[-1] if earlier else None,
        failed=_failed(runs, run, after=night),
        runs=tuple(readers),
        refused=refused_rows(run, night),
        by_day=rows_by_day(run),
        targets=targets,
        moved_from=moved_from,
        moved=moved.since_before,
        moved_since_training=moved.since_training,
        trained_target=moved.trained_target,
        words=feature_words(run),
        reasons=read_reasons(run),
        examples=read_examples(run, first_ranked),
        **read_people(run),
        texts=read_texts(run, night.models if night else {}),
        **read_topics(run, night.models if night else {}),
        **read_audiences(run),
        alerts=read_alerts(run),
        service=read_service(run),
        min_group=run.settings.privacy.min_group,
    )


def _failed(runs: list[NightRun], run: Run, *, after: NightRun | None) -> NightRun | None:
    """The last run of this night, if it failed; reports do not count."""
    of_night = [r for r in runs if r.as_of == run.as_of and r.command != "report"]
    last = of_night[-1] if of_night else None
    if last is None or last.status != "failed" or (after and last.started_at < after.started_at):
        return None
    return last
