"""Devices and threads: what a process may use."""

from __future__ import annotations

import os
from typing import Literal

import torch

from behavior_spark.errors import ModelError

Device = Literal["auto", "cpu", "cuda"]


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
