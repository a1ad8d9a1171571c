"""Entry point of ``jobs/*.py``: the command's options, an exception instead of an exit code."""

from __future__ import annotations

import sys

from behavior_spark.cli.main import app


def run_job(command: str) -> None:
    """Run a command with the arguments of this process; returns when it is done.

    Raises:
        BehaviorError: As the command does; a scheduler marks the job as failed.
    """
    app(args=[command, *sys.argv[1:]], standalone_mode=False)
