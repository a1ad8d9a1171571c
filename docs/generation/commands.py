"""The command reference, from the tree of commands that Typer makes of the application.

Typer brings a Click of its own, or uses Click, by its version: only what both have is read.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer

from behavior_spark.cli.main import app
from docs.generation.markdown import code, markdown_table, plain

PROGRAM = "behavior-spark"
INTRODUCTION = f"""# Commands

`{PROGRAM} COMMAND --help` shows the same in the terminal. Exit codes: 0 done, 2 to be mended first
(input, config, model, setup), 1 anything else; [more](../where-it-runs.md). Commands that a
schedule runs have a job file in `jobs/`, and a function of the same name in
`behavior_spark.pipelines`.

This page is generated from the command line itself.
"""


def commands_page(application: typer.Typer = app) -> str:
    """The page: an overview, then one heading a command."""
    commands = list(walk_commands(typer.main.get_command(application), ()))
    rows = [[f"[{name}](#{anchor(name)})", plain(_summary(command))] for name, command in commands]
    overview = markdown_table(["command", "what it does"], rows)
    sections = [_section(name, command) for name, command in commands]
    return "\n\n".join([INTRODUCTION, overview, *sections]) + "\n"


def walk_commands(command: Any, path: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    """Every command below one, in order, with its words: ``("features describe", command)``."""
    for name, below in getattr(command, "commands", {}).items():
        if getattr(below, "hidden", False):
            continue
        if getattr(below, "commands", None):
            yield from walk_commands(below, (*path, name))
        else:
            yield " ".join((*path, name)), below


def anchor(name: str) -> str:
    """Anchor of a command's heading.

    >>> anchor("features describe")
    'features-describe'
    """
    return name.replace(" ", "-")


def _help(command: Any) -> str:
    return "\n".join(line.strip() for line in (command.help or "").splitlines()).strip()


def _summary(command: Any) -> str:
    return _help(command).split("\n\n")[0].replace("\n", " ")


def _section(name: str, command: Any) -> str:
    visible = [each for each in command.params if not getattr(each, "hidden", False)]
    usage = " ".join([PROGRAM, name, *[_usage(each) for each in visible if each.required]])
    parts = [f"## {name} {{ #{anchor(name)} }}", f"```text\n{usage} [OPTIONS]\n```",
             plain(_help(command))]  # fmt: skip
    rows = [[_spelling(each), _default(each), plain(each.help or "")] for each in visible]
    if rows:
        parts.append(markdown_table(["option", "default", "meaning"], rows))
    return "\n\n".join(parts)


def _is_argument(parameter: Any) -> bool:
    return not parameter.opts[0].startswith("-")


def _value(parameter: Any) -> str:
    """What stands for the value of an option: nothing for a flag."""
    if getattr(parameter, "is_flag", False):
        return ""
    return str(parameter.metavar or parameter.name.strip("_").upper())


def _usage(parameter: Any) -> str:
    if _is_argument(parameter):
        return parameter.name.upper()  # type: ignore[no-any-return]
    return f"{parameter.opts[0]} {_value(parameter)}".strip()


def _spelling(parameter: Any) -> str:
    if _is_argument(parameter):
        return code(parameter.name.upper())
    names = [*parameter.opts, *parameter.secondary_opts]
    spelled = ", ".join(code(f"{name} {_value(parameter)}".strip()) for name in names[:1])
    return ", ".join([spelled, *[code(name) for name in names[1:]]])


def _default(parameter: Any) -> str:
    if parameter.required:
        return "**required**"
    default = parameter.default
    if callable(default) or default in (None, "", [], ()) or default is False:
        return ""
    return code(default)
