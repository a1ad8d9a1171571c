"""Checkpoints: the state of a training run, so that a killed run can continue.

One safetensors file with the weights, the optimiser's moments, the best weights so far and the
progress. It is written under a temporary name and renamed; into an object store it is then put as
one object. So a kill at any moment leaves either the previous or the new state, and where the
folder is in an object store, another machine can go on from it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from behavior_spark.errors import ModelError
from behavior_spark.files import short_digest
from behavior_spark.shared_folder import SharedFolder

Tensors = dict[str, torch.Tensor]
# Where checkpoints are, in the folder of the models, unless told otherwise.
FOLDER = ".training"
_STATE = "state.safetensors"
# Put into an object store before the first step: a store that refuses is told then.
_STARTED = "started"


def fingerprint(*parts: Any) -> str:
    """Digest of everything that a run's outcome depends on, 16 hex characters."""
    return short_digest(json.dumps(parts, sort_keys=True, default=str).encode())


class Checkpoint:
    """The state of one training run, in ``<folder>/<run>``.

    Args:
        folder: Folder of checkpoints, of this run and of others.
        run: The run's :func:`fingerprint`.
        every_seconds: Seconds between two saves within an epoch.
        writes: Whether this process saves. Every process may load.
    """

    def __init__(
        self, folder: SharedFolder, run: str, *, every_seconds: float, writes: bool = True
    ) -> None:
        self.location = f"{folder.location}/{run}"
        self._shared, self._run = folder, run
        self._path = folder.path / run / _STATE
        self._every, self._writes, self._saved = every_seconds, writes, time.monotonic()

    def due(self) -> bool:
        """Whether ``every_seconds`` have passed since the last save."""
        return self._writes and time.monotonic() - self._saved >= self._every

    def save(
        self,
        parameters: Sequence[torch.nn.Parameter],
        optimiser: torch.optim.Optimizer,
        progress: Mapping[str, Any],
        *,
        best: Mapping[str, torch.Tensor] | None = None,
    ) -> None:
        """Save the run's state.

        Args:
            parameters: Parameters, in the same order as for :meth:`load`.
            optimiser: Their optimiser.
            progress: JSON values.
            best: Best weights so far, by name.

        Raises:
            ModelError: The object store of the folder does not answer, or refuses.
        """
        if not self._writes:
            return
        tensors = {f"weight.{i}": p.detach().cpu() for i, p in enumerate(parameters)}
        for index, state in optimiser.state_dict()["state"].items():
            tensors |= {f"moment.{index}.{key}": value.cpu() for key, value in state.items()}
        tensors |= {f"best.{name}": value for name, value in (best or {}).items()}
        tensors = {name: value.clone().contiguous() for name, value in tensors.items()}
        self._path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self._path.with_name(".state")
        save_file(tensors, str(temporary), metadata={"progress": json.dumps(dict(progress))})
        temporary.replace(self._path)
        self._shared.publish(f"{self._run}/{_STATE}")
        self._saved = time.monotonic()

    def load(
        self, parameters: Sequence[torch.nn.Parameter], optimiser: torch.optim.Optimizer
    ) -> tuple[dict[str, Any], Tensors] | None:
        """Restore a saved state into ``parameters`` and ``optimiser``.

        Returns:
            The saved progress and best weights; None if nothing was saved. Then an object store
            is tried, so that the run does not fail at its first save.

        Raises:
            ModelError: The state cannot be read, or belongs to another model; or the object store
                of the folder does not answer, or refuses.
        """
        self._shared.fetch(self._run)
        if not self._path.exists():
            self._try_store()
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
                f"cannot go on with the training run in {self.location}",
                found=type(error).__name__,
                fix="remove that folder: the run then starts from the beginning",
            ) from error
        best = {n.removeprefix("best."): t for n, t in tensors.items() if n.startswith("best.")}
        return progress, best

    def _try_store(self) -> None:
        if self._writes and self._shared.is_remote:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path.with_name(_STARTED).write_text("not saved yet\n", encoding="utf-8")
            self._shared.publish(f"{self._run}/{_STARTED}")

    def remove(self) -> None:
        """Remove the saved state of a run that has ended."""
        if self._writes:
            self._shared.remove(self._run)
            folder = self._shared.path
            if folder.exists() and not any(folder.iterdir()):
                folder.rmdir()
