"""Settings of a night on a shop of 40 users: what is done in which order, not what it computes."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from behavior_spark.config import Settings, load_settings
from tests.demo_shop import NIGHT

# Few columns.
FEW = ["training.as_of_days=3", "training.every_days=7", "targets.purchase_30d.horizon_days=7",
       "features.groups=[activity, texts]", "features.windows_days=[30]",
       "features.event_types=[purchase]", "features.funnels={}"]  # fmt: skip
AS_OF = dt.date(2024, 2, 25)


def small_settings(shop: Path, *, warehouse: str, models: str, conf: str = "{}") -> Settings:
    """Settings of the shop's night.

    Args:
        shop: Folder whose ``data`` is the shop's.
        warehouse: The section ``warehouse``.
        models: Folder of the models, beside the shop's data.
        conf: The Spark settings of a session that is started for it.
    """
    places = [f"warehouse={warehouse}", f"models={shop / models}", f"spark.conf={conf}"]
    loaded = load_settings(
        ["demo.yaml"],
        overrides=[*NIGHT, *places, *FEW, "spark.shuffle_partitions=2"],
        environment={"DEMO_ROOT": str(shop)},
    )
    text = loaded.text.model_copy(update={"heads": {}})
    targets = {"purchase_30d": loaded.targets["purchase_30d"]}
    # Its texts are queued without heads: answers and the table work there, too.
    changes = {"value": None, "risk": None, "similar_cases": 0}
    service = loaded.service.model_copy(update=changes) if loaded.service else None
    changed = {"text": text, "targets": targets, "audiences": {}, "service": service}
    return loaded.model_copy(update=changed)
