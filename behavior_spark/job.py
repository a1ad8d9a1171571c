"""A job in a notebook: one object with its commands, its tables and SQL."""

from __future__ import annotations

import datetime as dt
import inspect
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import wraps
from pathlib import Path
from types import TracebackType
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from rich.console import Console

from behavior_spark.config import Settings, load_settings, validate_settings
from behavior_spark.config.days import day_from
from behavior_spark.errors import ConfigError, InputError
from behavior_spark.io.session import get_session, utc
from behavior_spark.io.warehouse import Warehouse
from behavior_spark.pipelines import similar_to, text_functions
from behavior_spark.pipelines.demonstration import demo, demo_settings
from behavior_spark.pipelines.report_commands import frame_of
from behavior_spark.report.pictures import Kind, Picture, draw_picture
from behavior_spark.runs.commands import COMMANDS, Command, takes_day
from behavior_spark.runs.result import Result
from behavior_spark.schemas import TABLES, USER_PROPENSITY
from behavior_spark.scoring.functions import TextFunctions

MOST_DRAWN = 500


def open_job(
    config: str | Path | Mapping[str, Any] | Settings | Sequence[str | Path],
    *,
    overrides: Sequence[str] = (),
    spark: SparkSession | None = None,
) -> Job:
    """A job by its config; ``behavior_spark.open``.

    Args:
        config: A YAML file, several of which later ones win, the same as a mapping, or settings.
        overrides: ``key.sub=value`` pairs, as of ``--set``; for files.
        spark: A session. Default: the active one or the platform's, else a local one with Delta.

    Raises:
        ConfigError: A file, a key or a value is wrong.
        SetupError: A local session is needed and there is no supported JDK.
    """
    if isinstance(config, Settings):
        return Job(config, spark)
    if isinstance(config, Mapping):
        return Job(validate_settings(config), spark)
    paths = [config] if isinstance(config, str | Path) else list(config)
    return Job(load_settings(paths, overrides=overrides), spark)


def open_demo(folder: str | Path | None = None, *, make: bool = False) -> Job:
    """The job of the demo, for notebooks; ``behavior_spark.open_demo``.

    Args:
        folder: The demo's folder, which all workers can read. Default: the environment's
            ``DEMO_ROOT``, else ``build/demo``.
        make: Generate the demo where it is not there yet, which takes some minutes.

    Raises:
        InputError: The demo is not there.
    """
    root = Path(folder or os.environ.get("DEMO_ROOT", "build/demo"))
    job = Job(demo_settings(root))
    if make and not root.exists():
        demo(root, spark=job.spark)
    elif not len(job.tables):
        raise InputError(
            "the demo's tables are not there",
            found=f"none below {root}",
            fix=f"run `behavior-spark demo --output {root}`, or the notebook 01_first_night",
        )
    return job


def show(frame: DataFrame) -> None:
    """Print the first 40 rows of a frame; for notebooks without Databricks' ``display``."""
    frame.show(40, truncate=100)


def picture(
    frame: DataFrame,
    *,
    title: str,
    x: str,
    y: str,
    series: str | None = None,
    kind: Kind = "bars",
    form: str = ",.0f",
) -> Picture:
    """A small frame as a chart with its numbers, for notebooks; ``behavior_spark.picture``.

    At most 500 rows are read: sums, not tables. Needs the extra ``report``.

    Args:
        frame: Sums by name or day, in the order in which they are to be drawn.
        title: What is shown.
        x: Column of the bars' names; of lines and stacks, days or numbers.
        y: Column of the values.
        series: Column of the names of lines or of the parts of stacks; at most six.
        kind: ``bars`` across, ``lines``, or ``stacks`` of bars over days.
        form: d3 format of the values.

    Raises:
        ConfigError: There are too many rows or series, or no such column.
        SetupError: The extra is not installed.
    """
    rows = frame.limit(MOST_DRAWN + 1).toPandas()
    if len(rows) > MOST_DRAWN:
        raise ConfigError(
            "too many rows for a picture",
            found=f"more than {MOST_DRAWN}",
            fix="draw sums: group the frame first",
        )
    return draw_picture(rows, title=title, x=x, y=y, series=series, kind=kind, form=form)


class Job:
    """A job: every command is a method, every table a DataFrame.

    Methods are those of the command line with ``_`` for ``-``, such as ``nightly``, ``check``,
    ``report`` and ``plan``, with the same options; ``help(job.nightly)`` explains one. Days are
    dates or texts such as "2024-05-31". Each returns a ``Result``, which a notebook shows as
    tables. A run is recorded in ``runs``, failed or not.

    The session's time zone is UTC until ``close``, so that days are those of the tables. In a
    ``with`` statement the job closes itself.

    Example::

        shop = behavior_spark.open("mine.yaml")
        shop.nightly(as_of="2024-05-31")
        shop.predictions("purchase_30d").show()
        shop.sql("SELECT segment, count(*) FROM user_profile GROUP BY segment")

    Attributes:
        settings: The validated config.
        spark: The session.
        tables: Each table that exists, by its name; read when it is asked for.
    """

    def __init__(self, settings: Settings, spark: SparkSession | None = None) -> None:
        self.settings = settings
        self.spark, ours = (
            (spark, False) if spark is not None
            else get_session(settings.spark, name=settings.name, models=settings.worker_models())
        )  # fmt: skip
        self._at_end = ExitStack()
        if ours:
            self._at_end.callback(self.spark.stop)
        self._at_end.enter_context(utc(self.spark))
        self._warehouse = Warehouse(self.spark, settings.warehouse)
        self.tables = StoredTables(self._warehouse)

    def sql(self, query: str, *, as_of: str | dt.date | None = None) -> DataFrame:
        """A query over the job's tables, each a view of its name, as a DataFrame.

        Args:
            query: Spark SQL; it may use ``embed_text`` and ``classify_text``.
            as_of: Of these functions: heads that learned from labels of this day or later are
                left out. Default: today (UTC).

        Raises:
            ConfigError: The query is not valid; the message says where.
        """
        return frame_of(self._warehouse, self.settings, query, as_of=_day(as_of, "as_of"))

    def predictions(
        self, target: str | None = None, *, as_of: str | dt.date | None = None
    ) -> DataFrame:
        """Rows of ``user_propensity`` of a night, the highest score first.

        Args:
            target: Only of this target; by default of all.
            as_of: The night; by default the last one with predictions of the target.

        Raises:
            ConfigError: There is no such target.
            InputError: Nobody was predicted yet.
        """
        targets = self.settings.targets
        if target is not None and target not in targets:
            raise ConfigError(
                f"there is no target {target!r}",
                found=f"targets: {', '.join(targets) or 'none'}",
                fix="take one of these, or add it to the config",
            )
        rows = self._warehouse.require(USER_PROPENSITY, made_by="nightly")
        if target is not None:
            rows = rows.where(F.col("target") == F.lit(target))
        day = _day(as_of, "as_of")
        night = rows.agg(F.max("as_of").alias("as_of")) if day is None else None
        rows = (
            rows.join(F.broadcast(night), "as_of", "left_semi")
            if night is not None
            else rows.where(F.col("as_of") == F.lit(day))
        )
        return rows.orderBy("target", F.desc_nulls_last("score"), "user_id")

    def similar(
        self, texts: str | Sequence[str], *, k: int = 10, as_of: str | dt.date | None = None
    ) -> DataFrame:
        """Stored texts nearest in meaning to texts; see ``pipelines.similar_to``."""
        wanted = [texts] if isinstance(texts, str) else texts
        day = _day(as_of, "as_of")
        return similar_to(self.settings, wanted, k=k, as_of=day, spark=self.spark)

    def text_functions(self, *, as_of: str | dt.date | None = None) -> TextFunctions:
        """``embed_text`` and ``classify_text`` for columns of any DataFrame of the session.

        Args:
            as_of: Heads that learned from labels of this day or later are left out. Default:
                today (UTC).
        """
        return text_functions(self.settings, as_of=_day(as_of, "as_of"), spark=self.spark)

    def close(self) -> None:
        """Stop the session if it was made here, else give it its time zone back."""
        self._at_end.close()

    def __enter__(self) -> Job:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __getattr__(self, name: str) -> Callable[..., Result]:
        declared = COMMANDS.get(name.replace("_", "-"))
        if declared is None or name.startswith("_"):
            raise AttributeError(f"a job has no {name!r}; it has {', '.join(_public(self))}")
        return self._method(declared)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *(name.replace("-", "_") for name in COMMANDS)})

    def __repr__(self) -> str:
        place = self.settings.warehouse.schema_ or self.settings.warehouse.path
        return f"Job({self.settings.name!r}, tables in {place})"

    def _method(self, declared: Command) -> Callable[..., Result]:
        days = {p.name for p in declared.parameters if takes_day(p)} | {"as_of"}

        @wraps(declared.function)
        def method(*args: Any, **options: Any) -> Result:
            given = {n: _day(v, n) if n in days else v for n, v in options.items()}
            if declared.answers:
                given.setdefault("console", Console(stderr=True, quiet=True))
            result: Result = declared.function(self.settings, *args, spark=self.spark, **given)
            return result

        signature = inspect.signature(declared.function)
        own = [p for p in signature.parameters.values() if p.name != "settings"]
        method.__signature__ = signature.replace(parameters=own)  # type: ignore[attr-defined]
        return method


class StoredTables(Mapping[str, DataFrame]):
    """The tables that a job has written, by name.

    Args:
        warehouse: Where they are.
    """

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse

    def __getitem__(self, name: str) -> DataFrame:
        contract = TABLES.get(name)
        if contract is None or not self._warehouse.exists(contract):
            there = ", ".join(self) or "none yet: run `nightly`"
            raise KeyError(f"there is no table {name!r}; there are: {there}")
        return self._warehouse.read(contract)

    def __iter__(self) -> Iterator[str]:
        return (contract.name for contract in self._warehouse.existing())

    def __len__(self) -> int:
        return len(self._warehouse.existing())

    def __repr__(self) -> str:
        return f"tables: {', '.join(self) or 'none yet'}"


def _day(value: str | dt.date | None, name: str) -> dt.date | None:
    return day_from(value, option=name) if isinstance(value, str) else value


def _public(job: Job) -> list[str]:
    return [name for name in dir(job) if not name.startswith("_")]
