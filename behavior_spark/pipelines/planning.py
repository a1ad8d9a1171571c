"""What a command would do: its stages in order, and where their tables and models are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Unpack

from rich.console import RenderableType

from behavior_spark.config import Settings
from behavior_spark.errors import ConfigError
from behavior_spark.io.table_place import table_location
from behavior_spark.report.tables import rows_table
from behavior_spark.runs.commands import COMMANDS, Option, Place, command
from behavior_spark.runs.result import Result
from behavior_spark.runs.run import utc_today
from behavior_spark.runs.stages import StageResult
from behavior_spark.schemas import Contract


@dataclass(frozen=True)
class PlannedStage:
    """A stage of a plan, with the names of its tables and the kinds of its models."""

    name: str
    does: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    models: tuple[str, ...]


@dataclass(frozen=True)
class Planned(StageResult):
    """What a command would do.

    Attributes:
        command: Name of the command.
        stages: Its stages in order.
        tables: Path or full name of each table that it reads or writes, by the table's name.
        models_folder: Folder of the models; None if it uses none.
    """

    command: str
    stages: tuple[PlannedStage, ...]
    tables: Mapping[str, str]
    models_folder: str | None

    @property
    def details(self) -> Mapping[str, Any]:
        """The plan as plain data."""
        return {
            "plan": [vars(stage) for stage in self.stages],
            "places": dict(self.tables),
            "models_folder": self.models_folder,
        }

    def blocks(self) -> list[RenderableType]:
        """A table of stages, and one of the places of tables and models."""
        stages = [
            {
                "stage": stage.name,
                "does": stage.does,
                "reads": ", ".join(stage.reads) or "-",
                "writes": ", ".join(stage.writes) or "-",
                "models": ", ".join(stage.models) or "-",
            }
            for stage in self.stages
        ]
        places = [{"table": name, "place": place} for name, place in self.tables.items()]
        if self.models_folder:
            places.append({"table": "models", "place": self.models_folder})
        return [
            rows_table(stages, title=f"{self.command}: {len(stages)} stages"),
            rows_table(places, title="places"),
        ]


@command(dated=False, answers=True)
def plan(
    settings: Settings,
    of: Annotated[str, Option("The command, such as nightly.", argument=True)],
    **place: Unpack[Place],
) -> Result:
    """Say what a command would do: its stages in order, their tables, their models.

    Reads no table and starts no Spark. A stage without work does not change its tables, such
    as score-texts without text.encoder or shadow without a challenger.
    """
    if of not in COMMANDS:
        raise ConfigError(
            f"there is no command {of!r}",
            found=f"the commands are {', '.join(COMMANDS)}",
            fix="give one of them, such as `behavior-spark plan nightly`",
        )
    declared = COMMANDS[of].stages
    used: dict[str, Contract] = {
        table.name: table for stage in declared for table in (*stage.reads, *stage.writes)
    }
    planned = Planned(
        command=of,
        stages=tuple(
            PlannedStage(
                stage.name,
                stage.does,
                tuple(table.name for table in stage.reads),
                tuple(table.name for table in stage.writes),
                stage.models,
            )
            for stage in declared
        ),
        tables={name: table_location(settings.warehouse, table) for name, table in used.items()},
        models_folder=settings.models_path if any(s.models for s in declared) else None,
    )
    return Result("plan", place.get("as_of") or utc_today(), results=(planned,))
