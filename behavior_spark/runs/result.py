"""The result of a command: its stages' results, row counts, times, tables and notes."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from io import StringIO
from typing import Any, TypeVar

from rich.console import Console, Group, RenderableType

from behavior_spark.errors import BehaviorError
from behavior_spark.report.summary import summary
from behavior_spark.runs.commands import COMMANDS
from behavior_spark.runs.run import Run, SourceCounts
from behavior_spark.runs.stages import StageResult
from behavior_spark.schemas import RUNS

R = TypeVar("R", bound=StageResult)


@dataclass(frozen=True)
class Result:
    """The result of a command.

    Attributes:
        command: Name of the command.
        as_of: The run's as_of.
        run_id: Key of the run's row in ``runs``.
        seconds: Wall time in seconds, without the start of the session.
        steps: Seconds of each step; the same as ``runs.stages``.
        sources: Row counts of each contract: in = out + duplicates + refused.
        results: Results of the stages, in order; ``of`` returns one by its type.
        tables: Path or full name of each table that was read or written.
        notes: Notes for the user.
    """

    command: str
    as_of: dt.date
    run_id: str = ""
    seconds: float = 0.0
    steps: Mapping[str, float] = field(default_factory=dict)
    sources: tuple[SourceCounts, ...] = ()
    # Stages' results hold frames and plans: pages, where one looks at a result.
    results: tuple[StageResult, ...] = field(default=(), repr=False)
    tables: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @classmethod
    def of_run(cls, run: Run) -> Result:
        """The result of a run whose stages are done."""
        now = dt.datetime.now(dt.UTC)
        used = [*run.warehouse.used(), *([RUNS] if run.recorded else [])]
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
        """The stage result of this type; the last one if there are several.

        Raises:
            KeyError: No stage of the run returned this type.
        """
        for result in reversed(self.results):
            if isinstance(result, kind):
                return result
        given = ", ".join(type(result).__name__ for result in self.results) or "nothing"
        raise KeyError(f"{self.command} gave no {kind.__name__}; it gave {given}")

    @property
    def figures(self) -> dict[str, float]:
        """Counts and measures of all stages by name."""
        return {name: value for result in self.results for name, value in result.figures.items()}

    @property
    def models(self) -> dict[str, str]:
        """Digest of each model used, by name."""
        return {name: digest for result in self.results for name, digest in result.models.items()}

    @property
    def details(self) -> dict[str, Any]:
        """Details that only some stages return, as plain data by name."""
        return {name: value for result in self.results for name, value in result.details.items()}

    @property
    def failure(self) -> BehaviorError | None:
        """The first error of a stage that the command line raises after showing the result."""
        return next((result.failure for result in self.results if result.failure), None)

    def blocks(self) -> list[RenderableType]:
        """What all stages show on a terminal."""
        return [block for result in self.results for block in result.blocks()]

    def last_lines(self) -> list[str]:
        """What stages say after all else."""
        return [line for result in self.results if (line := result.last_line())]

    def summary(self, *, places: bool = True) -> Group:
        """What the command line shows: rows, what the stages say, tables and notes.

        Args:
            places: Whether to list the tables, for a command that has an as_of.
        """
        declared = COMMANDS.get(self.command)
        dated = declared is None or declared.dated
        return summary(
            f"{self.command} for {self.as_of}" if dated else self.command,
            seconds=self.seconds,
            sources=[asdict(counts) for counts in self.sources],
            blocks=self.blocks(),
            tables=self.tables if places and dated else {},
            notes=self.notes,
        )

    def _repr_html_(self) -> str:
        """The summary in a notebook: https://ipython.readthedocs.io/en/stable/config/integrating.html"""
        console = Console(record=True, file=StringIO(), width=110)
        console.print(self.summary())
        for line in self.last_lines():
            console.print(line, markup=False, highlight=False, style="bold")
        code = '<pre style="line-height: 1.2; overflow-x: auto">{code}</pre>'
        return console.export_html(inline_styles=True, code_format=code)

    def page(self) -> str | None:
        """The result as Markdown; None if no stage has a page."""
        pages = [page for result in self.results if (page := result.page())]
        return "\n".join(pages) or None

    def html(self) -> str | None:
        """The result as an HTML page; None if no stage has one."""
        return next((page for result in self.results if (page := result.html())), None)

    def as_dict(self) -> dict[str, Any]:
        """The result as plain data; days as ISO text."""
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
