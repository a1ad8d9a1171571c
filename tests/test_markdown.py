"""What anybody wrote stays in its cell."""

from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from behavior_spark.markdown import table_row

WORDS = st.text(alphabet="ab |\\\n\r\x0b\x85\u2028", max_size=8)


@given(st.lists(WORDS, min_size=2, max_size=5))
def test_a_row_has_its_cells_whatever_they_hold(cells: list[str]) -> None:
    table = [table_row(["h"] * len(cells)), table_row(["---"] * len(cells)), table_row(cells)]
    assert all(len(row.splitlines()) == 1 for row in table)
    tokens = MarkdownIt("commonmark").enable("table").parse("\n".join(table))
    assert [token.type for token in tokens].count("td_open") == len(cells)
    shown = [token.content for token in tokens if token.type == "inline"][len(cells) :]
    for cell, words in zip(cells, shown, strict=True):
        assert words.count("|") == cell.count("|")
