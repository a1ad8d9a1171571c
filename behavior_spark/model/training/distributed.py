"""Data-parallel training: several processes share each batch, by torch.distributed.

A process started by ``torchrun`` or Spark's ``TorchDistributor`` finds ``WORLD_SIZE`` in its
environment and joins the others (gloo on CPUs, NCCL on GPUs). Without it the process works
alone. Training functions are plain functions, so on a cluster::

    TorchDistributor(num_processes=8, local_mode=False, use_gpu=True).run(finetune, ...)

Gradients are summed over processes in one flat all-reduce a step. DDP (Li et al. 2020, arXiv
2006.15704) does it in buckets during the backward pass, which small models do not need.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist

from behavior_spark.errors import ModelError
from behavior_spark.model.encoder.devices import use_threads

LONGEST_WAIT = timedelta(hours=6)
T = TypeVar("T")


def rank() -> int:
    """Number of this process, from 0; 0 without other processes."""
    return dist.get_rank() if _joined() else 0


def world_size() -> int:
    """Number of processes that share the work; 1 without other processes."""
    return dist.get_world_size() if _joined() else 1


@contextmanager
def process_group(device: torch.device) -> Iterator[None]:
    """Join the processes of ``WORLD_SIZE``, and leave them at the end of the block.

    Does nothing without other processes, or if they are joined already. On CPUs, each process of
    a machine uses its share of the cores.
    """
    if _joined() or int(os.environ.get("WORLD_SIZE", "1")) < 2:
        yield
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    else:
        processes_here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
        use_threads(max(1, (os.cpu_count() or 1) // processes_here))
    # A long timeout: the others wait while the first process embeds, measures or saves.
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=LONGEST_WAIT)
    try:
        yield
    finally:
        dist.destroy_process_group()


def own_device(device: str | None) -> str | None:
    """``device``, or the GPU with the number of this process on its machine (``LOCAL_RANK``)."""
    local = os.environ.get("LOCAL_RANK")
    if local is None or device not in (None, "cuda") or not torch.cuda.is_available():
        return device
    return f"cuda:{int(local) % torch.cuda.device_count()}"


def sum_gradients(parameters: Sequence[torch.nn.Parameter]) -> None:
    """Sum each parameter's gradient over the processes, in place.

    A parameter without a gradient in any process keeps none.
    """
    if world_size() == 1:
        return
    # First agree on the parameters with a gradient: AdamW changes a weight even if it is 0.
    has = torch.tensor([p.grad is not None for p in parameters], dtype=torch.float32)
    has = has.to(parameters[0].device)
    dist.all_reduce(has)
    gradients = []
    for parameter, processes_with_gradient in zip(parameters, has.tolist(), strict=True):
        if processes_with_gradient:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            gradients.append(parameter.grad)
    flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
    dist.all_reduce(flat)
    first = 0
    for gradient in gradients:
        gradient.copy_(flat[first : first + gradient.numel()].view_as(gradient))
        first += gradient.numel()


def from_first(make: Callable[[], T]) -> T:
    """Call ``make`` in the first process and return its result in all; the others wait."""
    if world_size() == 1:
        return make()
    result = [make() if rank() == 0 else None]
    dist.broadcast_object_list(result, src=0)
    return result[0]  # type: ignore[return-value]


def run_processes(function: Callable[..., T], processes: int, *arguments: Any) -> T:
    """Call ``function`` in ``processes`` processes of this machine; the result of the first.

    The function, its arguments and its result must be picklable.

    Raises:
        ModelError: A process failed.
    """
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
        monitor_interval=0.5,
    )
    try:
        results = elastic_launch(config, function)(*arguments)
    except ChildFailedError as error:
        raise ModelError(
            f"one of {processes} training processes failed",
            found=f"exit code {next(iter(error.failures.values())).exitcode}",
            fix="its own message is above; text.tuning.processes=1 trains in one process",
        ) from None
    first: T = results[0]
    return first


def _joined() -> bool:
    return dist.is_available() and dist.is_initialized()
