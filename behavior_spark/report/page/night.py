"""The page of a night, from its facts."""

from __future__ import annotations

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
from behavior_spark.report.page.views.verdict import verdict_of


def night_page(facts: NightFacts) -> Page:
    """Every view of a night; those without data say why."""
    sections = [
        rows_view(facts),
        *[target_view(target, facts) for target in facts.targets],
        compared_view(facts),
        moved_view(facts),
        reasons_view(facts),
        people_view(facts),
        texts_view(facts),
        *_where_there_are_any(facts),
        alerts_view(facts),
        cost_view(facts),
    ]
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


def _where_there_are_any(facts: NightFacts) -> list[Section]:
    """Views of tables that a night writes only where the config asks for them."""
    if facts.audiences.empty and facts.audience_results.empty:
        return []
    return [audiences_view(facts)]
