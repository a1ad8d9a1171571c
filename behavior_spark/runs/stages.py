"""A stage: declared once, with the tables it reads and writes, the models it uses and its result.

A stage is a function of a run and of what earlier stages gave it; ``@stage`` says what it is. All
that names stages follows from that: the order of a night, what ``plan`` and ``doctor`` tell, the
summary and the table ``runs``. A run refuses a stage that its command has not declared.
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

ModelUse = Literal["text", "propensity", "language"]


class StageResult:
    """What a stage did: the base of each stage's own dataclass.

    A stage's result has typed fields, for whoever goes on with them. What of it is stored, shown
    and printed as JSON is said by the properties below, each empty by default.
    """

    @property
    def figures(self) -> Mapping[str, float]:
        """Counts and measures by name, for ``runs.figures``."""
        return {}

    @property
    def models(self) -> Mapping[str, str]:
        """Digest of each model used, for ``runs.models``."""
        return {}

    @property
    def details(self) -> Mapping[str, Any]:
        """What only this stage gives, for ``--json``."""
        return {}

    @property
    def failure(self) -> BehaviorError | None:
        """What the command line ends with, after the result was shown."""
        return None

    def blocks(self) -> list[RenderableType]:
        """Tables and texts of the summary on a terminal."""
        return []

    def page(self) -> str | None:
        """The result as Markdown, for ``--output``."""
        return None


P = ParamSpec("P")
R = TypeVar("R", bound=StageResult)


@dataclass(frozen=True)
class Stage(Generic[P, R]):
    """A declared stage; calling it runs it and keeps its result in the run.

    Attributes:
        name: As messages and documentation write it.
        does: What it does, in one line.
        reads: Tables it reads.
        writes: Tables it writes.
        models: Kinds of models it uses: ``text``, ``propensity`` or ``language``.
        function: The code.
    """

    name: str
    does: str
    reads: tuple[Contract, ...]
    writes: tuple[Contract, ...]
    models: tuple[ModelUse, ...]
    function: Callable[Concatenate[Run, P], R]

    def __call__(self, run: Run, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the stage.

        Raises:
            RuntimeError: The command of the run has not declared it.
        """
        run.enter(self.name)
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
) -> Callable[[Callable[Concatenate[Run, P], R]], Stage[P, R]]:
    """Declare a function to be a stage; see ``Stage`` for the arguments."""

    def declare(function: Callable[Concatenate[Run, P], R]) -> Stage[P, R]:
        return Stage(name, does, reads, writes, models, function)

    return declare
