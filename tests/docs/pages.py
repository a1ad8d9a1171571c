"""The pages that people read, and the fenced blocks in them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(
    r"^(?P<indent> *)```(?P<info>[^\n`]*)\n(?P<body>.*?)^(?P=indent)```\s*$", re.M | re.S
)
LANGUAGES = {"sh", "yaml", "sql", "python", "text"}


@dataclass(frozen=True)
class Block:
    """A fenced block: where it stands, its language, its text."""

    place: str
    language: str
    text: str


def blocks_of(page: str, *, name: str) -> Iterator[Block]:
    """The fenced blocks of a page."""
    for match in FENCE.finditer(page):
        line = page.count("\n", 0, match.start()) + 1
        yield Block(f"{name}:{line}", match["info"].strip(), match["body"])


def all_blocks(language: str) -> list[Block]:
    """The blocks in one language of every page."""
    return [block for page in PAGES for block in blocks_of(
                page.read_text(encoding="utf-8"), name=str(page.relative_to(ROOT)))
            if block.language == language]  # fmt: skip


def command_lines(block: Block) -> list[list[str]]:
    """The words of each line of a shell block; comments are gone, continued lines are joined."""
    joined = block.text.replace("\\\n", " ")
    return [words for line in joined.splitlines() if (words := shlex.split(line, comments=True))]


def program_arguments(words: list[str]) -> list[str] | None:
    """Arguments of ``behavior-spark``, or of the command that a job runs; None for others."""
    while words and re.fullmatch(r"[A-Z_]+=\S*", words[0]):
        words = words[1:]
    if words[:1] == ["behavior-spark"]:
        return words[1:]
    job = next((word for word in words if re.fullmatch(r"jobs/\w+\.py", word)), None)
    if job is None:
        return None
    command = re.search(r'run_job\("([\w-]+)"\)', (ROOT / job).read_text(encoding="utf-8"))
    assert command is not None, f"{job} runs no command"
    return [command[1], *words[words.index(job) + 1 :]]


def all_program_arguments() -> list[tuple[str, list[str]]]:
    """Place and arguments of every call of the program on any page."""
    return [
        (block.place, arguments)
        for block in all_blocks("sh")
        for words in command_lines(block)
        if (arguments := program_arguments(words)) is not None
    ]
