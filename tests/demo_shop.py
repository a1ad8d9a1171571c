"""The suite's demo night: its settings beside ``conf/demo.yaml``, and copies of it to change."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from behavior_spark.pipelines.demonstration import DemoResult

# What a night on it needs too when it is run elsewhere and compared.
NIGHT = [
    "training.min_positives=5",
    # Heads on the frozen encoder: seconds, not a minute; tests/model trains the rest.
    "text.finetune=heads",
    # Texts of the shop have ten words; which precision to take is tested on the store of scores.
    "text.max_length=32",
    "text.precision=fp32",
    # What alerts see, and what is planted for them, is tested in tests/uses.
    "alerts=null",
]
LEARNING = ["text.max_examples=300"]


def copy_of(night: DemoResult, folder: Path) -> DemoResult:
    """The same night with tables and models of its own, which a test may change; the same logs.

    Args:
        night: The suite's demo night, which every other test reads.
        folder: A new folder; it can be ``DEMO_ROOT``.
    """
    shutil.copytree(str(night.settings.warehouse.path), folder / "warehouse")
    (folder / "data").symlink_to(night.layout.root)
    warehouse = night.settings.warehouse.model_copy(update={"path": str(folder / "warehouse")})
    settings = night.settings.model_copy(update={"warehouse": warehouse})
    return replace(night, settings=settings)
