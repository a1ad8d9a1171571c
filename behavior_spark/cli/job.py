"""Entry point of ``jobs/*.py``: runs a command; a failure raises instead of an exit code."""

from __future__ import annotations

import sys

from behavior_spark.cli.main import app


def run_job(command: str) -> None:
    """Run a command with the arguments of this process, and return when it is done.

    Raises:
        BehaviorError: The command failed; the scheduler then marks the job as failed.
    """
    app(args=[command, *sys.argv[1:]], standalone_mode=False)
