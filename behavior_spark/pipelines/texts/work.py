"""Counts and seconds of text scoring, added up over the chunks of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from behavior_spark.runs.run import Run

# Beyond this share of unknown words vectors say little of what a text is about.
MOST_UNKNOWN = 0.03

_STEPS = ("load", "read", "tokenize", "model", "return")
_COUNTS = ("texts", "errors", "truncated", "tokens", "tokens_run", "emulated", "words_read",
           "unknown", "failed")  # fmt: skip


@dataclass
class Work:
    """Sums over the chunks of a run.

    Attributes:
        known: Distinct texts known to the night.
        texts: Texts scored by this run.
        errors: Scored texts that got an error in place of an embedding.
        truncated: Scored texts of which the encoder read only a part.
        tokens: Tokens of the scored texts.
        tokens_run: Tokens computed, padding included.
        emulated: Tasks whose processor has to emulate the model's precision.
        seconds: Worker seconds by step (load, read, tokenize, model, return), and wall seconds
            before the first worker began (``find``) and after the last had ended (``write``).
        words_read: Tokens that stand for parts of texts.
        unknown: Of those, tokens the encoder's vocabulary does not know.
        failed: Of the errors, those of the model.
        cause: Of one of those.
    """

    known: int = 0
    texts: int = 0
    errors: int = 0
    truncated: int = 0
    tokens: int = 0
    tokens_run: int = 0
    emulated: int = 0
    words_read: int = 0
    unknown: int = 0
    failed: int = 0
    cause: str | None = None
    seconds: dict[str, float] = field(default_factory=dict)

    def add(self, counts: Mapping[str, Any], *, started: float, ended: float) -> None:
        """Add one chunk, written between two moments (seconds since 1970).

        Args:
            counts: What ``scoring.embedding.observed`` counts, or a part of it.
            started: When its write began.
            ended: When it ended.
        """
        if not counts.get("texts"):
            return
        for name in _COUNTS:
            setattr(self, name, getattr(self, name) + int(counts.get(name) or 0))
        self.cause = counts.get("cause") or self.cause
        for step in _STEPS:
            self._spent(step, float(counts.get(f"{step}_s") or 0))
        if counts.get("started") is not None:
            self._spent("find", float(counts["started"]) - started)
            self._spent("write", ended - float(counts["ended"]))

    def _spent(self, step: str, seconds: float) -> None:
        self.seconds[step] = self.seconds.get(step, 0.0) + max(0.0, seconds)

    @property
    def tried(self) -> int:
        """Texts that the model read: all but those without a word."""
        return self.texts - (self.errors - self.failed)

    @property
    def unknown_share(self) -> float:
        """Share of the texts' tokens that the encoder's vocabulary does not know."""
        return self.unknown / self.words_read if self.words_read else 0.0

    @property
    def padding_share(self) -> float:
        """Share of the computed tokens that belong to no text."""
        return 1 - self.tokens / self.tokens_run if self.tokens_run else 0.0

    @property
    def hit_rate(self) -> float:
        """Share of the known texts that were in the store before this run."""
        return 1 - self.texts / self.known if self.known else 0.0

    @property
    def figures(self) -> dict[str, float]:
        """Counts, shares and seconds by name."""
        return {
            "texts_known": self.known,
            "texts_scored": self.texts,
            "texts_failed": self.errors,
            "texts_truncated": self.truncated,
            "store_hit_rate": round(self.hit_rate, 6),
            "padding_share": round(self.padding_share, 6),
            "tokens_scored": self.tokens,
            "unknown_share": round(self.unknown_share, 6),
        } | {f"seconds_{step}": round(value, 3) for step, value in self.seconds.items()}

    def tell(self, run: Run) -> None:
        """Print and note what was done."""
        if self.known:
            run.say(f"{self.hit_rate:.1%} of {self.known:,} distinct texts were in the store")
        if not self.texts:
            run.say("no new text")
            return
        steps = ", ".join(f"{step} {self.seconds.get(step, 0):.1f}" for step in _STEPS)
        run.say(
            f"worker seconds: {steps}; finding what is new {self.seconds.get('find', 0):.1f} s, "
            f"writing {self.seconds.get('write', 0):.1f} s; padding {self.padding_share:.1%}"
        )
        if self.truncated:
            cut = self.truncated / self.texts
            run.note(
                f"{self.truncated:,} of {self.texts:,} texts ({cut:.1%}) are longer than what "
                "the encoder reads of them (text.max_length, text.long_texts)"
            )
        if (note := unknown_note(self.unknown_share)) is not None:
            run.note(note)
        if self.errors:
            run.note(
                f"{self.errors:,} texts have no embedding (see error in text_embeddings; "
                "`score-texts --retry-failed` tries them again)"
            )
        if self.emulated:
            run.note(
                "some workers' processors emulate bf16: slower, and the same to within its rounding"
            )


def unknown_note(share: float) -> str | None:
    """What to say of a share of words the encoder does not know; None where it is small."""
    if share <= MOST_UNKNOWN:
        return None
    return (
        f"{share:.1%} of the texts' tokens are unknown to the encoder: it was made for another "
        "language or script, or its vocabulary is not whole (text.encoder)"
    )
