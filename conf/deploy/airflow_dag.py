"""Every night of behavior_spark, by Airflow 3: copy this file into the folder of your DAGs.

Which day a night is: ``--as-of D`` sees what was known before D's 00:00 UTC. A run that is due on
D at 02:00 UTC is the night of D, so D is the UTC day of ``dag_run.run_after``: when the run was
due. That stays the same when the run starts late, is retried or is cleared a week later. ``ds`` is
not it: it is the logical date, with some timetables the day before, and a run that a person
triggers has none. Nor is the clock. For another day trigger the DAG with the parameter ``as_of``.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, Param
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

# `behavior-spark` makes a session on the worker's machine. On a cluster write instead
# "spark-submit --master ... jobs/nightly.py", as docs/deploying.md has it: in cluster mode
# Spark ends with 1 for every failure, so that bad input is retried too; in client mode codes are
# the same.
COMMAND = "behavior-spark nightly --config /etc/behavior_spark/mine.yaml"
BAD_INPUT = 2


class NightOperator(BashOperator):
    """A command whose exit code 2 (bad input or config) fails the task at once.

    Such a night fails again until a person mends it, so it must not be retried. It must not be
    skipped either, as ``skip_on_exit_code`` alone would have it: a skipped night looks like a good
    one. Any other code than 0 is retried: a night that was done in part goes on where it stood.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(skip_on_exit_code=BAD_INPUT, append_env=True, **options)

    def execute(self, context: Any) -> Any:
        """Run the command.

        Raises:
            AirflowFailException: It ended with 2.
            AirflowException: It ended with another code than 0.
        """
        try:
            return super().execute(context)
        except AirflowSkipException as skipped:
            raise AirflowFailException(
                "bad input or config (exit code 2): the command's last lines say what to mend"
            ) from skipped


with DAG(
    dag_id="behavior_spark_nightly",
    description="Ingest, score texts, build features, predict: the night before the run's day",
    # After midnight UTC, and after your last rows of the day have arrived.
    schedule="0 2 * * *",
    start_date=dt.datetime(2024, 1, 1, tzinfo=dt.UTC),
    # A night takes in all that arrived since the last one, so nights that were missed need not be
    # made up for; where their predictions are wanted, `airflow backfill create` makes them.
    catchup=False,
    # Two nights of one warehouse must not overlap.
    max_active_runs=1,
    params={
        "as_of": Param(
            None, type=["null", "string"], format="date",
            description="The night's day, YYYY-MM-DD; empty: the day on which the run is due",
        )
    },
    default_args={
        "retries": 2,
        "retry_delay": dt.timedelta(minutes=10),
        "execution_timeout": dt.timedelta(hours=8),
    },
    tags=["behavior_spark"],
) as dag:  # fmt: skip
    NightOperator(
        task_id="nightly",
        bash_command=COMMAND + " --as-of {{ params.as_of or dag_run.run_after | ds }}",
    )
