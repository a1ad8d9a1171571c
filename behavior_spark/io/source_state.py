"""The state of the user's tables: it differs after whatever may have changed them, at the cost of
a listing.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce

from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from behavior_spark.config import Source
from behavior_spark.io.files import absolute_path
from behavior_spark.io.history import read_commits
from behavior_spark.names import quoted_name

# Formats of files that Spark lists by itself.
_FILES = ("csv", "json", "parquet")
_LISTED_BY = ("pathglobfilter", "modifiedbefore", "modifiedafter")


def state_of_sources(spark: SparkSession, sources: Mapping[str, Source]) -> dict[str, str] | None:
    """The state of each source by its name; None if that of one cannot be known.

    The state of a Delta table is its version. That of a folder of files is made of their names,
    sizes and times of change; no file is opened
    (https://spark.apache.org/docs/latest/sql-data-sources-binaryFile.html). Views, and tables of
    other kinds, have no state.

    Args:
        spark: Session to work in.
        sources: By a name that no other source has.
    """
    try:
        files = {name: s for name, s in sources.items() if s.path and s.format in _FILES}
        tables = {name: s for name, s in sources.items() if name not in files}
        states = {name: _version(spark, source) for name, source in tables.items()}
        if files:
            states |= _listings(spark, files)
    except PySparkException:
        return None
    known = {name: state for name, state in states.items() if state is not None}
    return known if len(known) == len(sources) else None


def _version(spark: SparkSession, source: Source) -> str | None:
    if any(name.lower() in ("versionasof", "timestampasof") for name in source.options):
        return "fixed"
    identifier = source.table or f"delta.{quoted_name(absolute_path(str(source.path)))}"
    commits = read_commits(spark, identifier, last=1)
    return f"version {commits[0].version}" if commits else None


def _listings(spark: SparkSession, sources: Mapping[str, Source]) -> dict[str, str]:
    def listing(name: str, source: Source) -> DataFrame:
        options = {n: v for n, v in source.options.items() if n.lower() in _LISTED_BY}
        files = spark.read.format("binaryFile").options(**options)
        # All folders: names such as day=1 are not read as columns.
        found = files.option("recursiveFileLookup", True).load(absolute_path(str(source.path)))
        return found.select(F.lit(name).alias("name"), "path", "modificationTime", "length")

    listed = reduce(DataFrame.unionByName, (listing(*item) for item in sources.items()))
    # Order does not matter to a sum; a decimal holds that of 10 billion hashes.
    file = F.xxhash64("path", "modificationTime", "length").cast("decimal(28,0)")
    rows = listed.groupBy("name").agg(F.count("*").alias("n"), F.sum(file).alias("sum")).collect()
    empty = dict.fromkeys(sources, "0 files")
    return empty | {row["name"]: f"{row['n']} files, {row['sum']}" for row in rows}
