"""A page as one HTML file: nothing is fetched to read it, and no script runs."""

from __future__ import annotations

from importlib import import_module
from importlib.resources import files

from behavior_spark.errors import SetupError
from behavior_spark.report.page.blocks import DataChart, Page
from behavior_spark.report.page.drawing import draw_chart

_PACKAGES = ("jinja2", "altair", "vl_convert")


def page_packages_missing() -> str | None:
    """The first package that an HTML page needs and that cannot be imported; None if all can."""
    for name in _PACKAGES:
        try:
            import_module(name)
        except ModuleNotFoundError as error:
            return error.name or name
    return None


def require_page_packages() -> None:
    """Check that the packages of an HTML page are there.

    Raises:
        SetupError: One is not installed.
    """
    if missing := page_packages_missing():
        raise SetupError(
            "the report cannot be written as HTML",
            found=f"{missing} is not installed",
            fix="in the checkout: pip install '.[report]', or write Markdown (-o report.md)",
        )


def render_page(page: Page) -> str:
    """The page as HTML.

    Raises:
        SetupError: A package that it needs is not installed.
    """
    require_page_packages()
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    here = files("behavior_spark.report.page")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string((here / "page.html.j2").read_text(encoding="utf-8"))
    drawn = 0

    def draw(block: DataChart) -> Markup:
        nonlocal drawn
        drawn += 1
        return Markup(
            draw_chart(block, key=f"chart-{drawn}")
        )  # written by ElementTree, which escapes

    return template.render(
        page=page, draw=draw, style=Markup((here / "page.css").read_text(encoding="utf-8"))
    )
