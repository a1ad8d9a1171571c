"""Extras and lines that install: the pages name what the package has, and pip can read them."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import behavior_spark
from tests.docs.pages import PAGES, all_blocks, command_lines

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = set(PROJECT["optional-dependencies"])
OURS = re.compile(r"(?:behavior[-_]spark[\w.-]*|\.|\$WHEEL)\[([\w,\\ ]+)\]")
WHEEL = f"dist/behavior_spark-{behavior_spark.__version__}-py3-none-any.whl"


def installed(words: list[str]) -> list[str]:
    """What a line asks pip to install; options and their values are left out."""
    start = words.index("install") + 1
    kept, rest = [], iter(words[start:])
    for word in rest:
        if word in ("-c", "-r", "--constraint", "--requirement", "--index-url"):
            next(rest)
        elif not word.startswith("-"):
            kept.append(word)
    return kept


def lines_that_install() -> list[tuple[str, list[str]]]:
    """Place and words of every ``pip install`` on any page."""
    return [(block.place, words) for block in all_blocks("sh") for words in command_lines(block)
            if words[:2] == ["pip", "install"]]  # fmt: skip


def test_every_line_that_installs_names_what_is_there() -> None:
    lines = lines_that_install()
    assert len(lines) >= 5
    for place, words in lines:
        for wanted in installed(words):
            name, _, extras = wanted.partition("[")
            if name in (".", WHEEL):  # the checkout, or what `make wheel` makes of it
                requirement = Requirement(f"behavior-spark[{extras}")
                assert requirement.extras <= EXTRAS, place
            else:
                # The package is on no index: by its name pip would take somebody else's.
                assert Requirement(wanted).name != PROJECT["name"], place


def test_every_extra_that_anything_names_is_one() -> None:
    code = [*(ROOT / "behavior_spark").rglob("*.py"), *(ROOT / "notebooks").glob("*.py"),
            *(ROOT / "conf").rglob("*.y*ml"), ROOT / "conf" / "deploy" / "Dockerfile"]  # fmt: skip
    named = {
        extra.strip("\\ ")
        for path in [*PAGES, *code]
        for extras in OURS.findall(path.read_text(encoding="utf-8"))
        for extra in extras.split(",")
    }
    assert {"spark", "model", "report"} <= named
    assert named - EXTRAS == set()


def test_the_page_says_for_each_extra_who_wants_it() -> None:
    page = (ROOT / "docs" / "deploying.md").read_text(encoding="utf-8")
    table = re.search(r"^\| I want \| extra \|\n\|[- |]+\|\n((?:\|.*\n)+)", page, re.M)
    assert table is not None
    rows = [line.strip("| \n").rpartition(" | ")[2] for line in table[1].splitlines()]
    assert rows[0] == "none"
    assert {row.strip("`") for row in rows[1:]} == EXTRAS


def test_the_image_takes_extras_that_are_there() -> None:
    image = (ROOT / "conf" / "deploy" / "Dockerfile").read_text(encoding="utf-8")
    (extras,) = re.findall(r"^ARG EXTRAS=(\S+)$", image, re.M)
    assert set(extras.split(",")) <= EXTRAS


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("pip install .[spark]", [".[spark]"]),
        ("pip install --constraint constraints.txt -q a b[c]", ["a", "b[c]"]),
    ],
)
def test_options_of_pip_are_not_taken_for_packages(line: str, wanted: list[str]) -> None:
    assert installed(line.split()) == wanted
