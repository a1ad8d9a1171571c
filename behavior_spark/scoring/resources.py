"""A Spark resource profile that requests GPUs for the scoring stage only."""

from __future__ import annotations

from pyspark.resource import (
    ExecutorResourceRequests,
    ResourceProfile,
    ResourceProfileBuilder,
    TaskResourceRequests,
)

from behavior_spark.config import GpuSettings


def resource_profile(gpu: GpuSettings | None) -> ResourceProfile | None:
    """The profile for the GPU settings; None if there are none.

    Without ``per_executor`` the profile requests resources for tasks only, which then run on the
    cluster's existing executors (Spark 3.5's documentation, "Stage Level Scheduling Overview").
    """
    if gpu is None:
        return None
    tasks = TaskResourceRequests().cpus(gpu.cpus_per_task).resource("gpu", gpu.per_task)
    builder = ResourceProfileBuilder().require(tasks)
    if gpu.per_executor is not None:
        executors = ExecutorResourceRequests().resource(
            "gpu", gpu.per_executor, gpu.discovery_script, gpu.vendor
        )
        if gpu.executor_cores:
            executors = executors.cores(gpu.executor_cores)
        if gpu.executor_memory:
            executors = executors.memory(gpu.executor_memory)
        builder = builder.require(executors)
    return builder.build
