"""Words: which words of given or stored texts raise and lower a head's label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F
from rich.console import RenderableType
from rich.text import Text

from behavior_spark.config import Settings
from behavior_spark.errors import ConfigError, InputError
from behavior_spark.io.expressions import check_condition
from behavior_spark.io.failures import spark_errors
from behavior_spark.pipelines.texts.functions import text_functions
from behavior_spark.runs.run import Run
from behavior_spark.runs.stages import StageResult, stage
from behavior_spark.schemas import TEXTS

if TYPE_CHECKING:
    from behavior_spark.model.heads.word_effects import WordEffect, WordEffects

# Shown without the marks at a word's ends.
_EDGES = ".,;:!?\"'()"


@dataclass(frozen=True)
class StoredTexts(StageResult):
    """Texts of the warehouse, the newest first.

    Attributes:
        by_id: Text by ``text_id``.
        matching: How many meet the condition.
    """

    by_id: Mapping[str, str]
    matching: int


@stage("words", does="read the stored texts whose words are told", reads=(TEXTS,))
def stored_texts_stage(run: Run, where: str, limit: int) -> StoredTexts:
    """Read the newest texts that meet a condition; notes how many others do.

    Raises:
        ConfigError: The condition is none over the columns of ``texts``.
        InputError: No text meets it.
    """
    texts = run.warehouse.require(TEXTS, made_by="ingest")
    check_condition(texts, where, label="--where")
    chosen = texts.where(F.expr(where) & F.col("text").isNotNull())
    with spark_errors("reading texts"):
        matching = chosen.count()
        newest = chosen.orderBy(F.desc("text_time"), "text_id").limit(limit)
        rows = newest.select("text_id", "text").collect()
    if not rows:
        raise InputError("no stored text meets --where", fix="give a wider condition")
    if matching > len(rows):
        run.note(f"the newest {len(rows):,} of {matching:,} texts; --limit gives more")
    return StoredTexts({row["text_id"]: row["text"] for row in rows}, matching)


@dataclass(frozen=True)
class Explained(StageResult):
    """The words of texts, in the order of the texts.

    Attributes:
        head: The head.
        texts: For each text its label and words.
        names: What each text is called: its number, or its ``text_id``.
        top: Most words that are shown in each direction.
    """

    head: str
    texts: Sequence[WordEffects]
    names: Sequence[str]
    top: int

    @property
    def details(self) -> Mapping[str, Any]:
        """Every word of every text."""
        named = zip(self.names, self.texts, strict=True)
        texts = [{"name": name, **asdict(text)} for name, text in named]
        return {"head": self.head, "texts": texts}

    def blocks(self) -> list[RenderableType]:
        """A line for each text's label, and one for each direction."""
        lines: list[RenderableType] = []
        for name, text in zip(self.names, self.texts, strict=True):
            if text.label is None:
                lines.append(Text(f"{name}: no label ({text.error})"))
                continue
            lines.append(Text(f"{name}: {text.label} {100 * text.probability:.0f} %"))
            for direction, words in (
                ("raise it", text.raising(self.top)), ("lower it", text.lowering(self.top)),
            ):  # fmt: skip
                if words:
                    lines.append(Text(f"   {direction}: {', '.join(map(_told, words))}"))
            if text.words_left_out:
                lines.append(Text(f"   {text.words_left_out:,} later words were not tried"))
        return lines


def explain_texts(
    settings: Settings,
    head: str,
    texts: Sequence[str],
    *,
    label: str | None,
    top: int,
    stored: Mapping[str, str] | None = None,
) -> tuple[Explained, Sequence[str]]:
    """The words of raw texts, cleaned as in a night, then of stored ones; notes about the heads.

    Raises:
        ConfigError: There is no encoder, or no such head.
        InputError: There is no text.
        ModelError: The text model cannot be used, or the head has no such label.
    """
    stored = stored or {}
    if not texts and not stored:
        fix = "give --text TEXT, --file with a text a line, or --where with a condition"
        raise InputError("there is no text", fix=fix)
    functions = text_functions(settings)
    if head not in functions.heads:
        known = ", ".join(functions.heads) or "; ".join(functions.notes) or "no head is trained"
        raise ConfigError(
            f"there is no head {head!r}", found=known, fix="name a trained head; see `models`"
        )
    from behavior_spark.model.heads.word_effects import word_effects

    clean = [functions.prepare(text) if functions.prepare else text for text in texts]
    clean += stored.values()
    found = word_effects(functions.recipe.load(), functions.heads[head], clean, label=label)
    names = [*map(str, range(1, len(texts) + 1)), *stored]
    return Explained(head, found, names, top), functions.notes


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
