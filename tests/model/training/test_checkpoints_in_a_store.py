"""Checkpoints in an object store (moto's S3 server on loopback): another machine goes on there."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from behavior_spark.errors import ModelError
from behavior_spark.model.training.checkpoint import Checkpoint
from behavior_spark.shared_folder import SharedFolder
from tests.model.training.test_training import trained

PLACE = "s3a://night/checkpoints"

# Ends as by a kill at step 8, after the steps before it were saved; or while that save is put.
KILLED = """
import os, signal, sys
from pathlib import Path
from behavior_spark import object_store, shared_folder
from behavior_spark.model.encoder.encoder import use_threads
from behavior_spark.model.training import checkpoint
sys.path.insert(0, str(Path(sys.argv[1]).parent))
from test_training import trained
use_threads(1)
checkpoint.Checkpoint.due = lambda self: True
reached = [0]
def die():
    os.kill(os.getpid(), signal.SIGKILL)
def tell(stage, done, total):
    reached[0] = done if stage == "train" else 0
    if reached[0] == 8 and sys.argv[4] == "between":
        die()
put = object_store.ObjectStoreFolder._put
def put_or_die(self, path):
    if reached[0] == 8:
        assert path.stat().st_size  # this machine has the new state already
        die()
    put(self, path)
object_store.ObjectStoreFolder._put = put_or_die
place = shared_folder.SharedFolder("s3a://night/checkpoints")
trained(sys.argv[2], Path(sys.argv[3]), progress=tell, checkpoints=place)
"""


@pytest.mark.parametrize("where", ["between", "within a save"])
def test_a_run_killed_on_one_machine_ends_on_another_as_an_unbroken_one(
    tiny_folder, tmp_path, another_machine, where
):
    whole = trained(tiny_folder, tmp_path / "whole")
    root = Path(find_spec("behavior_spark").origin).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(Path(__file__)), str(tiny_folder),
         str(tmp_path / "first"), where],
        cwd=root,
        env=os.environ | {"PYTHONPATH": str(root)},
        capture_output=True,
        timeout=600,
    )  # fmt: skip
    assert done.returncode == -9, done.stderr.decode()[-800:]
    another_machine("second")
    steps = []
    again = trained(
        tiny_folder, tmp_path / "second", checkpoints=SharedFolder(PLACE),
        progress=lambda *each: steps.append(each),
    )  # fmt: skip
    # The steps before were saved; of the one at which the kill came nothing was.
    assert next(done for stage, done, _ in steps if stage == "train") == 8
    assert again.digest == whole.digest and again.metrics == whole.metrics
    another_machine("third")
    assert not list(SharedFolder(PLACE).fetch().rglob("*.safetensors"))  # it has ended


def test_a_store_that_refuses_is_told_before_any_step(tiny_folder, tmp_path, another_machine):
    steps = []
    with pytest.raises(ModelError, match="object store of s3a://nowhere/c"):
        trained(
            tiny_folder, tmp_path, checkpoints=SharedFolder("s3a://nowhere/c"),
            progress=lambda *each: steps.append(each),
        )  # fmt: skip
    assert not any(stage == "train" for stage, *_ in steps)


def test_the_last_whole_state_of_the_store_counts_not_that_of_this_machine(another_machine):
    weight = torch.nn.Parameter(torch.zeros(3))
    optimiser = torch.optim.AdamW([weight])

    def checkpoint() -> Checkpoint:
        return Checkpoint(SharedFolder(PLACE), "run", every_seconds=0)

    checkpoint().save([weight], optimiser, {"done": 1})
    another_machine("second")
    with torch.no_grad():
        weight.fill_(2.0)
    checkpoint().save([weight], optimiser, {"done": 2})
    another_machine("first")
    with torch.no_grad():
        weight.zero_()
    assert checkpoint().load([weight], optimiser)[0] == {"done": 2}
    assert weight.tolist() == [2.0, 2.0, 2.0]
    checkpoint().remove()
    another_machine("second")
    assert checkpoint().load([weight], optimiser) is None
