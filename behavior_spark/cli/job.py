"""Entry points for schedulers: a failure raises, where the command line gives an exit code."""

from __future__ import annotations

import sys

from behavior_spark.cli.main import app


def run_job(command: str) -> None:
    """Run a command with the arguments of this process, and return when it is done.

    What ``jobs/*.py`` call.

    Raises:
        BehaviorError: The command failed; the scheduler then marks the job as failed.
    """
    app(args=[command, *sys.argv[1:]], standalone_mode=False)


def main() -> None:
    """Entry point ``behavior-spark-job``: ``behavior-spark`` that ends no process.

    A wheel task of Databricks runs an entry point inside a process of its own, which
    ``sys.exit`` would end.

    Raises:
        BehaviorError: The command failed.
        Exception: As the command line itself: a usage error, a fault.
    """
    app(args=sys.argv[1:], standalone_mode=False)
