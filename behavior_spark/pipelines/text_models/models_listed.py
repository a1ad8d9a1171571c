"""List the text models of a registry, and who replaced whom."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import RenderableType

from behavior_spark.model.registry.promotions import Promotion, history
from behavior_spark.model.registry.records import ModelRecord
from behavior_spark.model.registry.store import ModelStore
from behavior_spark.report.tables import rows_table
from behavior_spark.runs.stages import StageResult


@dataclass(frozen=True)
class ModelsListed(StageResult):
    """The models of the registry, and the log of promotions.

    Attributes:
        published: Every model with its aliases, record and figures, the oldest first.
        promotions: Promotions, refusals and rollbacks, the oldest first.
    """

    published: list[dict[str, Any]]
    promotions: list[Promotion]

    @property
    def details(self) -> Mapping[str, Any]:
        """Both as plain data."""
        log = [asdict(promotion) for promotion in self.promotions]
        return {"models": self.published, "promotions": log}

    def blocks(self) -> list[RenderableType]:
        """A table of models, and one of promotions."""
        models = [
            {
                "model": model["model"],
                "alias": ", ".join(model["aliases"]),
                "made": _minute(str(model["created_at"])),
                "trained through": model["trained_through"],
                **model["figures"],
            }
            for model in self.published
        ]
        names = list(dict.fromkeys(name for row in models for name in row))
        log = [
            {"at": _minute(p.at), "event": p.event, "model": p.model, "replaced": p.replaced,
             "by": p.by, "reason": p.reason}
            for p in self.promotions
        ]  # fmt: skip
        return [
            rows_table([{n: row.get(n) for n in names} for row in models], title="text models"),
            rows_table(log, title="promotions"),
        ]


def _minute(moment: str) -> str:
    return moment[:16].replace("T", " ")


def models_in(store: ModelStore) -> ModelsListed:
    """Every published model with its aliases, record and figures, and the promotion log."""
    names: dict[str, list[str]] = {}
    for alias, digest in store.aliases().items():
        names.setdefault(digest, []).append(alias)
    models = []
    for digest in store.digests():
        record = ModelRecord.load(store.folder(digest))
        models.append(
            {
                "model": digest,
                "aliases": names.get(digest, []),
                "created_at": record.created_at,
                "trained_through": record.trained_through,
                "parents": dict(record.parents),
                "licence": record.licence,
                "figures": _latest_figures(store, digest),
            }
        )
    models.sort(key=lambda model: str(model["created_at"]))
    return ModelsListed(models, history(store))


def _latest_figures(store: ModelStore, digest: str) -> dict[str, float]:
    """F1 of each head by the latest evaluation; without one, as measured by training."""
    evaluations = store.evaluations(digest)
    heads: Mapping[str, Any] = evaluations[-1].get("heads", {}) if evaluations else {}
    figures = {f"{n}_f1_macro": h["figures"]["f1_macro"]["value"] for n, h in heads.items()}
    if figures:
        return figures
    model = store.load(digest)
    trained = {f"{n}_f1_macro": head.metrics.get("f1") for n, head in model.heads.items()}
    return {name: float(value) for name, value in trained.items() if isinstance(value, int | float)}
