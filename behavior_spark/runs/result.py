"""What a command did, for whoever called it: its stages' results and the accounts of the run."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

from rich.console import RenderableType

from behavior_spark.errors import BehaviorError
from behavior_spark.runs.run import Run, SourceCounts
from behavior_spark.runs.stages import StageResult
from behavior_spark.schemas import RUNS

R = TypeVar("R", bound=StageResult)


@dataclass(frozen=True)
class Result:
    """What a command did.

    Attributes:
        command: Its name.
        as_of: The night.
        run_id: Key of its row in ``runs``.
        seconds: Wall time, session start not counted.
        steps: Seconds of each step; ``runs.stages`` holds the same.
        sources: Rows of each contract: in = out + duplicates + refused.
        results: What each stage gave, in order; ``of`` finds one by its type.
        tables: Where each table is that it read or wrote.
        notes: What the reader should know.
    """

    command: str
    as_of: dt.date
    run_id: str = ""
    seconds: float = 0.0
    steps: Mapping[str, float] = field(default_factory=dict)
    sources: tuple[SourceCounts, ...] = ()
    results: tuple[StageResult, ...] = ()
    tables: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @classmethod
    def of_run(cls, run: Run) -> Result:
        """The result of a run that did its work."""
        now = dt.datetime.now(dt.UTC)
        used = [*run.warehouse.used(), RUNS]
        return cls(
            command=run.command,
            as_of=run.as_of,
            run_id=run.run_id,
            seconds=round((now - run.started_at).total_seconds(), 3),
            steps=dict(run.steps),
            sources=tuple(run.sources),
            results=tuple(run.results),
            tables={contract.name: run.warehouse.location(contract) for contract in used},
            notes=tuple(run.notes),
        )

    def of(self, kind: type[R]) -> R:
        """The result of the stage that gives this type; the last one where several did.

        Raises:
            KeyError: No stage of the command gave one.
        """
        for result in reversed(self.results):
            if isinstance(result, kind):
                return result
        given = ", ".join(type(result).__name__ for result in self.results) or "nothing"
        raise KeyError(f"{self.command} gave no {kind.__name__}; it gave {given}")

    @property
    def figures(self) -> dict[str, float]:
        """Counts and measures of all stages by name."""
        return {name: value for one in self.results for name, value in one.figures.items()}

    @property
    def models(self) -> dict[str, str]:
        """Digest of each model used."""
        return {name: digest for one in self.results for name, digest in one.models.items()}

    @property
    def details(self) -> dict[str, Any]:
        """What only some stages give, as plain data."""
        return {name: value for one in self.results for name, value in one.details.items()}

    @property
    def failure(self) -> BehaviorError | None:
        """What a stage found that the command line ends with."""
        return next((one.failure for one in self.results if one.failure), None)

    def blocks(self) -> list[RenderableType]:
        """What the stages show on a terminal."""
        return [block for one in self.results for block in one.blocks()]

    def page(self) -> str | None:
        """The result as Markdown; None where no stage gives a page."""
        pages = [page for one in self.results if (page := one.page())]
        return "\n".join(pages) or None

    def as_dict(self) -> dict[str, Any]:
        """Plain data; days as ISO text."""
        return {
            "command": self.command,
            "as_of": self.as_of.isoformat(),
            "run_id": self.run_id,
            "seconds": self.seconds,
            "stages": dict(self.steps),
            "sources": [asdict(counts) | {"balanced": counts.balanced} for counts in self.sources],
            "figures": self.figures,
            "models": self.models,
            "tables": dict(self.tables),
            "notes": list(self.notes),
            "details": self.details,
        }
