"""Words: which words of given texts raise and lower a head's label. Starts no Spark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import RenderableType
from rich.text import Text

from behavior_spark.config import Settings
from behavior_spark.errors import ConfigError, InputError
from behavior_spark.pipelines.texts.functions import text_functions
from behavior_spark.runs.stages import StageResult

if TYPE_CHECKING:
    from behavior_spark.model.heads.word_effects import WordEffect, WordEffects

# Shown without the marks at a word's ends.
_EDGES = ".,;:!?\"'()"


@dataclass(frozen=True)
class Explained(StageResult):
    """The words of texts, in the order of the texts.

    Attributes:
        head: The head.
        texts: For each text its label and words.
        top: Most words that are shown in each direction.
    """

    head: str
    texts: Sequence[WordEffects]
    top: int

    @property
    def details(self) -> Mapping[str, Any]:
        """Every word of every text."""
        return {"head": self.head, "texts": [asdict(text) for text in self.texts]}

    def blocks(self) -> list[RenderableType]:
        """A line for each text's label, and one for each direction."""
        lines: list[RenderableType] = []
        for number, text in enumerate(self.texts, start=1):
            if text.label is None:
                lines.append(Text(f"{number}. no label: {text.error}"))
                continue
            lines.append(Text(f"{number}. {text.label} {100 * text.probability:.0f} %"))
            for direction, words in (
                ("raise it", text.raising(self.top)), ("lower it", text.lowering(self.top)),
            ):  # fmt: skip
                if words:
                    lines.append(Text(f"   {direction}: {', '.join(map(_told, words))}"))
            if text.words_left_out:
                lines.append(Text(f"   {text.words_left_out:,} later words were not tried"))
        return lines


def explain_texts(
    settings: Settings, head: str, texts: Sequence[str], *, label: str | None, top: int
) -> tuple[Explained, Sequence[str]]:
    """The words of raw texts, cleaned as in a night, and notes about the heads.

    Raises:
        ConfigError: There is no encoder, or no such head.
        InputError: There is no text.
        ModelError: The text model cannot be used, or the head has no such label.
    """
    if not texts:
        raise InputError("there is no text", fix="give --text TEXT, or --file with a text a line")
    functions = text_functions(settings)
    if head not in functions.heads:
        known = ", ".join(functions.heads) or "; ".join(functions.notes) or "no head is trained"
        raise ConfigError(
            f"there is no head {head!r}", found=known, fix="name a trained head; see `models`"
        )
    from behavior_spark.model.heads.word_effects import word_effects

    clean = [functions.prepare(text) if functions.prepare else text for text in texts]
    found = word_effects(functions.recipe.load(), functions.heads[head], clean, label=label)
    return Explained(head, found, top), functions.notes


def read_lines(file: Path) -> list[str]:
    """The texts of a file, one a line, without empty lines.

    Raises:
        InputError: It cannot be read as UTF-8.
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"cannot read {file}", found=type(error).__name__, fix="give UTF-8, a text a line"
        ) from error
    return [line for line in lines if line.strip()]


def _told(word: WordEffect) -> str:
    shown = word.word.strip(_EDGES) or word.word
    return f"{shown} ({word.effect:+.2f}, without it {100 * word.without:.0f} %)"
