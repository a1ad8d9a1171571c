"""GPUs for the scoring stage alone, in a local cluster that names two which are not there."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from night_process import ROOT, environment, run

pytestmark = pytest.mark.real


def test_only_the_scoring_stage_gets_gpus_and_it_refuses_one_that_is_not_there(
    tmp_path: Path,
) -> None:
    discovery = tmp_path / "gpus.sh"
    discovery.write_text("""#!/bin/sh\necho '{"name": "gpu", "addresses": ["0", "1"]}'\n""")
    discovery.chmod(0o755)
    script = str(ROOT / "tests" / "real" / "gpu_stage.py")
    output = run([sys.executable, script, str(discovery)], environment(PYTHONPATH=str(ROOT)))
    found = json.loads(next(line for line in output.splitlines() if line.startswith("{")))
    tasks = found["with_profile"]
    assert {task["addresses"][0] for task in tasks} <= {"0", "1"} and len(tasks) == 4
    assert {task["cpus"] for task in tasks} == {2}
    assert all(task["addresses"] == [] and task["cpus"] == 1 for task in found["without"])
    assert found["scored"] == 40
    assert "address" in found["refusal"] and "torch finds none" in found["refusal"]
    assert "text.device: cpu" in found["refusal"] and found["refusal"].count("\n") <= 2
