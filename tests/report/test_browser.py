"""The page in a real browser: it asks for nothing, complains of nothing, and can be read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from behavior_spark.report.page import night_page, render_page
from tests.report.browser import CHROMIUM, Browser
from tests.report.nights import HOSTILE, night

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")

# Text whose contrast with what is behind it is below 4.5 (WCAG 2.2, 1.4.3).
FAINT = """
(() => {
  const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const luminance = ([r, g, b]) => [r, g, b]
    .map((c) => c / 255).map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, place) => sum + c * [0.2126, 0.7152, 0.0722][place], 0);
  const behind = (node) => {
    for (; node; node = node.parentElement) {
      const colour = parts(getComputedStyle(node).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const faint = [];
  for (const node of document.querySelectorAll("body *")) {
    if (node.closest("defs, title, desc") || node.tagName === "title") continue;
    const own = [...node.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
    if (!own) continue;
    const style = getComputedStyle(node);
    const ink = node.closest("svg") ? style.fill : style.color;
    const [a, b] = [luminance(parts(ink)), luminance(parts(getComputedStyle(node).color && behind(
      node.closest("svg") ? node.closest("svg").parentElement : node).join(",")))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) faint.push(`${node.tagName} ${ratio.toFixed(2)} ${node.textContent.trim()}`);
  }
  return faint;
})()
"""
WIDER = """
[...document.querySelectorAll("body *")].filter((node) => !node.closest(".scroll, pre, .unseen,"
  + " .skip, svg") && node.getBoundingClientRect().right > innerWidth + 1).map((n) => n.outerHTML
  .slice(0, 80))
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "night.html"
    path.write_text(render_page(night_page(night())), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    assert CHROMIUM is not None
    with Browser(CHROMIUM, tmp_path_factory.mktemp("profile")) as browser:
        yield browser


def test_a_browser_asks_for_the_file_alone_and_has_nothing_to_complain_of(
    browser: Browser, page: Path
) -> None:
    browser.requests.clear()
    browser.show(page, width=1280)
    assert [url for url in browser.requests if not url.startswith("data:")] == [page.as_uri()]
    assert browser.complaints == []
    assert HOSTILE in browser.evaluate("document.body.textContent")
    assert browser.evaluate("document.querySelectorAll('script, [onload]').length") == 0


@pytest.mark.parametrize("width", [1280, 390, 320])
@pytest.mark.parametrize("dark", [False, True])
def test_on_every_screen_nothing_is_cut_off_and_text_stands_out(
    browser: Browser, page: Path, width: int, dark: bool
) -> None:
    browser.show(page, width=width, dark=dark)
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    assert browser.evaluate(WIDER) == []
    browser.evaluate("document.querySelectorAll('details').forEach((node) => node.open = true)")
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    assert browser.evaluate(FAINT) == []
    background = browser.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, background[4:-1].split(","))) < 200) is dark


def test_a_keyboard_reaches_the_numbers_of_every_chart(browser: Browser, page: Path) -> None:
    browser.show(page, width=1280)
    charts = browser.evaluate("document.querySelectorAll('svg[role=img]').length")
    reached = browser.evaluate(
        "[...document.querySelectorAll('figure summary')].filter((node) => node.tabIndex === 0)"
        ".length"
    )
    assert charts == reached > 5


def test_screen_readers_are_told_of_every_chart_by_name(browser: Browser, page: Path) -> None:
    browser.show(page, width=1280)
    nodes = browser.call("Accessibility.getFullAXTree")["nodes"]
    images = [n for n in nodes if n.get("role", {}).get("value") in ("image", "img")]
    assert len(images) == browser.evaluate("document.querySelectorAll('svg').length")
    assert all(len(image["name"]["value"]) > 10 for image in images)
    headings = [n for n in nodes if n.get("role", {}).get("value") == "heading"]
    assert {"Rows: what came in", "People"} <= {node["name"]["value"] for node in headings}


def test_a_long_text_has_the_width_of_a_phone(browser: Browser, tmp_path: Path) -> None:
    facts = night()
    reasons = [["3 different items a visit in the last 30 days, last purchase 81 days ago"] * 6]
    examples = facts.examples.assign(reasons=reasons * len(facts.examples))
    place = tmp_path / "long.html"
    place.write_text(render_page(night_page(night(examples=examples))), encoding="utf-8")
    browser.show(place, width=390)
    widths = browser.evaluate(
        "[...document.querySelectorAll('main > section > .blocks > .scroll td')]"
        ".filter((node) => node.textContent.length > 80).map((node) => node.clientWidth)"
    )
    assert len(widths) == len(examples)
    assert min(widths) > 300
    assert browser.evaluate("document.documentElement.scrollWidth") <= 390
