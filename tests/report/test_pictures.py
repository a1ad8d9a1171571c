"""Pictures of small frames, for notebooks."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any
from xml.etree import ElementTree

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from behavior_spark.errors import ConfigError
from behavior_spark.report.pictures import Picture, draw_picture
from tests.report.nights import HOSTILE

DAYS = [dt.date(2024, 4, day) for day in (1, 2, 3)]


def texts_of(picture: Picture) -> str:
    root = ElementTree.fromstring(picture.svg)
    return " ".join(element.text or "" for element in root.iter() if element.tag == "text")


def test_bars_have_their_names_and_figures_and_a_table() -> None:
    frame = pd.DataFrame({"who": ["ann", HOSTILE], "n": [3, 1_200]})
    picture = draw_picture(frame, title="Who", x="who", y="n")
    assert "1,200" in texts_of(picture) and "ann" in texts_of(picture)
    assert picture.table.rows == [["ann", "3"], [HOSTILE, "1,200"]]
    html = picture._repr_html_()
    assert "<script" not in html and "&lt;script" in html
    assert 'role="img"' in html and "The largest n: 1,200" in html


def test_whole_numbers_negative_ones_and_no_rows_can_be_read() -> None:
    deciles = pd.DataFrame({"decile": [1, 2], "rate": [0.8, -0.2]})
    picture = draw_picture(deciles, title="Rates", x="decile", y="rate", form=".0%")
    assert {"1", "2", "80%"} <= set(texts_of(picture).split()) and "1.0" not in texts_of(picture)
    root = ElementTree.fromstring(picture.svg)
    groups = {element.text: element for element in root.iter() if element.tag == "text"}
    places = {text: float(re.findall(r"[\d.]+", element.attrib["transform"])[0])
              for text, element in groups.items() if "%" in (text or "")}  # fmt: skip
    # The figure of a negative bar stands right of 0, where no bar is.
    assert len(places) == 2 and min(places.values()) > 40
    empty = draw_picture(deciles.head(0), title="Rates", x="decile", y="rate")
    assert "No rows." in empty._repr_html_() and "<svg" not in empty._repr_html_()


@pytest.mark.parametrize("name", ["count(1)", "sum(value)", "a.b", "my[0]", "x:y", "start", "0"])
@pytest.mark.parametrize("kind", ["bars", "lines", "stacks"])
def test_a_column_of_any_name_is_drawn_with_its_own_figures(name: str, kind: Any) -> None:
    frame = pd.DataFrame({f"at {name}": ["ann", "bob"], name: [120, 37], "of": ["a", "b"]})
    series = {"series": "of"} if kind == "stacks" else {}
    picture = draw_picture(frame, title="T", x=f"at {name}", y=name, kind=kind, **series)
    assert picture.table.columns[0] == f"at {name}" and picture.table.columns[-1] == name
    assert [row[-1] for row in picture.table.rows] == ["120", "37"]
    assert f"The largest {name}: 120, at ann." in picture.svg
    shown = texts_of(picture)
    if kind == "bars":
        assert "120" in shown and "37" in shown
    else:
        assert name in shown and "100" in shown.split()  # the axis reaches the values


def test_two_columns_of_one_name_are_told_apart_by_the_user() -> None:
    frame = pd.DataFrame([["ann", 1, 2]], columns=["who", "n", "n"])
    with pytest.raises(ConfigError, match="two columns are called 'n'"):
        draw_picture(frame, title="T", x="who", y="n")


ANY_CHARACTER = st.characters(max_codepoint=0x1F) | st.sampled_from("a\ufffe\uffff\x7f\ud800")


@given(st.text(ANY_CHARACTER, max_size=5), st.sampled_from(["bars", "lines", "stacks"]))
def test_a_name_of_any_characters_is_drawn(name: str, kind: Any) -> None:
    """vl-convert ends the whole process at a character that XML has not."""
    frame = pd.DataFrame({"who": [f"late{name}parcel"], f"n{name}": [3], "of": [f"late{name}"]})
    picture = draw_picture(
        frame, title=f"T{name}", x="who", y=f"n{name}", kind=kind,
        series=None if kind == "bars" else "of",
    )  # fmt: skip
    assert "late" in texts_of(picture)
    assert picture.table.rows[0][0] == f"late{name}parcel" and picture.table.rows[0][-1] == "3"
    assert picture._repr_html_().encode()


@pytest.mark.parametrize("kind", ["lines", "stacks"])
def test_days_are_named_without_their_year_and_other_names_are_whole(kind: Any) -> None:
    names = ["ann-sophie", "23", "2024-04-01", "2024-W14"]
    frame = pd.DataFrame({"at": names, "n": range(4), "of": ["a"] * 4})
    picture = draw_picture(frame, title="T", x="at", y="n", series="of", kind=kind)
    assert {"ann-sophie", "23", "04-01", "2024-W14"} <= set(texts_of(picture).split())


def test_names_of_series_are_not_cut_where_two_columns_have_room() -> None:
    names = ["compare", "complain_loudly", "find_product", "praise", "ready_to_buy"]
    frame = pd.DataFrame({"day": DAYS[:1] * 5, "n": range(5), "intent": names})
    picture = draw_picture(frame, title="I", x="day", y="n", series="intent", kind="stacks")
    assert set(names) <= set(texts_of(picture).split())
    root = ElementTree.fromstring(picture.svg)
    width = float(root.attrib["width"])
    assert width <= 340


@pytest.mark.parametrize("kind", ["lines", "stacks"])
def test_lines_and_stacks_over_days_keep_their_series(kind: str) -> None:
    frame = pd.DataFrame({"day": DAYS * 2, "n": range(6), "mood": ["joy"] * 3 + ["anger"] * 3})
    picture = draw_picture(frame, title="Moods", x="day", y="n", series="mood", kind=kind)  # type: ignore[arg-type]
    assert {"joy", "anger"} <= set(texts_of(picture).split())
    assert picture.table.columns == ["day", "mood", "n"] and len(picture.table.rows) == 6


def test_what_cannot_be_drawn_is_said_with_what_to_do() -> None:
    frame = pd.DataFrame({"day": range(8), "n": range(8), "kind": list("abcdefgh")})
    with pytest.raises(ConfigError, match=r"no column 'x'.*\n.*day, n, kind"):
        draw_picture(frame, title="t", x="x", y="n")
    with pytest.raises(ConfigError, match=r"too many kind.*\n.*8, at most 6"):
        draw_picture(frame, title="t", x="day", y="n", series="kind", kind="stacks")
    with pytest.raises(ConfigError, match="stacks need series"):
        draw_picture(frame, title="t", x="day", y="n", kind="stacks")
    with pytest.raises(ConfigError, match="bars, lines, stacks"):
        draw_picture(frame, title="t", x="day", y="n", kind="pie")  # type: ignore[arg-type]
