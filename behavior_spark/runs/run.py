"""A run of a command: its session, warehouse, times, stage results and row in ``runs``."""

from __future__ import annotations

import datetime as dt
import json
import platform
import re
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from importlib import metadata
from typing import Any, Literal

from pyspark.sql import SparkSession
from rich.console import Console

from behavior_spark import __version__
from behavior_spark.config import Settings, parse_override
from behavior_spark.errors import BehaviorError
from behavior_spark.io.failures import explain, from_spark
from behavior_spark.io.session import spark_session
from behavior_spark.io.small_data import interpreted
from behavior_spark.io.warehouse import Warehouse
from behavior_spark.runs.commands import COMMANDS, Command
from behavior_spark.runs.past import PastRuns, past_runs
from behavior_spark.runs.stages import StageResult
from behavior_spark.schemas import RUNS, Contract

# Keys whose values are secrets, in our config, in options of sources and in Spark's settings.
_SECRET = re.compile(r"passw|secret|token|credential|account\.key|sasl|[._\-]key$", re.IGNORECASE)


@dataclass
class SourceCounts:
    """Row counts of one contract in one run: in = out + duplicates + refused.

    ``rows_in`` is counted where the source is read, the other counts where rows are written or
    dropped. So the equation is a real check and does not hold by definition.
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
        """Whether in = out + duplicates + refused."""
        return self.rows_in == self.rows_out + self.duplicates + self.refused

    @property
    def line(self) -> str:
        """The counts in one line."""
        line = (
            f"{self.table_name}: {self.rows_in:,} in = {self.rows_out:,} out"
            f" + {self.duplicates:,} duplicates + {self.refused:,} refused"
        )
        if self.without_user:
            line += f"; {self.without_user:,} without a user"
        if self.not_yet:
            line += f"; {self.not_yet:,} not before as_of"
        return line if self.balanced else f"{line} (DOES NOT ADD UP)"


@dataclass
class Run:
    """One run of a command, with everything that a stage needs.

    Attributes:
        command: Name of the command.
        settings: The job's settings.
        as_of: Only data known before this day's 00:00 UTC is used.
        spark: Session to work in.
        warehouse: Tables to read and write.
        console: Where progress is shown (standard error).
        run_id: Key of its row in ``runs``.
        started_at: UTC.
        declared: Names of the stages that the command has declared, in order; None: any.
        results: Results of the stages so far, in order.
        sources: Row counts of each contract that was read: in = out + duplicates + refused.
        steps: Seconds of each step.
        notes: Notes for the user.
        ingested_from: First arrival day that was read; None: all.
        inputs: What a night was made from, as a digest; None if that cannot be known.
        status: How the run ends if nothing fails.
        recorded: Whether it has a row in ``runs``.
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
    inputs: str | None = None
    status: Literal["done", "unchanged"] = "done"
    recorded: bool = True
    _reached: dict[str, dt.date] = field(default_factory=dict)
    _entered: int = 0

    @property
    def parallelism(self) -> int:
        """Number of tasks worth starting at once: the session's shuffle partitions."""
        partitions = self.spark.conf.get("spark.sql.shuffle.partitions") or ""
        return int(partitions) if partitions.isdigit() else 200  # "auto" on Databricks

    @cached_property
    def past(self) -> PastRuns:
        """What earlier runs have done, as it was when first asked."""
        return past_runs(self.warehouse, self.as_of)

    def enter(self, name: str) -> None:
        """Mark the start of a stage.

        Raises:
            RuntimeError: The command has not declared this stage, or not at this point of the
                order: a bug in this package.
        """
        if self.declared is None:
            return
        if name not in self.declared[self._entered :]:
            raise RuntimeError(f"{self.command} has not declared the stage {name!r} here")
        self._entered = self.declared.index(name, self._entered) + 1

    def plans_over(self, tables: Sequence[Contract]) -> AbstractContextManager[None]:
        """A block in which plans suit the size of these tables; see ``io.small_data``."""
        return interpreted(self.spark, where=bool(tables) and self.warehouse.are_small(tables))

    def mark_reached(self, product: Contract, day: dt.date) -> None:
        """Record the day that a product's table reaches after this run's build; see ``builds``."""
        self._reached[product.name] = day

    def reached(self, product: Contract) -> dt.date | None:
        """The day that a product's table reaches; None if this run has not built it."""
        return self._reached.get(product.name)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Measure the time of the block, tag its Spark jobs, and show its progress.

        Spark's pages and event log show the tag (``spark.job.tags``), and ``interruptTag`` ends
        what has it.
        """
        start = time.monotonic()
        with self.console.status(f"{name} ..."), _tagged(self.spark, f"{self.command}: {name}"):
            if not self.console.is_terminal:
                self.console.print(f"{name} ...")
            yield
        self.steps[name] = round(time.monotonic() - start, 3)
        self.console.print(f"[green]✓[/] {name} [dim]{self.steps[name]:.1f} s[/]")

    def say(self, message: str) -> None:
        """Show a line of progress."""
        self.console.print(f"  {message}", markup=False, highlight=False, soft_wrap=True)

    def note(self, message: str) -> None:
        """Show a note for the user, and repeat it in the summary."""
        self.notes.append(message)
        self.say(message)


@contextmanager
def _tagged(spark: SparkSession, tag: str) -> Iterator[None]:
    tag = tag.replace(",", " ")  # which separates tags
    spark.addTag(tag)
    try:
        yield
    finally:
        spark.removeTag(tag)


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
    """Open a run, and write its row to ``runs`` whether it succeeds or fails.

    Args:
        command: Name of the command.
        settings: The job's settings.
        as_of: The run's as_of. Default: today (UTC).
        spark: A session to use. Default: the platform's session, or a local one.
        console: For progress. Default: standard error.
        record: Whether to write a row to ``runs``; False for commands that only read.

    Raises:
        BehaviorError: The block failed with such an error, or with one of Spark's, which is
            translated so that it holds no content of rows. Other exceptions are raised unchanged.
    """
    console = console or Console(stderr=True)
    declared = COMMANDS.get(command)
    with spark_session(
        settings.spark,
        name=f"{settings.name}: {command}",
        given=spark,
        models=_worker_models(settings, declared),
    ) as session:
        run_id = uuid.uuid4().hex
        warehouse = Warehouse(session, settings.warehouse, writer=run_id)
        day = as_of or utc_today()
        run = Run(command, settings, day, session, warehouse, console, run_id, recorded=record)
        if declared is not None:
            run.declared = tuple(stage.name for stage in declared.stages)
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
            _record(run, status=run.status, error=None)


def _worker_models(settings: Settings, command: Command | None) -> tuple[str, ...]:
    if command is None:
        return settings.worker_models()
    if not command.torch_in_workers:
        return ()
    language = any("language" in stage.models for stage in command.stages)
    return settings.worker_models(language=language)


def _record(run: Run, *, status: str, error: str | None) -> None:
    row = {
        "run_id": run.run_id, "command": run.command, "as_of": run.as_of,
        "started_at": run.started_at,
        "seconds": round((dt.datetime.now(dt.UTC) - run.started_at).total_seconds(), 3),
        "status": status, "error": error, "sources": [vars(counts) for counts in run.sources],
        "stages": run.steps,
        "figures": {
            name: float(value) for result in run.results for name, value in result.figures.items()
        },
        "models": {
            name: digest for result in run.results for name, digest in result.models.items()
        },
        "config": redacted(run.settings), "versions": versions(),
        "ingested_from": run.ingested_from,
        "balanced": all(counts.balanced for counts in run.sources), "inputs": run.inputs,
    }  # fmt: skip
    try:
        with interpreted(run.spark):
            run.warehouse.append(run.warehouse.frame(RUNS, [row]), RUNS)
    except Exception as failure:
        if status != "failed":
            raise
        kind = type(failure).__name__
        run.console.print(f"[yellow]the failed run could not be recorded: {kind}[/]")


def redacted(settings: Settings) -> str:
    """Settings as JSON, with secrets replaced by ``***``."""
    tree = settings.model_dump(mode="json", by_alias=True)
    return json.dumps(_without_secrets(tree), sort_keys=True)


def without_secret(override: str) -> str:
    """An override ``key=value`` as it may be shown: with ``***`` where the value is a secret.

    >>> without_secret("privacy.pseudonymise_key=hush"), without_secret("text.max_length=64")
    ('privacy.pseudonymise_key=***', 'text.max_length=64')
    """
    tree = parse_override(override)
    return override if _without_secrets(tree) == tree else f"{override.partition('=')[0]}=***"


def _without_secrets(value: Any, name: str = "") -> Any:
    if isinstance(value, dict):
        return {key: _without_secrets(child, key) for key, child in value.items()}
    if isinstance(value, list):
        return [_without_secrets(element, name) for element in value]
    return "***" if value and isinstance(value, str) and _SECRET.search(name) else value


def versions() -> dict[str, str]:
    """Versions of this package, of Python and of the main libraries, by name."""
    versions_by_name = {"behavior-spark": __version__, "python": platform.python_version()}
    for name in ("pyspark", "delta-spark", "torch", "transformers", "xgboost", "pyarrow", "pandas"):
        try:
            versions_by_name[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions_by_name
