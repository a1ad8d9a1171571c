"""The night that other ways of running Spark must reproduce: every stage, and few of each kind.

As the demo's, it has all families of features, heads, targets of two kinds of condition, an
audience and the service queue; but one head, two targets, three event types and two windows.
"""

from __future__ import annotations

import datetime as dt
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from night_process import Tables

from behavior_spark.config import Settings, load_settings
from tests.demo_shop import LEARNING, NIGHT

USERS, DAYS, SEED = 120, 75, 11
AS_OF = dt.date(2024, 2, 15)
FEW = [
    "training.as_of_days=3", "training.every_days=7",
    "targets.purchase_30d.horizon_days=7", "targets.kitchen_30d.horizon_days=7",
    "features.windows_days=[7, 30]", "features.event_types=[view, cart, purchase]",
]  # fmt: skip
SERVICE = {"value": "purchase_value_30d", "risk": None, "mood": None, "leave_out": {}}


@dataclass(frozen=True)
class Shop:
    """A small shop, and its tables as one night under Spark Connect makes them in a folder.

    Attributes:
        folder: Where it is: ``data`` with its logs.
        plain: Its settings as a file, without audiences and service queue, whose tables are not
            compared: for a night that differs in where tables are, not in the Spark that runs it.
        whole: The tables.
        choices: What the night chose.
    """

    folder: Path
    plain: Path
    whole: Tables
    choices: Tables

    def copy_text_model(self, models: Path) -> None:
        """Put the text model alone there, so that propensity models are trained anew."""
        shutil.copytree(self.folder / "models" / "text", models / "text")


def small_settings(
    shop: Path, *, warehouse: str, models: str, conf: str = "{}", plain: bool = False
) -> Settings:
    """Settings of the shop's night.

    Args:
        shop: Folder whose ``data`` is the shop's.
        warehouse: The section ``warehouse``.
        models: Folder of the models, beside the shop's data.
        conf: The Spark settings of a session that is started for it.
        plain: Without audiences and service queue.
    """
    places = [f"warehouse={warehouse}", f"models={shop / models}", f"spark.conf={conf}"]
    loaded = load_settings(
        ["demo.yaml"],
        # As the suite's own session: the same texts in the same batches.
        overrides=[*NIGHT, *LEARNING, *places, *FEW, "spark.shuffle_partitions=2"],
        environment={"DEMO_ROOT": str(shop)},
    )
    features, service = loaded.features, loaded.service
    assert service is not None
    parts: dict[str, Any] = {
        "features": features.model_copy(update={"funnels": {"buy": features.funnels["buy"]}}),
        "service": service.model_copy(update=SERVICE),
        "targets": {name: loaded.targets[name] for name in ("purchase_30d", "kitchen_30d")},
        "audiences": {"buyers": loaded.audiences["buyers"]},
        "text": loaded.text.model_copy(update={"heads": {"intent": loaded.text.heads["intent"]}}),
    }
    if plain:
        parts |= {"audiences": {}, "service": None}
    return loaded.model_copy(update=parts)


def write_config(settings: Settings, path: Path) -> Path:
    """The settings as a file that the command line reads."""
    tree = settings.model_dump(by_alias=True, exclude_unset=True, mode="json")
    path.write_text(yaml.safe_dump(tree, allow_unicode=True, sort_keys=False), encoding="utf-8")
    return path
