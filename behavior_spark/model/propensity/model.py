"""A trained propensity model: it predicts, gives reasons (TreeSHAP, Lundberg et al. 2020),
and travels as a folder or as bytes.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from behavior_spark.errors import ModelError
from behavior_spark.files import short_digest, staged_folder, write_json
from behavior_spark.model.arrays import Doubles
from behavior_spark.model.propensity.baselines import Baseline
from behavior_spark.model.propensity.calibration import Calibrator
from behavior_spark.model.propensity.feature_matrix import feature_matrix
from behavior_spark.model.propensity.trees import TrainingOptions, tree_margins

if TYPE_CHECKING:
    import pandas as pd
    import xgboost

Reason = tuple[str, float | None, float]

BOOSTER_FILE, MODEL_FILE = "booster.ubj", "model.json"


@dataclass(frozen=True)
class PropensityModel:
    """A trained model of one target. Rows keep their order; batches do not matter.

    Attributes:
        target: Name of the target.
        features: Columns the trees read, in order; nulls and NaN are "not known".
        options: How it was trained.
        calibrator: From margin to probability.
        baselines: `recency` and `recency_frequency_value`, where columns were given.
        metrics: `holdout` (each measure with `value`, `low`, `high`), `baselines`.
        metadata: Scheme, as-of days, rows and positives.
        trained_through: First day after everything it learned from: a backtest of an
            as-of day before it would be peeking.
        fingerprint: Of the feature and target definitions, as the caller gave it.
        booster: XGBoost's own bytes (UBJ).
    """

    target: str
    features: tuple[str, ...]
    options: TrainingOptions
    calibrator: Calibrator
    baselines: dict[str, Baseline]
    metrics: dict[str, Any]
    metadata: dict[str, Any]
    trained_through: str
    fingerprint: str
    booster: bytes = field(repr=False)

    def margins(self, frame: pd.DataFrame) -> Doubles:
        """Uncalibrated log-odds, float64 of shape (rows,)."""
        return tree_margins(self._trees, feature_matrix(frame, self.features, self.target))

    def probabilities(self, frame: pd.DataFrame) -> Doubles:
        """Calibrated probabilities, float64 of shape (rows,)."""
        return self.calibrator.predict(self.margins(frame))

    def baseline_scores(self, frame: pd.DataFrame, name: str) -> Doubles:
        """Log-odds of a baseline, float64 of shape (rows,)."""
        if name not in self.baselines:
            known = ", ".join(self.baselines) or "none"
            raise ModelError(f"no baseline {name!r}", found=known, fix="ask for one of those")
        return self.baselines[name].scores(frame)

    def reasons(self, frame: pd.DataFrame, *, top: int = 3) -> list[list[Reason]]:
        """Per row the `top` (feature, value, contribution to the margin), largest first."""
        values = feature_matrix(frame, self.features, self.target)
        if not len(values):
            return []
        import xgboost

        data = xgboost.DMatrix(values, nthread=1)
        shares = self._trees.predict(data, pred_contribs=True)[:, :-1].astype(np.float64)
        best = np.argsort(-np.abs(shares), axis=1, kind="stable")[:, :top]
        return [
            [
                (
                    self.features[column],
                    None if np.isnan(values[row, column]) else float(values[row, column]),
                    float(shares[row, column]),
                )
                for column in columns
                if shares[row, column] != 0
            ]
            for row, columns in enumerate(best)
        ]

    @cached_property
    def digest(self) -> str:
        """16 hex characters over everything above; the same model has the same digest."""
        return _digest(self._description(), self.booster)

    def save(self, folder: str | Path) -> Path:
        """Write `booster.ubj` and `model.json` to `folder`, whole or not at all."""
        target = Path(folder)
        with staged_folder(target, replace=True) as staging:
            (staging / BOOSTER_FILE).write_bytes(self.booster)
            write_json(staging / MODEL_FILE, self._description() | {"digest": self.digest})
        return target

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """The model `save` wrote; its digest is checked."""
        source = Path(folder)
        try:
            text = (source / MODEL_FILE).read_bytes()
            booster = (source / BOOSTER_FILE).read_bytes()
        except OSError as error:
            raise ModelError(
                f"no propensity model at {source}",
                found=error.strerror,
                fix="run train-propensity, or correct the path",
            ) from error
        return cls._restore(text, booster, origin=str(source))

    def to_bytes(self) -> bytes:
        """One block of bytes: a Spark closure carries it to the workers."""
        text = json.dumps(self._description() | {"digest": self.digest}).encode()
        return len(text).to_bytes(8, "big") + text + self.booster

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """The model `to_bytes` packed; its digest is checked."""
        end = 8 + int.from_bytes(data[:8], "big")
        return cls._restore(data[8:end], data[end:], origin="bytes")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self).from_bytes, (self.to_bytes(),)

    @cached_property
    def _trees(self) -> xgboost.Booster:
        import xgboost

        trees = xgboost.Booster({"nthread": 1})
        trees.load_model(bytearray(self.booster))
        return trees

    def _description(self) -> dict[str, Any]:
        return {
            "format": 1,
            "target": self.target,
            "features": list(self.features),
            "options": asdict(self.options),
            "calibrator": self.calibrator.to_json(),
            "baselines": {name: asdict(each) for name, each in self.baselines.items()},
            "metrics": self.metrics,
            "metadata": self.metadata,
            "trained_through": self.trained_through,
            "fingerprint": self.fingerprint,
        }

    @classmethod
    def _restore(cls, text: bytes, booster: bytes, *, origin: str) -> Self:
        problem = f"the propensity model from {origin} is damaged or was changed"
        try:
            data = json.loads(text)
            stated = data.pop("digest")
            model = cls(
                target=data["target"],
                features=tuple(data["features"]),
                options=TrainingOptions(**data["options"]),
                calibrator=Calibrator.from_json(data["calibrator"]),
                baselines={
                    name: Baseline.from_json(each) for name, each in data["baselines"].items()
                },
                metrics=data["metrics"],
                metadata=data["metadata"],
                trained_through=data["trained_through"],
                fingerprint=data["fingerprint"],
                booster=booster,
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ModelError(problem, found=type(error).__name__, fix="train it again") from error
        if stated != _digest(data, booster):
            raise ModelError(problem, found="its digest does not match", fix="train it again")
        return model


def _digest(description: dict[str, Any], booster: bytes) -> str:
    canonical = json.dumps(description, sort_keys=True, separators=(",", ":"))
    return short_digest(canonical.encode() + b"\0" + booster)
