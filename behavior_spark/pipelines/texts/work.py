"""What scoring took and did, added up over the chunks of a run."""

from __future__ import annotations

from dataclasses import dataclass, field

from pyspark.sql import DataFrame, Observation

from behavior_spark.runs.run import Run

_STEPS = ("load", "read", "tokenize", "model", "return")


@dataclass
class Work:
    """Sums over chunks.

    Attributes:
        known: Distinct texts the night knows.
        texts: Of those, scored now.
        errors: Of those, without an embedding.
        truncated: Of those, longer than what was read of them.
        seconds: Worker seconds by step (load, read, tokenize, model, return), and wall seconds
            before the first worker began (``find``) and after the last had ended (``write``).
        tokens: Tokens of the texts.
        tokens_run: Tokens computed, padding included.
        emulated: Tasks whose processor does not compute in the model's precision itself.
    """

    known: int = 0
    texts: int = 0
    errors: int = 0
    truncated: int = 0
    tokens: int = 0
    tokens_run: int = 0
    emulated: int = 0
    seconds: dict[str, float] = field(default_factory=dict)

    def add(self, observation: Observation, *, started: float, ended: float) -> None:
        """Add one chunk, written between two moments (seconds since 1970)."""
        try:
            found = observation.get
        except Exception:  # pruned by Spark: the chunk had no rows
            return
        if not found["tasks"]:
            return
        for name in ("texts", "errors", "truncated", "tokens", "tokens_run", "emulated"):
            setattr(self, name, getattr(self, name) + int(found[name] or 0))
        for step in _STEPS:
            self._spent(step, float(found[f"{step}_s"] or 0))
        if found["started"] is not None:
            self._spent("find", float(found["started"]) - started)
            self._spent("write", ended - float(found["ended"]))

    def count(self, known: DataFrame, observation: Observation) -> None:
        """Count the texts that the night knows, by what was observed while they passed.

        Where none of them is new Spark prunes the counting with them: then count anew.
        """
        try:
            self.known = int(observation.get["known"])
        except Exception:
            self.known = known.select("text_hash").count()

    def _spent(self, step: str, seconds: float) -> None:
        self.seconds[step] = self.seconds.get(step, 0.0) + max(0.0, seconds)

    @property
    def padding_share(self) -> float:
        """Share of the computed tokens that belong to no text."""
        return 1 - self.tokens / self.tokens_run if self.tokens_run else 0.0

    @property
    def hit_rate(self) -> float:
        """Share of the known texts that the store had already."""
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
        } | {f"seconds_{step}": round(value, 3) for step, value in self.seconds.items()}

    def tell(self, run: Run) -> None:
        """Say what was done."""
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
        if self.errors:
            run.note(
                f"{self.errors:,} texts have no embedding (see error in text_embeddings; "
                "`score-texts --retry-failed` tries them again)"
            )
        if self.emulated:
            run.note(
                "some workers' processors emulate bf16: slower, and the same to within its rounding"
            )
