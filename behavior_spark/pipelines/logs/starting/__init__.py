"""Init: a commented config from what the user's tables hold."""

from behavior_spark.pipelines.logs.starting.writing import Written, write_config

__all__ = ["Written", "write_config"]
