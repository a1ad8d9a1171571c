"""What a worker needs to load an encoder, and the CPUs and GPU that its task may use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pyspark import TaskContext

from behavior_spark.model.encoder.options import EncoderOptions

if TYPE_CHECKING:
    from behavior_spark.model.encoder.encoder import Encoder


@dataclass(frozen=True)
class EncoderRecipe:
    """What a worker needs to load an encoder; small enough to send with every task.

    Attributes:
        source: Folder readable by every worker, or ``package:NAME/folder``.
        options: How texts become vectors.
        digest: The encoder's digest; a worker whose files give another one raises.
        token_budget: Tokens in one forward pass; None: the default for the device.
        device: ``auto``: the GPU that Spark assigned to the task, else any GPU, else the CPU.
    """

    source: str
    options: EncoderOptions
    digest: str
    token_budget: int | None = None
    device: Literal["auto", "cpu", "cuda"] = "auto"

    def load(self) -> Encoder:
        """The encoder, loaded once per worker process, on the task's device and with its threads.

        Raises:
            ModelError: It cannot be loaded, its files differ from the driver's, or Spark assigned
                a GPU that torch does not find.
        """
        from behavior_spark.model.encoder.devices import choose_device, use_threads
        from behavior_spark.model.encoder.encoder_cache import cached_encoder

        cpus, address, task = task_resources()
        use_threads(cpus)
        device = choose_device(self.device, address=address, task=task)
        return cached_encoder(self.source, self.options, device, digest=self.digest)


def task_resources() -> tuple[int, str | None, int]:
    """CPUs of this task, address of its GPU (None without one), and its partition id."""
    context = TaskContext.get()
    if context is None:
        return 1, None, 0
    gpu = context.resources().get("gpu")
    address = gpu.addresses[0] if gpu and gpu.addresses else None
    return max(1, context.cpus()), address, context.partitionId()
