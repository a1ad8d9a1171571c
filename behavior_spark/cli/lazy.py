"""The group of all commands; the declared commands are imported only when needed."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperGroup


class LazyGroup(TyperGroup):
    """Commands of ``cli.main``, which need no Spark, followed by those of ``cli.declared``.

    So ``doctor`` runs even if pyspark is missing, and reports that.
    """

    _own: dict[str, Any]
    _all: dict[str, Any] | None = None

    @property  # type: ignore[override]
    def commands(self) -> dict[str, Any]:
        """Every command by name, in the order of ``--help``."""
        if self._all is None:
            from behavior_spark.cli.declared import declared_app

            declared: Any = typer.main.get_group(declared_app())
            self._all = self._own | dict(declared.commands)
        return self._all

    @commands.setter
    def commands(self, own: dict[str, Any]) -> None:
        self._own = dict(own)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        """The command with this name; those of ``cli.main`` import nothing else."""
        return self._own.get(cmd_name) or self.commands.get(cmd_name)

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
        """Names for ``--help``; without pyspark only the commands of ``cli.main``."""
        try:
            return list(self.commands)
        except ModuleNotFoundError as error:
            typer.echo(f"{error.name} is not installed: only some commands are listed", err=True)
            return list(self._own)
