"""``check`` and a night on a real log in a session as users have it, what came later, its report.

Prints one line of JSON. Started by test_real_logs.py in a process of its own: the code that Spark
generates for so many rows is hot, and the suite's session would compile it a second time.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import sys
from dataclasses import asdict

from rich.console import Console

from behavior_spark.config import load_settings
from behavior_spark.io.session import spark_session
from behavior_spark.pipelines import commands, report_commands
from behavior_spark.pipelines.reports.outcomes import Reported

QUIET = Console(quiet=True)


def main(config: str, as_of: dt.date, later: dt.date, overrides: list[str]) -> None:
    settings = load_settings([config], overrides=overrides, environment=dict(os.environ))
    # What is checked is the config as it stands, but for the place of its warehouse.
    place = f"warehouse={settings.warehouse.path}"
    whole = load_settings([config], overrides=[place], environment=dict(os.environ))
    with spark_session(settings.spark, name="real log", models=settings.worker_models()) as spark:
        checked = commands.check(whole, spark=spark, console=QUIET)
        night = commands.nightly(settings, as_of=as_of, spark=spark, console=QUIET)
        after = commands.ingest(settings, as_of=later, spark=spark, console=QUIET)
        report = report_commands.report(settings, as_of=as_of, spark=spark, console=QUIET)
    outcomes = {
        outcome.target: {
            "users": outcome.users,
            "auc": outcome.measured["AUC"].value,
            "baselines": {name: value.value for name, value in outcome.baselines.items()},
            "gains": {name: [gain.low, gain.high] for name, gain in outcome.gains.items()},
        }
        for outcome in report.of(Reported).outcomes
    }
    found = {
        "notes_of_check": checked.notes,
        "figures": dict(night.figures),
        "sources": [[asdict(source) for source in read.sources] for read in (night, after)],
        "outcomes": outcomes,
    }
    print(json.dumps(found, default=str))  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1], *map(dt.date.fromisoformat, sys.argv[2:4]), sys.argv[4:])
