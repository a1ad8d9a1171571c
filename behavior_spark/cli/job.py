"""Entry points for schedulers: the exit codes of the command line, or an exception."""

from __future__ import annotations

import os
import sys

from behavior_spark.cli.main import app, run

# Databricks runs a Python file inside a process of its own, and says so by this variable.
_INSIDE_ANOTHER_PROCESS = "DATABRICKS_RUNTIME_VERSION"


def run_job(command: str) -> None:
    """Run a command with the arguments of this process, and return when it is done.

    What ``jobs/*.py`` call. A failure ends the process as the command line would: with the error
    in three lines and the exit code 2 for bad input or config, 1 for anything else.

    Raises:
        SystemExit: The command failed; its code is the exit code.
        BehaviorError: The command failed on Databricks, where the process is not the job's to end.
    """
    arguments = [command, *sys.argv[1:]]
    if os.environ.get(_INSIDE_ANOTHER_PROCESS):
        app(args=arguments, standalone_mode=False)
        return
    if code := run(arguments):
        sys.exit(code)


def main() -> None:
    """Entry point ``behavior-spark-job``: ``behavior-spark`` that ends no process.

    A wheel task of Databricks runs an entry point inside a process of its own, which
    ``sys.exit`` would end.

    Raises:
        BehaviorError: The command failed.
        Exception: As the command line itself: a usage error, a fault.
    """
    app(args=sys.argv[1:], standalone_mode=False)
