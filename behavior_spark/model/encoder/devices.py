"""Devices, number formats and threads: what a process may use."""

from __future__ import annotations

import os
import platform
from functools import lru_cache
from pathlib import Path
from typing import Literal

import torch

from behavior_spark.errors import ModelError
from behavior_spark.model.encoder.model_folder import Precision

Device = Literal["auto", "cpu", "cuda"]

# As the kernel names them: x86's two kinds, and Arm's.
_NATIVE_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}


def describe_device() -> str:
    """The device an encoder would use here, in words."""
    if torch.cuda.is_available():
        return f"cuda: {torch.cuda.get_device_name(0)}"
    return f"cpu, {torch.get_num_threads()} threads"


def use_threads(count: int) -> None:
    """Let torch and tokenizers use so many threads in this process: a task's share."""
    # Read when tokenizers first runs; it would take every core otherwise.
    os.environ.setdefault("RAYON_NUM_THREADS", str(count))
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true" if count > 1 else "false")
    if torch.get_num_threads() != count:
        torch.set_num_threads(count)


def no_gpu(found: str) -> ModelError:
    """The error of a process that was to use a GPU; ``found`` says what asked for it."""
    return ModelError(
        "a GPU was asked for, but torch finds none here",
        found=found,
        fix="install a torch with CUDA where the model runs, or set text.device: cpu",
    )


def choose_device(wanted: Device, *, address: str | None, task: int) -> str | None:
    """The torch device of a task; None: a GPU if there is one, else the CPU.

    Args:
        wanted: ``auto`` follows the address.
        address: Of the GPU that the cluster gave the task, if any.
        task: The task's number, by which tasks are dealt over GPUs no cluster knows of.

    Raises:
        ModelError: A GPU was given or asked for, and torch finds none.
    """
    if wanted == "cpu":
        return "cpu"
    if wanted == "auto" and address is None:
        return None
    if not torch.cuda.is_available():
        raise no_gpu("text.device is cuda" if address is None else f"address {address} from Spark")
    return f"cuda:{task % torch.cuda.device_count() if address is None else address}"


def is_native(precision: Precision, device: torch.device) -> bool:
    """Whether the processor computes in a format itself; another one can still emulate it."""
    if precision == "fp32":
        return True
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device)[0] >= 8
    return bool(_NATIVE_FLAGS & _cpu_flags())


def describe_processor(device: torch.device) -> str:
    """The processor in words, such as ``cuda: NVIDIA H100`` or ``cpu: x86_64 avx512_bf16``."""
    if device.type == "cuda":
        return f"cuda: {torch.cuda.get_device_name(device)}"
    native = sorted(_NATIVE_FLAGS & _cpu_flags())
    return " ".join([f"cpu: {platform.machine()}", *native])


@lru_cache(maxsize=1)
def _cpu_flags() -> frozenset[str]:
    """Flags of the first processor; none where the system does not say (not Linux)."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return frozenset()
    for line in lines:
        name, _, flags = line.partition(":")
        if name.strip().lower() in ("flags", "features"):
            return frozenset(flags.split())
    return frozenset()
