"""Devices, number formats and threads: what a process may use."""

from __future__ import annotations

import os
import platform
from functools import lru_cache
from pathlib import Path
from typing import Literal

import torch

from behavior_spark.errors import ModelError
from behavior_spark.model.encoder.options import Precision

Device = Literal["auto", "cpu", "cuda"]

# Names of the CPU flags in /proc/cpuinfo: two of x86, one of Arm.
_NATIVE_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}


def describe_device() -> str:
    """Name of the device that an encoder would use in this process."""
    if torch.cuda.is_available():
        return f"cuda: {torch.cuda.get_device_name(0)}"
    return f"cpu, {torch.get_num_threads()} threads"


def use_threads(count: int) -> None:
    """Let torch and tokenizers use ``count`` threads in this process, a task's share."""
    # tokenizers reads these when it first runs; by default it uses every core.
    os.environ.setdefault("RAYON_NUM_THREADS", str(count))
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true" if count > 1 else "false")
    if torch.get_num_threads() != count:
        torch.set_num_threads(count)


def no_gpu(found: str) -> ModelError:
    """The error for a process that must use a GPU and has none.

    Args:
        found: What asked for the GPU.
    """
    return ModelError(
        "a GPU was asked for, but torch finds none here",
        found=found,
        fix="install a torch with CUDA where the model runs, or set text.device: cpu",
    )


def choose_device(wanted: Device, *, address: str | None, task: int) -> str | None:
    """The torch device of a task; None means a GPU if there is one, else the CPU.

    Args:
        wanted: ``cpu``, ``cuda``, or ``auto``: ``cuda`` if there is an address, else None.
        address: Address of the GPU that the cluster assigned to the task, if any.
        task: Number of the task. Without addresses, tasks are spread over the GPUs by it.

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
    """Whether the device computes in a precision natively; otherwise it is emulated."""
    if precision == "fp32":
        return True
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device)[0] >= 8
    return bool(_NATIVE_FLAGS & _cpu_flags())


def native_precision(device: str | None) -> dict[str, str]:
    """The fastest precision that a device computes in natively, and the name of its processor.

    Args:
        device: Torch device; None: a GPU if there is one, else the CPU.
    """
    target = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    precision: Precision = "bf16" if is_native("bf16", target) else "fp32"
    return {"precision": precision, "processor": describe_processor(target)}


def describe_processor(device: torch.device) -> str:
    """Name of the processor, such as ``cuda: NVIDIA H100`` or ``cpu: x86_64 avx512_bf16``."""
    if device.type == "cuda":
        return f"cuda: {torch.cuda.get_device_name(device)}"
    native = sorted(_NATIVE_FLAGS & _cpu_flags())
    return " ".join([f"cpu: {platform.machine()}", *native])


@lru_cache(maxsize=1)
def _cpu_flags() -> frozenset[str]:
    """Flags of the first processor; empty if the system has no /proc/cpuinfo (not Linux)."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return frozenset()
    for line in lines:
        name, _, flags = line.partition(":")
        if name.strip().lower() in ("flags", "features"):
            return frozenset(flags.split())
    return frozenset()
