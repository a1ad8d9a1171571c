"""Modules of a sentence-transformers model after the pooling: dense layers and norms."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from behavior_spark.errors import ModelError
from behavior_spark.files import read_json
from behavior_spark.model.encoder.sentence_modules import Step

_ACTIVATIONS = {
    name.lower(): getattr(torch.nn, name)
    for name in ("Identity", "Tanh", "ReLU", "GELU", "SiLU", "Sigmoid", "LeakyReLU", "ELU", "SELU",
                 "Softplus", "Mish", "Hardtanh", "LogSigmoid", "Softsign", "ReLU6")
}  # fmt: skip


class _Dense(torch.nn.Module):
    """A linear layer with an activation, and a residual connection if the config has one."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        width, out = int(config["in_features"]), int(config["out_features"])
        self.linear = torch.nn.Linear(width, out, bias=bool(config.get("bias", True)))
        self.activation = _activation(config.get("activation_function", "torch.nn.Tanh"))
        self.adds_input = bool(config.get("use_residual"))
        if self.adds_input and width != out:
            self.residual = torch.nn.Linear(width, out, bias=False)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.activation(self.linear(values))
        if not self.adds_input:
            return out
        return out + (self.residual(values) if hasattr(self, "residual") else values)


class _Norm(torch.nn.Module):
    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        self.norm = torch.nn.LayerNorm(int(config["dimension"]))

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.norm(values)
        return out


class _UnitLength(torch.nn.Module):
    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.normalize(values, dim=-1)


def load_steps(
    folder: Path, steps: Sequence[Step], width: int
) -> tuple[torch.nn.Module | None, int]:
    """Load the modules after the pooling as one frozen float32 module.

    Args:
        folder: Folder of the model.
        steps: The modules, in order.
        width: Dimension of a pooled vector.

    Returns:
        The module (None without steps), and the dimension of its output.

    Raises:
        ModelError: Weights are missing, or do not fit the dimension of their input.
    """
    modules = []
    for step in steps:
        module, input_width, output_width = _load_step(folder / step.path, step.kind, width)
        if input_width != width:
            raise ModelError(
                f"the {step.kind} module in {folder / step.path} does not fit its pooling",
                found=f"it reads {input_width} numbers, and gets {width}",
                fix="leave text.pooling to the folder (auto)",
            )
        modules.append(module)
        width = output_width
    if not modules:
        return None, width
    return torch.nn.Sequential(*modules).eval().requires_grad_(False), width


def _load_step(folder: Path, kind: str, width: int) -> tuple[torch.nn.Module, int, int]:
    """A module, and the dimensions of its input and output."""
    if kind == "Normalize":
        return _UnitLength(), width, width
    config = read_json(folder / "config.json")
    try:
        with torch.random.fork_rng(devices=[]):
            module = (_Dense if kind == "Dense" else _Norm)(config)
        tensors = load_file(folder / "model.safetensors")
        module.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
    except ModelError:
        raise
    except Exception as error:
        raise ModelError(
            f"the {kind} module in {folder} cannot be loaded", found=type(error).__name__
        ) from error
    if kind == "Dense":
        return module, int(config["in_features"]), int(config["out_features"])
    return module, int(config["dimension"]), int(config["dimension"])


def _activation(name: object) -> torch.nn.Module:
    kind = _ACTIVATIONS.get(str(name).rpartition(".")[2].lower())
    if kind is None or not str(name).startswith("torch.nn."):
        raise ModelError("an activation of a Dense module is not known", found=str(name))
    module: torch.nn.Module = kind()
    return module
