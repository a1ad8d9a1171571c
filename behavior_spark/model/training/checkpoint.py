"""The state of a training run on disk, so that a killed run goes on where it was.

One safetensors file: weights, the optimiser's moments, the best weights so far, and how far the
run was. It is written beside its place and renamed, so that a kill at any moment leaves the
state before or the state after.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from behavior_spark.errors import ModelError
from behavior_spark.files import short_digest

Tensors = dict[str, torch.Tensor]
FOLDER = ".training"


def fingerprint(*parts: Any) -> str:
    """16 hex characters of all that decides a run: another input is another run."""
    return short_digest(json.dumps(parts, sort_keys=True, default=str).encode())


class Checkpoint:
    """One run's state in ``root/.training/<run>``.

    Args:
        root: Folder of the models.
        run: The run's fingerprint.
        every_seconds: Time between two saves within an epoch.
        writes: Whether this process writes; all read.
    """

    def __init__(self, root: Path, run: str, *, every_seconds: float, writes: bool = True) -> None:
        self.folder = root / FOLDER / run
        self._path = self.folder / "state.safetensors"
        self._every, self._writes, self._saved = every_seconds, writes, time.monotonic()

    def due(self) -> bool:
        """Whether the last save was so long ago that another is due."""
        return self._writes and time.monotonic() - self._saved >= self._every

    def save(
        self,
        parameters: Sequence[torch.nn.Parameter],
        optimiser: torch.optim.Optimizer,
        progress: Mapping[str, Any],
        *,
        best: Mapping[str, torch.Tensor] | None = None,
    ) -> None:
        """Keep the run's state; ``progress`` holds JSON values."""
        if not self._writes:
            return
        tensors = {f"weight.{i}": p.detach().cpu() for i, p in enumerate(parameters)}
        for index, state in optimiser.state_dict()["state"].items():
            tensors |= {f"moment.{index}.{key}": value.cpu() for key, value in state.items()}
        tensors |= {f"best.{name}": value for name, value in (best or {}).items()}
        tensors = {name: value.clone().contiguous() for name, value in tensors.items()}
        self.folder.mkdir(parents=True, exist_ok=True)
        temporary = self.folder / ".state"
        save_file(tensors, str(temporary), metadata={"progress": json.dumps(dict(progress))})
        temporary.replace(self._path)
        self._saved = time.monotonic()

    def load(
        self, parameters: Sequence[torch.nn.Parameter], optimiser: torch.optim.Optimizer
    ) -> tuple[dict[str, Any], Tensors] | None:
        """Put a saved state back; its progress and best weights, or None where there is none.

        Raises:
            ModelError: The state cannot be read, or belongs to another model.
        """
        if not self._path.exists():
            return None
        try:
            with safe_open(str(self._path), framework="pt") as file:
                progress = json.loads(file.metadata()["progress"])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            with torch.no_grad():
                for index, parameter in enumerate(parameters):
                    parameter.copy_(tensors[f"weight.{index}"])
            state: dict[int, dict[str, torch.Tensor]] = {}
            for name, tensor in tensors.items():
                if name.startswith("moment."):
                    _, index, key = name.split(".", 2)
                    state.setdefault(int(index), {})[key] = tensor
            groups = optimiser.state_dict()["param_groups"]
            optimiser.load_state_dict({"state": state, "param_groups": groups})
        except (OSError, SafetensorError, KeyError, ValueError, RuntimeError) as error:
            raise ModelError(
                f"cannot go on with the training run in {self.folder}",
                found=type(error).__name__,
                fix="remove that folder: the run then starts from the beginning",
            ) from error
        best = {n.removeprefix("best."): t for n, t in tensors.items() if n.startswith("best.")}
        return progress, best

    def remove(self) -> None:
        """Forget the run: it is done."""
        if self._writes:
            shutil.rmtree(self.folder, ignore_errors=True)
            if self.folder.parent.exists() and not any(self.folder.parent.iterdir()):
                self.folder.parent.rmdir()
