"""A command: declared once, with its stages and options.

``@command`` keeps a function of ``behavior_spark.pipelines`` as it is, and its types with it. The
command line, ``--help``, the jobs, ``plan``, ``doctor`` and the documentation are made from the
list of what it declared: the name, the text of ``--help`` and the options stand in the function's
own signature and docstring.
"""

from __future__ import annotations

import datetime as dt
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Annotated, Any, TypedDict, TypeVar, get_args, get_origin, get_type_hints

from pyspark.sql import SparkSession
from rich.console import Console

from behavior_spark.runs.stages import Stage

# What a docstring tells programmers, and ``--help`` leaves out.
_FOR_PROGRAMMERS = ("Args:", "Returns:", "Raises:", "Attributes:")


class Place(TypedDict, total=False):
    """Where and when a command runs; every command takes these beside its own options.

    Attributes:
        as_of: The night: only what was known before its 00:00 UTC is seen. Today by default.
        spark: A session to use; the platform's or a local one by default.
        console: Where progress is shown; standard error by default.
    """

    as_of: dt.date | None
    spark: SparkSession | None
    console: Console | None


@dataclass(frozen=True)
class Option:
    """How a function's parameter is given on the command line.

    Attributes:
        flags: Such as ``--limit``; none: the parameter's name. An empty tuple with ``argument``
            makes it a positional argument.
        help: For ``--help``.
        metavar: What stands for the value in ``--help``.
        least: The smallest number allowed.
        argument: Whether it is given by place and without a flag.
    """

    help: str
    flags: tuple[str, ...] = ()
    metavar: str | None = None
    least: int | None = None
    argument: bool = False


@dataclass(frozen=True)
class Parameter:
    """A parameter that the command line offers: its name, type, default and option."""

    name: str
    type: Any
    default: Any
    option: Option


@dataclass(frozen=True)
class Command:
    """A command as it was declared.

    Attributes:
        name: As typed, such as ``score-texts``.
        function: ``settings`` and options in, ``Result`` out.
        stages: In the order in which they run; a run may leave some out, and adds none.
        dated: Whether it has ``--as-of``.
        page: Whether its result is also a page of Markdown (``--output``).
        answers: Whether the command line prints what its stages show and nothing beside it.
        fixed: Arguments that the command line always gives.
    """

    name: str
    function: Callable[..., Any]
    stages: tuple[Stage[Any, Any], ...]
    dated: bool = True
    page: bool = False
    answers: bool = False
    fixed: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def help(self) -> str:
        """The docstring without what is for programmers."""
        text = inspect.getdoc(self.function) or ""
        kept: list[str] = []
        for line in text.splitlines():
            if line in _FOR_PROGRAMMERS:
                break
            kept.append(line)
        return "\n".join(kept).strip()

    @property
    def parameters(self) -> list[Parameter]:
        """The function's parameters that carry an ``Option``, in order."""
        hints = get_type_hints(self.function, include_extras=True)
        found = []
        for name, parameter in inspect.signature(self.function).parameters.items():
            hint = hints.get(name)
            if get_origin(hint) is not Annotated:
                continue
            kind, *notes = get_args(hint)
            option = next((note for note in notes if isinstance(note, Option)), None)
            if option is not None:
                found.append(Parameter(name, kind, parameter.default, option))
        return found


# By name, in the order in which ``--help`` lists them.
COMMANDS: dict[str, Command] = {}

F = TypeVar("F", bound=Callable[..., Any])


def command(
    *,
    stages: tuple[Stage[Any, Any], ...] = (),
    dated: bool = True,
    page: bool = False,
    answers: bool = False,
    fixed: Mapping[str, Any] | None = None,
) -> Callable[[F], F]:
    """Declare a function to be a command of the same name; see ``Command`` for the arguments."""

    def declare(function: F) -> F:
        name = function.__name__.replace("_", "-")
        COMMANDS[name] = Command(
            name, function, stages, dated, page, answers, MappingProxyType(dict(fixed or {}))
        )
        return function

    return declare
