"""A run: its session, its warehouse, its clock, its stages' results and how it ended."""

from __future__ import annotations

import datetime as dt
import json
import platform
import re
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any

from pyspark.sql import Column, SparkSession
from pyspark.sql import functions as F
from rich.console import Console

from behavior_spark import __version__
from behavior_spark.config import Settings
from behavior_spark.errors import BehaviorError
from behavior_spark.io.failures import explain, from_spark
from behavior_spark.io.session import spark_session
from behavior_spark.io.warehouse import Warehouse
from behavior_spark.runs.commands import COMMANDS
from behavior_spark.runs.stages import StageResult
from behavior_spark.schemas import RUNS

# Keys whose values are secrets: ours, and those of readers and of Spark's own settings.
_SECRET = re.compile(r"passw|secret|token|credential|account\.key|sasl|[._\-]key$", re.IGNORECASE)


@dataclass
class SourceCounts:
    """Rows of one contract in one run: in = out + duplicates + refused.

    ``rows_in`` is counted where the source is read, the others where rows leave, so
    that the sum is a check and not a definition.
    """

    table_name: str
    rows_in: int = 0
    rows_out: int = 0
    duplicates: int = 0
    refused: int = 0
    without_user: int = 0
    not_yet: int = 0

    @property
    def balanced(self) -> bool:
        """Whether every row is accounted for."""
        return self.rows_in == self.rows_out + self.duplicates + self.refused


@dataclass
class Run:
    """One run of a command, and everything a stage needs.

    Attributes:
        command: Name of the command.
        settings: The job's settings.
        as_of: The night: only what was known before its 00:00 UTC is seen.
        spark: Session to work in.
        warehouse: Tables to read and write.
        console: Where progress is shown (standard error).
        run_id: Key of its row in ``runs``.
        started_at: UTC.
        declared: Names of the stages that the command has declared, in order; None: any.
        results: What each stage gave so far, in order.
        sources: Rows of each contract that was read: in = out + duplicates + refused.
        steps: Seconds of each step.
        notes: What the reader should know.
        ingested_from: First arrival day that was read; None: all.
        reached: The day that a product's table reaches after this run's build; see ``builds``.
    """

    command: str
    settings: Settings
    as_of: dt.date
    spark: SparkSession
    warehouse: Warehouse
    console: Console
    run_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    started_at: dt.datetime = field(default_factory=lambda: dt.datetime.now(dt.UTC))
    declared: tuple[str, ...] | None = None
    results: list[StageResult] = field(default_factory=list)
    sources: list[SourceCounts] = field(default_factory=list)
    steps: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    ingested_from: dt.date | None = None
    reached: dict[str, dt.date] = field(default_factory=dict)
    _entered: int = 0

    @property
    def parallelism(self) -> int:
        """Tasks worth starting at once: the session's shuffle partitions."""
        asked = self.spark.conf.get("spark.sql.shuffle.partitions") or ""
        return int(asked) if asked.isdigit() else 200  # Databricks knows "auto"

    def enter(self, name: str) -> None:
        """Begin a stage.

        Raises:
            RuntimeError: The command has not declared it, or not here: a fault of the program.
        """
        if self.declared is None:
            return
        if name not in self.declared[self._entered :]:
            raise RuntimeError(f"{self.command} has not declared the stage {name!r} here")
        self._entered = self.declared.index(name, self._entered) + 1

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time a part of the work and say that it runs."""
        start = time.monotonic()
        with self.console.status(f"{name} ..."):
            if not self.console.is_terminal:
                self.console.print(f"{name} ...")
            yield
        self.steps[name] = round(time.monotonic() - start, 3)
        self.console.print(f"[green]✓[/] {name} [dim]{self.steps[name]:.1f} s[/]")

    def say(self, message: str) -> None:
        """Show a line of progress."""
        self.console.print(f"  {message}", markup=False, highlight=False, soft_wrap=True)

    def note(self, message: str) -> None:
        """Show something the reader should know, and repeat it in the summary."""
        self.notes.append(message)
        self.say(message)


def utc_today() -> dt.date:
    """Today, UTC."""
    return dt.datetime.now(dt.UTC).date()


@contextmanager
def running(
    command: str,
    settings: Settings,
    *,
    as_of: dt.date | None = None,
    spark: SparkSession | None = None,
    console: Console | None = None,
    record: bool = True,
) -> Iterator[Run]:
    """Open a run, and write its row to ``runs`` however it ends.

    Args:
        command: Name of the command.
        settings: The job's settings.
        as_of: The night; today (UTC) by default.
        spark: A session to use; the platform's or a local one by default.
        console: For progress; standard error by default.
        record: Whether the run is stored (commands that only read are not).

    Raises:
        BehaviorError: Whatever went wrong, in words without any row's content.
    """
    console = console or Console(stderr=True)
    with spark_session(settings.spark, name=f"{settings.name}: {command}", given=spark) as session:
        warehouse = Warehouse(session, settings.warehouse)
        run = Run(command, settings, as_of or utc_today(), session, warehouse, console)
        if command in COMMANDS:
            run.declared = tuple(stage.name for stage in COMMANDS[command].stages)
        try:
            yield run
        except Exception as error:
            failure = explain(error, command)
            if record:
                _record(run, status="failed", error=str(failure))
            if isinstance(error, BehaviorError) or from_spark(error):
                raise failure from None
            raise
        if record:
            _record(run, status="done", error=None)


def _record(run: Run, *, status: str, error: str | None) -> None:
    row = (
        run.run_id, run.command, run.as_of, run.started_at,
        round((dt.datetime.now(dt.UTC) - run.started_at).total_seconds(), 3), status, error,
        [tuple(vars(counts).values()) for counts in run.sources],
        run.steps,
        {name: float(value) for done in run.results for name, value in done.figures.items()},
        {name: digest for done in run.results for name, digest in done.models.items()},
        redacted(run.settings), versions(), run.ingested_from,
        all(counts.balanced for counts in run.sources),
    )  # fmt: skip
    try:
        run.warehouse.append(run.spark.createDataFrame([row], RUNS.schema), RUNS)
    except Exception as failure:
        if status == "done":
            raise
        kind = type(failure).__name__
        run.console.print(f"[yellow]the failed run could not be recorded: {kind}[/]")


def redacted(settings: Settings) -> str:
    """Settings as JSON with the secrets removed."""
    tree = settings.model_dump(mode="json", by_alias=True)
    return json.dumps(_without_secrets(tree), sort_keys=True)


def _without_secrets(value: Any, name: str = "") -> Any:
    if isinstance(value, dict):
        return {key: _without_secrets(each, key) for key, each in value.items()}
    if isinstance(value, list):
        return [_without_secrets(each, name) for each in value]
    return "***" if value and isinstance(value, str) and _SECRET.search(name) else value


def versions() -> dict[str, str]:
    """Versions of the package and of what it runs on."""
    found = {"behavior-spark": __version__, "python": platform.python_version()}
    for name in ("pyspark", "delta-spark", "torch", "transformers", "xgboost", "pyarrow", "pandas"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def last_night_before(run: Run) -> dt.date | None:
    """The latest as_of before this one whose ingest was done; None when there is none."""
    return last_ingested(run, F.col("as_of") < F.lit(run.as_of))


def last_ingested(run: Run, among: Column | None = None) -> dt.date | None:
    """The latest as_of whose ingest was done, of the runs asked for; None when there is none."""
    done = run.warehouse.read(RUNS).where(
        (F.col("status") == "done") & F.col("command").isin("ingest", "nightly")
    )
    row = (done if among is None else done.where(among)).agg(F.max("as_of").alias("as_of")).first()
    return row["as_of"] if row else None
