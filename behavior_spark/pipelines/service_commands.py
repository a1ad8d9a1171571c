"""Commands for customer service: make the queue of a night; export it."""

from __future__ import annotations

from typing import Annotated, Unpack

from behavior_spark.config import Service, Settings
from behavior_spark.errors import ConfigError
from behavior_spark.pipelines.uses.service import service_stage
from behavior_spark.pipelines.uses.service_export import export_queue_stage
from behavior_spark.runs.commands import ExportFile, Option, Place, command
from behavior_spark.runs.result import Result
from behavior_spark.runs.run import running


@command(stages=(service_stage,))
def service(settings: Settings, **place: Unpack[Place]) -> Result:
    """Put the texts that came in into queues: need, urgency, past cases and an approved answer.

    Needs `service:` in the config. A part of nightly; by itself after the section or the answers
    were changed. Writes the table service_queue of --as-of anew. Run score-texts for this day
    first.

    Raises:
        ConfigError: The config has no section ``service``.
    """
    with running("service", settings, **place) as run:
        service_stage(run, _section(settings))
        return Result.of_run(run)


@command(stages=(export_queue_stage,))
def service_queue(
    settings: Settings,
    *,
    output: ExportFile,
    queue: Annotated[str | None, Option("One queue; otherwise all.", metavar="NAME")] = None,
    **place: Unpack[Place],
) -> Result:
    """Export the service queue of a night, in the order in which to answer.

    Texts are as they are stored: cleaned, personal data masked. Suggested answers are those that
    the team has approved, word by word.
    """
    with running("service-queue", settings, record=False, **place) as run:
        export_queue_stage(run, queue, output=output)
        return Result.of_run(run)


def _section(settings: Settings) -> Service:
    if settings.service is None:
        raise ConfigError(
            "there is no queue to make",
            found="the config has no section service",
            fix="add `service: {}` to it; docs/service.md says what it can hold",
        )
    return settings.service
