"""Commands for audiences: choose and measure them; export one."""

from __future__ import annotations

from typing import Unpack

from behavior_spark.config import Settings
from behavior_spark.pipelines.uses.audience_results import measure_audiences_stage
from behavior_spark.pipelines.uses.audiences import audiences_stage
from behavior_spark.runs.commands import Place, command
from behavior_spark.runs.result import Result
from behavior_spark.runs.run import running


@command(stages=(audiences_stage, measure_audiences_stage))
def audiences(settings: Settings, **place: Unpack[Place]) -> Result:
    """Choose the members of each audience, and measure those whose horizon has passed.

    A part of nightly; by itself after audiences were changed in the config. Run predict for
    --as-of first.
    """
    with running("audiences", settings, **place) as run:
        audiences_stage(run)
        measure_audiences_stage(run)
        return Result.of_run(run)
