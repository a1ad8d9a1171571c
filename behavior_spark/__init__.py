"""Understand and predict what users do, with transformers, on Spark.

``behavior_spark.open("mine.yaml")`` gives a job, with its commands as methods and its tables as
DataFrames; see ``behavior_spark.job``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from behavior_spark.job import open_demo, picture, show
    from behavior_spark.job import open_job as open

__version__ = "0.1.0"
__all__ = ["open", "open_demo", "picture", "show"]


def __getattr__(name: str) -> Any:
    # Only when it is asked for: the package itself imports neither Spark nor torch.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from behavior_spark import job

    return getattr(job, "open_job" if name == "open" else name)
