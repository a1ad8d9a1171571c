"""The wheel works away from the checkout."""

from __future__ import annotations

import site
import subprocess
import sys
import venv
from pathlib import Path

import pytest
from night_process import environment, run

pytestmark = pytest.mark.real


def test_the_wheel_in_a_fresh_environment_runs_outside_the_checkout(
    wheel: Path, tmp_path: Path
) -> None:
    venv.create(tmp_path / "env")
    python = str(tmp_path / "env" / "bin" / "python")
    install = [sys.executable, "-m", "pip", "--python", python, "install"]
    run([*install, "--quiet", "--no-deps", str(wheel)], environment())
    # Its dependencies are this environment's: a .pth file, so that nothing is fetched again.
    here = next(p for p in site.getsitepackages() if p.endswith("site-packages"))
    there = run([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], {})
    (Path(there.strip()) / "deps.pth").write_text(f"{here}\n", encoding="utf-8")
    away = tmp_path / "away"
    away.mkdir()
    where = run([python, "-c", "import behavior_spark; print(behavior_spark.__file__)"],
                environment(), cwd=away)  # fmt: skip
    assert str(tmp_path / "env") in where
    program = str(tmp_path / "env" / "bin" / "behavior-spark")
    output = run([program, "demo", "--users", "20", "--days", "100", "--generate-only", "-o",
                  "shop"], environment(), cwd=away)  # fmt: skip
    assert "next:" in output
    checked = run([program, "check", "--config", "demo.yaml"],
                  environment(DEMO_ROOT="shop"), cwd=away)  # fmt: skip
    assert "check: done" in checked


def test_the_bare_wheel_imports_no_spark_and_no_torch(tmp_path: Path) -> None:
    code = (
        "import sys; import behavior_spark.config, behavior_spark.cli.main; "
        "sys.exit(any(m in sys.modules for m in ('pyspark', 'torch', 'transformers', 'xgboost')))"
    )
    done = subprocess.run([sys.executable, "-c", code], env=environment(), cwd=tmp_path)
    assert done.returncode == 0
