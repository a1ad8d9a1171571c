"""Run commands of the package in processes of their own, and compare warehouses."""

from __future__ import annotations

import datetime as dt
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
import pytest
from deltalake import DeltaTable

ROOT = Path(__file__).resolve().parent.parent.parent
CLI = [sys.executable, "-m", "behavior_spark"]
TABLES = {
    "events": ["event_id", "arrived_at"],
    "texts": ["text_id", "arrived_at"],
    "text_embeddings": ["text_hash"],
    "text_scores": ["text_hash", "head"],
    "user_features": ["user_id", "as_of"],
    "user_propensity": ["user_id", "target"],
    "user_profile": ["user_id"],
}
# What a night chose, by table: columns of which no two rows have all in common.
CHOICES = {
    "audience_members": ["audience", "as_of", "user_id", "arm", "rank"],
    "service_queue": ["as_of", "text_id", "queue", "place"],
}
Tables = dict[str, pd.DataFrame]
# When and by which run a row was made, and what holds nested values compared elsewhere.
IGNORED = {"scored_at", "probabilities", "reasons", "embedding"}
# For warehouses on an S3 server on loopback, which the environment names.
STORAGE = {"AWS_ALLOW_HTTP": "true"}


def environment(**changes: str) -> dict[str, str]:
    """This process's environment without a running session's variables.

    What it starts lives for a minute or two: its JVMs compile cheaply, as local sessions do.
    """
    kept = {
        k: v for k, v in os.environ.items()
        if not k.startswith(("PYSPARK_", "SPARK_")) or k == "PYSPARK_40"
    }  # fmt: skip
    java = "-XX:TieredStopAtLevel=1 -XX:+UseParallelGC"
    return {**kept, "PYSPARK_PYTHON": sys.executable, "JAVA_TOOL_OPTIONS": java, **changes}


def with_older_spark() -> dict[str, str]:
    """The environment with Spark 4.0 and its Delta, which ``make real`` brings; CI must have it."""
    older = os.environ.get("PYSPARK_40")
    if not older:
        if os.environ.get("CI"):
            pytest.fail("CI must bring Spark 4.0: make real sets PYSPARK_40")
        pytest.skip("PYSPARK_40 names no folder with pyspark 4.0 (make real sets it)")
    return environment(PYTHONPATH=os.pathsep.join([older, str(ROOT)]))


def run(command: Sequence[str], env: Mapping[str, str], *, cwd: Path = ROOT) -> str:
    """Run a command to its end; its output, or a failure that shows it."""
    done = subprocess.run(
        command, env=dict(env), cwd=cwd, capture_output=True, text=True, timeout=1500
    )
    output = done.stdout + done.stderr
    if done.returncode:
        raise AssertionError(f"exit {done.returncode}: {' '.join(command)}\n{output[-6000:]}")
    return output


def tables(warehouse: str | Path, *, at: dt.datetime | None = None) -> Tables:
    """Each table's rows in key order, now or as they were at a moment; read without Spark."""
    found = {}
    for name, keys in TABLES.items():
        delta = DeltaTable(f"{warehouse}/{name}", storage_options=STORAGE)
        if at is not None:
            delta.load_as_version(at)
        found[name] = delta.to_pandas().sort_values(keys).reset_index(drop=True)
    return found


def choices(warehouse: Path) -> Tables:
    """Who is in which audience, and which text waits in which queue; in order."""
    return {
        name: DeltaTable(str(warehouse / name)).to_pandas(columns=columns)
        .sort_values(columns, ignore_index=True)
        for name, columns in CHOICES.items()
    }  # fmt: skip


def assert_same_tables(left: Tables, right: Tables) -> None:
    """Equal as the design says: keys, integers and strings equal, doubles within 1e-9.

    Probabilities and scores, which rest on trained models, within 1e-6; embeddings by cosine.
    """
    for name in TABLES:
        a, b = left[name], right[name]
        assert list(a.columns) == list(b.columns), name
        assert len(a) == len(b) > 0, name
        near = 1e-6 if name in ("user_propensity", "user_profile", "text_scores") else 1e-9
        shown = [c for c in a.columns if c not in IGNORED and not c.endswith("_digest")]
        pd.testing.assert_frame_equal(a[shown], b[shown], check_exact=False, rtol=near, atol=near)
        if name == "text_embeddings":
            for x, y in zip(a["embedding"], b["embedding"], strict=True):
                assert (x is None) == (y is None)
                assert x is None or float(sum(x * y)) > 0.9999
