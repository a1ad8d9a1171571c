"""Commands: each is declared once, with its stages and options.

``@command`` registers a function of ``behavior_spark.pipelines`` and leaves the function and its
types unchanged. The command line, ``--help``, the jobs, ``plan``, ``doctor`` and the documentation
are made from the registered commands. The command's name, its help text and its options come from
the function's name, docstring and signature.
"""

from __future__ import annotations

import datetime as dt
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, TypedDict, TypeVar, get_args, get_origin, get_type_hints

from pyspark.sql import SparkSession
from rich.console import Console

from behavior_spark.runs.stages import Stage

# Sections of a docstring that are for programmers; ``--help`` leaves them out.
_FOR_PROGRAMMERS = ("Args:", "Returns:", "Raises:", "Attributes:")


class Place(TypedDict, total=False):
    """Where and when a command runs; every command takes these in addition to its own options.

    Attributes:
        as_of: Only data known before this day's 00:00 UTC is used. Default: today (UTC).
        spark: A session to use. Default: the platform's session, or a local one.
        console: Where progress is shown. Default: standard error.
    """

    as_of: dt.date | None
    spark: SparkSession | None
    console: Console | None


@dataclass(frozen=True)
class Option:
    """How a function's parameter is given on the command line.

    Attributes:
        help: Text for ``--help``.
        flags: Names such as ``--limit``; empty: one made from the parameter's name.
        metavar: Placeholder for the value in ``--help``.
        least: The smallest number allowed.
        argument: Whether it is a positional argument, without a flag.
    """

    help: str
    flags: tuple[str, ...] = ()
    metavar: str | None = None
    least: int | None = None
    argument: bool = False


# The file that a command exports to, for every command that has one.
ExportFile = Annotated[
    Path,
    Option("File to write: .csv, .xlsx or .parquet.", flags=("--output", "-o"), metavar="FILE"),
]


@dataclass(frozen=True)
class Parameter:
    """A parameter of a command's function that the command line offers."""

    name: str
    type: Any
    default: Any
    option: Option


@dataclass(frozen=True)
class Command:
    """A declared command.

    Attributes:
        name: Name on the command line, such as ``score-texts``.
        function: Takes ``settings`` and options, returns a ``Result``.
        stages: Stages in the order in which they run. A run may skip some, and adds none.
        dated: Whether it has the option ``--as-of``.
        page: Whether its result is also available as a Markdown page (``--output``).
        by_ending: Arguments that the command line passes where the name in ``--output`` has an
            ending, such as ``.html``.
        answers: Whether the command line prints only what the stages show, without a summary.
        fixed: Arguments that the command line always passes.
    """

    name: str
    function: Callable[..., Any]
    stages: tuple[Stage[Any, Any], ...]
    dated: bool = True
    page: bool = False
    answers: bool = False
    fixed: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    by_ending: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def help(self) -> str:
        """The function's docstring without the sections for programmers."""
        text = inspect.getdoc(self.function) or ""
        kept: list[str] = []
        for line in text.splitlines():
            if line in _FOR_PROGRAMMERS:
                break
            kept.append(line)
        return "\n".join(kept).strip()

    @property
    def torch_in_workers(self) -> bool:
        """Whether Python workers of one of its stages embed or annotate texts."""
        return any(stage.torch_in_workers for stage in self.stages)

    @property
    def parameters(self) -> list[Parameter]:
        """The function's parameters that carry an ``Option``, in order."""
        hints = get_type_hints(self.function, include_extras=True)
        parameters = []
        for name, parameter in inspect.signature(self.function).parameters.items():
            hint = hints.get(name)
            if get_origin(hint) is not Annotated:
                continue
            kind, *notes = get_args(hint)
            option = next((note for note in notes if isinstance(note, Option)), None)
            if option is not None:
                parameters.append(Parameter(name, kind, parameter.default, option))
        return parameters


# Declared commands by name, in the order of ``--help``.
COMMANDS: dict[str, Command] = {}

F = TypeVar("F", bound=Callable[..., Any])


def command(
    *,
    stages: tuple[Stage[Any, Any], ...] = (),
    dated: bool = True,
    page: bool = False,
    answers: bool = False,
    fixed: Mapping[str, Any] | None = None,
    by_ending: Mapping[str, Mapping[str, Any]] | None = None,
) -> Callable[[F], F]:
    """Declare a function as a command of the same name; see ``Command`` for the arguments."""

    def declare(function: F) -> F:
        name = function.__name__.replace("_", "-")
        COMMANDS[name] = Command(
            name, function, stages, dated, page, answers, MappingProxyType(dict(fixed or {})),
            MappingProxyType(dict(by_ending or {})),
        )  # fmt: skip
        return function

    return declare


def takes_day(parameter: Parameter) -> bool:
    """Whether a parameter is a day: then the command line and notebooks give it as text, too."""
    kinds = get_args(parameter.type) or (parameter.type,)
    return dt.date in kinds
