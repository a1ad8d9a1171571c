"""Workers are forked from a daemon that has imported what they need."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pyspark
import pytest
from pyspark.sql import DataFrame, SparkSession

from behavior_spark.config import LocalSpark
from behavior_spark.io import session as session_module
from behavior_spark.io.python_daemon import MODELS, MODULE, daemon_settings, modules, start_early
from behavior_spark.io.session import spark_session
from tests.conftest import ENCODER

linux = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere Spark's own daemon serves")


@linux
def test_workers_share_torch_with_the_daemon_that_forked_them(spark: SparkSession) -> None:
    def parent(frames: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        place = Path("/proc", str(os.getppid()))
        command = (place / "cmdline").read_text().split("\0")
        libraries = (place / "maps").read_text()
        for _ in frames:
            yield pd.DataFrame({"module": [command[2]], "torch": ["libtorch_cpu" in libraries]})

    start_early(spark).join()
    one = spark.range(1, numPartitions=1)
    found = one.mapInPandas(parent, "module string, torch boolean").first()
    assert found is not None
    # Run by its name, it is in the arguments as a module or as its file.
    assert found["module"] in (MODULE, "-m") or found["module"].endswith("python_daemon.py")
    assert found["torch"] or Path("/dev/nvidiactl").exists()


def test_a_command_that_embeds_texts_starts_the_daemon_early_and_ends_after_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[str] = []

    def failing_task(end: int, **partitions: int) -> DataFrame:
        time.sleep(0.2)
        told.append("task")
        raise RuntimeError

    conf = SimpleNamespace(get=lambda *key: "UTC", set=lambda *pair: None)
    session = SimpleNamespace(
        version=pyspark.__version__, conf=conf, range=failing_task,
        stop=lambda: told.append("stopped"),
    )  # fmt: skip
    found = (session, True)
    monkeypatch.setattr(session_module, "get_session", lambda *local, **options: found)
    with spark_session(LocalSpark(), name="texts", models=["a"]):
        told.append("command")
    with spark_session(LocalSpark(), name="no texts"):
        told.append("command")
    assert told == ["command", "task", "stopped", "command", "stopped"]


def imported_for(models: str) -> set[str]:
    """Which of these modules a daemon for these models imports."""
    asked = {"torch", "transformers", "transformers.modeling_utils", "behavior_spark.cleaning"}
    code = (
        "import sys\nfrom behavior_spark.io.python_daemon import import_all, modules\n"
        f"import_all(modules({{{MODELS!r}: {models!r}}}))\nprint(*{asked} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_the_daemon_imports_what_the_models_of_its_workers_need(tmp_path: Path) -> None:
    bare = {"behavior_spark.cleaning"}
    assert [*modules({})] == [*modules({MODELS: ""})]
    assert imported_for("") == bare
    if not Path("/dev/nvidiactl").exists():
        tokenizer = bare | {"torch", "transformers"}
        assert imported_for(ENCODER) == tokenizer
        other = f"{ENCODER}\n{tmp_path}"
        assert imported_for(other) == tokenizer | {"transformers.modeling_utils"}


def test_what_imports_print_or_raise_does_not_reach_the_port_that_spark_reads(
    tmp_path: Path,
) -> None:
    (tmp_path / "loud.py").write_text("import os\nprint('hello')\nos.write(1, b'hello')\n")
    (tmp_path / "broken.py").write_text("raise RuntimeError('broken')\n")
    code = (
        "from behavior_spark.io.python_daemon import import_all\n"
        "import_all(['loud', 'broken', 'no.such.module'])\nprint('port')"
    )
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(Path.cwd())])}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert done.stdout == "port\n", done.stderr
    assert done.stderr.count("hello") == 2


def test_other_systems_keep_sparks_own_daemon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert daemon_settings() == {}
