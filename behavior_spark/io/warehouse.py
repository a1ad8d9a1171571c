"""The warehouse: Delta tables, by path or in a catalog.

Every operation is SQL or a DataFrame write, so that it works under Spark Connect.
"""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property
from typing import Any

from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, DataFrameWriter, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType

from behavior_spark.config import WarehouseSettings
from behavior_spark.errors import InputError
from behavior_spark.io.conf import conf_meanwhile
from behavior_spark.io.day_range import DayRange
from behavior_spark.io.failures import spark_errors
from behavior_spark.io.history import Commit, Note, as_metadata, read_commits
from behavior_spark.io.local_folders import latest_version, local_folder
from behavior_spark.io.row_removal import removal_of
from behavior_spark.io.small_data import are_small, few_rows, interpreted, is_local_session
from behavior_spark.io.table_columns import fitted, missing_columns, widened
from behavior_spark.io.table_definition import column_definition
from behavior_spark.io.table_place import table_identifier, table_location
from behavior_spark.names import sql_text
from behavior_spark.schemas import TABLES, Contract


class Warehouse:
    """Reads and writes the tables of one job.

    Args:
        spark: Session to work in.
        settings: Folder or schema of the tables.
        writer: Recorded with each commit, such as the id of a run; by default a new one.
    """

    def __init__(
        self, spark: SparkSession, settings: WarehouseSettings, *, writer: str | None = None
    ) -> None:
        self.spark = spark
        self.settings = settings
        self._known: set[str] = set()
        self._writer = writer or uuid.uuid4().hex
        self._commits: dict[str, list[Commit]] = {}

    def location(self, contract: Contract) -> str:
        """Path or full name of a table."""
        return table_location(self.settings, contract)

    def identifier(self, contract: Contract) -> str:
        """The table's name in SQL."""
        return table_identifier(self.settings, contract)

    def exists(self, contract: Contract) -> bool:
        """Whether the table has been created."""
        if contract.name in self._known:
            return True
        try:
            _ = self._load(contract).schema
        except AnalysisException:
            return False
        self._known.add(contract.name)
        return True

    def read(self, contract: Contract) -> DataFrame:
        """The current table; a frame without rows if it does not exist yet.

        A column that a table of an earlier release lacks is null, here and wherever tables are
        read.
        """
        if not self.exists(contract):
            return self.empty(contract)
        return widened(self._load(contract), contract)

    def empty(self, contract: Contract) -> DataFrame:
        """A frame with the table's columns and no rows.

        Without the condition Spark would start Python workers to read rows from a list of none.
        """
        return self.spark.createDataFrame([], contract.schema).where("false")

    def frame(self, contract: Contract, rows: Sequence[Mapping[str, Any]]) -> DataFrame:
        """A few rows with the table's columns; a column that a row lacks is null.

        They go to Spark as JSON: of a list of rows Spark would start Python workers to read it.

        Args:
            contract: The table.
            rows: Values by column: plain Python's, days and times; a struct is a mapping.

        Raises:
            TypeError: A value is none of these.
        """
        listed = [{name: row.get(name) for name in contract.names} for row in rows]
        text = json.dumps(listed, default=_iso_time)
        parsed = F.from_json(F.lit(text), ArrayType(contract.schema), {"mode": "FAILFAST"})
        return self.spark.range(1).select(F.inline(parsed))

    def snapshot(self, contract: Contract) -> DataFrame:
        """The table at its current version, whatever is written to it later.

        A write that reads the table it writes to fails if another run commits in between. A write
        that reads a snapshot is a blind append to Delta, and never fails for this reason.
        """
        return self.at(contract, self.version(contract))

    def at(self, contract: Contract, version: int | None) -> DataFrame:
        """The table at a version; a frame without rows if the version is None."""
        if version is None:
            return self.empty(contract)
        reader = self.spark.read.format("delta").option("versionAsOf", version)
        place = self.location(contract)
        frame = reader.table(place) if self.settings.schema_ else reader.load(place)
        return widened(frame, contract)

    def require(self, contract: Contract, *, made_by: str) -> DataFrame:
        """The table.

        Raises:
            InputError: It does not exist; the message names the command that makes it.
        """
        if not self.exists(contract):
            raise InputError(
                f"table {contract.name} does not exist at {self.location(contract)}",
                fix=f"run `behavior-spark {made_by}` first",
            )
        return self.read(contract)

    def create(self, contract: Contract) -> None:
        """Create the table with its comments, or add the columns that it lacks."""
        if self.exists(contract):
            self._add_missing_columns(contract)
            return
        columns = ", ".join(column_definition(field) for field in contract.columns)
        layout = ", ".join(contract.cluster_by)
        clustering = f" CLUSTER BY ({layout})" if layout else ""
        stats = sql_text(",".join(contract.stats_columns))
        doing = f"creating table {contract.name} at {self.location(contract)}"
        with spark_errors(doing), self._recorded(None), interpreted(self.spark):
            self.spark.sql(
                f"CREATE TABLE IF NOT EXISTS {self.identifier(contract)} ({columns}) USING DELTA"
                f"{clustering} COMMENT {sql_text(contract.comment)}"
                f" TBLPROPERTIES ('delta.dataSkippingStatsColumns' = {stats})"
            )
        self._known.add(contract.name)

    def append(
        self,
        frame: DataFrame,
        contract: Contract,
        *,
        transaction: tuple[str, int] | None = None,
        days: DayRange | None = None,
        note: Note | None = None,
    ) -> None:
        """Add rows. With a transaction (id, version) a second attempt adds nothing.

        ``days`` is the range in which the days of all rows lie. It and ``note`` are recorded with
        the commit; ``history`` returns them.
        """
        self.create(contract)
        writer = fitted(frame, contract).write.format("delta").mode("append")
        if transaction:
            writer = writer.option("txnAppId", transaction[0]).option("txnVersion", transaction[1])
        with self._changing(contract, "writing"):
            self._save(writer, contract, days, note)

    def replace(
        self,
        frame: DataFrame,
        contract: Contract,
        *,
        where: str | DayRange,
        note: Note | None = None,
    ) -> None:
        """Replace exactly the rows that satisfy ``where``; others stay as they are.

        A range of days and ``note`` are recorded with the commit; ``history`` returns them.
        """
        self.create(contract)
        writer = (
            fitted(frame, contract)
            .write.format("delta")
            .mode("overwrite")
            .option("replaceWhere", where.sql if isinstance(where, DayRange) else where)
        )
        days = where if isinstance(where, DayRange) else None
        with self._changing(contract, "writing"):
            self._save(writer, contract, days, note)

    def delete(self, contract: Contract, *, column: str, values: Sequence[str]) -> None:
        """Remove the rows whose ``column`` is one of ``values``; without values, do nothing."""
        if not values:
            return
        listed = ", ".join(sql_text(value) for value in values)
        with self._changing(contract, "removing rows of"):
            self.spark.sql(
                f"DELETE FROM {self.identifier(contract)} WHERE `{column}` IN ({listed})"
            )

    def delete_matching(
        self,
        contract: Contract,
        rows: DataFrame,
        *,
        on: Sequence[str],
        instead: DataFrame | None = None,
    ) -> None:
        """Remove the rows that equal one of ``rows`` in the columns ``on``, in one commit.

        Args:
            contract: The table; it must exist.
            rows: Frame with the columns ``on``; it may be read from the same table.
            on: Columns to compare; null equals null.
            instead: Rows with the table's columns, added in the same commit.
        """
        removal = removal_of(rows, on=on, instead=instead)
        view = f"_rows_{uuid.uuid4().hex}"
        removal.source.createOrReplaceTempView(view)
        try:
            with self._changing(contract, "removing rows of"):
                self.spark.sql(removal.sql(self.identifier(contract), view))
        finally:
            self.spark.catalog.dropTempView(view)

    def compact(self, contract: Contract) -> None:
        """Merge small files into large ones, laid out by ``cluster_by``; rows stay the same."""
        with self._changing(contract, "compacting"):
            self.spark.sql(f"OPTIMIZE {self.identifier(contract)}")

    def vacuum(self, contract: Contract) -> None:
        """Delete files of removed rows that are older than the table's retention (7 days).

        Younger files stay: a running query, or a query of an earlier version, may read them.
        """
        with self._changing(contract, "vacuuming"):
            self.spark.sql(f"VACUUM {self.identifier(contract)}")

    def restore(self, contract: Contract, version: int | None, *, days: DayRange | None) -> None:
        """Make the table what it was at a version; empty where that is None.

        Args:
            contract: A table that exists.
            version: As ``version`` gave it.
            days: The days of all rows that are taken out or put back, for the history.
        """
        with self._changing(contract, "restoring"), self._recorded(days):
            self.spark.sql(
                f"RESTORE TABLE {self.identifier(contract)} TO VERSION AS OF {version or 0}"
            )

    def detail(self, contract: Contract) -> dict[str, Any]:
        """Delta's description of the table: ``numFiles``, ``sizeInBytes``, ``name`` and more."""
        with spark_errors(f"describing table {contract.name}"), interpreted(self.spark):
            row = self.spark.sql(f"DESCRIBE DETAIL {self.identifier(contract)}").first()
        return row.asDict() if row else {}

    def version(self, contract: Contract) -> int | None:
        """The table's latest version; each commit adds 1. None if the table does not exist."""
        if not self.exists(contract):
            return None
        folder = local_folder(self.location(contract)) if self._in_folders else None
        if folder is not None and (version := latest_version(folder)) is not None:
            return version
        # In a catalog, an object store, or another file system that Hadoop takes paths from.
        return next((commit.version for commit in self.latest(contract, most=1)), None)

    def version_before(self, contract: Contract) -> int | None:
        """The table's version before the first rows of this object; None if it wrote none."""
        if not self.exists(contract):
            return None
        self._commits.pop(contract.name, None)
        own = [c.version for c in self.history(contract) if c.version and c.writer == self._writer]
        return min(own) - 1 if own else None

    def used(self) -> list[Contract]:
        """Tables that this object has read or written, or knows to exist; runs no query."""
        return [contract for contract in TABLES.values() if contract.name in self._known]

    def history(self, contract: Contract) -> list[Commit]:
        """Commits of a table, the latest first: all that Delta still has.

        They are read once, and again after this object has written to the table. Delta deletes
        those older than ``delta.logRetentionDuration``, 30 days by default.
        """
        if contract.name not in self._commits:
            with spark_errors(f"reading the history of table {contract.name}"):
                self._commits[contract.name] = read_commits(
                    self.spark, self.identifier(contract), last=None
                )
        return self._commits[contract.name]

    def latest(self, contract: Contract, *, most: int) -> list[Commit]:
        """The ``most`` latest commits of a table that exists, the latest first."""
        with spark_errors(f"reading the history of table {contract.name}"):
            return read_commits(self.spark, self.identifier(contract), last=most)

    def are_small(self, contracts: Iterable[Contract]) -> bool:
        """Whether these tables lie on this machine and hold little; no query is run."""
        return self._in_folders and are_small(map(self.location, contracts))

    def few_rows(self, contract: Contract) -> int | None:
        """Upper bound of a table's rows by its files; None unless it is small and here.

        0 where nothing is found. Rows that were removed count until their files are vacuumed. No
        query is run.
        """
        return few_rows(self.location(contract)) if self._in_folders else None

    def existing(self) -> list[Contract]:
        """The contracts whose tables exist."""
        return [contract for contract in TABLES.values() if self.exists(contract)]

    @cached_property
    def _in_folders(self) -> bool:
        """Whether this process sees the files of tables as Spark does."""
        return not self.settings.schema_ and is_local_session(self.spark)

    def _load(self, contract: Contract) -> DataFrame:
        if self.settings.schema_:
            return self.spark.read.table(self.location(contract))
        return self.spark.read.format("delta").load(self.location(contract))

    def _save(
        self,
        writer: DataFrameWriter,
        contract: Contract,
        days: DayRange | None,
        note: Note | None,
    ) -> None:
        writer = writer.option("userMetadata", as_metadata(self._writer, days, note))
        if self.settings.schema_:
            writer.saveAsTable(self.location(contract))
        else:
            writer.save(self.location(contract))

    def _recorded(self, days: DayRange | None) -> AbstractContextManager[None]:
        """Record this writer, and days, with commits of SQL, which has no options."""
        key = "spark.databricks.delta.commitInfo.userMetadata"
        return conf_meanwhile(self.spark, {key: as_metadata(self._writer, days)})

    @contextmanager
    def _changing(self, contract: Contract, doing: str) -> Iterator[None]:
        """Forget the commits read so far, and explain Spark's errors."""
        self._commits.pop(contract.name, None)
        with spark_errors(f"{doing} table {contract.name}"):
            yield

    def _add_missing_columns(self, contract: Contract) -> None:
        missing = missing_columns(contract, self._load(contract).schema)
        if not missing:
            return
        # Existing rows have no value in a new column.
        added = ", ".join(column_definition(field, nullable=True) for field in missing)
        with self._changing(contract, "adding columns to"):
            self.spark.sql(f"ALTER TABLE {self.identifier(contract)} ADD COLUMNS ({added})")


def _iso_time(value: object) -> str:
    """A day or a time, in JSON.

    Raises:
        TypeError: It is neither.
    """
    if isinstance(value, dt.date):
        return value.isoformat()
    raise TypeError(f"no value of a row: {type(value).__name__}")
