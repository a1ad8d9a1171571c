"""Several processes that share each batch, by torch.distributed's own means.

A process started by ``torchrun`` or Spark's ``TorchDistributor`` finds ``WORLD_SIZE`` in its
environment and joins the others (gloo on CPUs, NCCL on GPUs); alone it is one of one. Training
functions are plain functions, so on a cluster::

    TorchDistributor(num_processes=8, local_mode=False, use_gpu=True).run(finetune, ...)

Gradients are summed over processes in one flat exchange a step, what DDP (Li et al. 2020,
arXiv 2006.15704) does in buckets: the models here are small against their exchange.
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
    """This process's number, 0 where it is alone."""
    return dist.get_rank() if _joined() else 0


def world_size() -> int:
    """How many processes share the work, 1 where this one is alone."""
    return dist.get_world_size() if _joined() else 1


@contextmanager
def process_group(device: torch.device) -> Iterator[None]:
    """Join the processes that the environment names; alone, or joined before: nothing to do.

    Processes of one machine share its cores.
    """
    if _joined() or int(os.environ.get("WORLD_SIZE", "1")) < 2:
        yield
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    else:
        here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
        use_threads(max(1, (os.cpu_count() or 1) // here))
    # The others wait while the first embeds, measures or saves.
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=LONGEST_WAIT)
    try:
        yield
    finally:
        dist.destroy_process_group()


def own_device(device: str | None) -> str | None:
    """``device``, or the GPU that the launcher dealt to this process (``LOCAL_RANK``)."""
    local = os.environ.get("LOCAL_RANK")
    if local is None or device not in (None, "cuda") or not torch.cuda.is_available():
        return device
    return f"cuda:{int(local) % torch.cuda.device_count()}"


def sum_gradients(parameters: Sequence[torch.nn.Parameter]) -> None:
    """Add up every parameter's gradient over the processes, in place; alone: nothing to do."""
    if world_size() == 1:
        return
    # Who has a gradient is agreed on first: AdamW moves even by a gradient of zeros.
    has = torch.tensor([p.grad is not None for p in parameters], dtype=torch.float32)
    has = has.to(parameters[0].device)
    dist.all_reduce(has)
    gradients = []
    for parameter, somewhere in zip(parameters, has.tolist(), strict=True):
        if somewhere:
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
    """What the first process makes, on every process; the others wait for it."""
    if world_size() == 1:
        return make()
    made = [make() if rank() == 0 else None]
    dist.broadcast_object_list(made, src=0)
    return made[0]  # type: ignore[return-value]


def run_processes(function: Callable[..., T], processes: int, *arguments: Any) -> T:
    """Call ``function`` in so many processes of this machine; what the first returns.

    It and its arguments must be picklable; only this package's own values come back.

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
    found: T = results[0]
    return found


def _joined() -> bool:
    return dist.is_available() and dist.is_initialized()
