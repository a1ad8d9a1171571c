"""What Spark has observed of rows while they were written, whatever Spark and session it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

from pyspark.errors import PySparkException
from pyspark.sql import Observation, SparkSession

from behavior_spark.io.conf import conf_meanwhile
from behavior_spark.names import version_numbers

_ANSWERS_ALL = (4, 2)
# Rules that replace what has no rows, by the setting that leaves them out.
_PROPAGATE_EMPTY = {
    "spark.sql.optimizer.excludedRules":
        "org.apache.spark.sql.catalyst.optimizer.PropagateEmptyRelation",
    "spark.sql.adaptive.optimizer.excludedRules":
        "org.apache.spark.sql.execution.adaptive.AQEPropagateEmptyRelation",
}  # fmt: skip
_PLAN_CACHE = "spark.connect.session.planCache.enabled"


@contextmanager
def answered_observations(spark: SparkSession) -> Iterator[None]:
    """Spark before 4.2 answers every observation of a write inside the block.

    Where a frame turns out to have no rows, such as a night without a new text, it takes the
    observation out of the plan, and who asks for what was observed waits for ever (SPARK-54620).
    Spark Connect answers at once, but with nothing, where the client has asked for a frame's
    columns before it wrote it: the server then writes a plan that it has kept, and watches none.

    A platform may refuse the settings: ``observed_values`` then says that nothing was observed.
    """
    with ExitStack() as settings:
        if version_numbers(spark.version) < _ANSWERS_ALL:
            with suppress(PySparkException):
                settings.enter_context(conf_meanwhile(spark, _answering(spark)))
        yield


def observed_values(observation: Observation) -> dict[str, Any] | None:
    """What was observed, by name, after the write.

    None where Spark took the observation out of the plan, as it may where rows fall away.
    """
    try:
        values = dict(observation.get)
    except Exception:  # a classic session fails: nothing has no names
        return None
    return values or None


def _answering(spark: SparkSession) -> dict[str, str]:
    if type(spark).__module__.startswith("pyspark.sql.connect."):
        return {_PLAN_CACHE: "false"}
    return {
        key: ",".join(filter(None, [spark.conf.get(key, None), rule]))
        for key, rule in _PROPAGATE_EMPTY.items()
    }
