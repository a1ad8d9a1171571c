"""The glossary: each word once, and the pages keep to it."""

from __future__ import annotations

import re

import pytest

from tests.docs.pages import PAGES, ROOT

GLOSSARY = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
# Words of the list that have no other, common meaning: no page says them.
AVOIDED = ("adaptation", "adapting", "adapted", "backbone", "lifecycle", "user-defined",
           "machine-like", "dedup", "execution date", "batch date", "novelty")  # fmt: skip


def defined_terms(page: str) -> list[str]:
    """The terms that a glossary defines."""
    return re.findall(r"\*\*([^*:]+)\*\*", page)


def words_avoided_in(text: str) -> list[str]:
    """Words of ``AVOIDED`` in a page; a table's or a file's name is not one."""
    text = re.sub(r"`[^`]*`|\]\([^)]*\)", "", text)
    return [word for word in AVOIDED if re.search(rf"\b{word}\b", text, re.IGNORECASE)]


def test_each_term_is_defined_once() -> None:
    terms = defined_terms(GLOSSARY)
    assert len(terms) == len(set(terms)), sorted({t for t in terms if terms.count(t) > 1})
    assert {
        "as_of", "night", "run", "stage", "point-in-time", "event", "behaviour", "declared feature",
        "feature", "feature family", "feature group", "operation", "window", "tile", "snapshot",
        "population", "target", "horizon", "Label", "head", "encoder", "embedding", "digest",
        "champion", "challenger", "gate", "shadow", "abstain", "out of scope", "propensity",
        "calibration", "lift", "decile", "gain", "quarantine", "refused", "duplicate",
        "pretraining", "fine-tuning", "evaluation",
    } <= set(terms)  # fmt: skip


def test_no_page_says_a_word_that_the_glossary_replaces() -> None:
    listed = GLOSSARY.partition("## Words we do not use")[2]
    assert "| adaptation, adapting" in listed
    pages = [page for page in PAGES if page.name != "glossary.md"]
    assert len(pages) > 10
    said = {page.name: words_avoided_in(page.read_text(encoding="utf-8")) for page in pages}
    assert {name: words for name, words in said.items() if words} == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("The backbone is Adapted.", ["adapted", "backbone"]),
        ("The column `backbone` and [a page](adapted.md).", []),
    ],
)
def test_an_avoided_word_is_noticed(text: str, said: list[str]) -> None:
    assert words_avoided_in(text) == said
