"""An HTML page, read as a reader's machine reads it."""

from __future__ import annotations

from html.parser import HTMLParser

_VOID = frozenset({"meta", "link", "br", "hr", "img", "input"})


class PageReader(HTMLParser):
    """Elements, attributes, tables by caption, SQL by section and name, and all visible text."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.tables: dict[str, list[list[str]]] = {}
        self.queries: dict[str, str] = {}
        self._paragraph = ""
        self._rows: list[list[str]] = []
        self._caption = ""
        self.feed(page)
        self.close()

    @property
    def text(self) -> str:
        """All text outside ``style``."""
        return " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.open.append(tag)
        if tag == "table":
            self._rows, self._caption = [], ""
        elif tag == "tr":
            self._rows.append([])
        elif tag in ("td", "th"):
            self._rows[-1].append("")
        elif tag == "p":
            self._paragraph = ""

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-1:]}"
        self.open.pop()
        if tag == "table":
            self.tables[self._caption] = self._rows

    def handle_data(self, data: str) -> None:
        if "style" in self.open:
            return
        self.words.append(data)
        if self.open[-1:] == ["p"]:
            self._paragraph += data
        if self.open[-1:] == ["code"]:
            section = next(
                attributes["id"] for tag, attributes in reversed(self.tags) if tag == "section"
            )
            name = f"{section}: {self._paragraph}"
            self.queries[name] = self.queries.get(name, "") + data
        if "caption" in self.open:
            self._caption += data
        elif self.open and self.open[-1] in ("td", "th"):
            self._rows[-1][-1] += data
