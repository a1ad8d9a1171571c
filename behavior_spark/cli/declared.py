"""Typer commands for the declared commands of ``behavior_spark.pipelines``.

This module names no command: names, help, options and types come from ``runs.commands``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import typer
from rich.console import Console

from behavior_spark.cli.options import AsOf, Config, Json, Output, Set, settings_from
from behavior_spark.cli.showing import next_queries, show, show_answer, write_page
from behavior_spark.config.days import day_from
from behavior_spark.pipelines import COMMANDS
from behavior_spark.runs.commands import Command, Parameter, takes_day
from behavior_spark.runs.result import Result
from behavior_spark.schemas import USER_PROFILE, USER_PROPENSITY

# After a command that writes one of these tables, the summary suggests queries of them.
_WORTH_A_LOOK = {USER_PROPENSITY.name, USER_PROFILE.name}


def declared_app() -> typer.Typer:
    """A Typer application with every declared command."""
    app = typer.Typer(rich_markup_mode="rich")
    for declared in COMMANDS.values():
        app.command(declared.name, help=declared.help)(_runner(declared))
    return app


def _runner(declared: Command) -> Callable[..., None]:
    """A function for Typer that runs a command with its options and shows the result."""

    def run(**given: Any) -> None:
        config, overrides = given.pop("config"), list(given.pop("set_"))
        as_json, output = given.pop("as_json"), given.pop("output") if declared.page else None
        options = {p.name: _value(p, given[p.name]) for p in declared.parameters}
        if declared.dated:
            options["as_of"] = day_from(given["as_of"])
        settings = settings_from(config, overrides)
        if declared.answers:
            options["console"] = Console(stderr=True, quiet=True)
        options |= declared.by_ending.get(output.suffix.lower() if output else "", {})
        result: Result = declared.function(settings, **options, **declared.fixed)
        if declared.answers:
            show_answer(result, as_json=as_json)
        else:
            written = {table.name for stage in declared.stages for table in stage.writes}
            queries: list[str] = []
            if written & _WORTH_A_LOOK:
                queries = next_queries(
                    settings, config, result.as_of.isoformat(), overrides, ranked=_ranked(result)
                )
            show(result, as_json=as_json, queries=queries)
        _write_page(result, output)
        if result.failure:
            raise result.failure

    signature = inspect.Signature(_parameters(declared))
    run.__signature__ = signature  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in signature.parameters.values()}
    return run


def _ranked(result: Result) -> list[str] | None:
    """Targets whose users the command has ranked; None if it has predicted none."""
    targets = result.details.get("targets")
    if targets is None:
        return None
    return [name for name, target in targets.items() if target["ranked"]]


def _parameters(declared: Command) -> list[inspect.Parameter]:
    """The signature that Typer reads: the command's own parameters and those of all commands."""
    own = [_parameter(parameter) for parameter in declared.parameters]
    arguments = [p for p, of in zip(own, declared.parameters, strict=True) if of.option.argument]
    parameters = [*arguments, _keyword("config", Config), _keyword("set_", Set, [])]
    if declared.dated:
        parameters.append(_keyword("as_of", AsOf, None))
    parameters += [p for p in own if p not in arguments]
    if declared.page:
        parameters.append(_keyword("output", Output, None))
    return [*parameters, _keyword("as_json", Json, False)]


def _keyword(
    name: str, annotation: Any, default: Any = inspect.Parameter.empty
) -> inspect.Parameter:
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name, kind, default=default, annotation=annotation)


def _parameter(parameter: Parameter) -> inspect.Parameter:
    option, kind, default = parameter.option, parameter.type, parameter.default
    if option.argument:
        return _keyword(parameter.name, Annotated[kind, typer.Argument(help=option.help)])
    flags = option.flags or (f"--{parameter.name.replace('_', '-')}",)
    metavar = option.metavar
    if get_origin(kind) is tuple:
        kind, default = list[get_args(kind)[0]], list(default)  # type: ignore[misc]
    elif takes_day(parameter):
        kind, metavar = str | None, metavar or "YYYY-MM-DD"
    shown = typer.Option(*flags, help=option.help, metavar=metavar, min=option.least)
    return _keyword(parameter.name, Annotated[kind, shown], default)


def _value(parameter: Parameter, given: Any) -> Any:
    """Convert a value from Typer to the type that the command's function takes."""
    if get_origin(parameter.type) is tuple:
        return tuple(given)
    if takes_day(parameter):
        flag = parameter.option.flags[0] if parameter.option.flags else f"--{parameter.name}"
        return day_from(given, option=flag)
    return given


def _write_page(result: Result, output: Path | None) -> None:
    """Write the result's page to ``output``, if both are given."""
    page = result.html() or result.page()
    if output is None or page is None:
        return
    write_page(page, output)
    typer.echo(f"wrote {output}", err=True)
