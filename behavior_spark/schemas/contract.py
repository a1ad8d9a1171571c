"""Contracts of tables: columns, types, meanings, key and layout."""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql.types import DataType, DateType, StructField, StructType, TimestampType


def column(name: str, data_type: DataType, comment: str, *, required: bool = False) -> StructField:
    """A column with a comment on its meaning, which DESCRIBE shows."""
    return StructField(name, data_type, not required, {"comment": comment})


@dataclass(frozen=True)
class Contract:
    """What a table promises.

    Attributes:
        name: Table name.
        comment: What one row is.
        columns: Columns, each with a comment.
        key: Columns that identify a row.
        cluster_by: Columns by which files are clustered: those that reads and rewrites filter on.
    """

    name: str
    comment: str
    columns: tuple[StructField, ...]
    key: tuple[str, ...]
    cluster_by: tuple[str, ...] = ()

    @property
    def schema(self) -> StructType:
        """The schema as Spark reads the table: with comments, every column nullable."""
        return StructType([StructField(f.name, f.dataType, True, f.metadata) for f in self.columns])

    @property
    def names(self) -> list[str]:
        """Column names in order."""
        return [field.name for field in self.columns]

    @property
    def required(self) -> list[str]:
        """Columns that may not be null."""
        return [field.name for field in self.columns if not field.nullable]

    @property
    def stats_columns(self) -> list[str]:
        """Columns of which Delta's log keeps the least and the greatest value in each file.

        Reads skip files by them: those that files are clustered by, days and times. A file holds
        nearly the whole range of any other; and the log would keep values of it, such as ids of
        users and the beginnings of texts, for weeks after their rows are gone.
        """
        times = [f.name for f in self.columns if isinstance(f.dataType, DateType | TimestampType)]
        return list(dict.fromkeys([*self.cluster_by, *times]))

    def field(self, name: str) -> StructField:
        """The column of this name."""
        return next(field for field in self.columns if field.name == name)

    def with_columns(self, extra: list[StructField]) -> Contract:
        """The same contract with more columns at its end."""
        return Contract(
            self.name,
            self.comment,
            self.columns + tuple(extra),
            self.key,
            self.cluster_by,
        )
