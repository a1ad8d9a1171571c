"""The page of a night, from its facts."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from behavior_spark.names import counted
from behavior_spark.report.page.blocks import Page, Section
from behavior_spark.report.page.facts import NightFacts
from behavior_spark.report.page.views.alerts import alerts_view
from behavior_spark.report.page.views.audiences import audiences_view
from behavior_spark.report.page.views.compared import compared_view
from behavior_spark.report.page.views.cost import cost_view
from behavior_spark.report.page.views.moved import moved_view
from behavior_spark.report.page.views.people import people_view
from behavior_spark.report.page.views.reasons import reasons_view
from behavior_spark.report.page.views.rows import rows_view
from behavior_spark.report.page.views.targets import target_view
from behavior_spark.report.page.views.texts import texts_view
from behavior_spark.report.page.views.topics import topics_view
from behavior_spark.report.page.views.trained import trained_view
from behavior_spark.report.page.views.verdict import verdict_of


def _targets(facts: NightFacts) -> Iterable[Section]:
    return [target_view(target, facts) for target in facts.targets]


def _audiences(facts: NightFacts) -> Iterable[Section]:
    """A night writes audiences only where the config asks for them."""
    if facts.audiences.empty and facts.audience_results.empty:
        return []
    return [audiences_view(facts)]


# The views in the order of the page. One that gives no section has no sentence either; one whose
# section is left out says why, at the end of the page.
VIEWS: tuple[Callable[[NightFacts], Section | Iterable[Section]], ...] = (
    rows_view,
    _targets,
    compared_view,
    moved_view,
    trained_view,
    reasons_view,
    people_view,
    texts_view,
    topics_view,
    _audiences,
    alerts_view,
    cost_view,
)


def night_page(facts: NightFacts) -> Page:
    """Every view of a night; those without data say why."""
    sections: list[Section] = []
    for view in VIEWS:
        shown = view(facts)
        sections += [shown] if isinstance(shown, Section) else shown
    hidden = sum(section.hidden for section in sections)
    return Page(
        title=f"{facts.job}: the night of {facts.as_of}",
        subtitle=f"What was known before {facts.as_of} 00:00 UTC",
        verdict=verdict_of(facts),
        sections=sections,
        footer=[
            f"Groups of fewer than {counted(facts.min_group, 'user')} are not shown "
            f"(privacy.min_group): {counted(hidden, 'group')} hidden on this page.",
            "Bots (features.bots) are left out of the figures about users. Days are UTC.",
            "This page is one file: it fetches nothing and runs no script. Written by "
            "behavior-spark report.",
        ],
    )
