"""Stages: each is declared once, with its tables, models and result.

A stage is a function that takes a run and results of earlier stages. ``@stage`` declares its name,
the tables it reads and writes and the models it uses. The order of a night, the output of ``plan``
and ``doctor``, the summary and the table ``runs`` all follow from these declarations. A run raises
an error for a stage that its command has not declared.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Concatenate, Generic, Literal, ParamSpec, TypeVar

from rich.console import RenderableType

from behavior_spark.errors import BehaviorError
from behavior_spark.schemas import Contract

if TYPE_CHECKING:
    from behavior_spark.runs.run import Run

ModelUse = Literal["text", "propensity", "language", "sequence"]


class StageResult:
    """Base class for the result of a stage.

    Each stage returns a dataclass of its own with typed fields for the stages and callers that
    use them. The properties and methods below define what is stored, shown and printed as JSON;
    each is empty by default.
    """

    @property
    def figures(self) -> Mapping[str, float]:
        """Counts and measures by name, stored in ``runs.figures``."""
        return {}

    @property
    def models(self) -> Mapping[str, str]:
        """Digest of each model used, by name, stored in ``runs.models``."""
        return {}

    @property
    def details(self) -> Mapping[str, Any]:
        """Further plain data by name, for ``--json``."""
        return {}

    @property
    def failure(self) -> BehaviorError | None:
        """An error that the command line raises after it has shown the result."""
        return None

    def blocks(self) -> list[RenderableType]:
        """Tables and texts for the summary on a terminal."""
        return []

    def last_line(self) -> str | None:
        """One line that the command line shows after all else."""
        return None

    def page(self) -> str | None:
        """The result as Markdown, for ``--output``."""
        return None

    def html(self) -> str | None:
        """The result as an HTML page, for ``--output`` with a name that ends in ``.html``."""
        return None


P = ParamSpec("P")
R = TypeVar("R", bound=StageResult)


@dataclass(frozen=True)
class Stage(Generic[P, R]):
    """A declared stage. Calling it runs the stage and adds its result to the run.

    Attributes:
        name: Name in messages and documentation.
        does: What it does, in one line.
        reads: Tables that it reads.
        writes: Tables that it writes.
        models: Kinds of models that it uses: ``text``, ``propensity``, ``language`` or
            ``sequence`` (of next items, or of user vectors).
        torch_in_workers: Whether its Python workers embed or annotate texts: those of a local
            session then start with torch imported.
        function: The function that runs the stage.
    """

    name: str
    does: str
    reads: tuple[Contract, ...]
    writes: tuple[Contract, ...]
    models: tuple[ModelUse, ...]
    torch_in_workers: bool
    function: Callable[Concatenate[Run, P], R]

    def __call__(self, run: Run, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the stage.

        Raises:
            RuntimeError: The command of the run has not declared this stage.
        """
        run.enter(self.name)
        with run.plans_over((*self.reads, *self.writes) if self.reads else ()):
            result = self.function(run, *args, **kwargs)
        run.results.append(result)
        return result


def stage(
    name: str,
    *,
    does: str,
    reads: tuple[Contract, ...] = (),
    writes: tuple[Contract, ...] = (),
    models: tuple[ModelUse, ...] = (),
    torch_in_workers: bool = False,
) -> Callable[[Callable[Concatenate[Run, P], R]], Stage[P, R]]:
    """Declare a function as a stage; see ``Stage`` for the arguments."""

    def declare(function: Callable[Concatenate[Run, P], R]) -> Stage[P, R]:
        return Stage(name, does, reads, writes, models, torch_in_workers, function)

    return declare
