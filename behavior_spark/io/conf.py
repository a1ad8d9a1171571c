"""Settings of a Spark session for as long as they are needed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

from pyspark.sql import SparkSession


@contextmanager
def conf_meanwhile(spark: SparkSession, conf: Mapping[str, str]) -> Iterator[None]:
    """Settings of the session inside the block; after it the session has what it had before.

    Args:
        spark: The session.
        conf: Value by key.
    """
    before = {key: spark.conf.get(key, None) for key in conf}
    try:
        for key, value in conf.items():
            spark.conf.set(key, value)
        yield
    finally:
        with suppress(Exception):  # a remote session may have ended
            for key, earlier in before.items():
                if earlier is None:
                    spark.conf.unset(key)
                else:
                    spark.conf.set(key, earlier)
