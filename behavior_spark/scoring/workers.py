"""What a worker needs to load an encoder, and what it may use for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pyspark import TaskContext

from behavior_spark.errors import ModelError
from behavior_spark.model.encoder.model_folder import EncoderOptions

if TYPE_CHECKING:
    from behavior_spark.model.encoder.encoder import Encoder


@dataclass(frozen=True)
class EncoderRecipe:
    """An encoder by name, small enough to travel with every task.

    Attributes:
        source: Folder readable by every worker, or ``package:NAME/folder``.
        options: How texts become vectors.
        digest: The backbone's digest; a worker that finds other files refuses to run.
        token_budget: Tokens in one forward pass; None: what suits the device.
        device: ``auto``: the GPU that Spark gave the task, else one that is there, else the CPU.
    """

    source: str
    options: EncoderOptions
    digest: str
    token_budget: int | None = None
    device: Literal["auto", "cpu", "cuda"] = "auto"

    def load(self) -> Encoder:
        """The worker's one encoder, on the device and with the threads its task may use.

        Raises:
            ModelError: It cannot be loaded, its files are not the driver's, or the task was
                given a GPU that torch does not find.
        """
        from behavior_spark.model.encoder.devices import choose_device, use_threads
        from behavior_spark.model.encoder.encoder import cached_encoder

        cpus, address, task = task_resources()
        use_threads(cpus)
        device = choose_device(self.device, address=address, task=task)
        encoder = cached_encoder(self.source, self.options, device)
        if encoder.digest != self.digest:
            raise ModelError(
                "this worker's encoder is not the one the driver named",
                found=f"{encoder.digest}, wanted {self.digest}",
                fix="put the same encoder on a path that all workers share",
            )
        return encoder


def task_resources() -> tuple[int, str | None, int]:
    """CPUs of this task, the address of the GPU Spark gave it (if any), and its partition."""
    context = TaskContext.get()
    if context is None:
        return 1, None, 0
    gpu = context.resources().get("gpu")
    address = gpu.addresses[0] if gpu and gpu.addresses else None
    return max(1, context.cpus()), address, context.partitionId()
