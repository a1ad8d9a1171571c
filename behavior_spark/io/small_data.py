"""Small data in local sessions: plans over it are interpreted, where compiling takes longer.

Spark writes Java code for each plan and compiles it (``spark.sql.codegen.wholeStage``). For some
ten thousand rows that takes longer than reading them by an interpreted plan, which gives the same
rows.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext

from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from behavior_spark.io.conf import conf_meanwhile
from behavior_spark.io.local_folders import local_folder, rows_at_most

# Measured on nights of the demo's shop: 60,000 events gain a fifth, 150,000 lose a third.
MOST_ROWS = 75_000
# A row with a vector has some 1.6 KB.
MOST_BYTES = 24 << 20
# Raw rows pass many more expressions.
MOST_SOURCE_BYTES = 1 << 20

_COMPILED = "spark.sql.codegen.wholeStage"
# Settings of a session that interprets its plans.
INTERPRETED = {
    _COMPILED: "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    # Interpreted, looking for what two expressions have in common costs more than it saves.
    "spark.sql.subexpressionElimination.enabled": "false",
}
# In local sessions of this package: whether its config says nothing of compiling.
_ALLOWED = "spark.behaviorSpark.interpretSmallData"


def small_data_setting(conf: Iterable[str]) -> dict[str, str]:
    """The setting of a local session: that plans may be interpreted, or that its config decides.

    Args:
        conf: Keys of the settings that the user's config gives the session.
    """
    return {_ALLOWED: "false" if any(key in INTERPRETED for key in conf) else "true"}


def is_local_session(spark: SparkSession) -> bool:
    """Whether this package created the session, on this machine."""
    return _setting(spark) is not None


def interpreted(spark: SparkSession, *, where: bool = True) -> AbstractContextManager[None]:
    """Interpret plans inside the block; do nothing in a session that this package did not create.

    Args:
        spark: The session.
        where: Whether the data are small.
    """
    if not where or _setting(spark) != "true":
        return nullcontext()
    if spark.conf.get(_COMPILED) == "false":
        return nullcontext()  # inside such a block
    return conf_meanwhile(spark, INTERPRETED)


def _setting(spark: SparkSession) -> str | None:
    try:
        return spark.conf.get(_ALLOWED, None)
    except PySparkException:
        return None  # a platform that tells only some settings


def are_small(places: Iterable[str], *, most_bytes: int = MOST_BYTES) -> bool:
    """Whether each place is a file or folder of this machine with few bytes, and few rows."""
    return all(few_rows(place, most_bytes=most_bytes) is not None for place in places)


def few_rows(place: str, *, most_bytes: int = MOST_BYTES) -> int | None:
    """Upper bound of the rows in a file or folder; None unless it is small.

    See ``local_folders.rows_at_most``.
    """
    folder = local_folder(place)
    if folder is None:
        return None
    return rows_at_most(folder, most_bytes=most_bytes, most_rows=MOST_ROWS)
