"""The night as one HTML page: facts -> views (sections of blocks) -> HTML. No Spark here."""

from behavior_spark.report.page.blocks import Page
from behavior_spark.report.page.facts import NightFacts
from behavior_spark.report.page.night import night_page
from behavior_spark.report.page.rendering import (
    page_packages_missing,
    render_page,
    require_page_packages,
)

__all__ = [
    "NightFacts",
    "Page",
    "night_page",
    "page_packages_missing",
    "render_page",
    "require_page_packages",
]
