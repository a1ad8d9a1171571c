"""Commands for audiences: choose and measure them; export one."""

from __future__ import annotations

from typing import Annotated, Literal, Unpack

from behavior_spark.config import Settings
from behavior_spark.errors import ConfigError
from behavior_spark.pipelines.uses.audience_export import export_audience_stage
from behavior_spark.pipelines.uses.audience_results import measure_audiences_stage
from behavior_spark.pipelines.uses.audiences import audiences_stage
from behavior_spark.runs.commands import ExportFile, Option, Place, command
from behavior_spark.runs.result import Result
from behavior_spark.runs.run import running


@command(stages=(audiences_stage, measure_audiences_stage))
def audiences(
    settings: Settings,
    *,
    measure_only: Annotated[
        bool, Option("Choose nobody; only measure audiences whose horizon has passed.")
    ] = False,
    **place: Unpack[Place],
) -> Result:
    """Choose the members of each audience, and measure those whose horizon has passed.

    A part of nightly; by itself after audiences were changed in the config. Run predict for
    --as-of first.
    """
    with running("audiences", settings, **place) as run:
        if not measure_only:
            audiences_stage(run)
        measure_audiences_stage(run)
        return Result.of_run(run)


@command(stages=(export_audience_stage,))
def audience(
    settings: Settings,
    name: Annotated[str, Option("Name of the audience.", argument=True)],
    *,
    output: ExportFile,
    arm: Annotated[
        str, Option("Members to export: reached, holdout or all.", metavar="ARM")
    ] = "reached",
    plain: Annotated[
        bool,
        Option("E-mail and phone as they are in sources.contacts; otherwise their SHA-256 alone."),
    ] = False,
    **place: Unpack[Place],
) -> Result:
    """Export the members of an audience for a mail or ad tool, as CSV, Excel or Parquet.

    Contacts are those of sources.contacts: e-mail addresses and phone numbers in the form that ad
    platforms compare, as SHA-256. Who has withdrawn his consent since is left out.
    """
    if arm not in ("reached", "holdout", "all"):
        raise ConfigError(f"--arm {arm}", fix="give one of reached, holdout, all")
    chosen: Literal["reached", "holdout", "all"] = arm  # type: ignore[assignment]
    with running("audience", settings, record=False, **place) as run:
        export_audience_stage(run, name, output=output, arm=chosen, plain=plain)
        return Result.of_run(run)
