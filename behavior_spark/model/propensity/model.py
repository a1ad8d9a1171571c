"""A trained propensity model: predictions, reasons, and storage as a folder or as bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from behavior_spark.errors import ModelError
from behavior_spark.model.arrays import Doubles, Floats
from behavior_spark.model.propensity.baselines import Baseline
from behavior_spark.model.propensity.changes import Change, ChangeFinder, Stepwise
from behavior_spark.model.propensity.feature_matrix import feature_matrix
from behavior_spark.model.propensity.goals import Goal
from behavior_spark.model.propensity.learner import (
    BASE_RATE,
    DEFAULT_LEARNER,
    FittedLearner,
    Learner,
    find_learner,
)
from behavior_spark.model.propensity.prior_shift import season_offset
from behavior_spark.model.propensity.reasons import (
    WORTH_TELLING,
    Explainer,
    Reason,
    ReasonTable,
)
from behavior_spark.model.propensity.sayings import Told
from behavior_spark.model.propensity.sketch import Sketch
from behavior_spark.model.propensity.stored_model import StoredModel, digest_of
from behavior_spark.model.propensity.target_kind import (
    DEFAULT_KIND,
    MarginCalibrator,
    TargetKind,
    find_target_kind,
)
from behavior_spark.model.propensity.verdict import TargetVerdict

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class PropensityModel:
    """A trained model of one target. The prediction of a row does not depend on other rows.

    Attributes:
        target: Name of the target.
        kind: Kind of the target.
        learner: The learner that was fitted.
        features: Feature columns, in order; null and NaN are missing values.
        options: Settings of the learner.
        calibrator: Converts margins to predictions.
        baselines: Baselines by name, for which columns were given.
        metrics: `holdout` (each measure with `value`, `low`, `high`), `baselines`, `verdict`.
        metadata: Scheme, as-of days, rows and positives; ``sketches`` of scores and features;
            with ``training.prior_shift`` the ``offsets`` of days.
        trained_through: First day after the horizons of all training days. Measuring the model
            on an earlier as-of day would be leakage.
        fingerprint: Fingerprint of the feature and target definitions, from the caller.
        learned: Bytes of the fitted learner.
    """

    target: str
    kind: TargetKind
    learner: Learner
    features: tuple[str, ...]
    options: Any
    calibrator: MarginCalibrator
    baselines: dict[str, Baseline]
    metrics: dict[str, Any]
    metadata: dict[str, Any]
    trained_through: str
    fingerprint: str
    learned: bytes = field(repr=False)

    @property
    def verdict(self) -> TargetVerdict | None:
        """What the learner gained over chance and baselines on held-out rows.

        None for models that were trained before there were verdicts.
        """
        return verdict_in(self.metrics)

    @cached_property
    def sketches(self) -> tuple[Sketch | None, dict[str, Sketch]]:
        """How scores, and each feature, were spread when it was trained.

        None and empty for models without (base rates, and models of earlier versions).
        """
        stored = self.metadata.get("sketches", {})
        score = stored.get("score")
        features = stored.get("features", {})
        return (
            Sketch.from_json(score) if score else None,
            {name: Sketch.from_json(sketch) for name, sketch in features.items()},
        )

    @property
    def ranks(self) -> bool:
        """Whether predictions differ between users; if not, all get the base rate."""
        return self.learner.name != BASE_RATE

    def margins(self, frame: pd.DataFrame) -> Doubles:
        """Margins before calibration, float64 (rows,); log-odds if the outcome is yes or no.

        Raises:
            ModelError: A feature column is missing.
        """
        return self.margins_of(feature_matrix(frame, self.features, self.target))

    def margins_of(self, values: Floats) -> Doubles:
        """Margins of the features as a matrix, float32 (rows, features); see :meth:`margins`."""
        return self._fitted.margins(values)

    def predictions(self, frame: pd.DataFrame) -> Doubles:
        """Calibrated predictions, float64 (rows,); probabilities if the outcome is yes or no.

        Raises:
            ModelError: A feature column is missing.
        """
        return self.calibrator.predict(self.margins(frame))

    def prediction_columns(
        self, margins: Doubles, as_of: date | None = None
    ) -> Mapping[str, Doubles]:
        """Columns of ``user_propensity`` with the predictions of these margins, float64 (rows,).

        Args:
            margins: Margins, float64 (rows,).
            as_of: Day of the predictions, for models with offsets of seasons.
        """
        offset = season_offset(self.metadata.get("offsets", {}), as_of) if as_of else 0.0
        return self.kind.prediction_columns(self.calibrator, margins + offset)

    def baseline_scores(self, frame: pd.DataFrame, name: str) -> Doubles:
        """Margins of a baseline, float64 (rows,).

        Raises:
            ModelError: There is no baseline with this name.
        """
        if name not in self.baselines:
            names = ", ".join(self.baselines) or "none"
            raise ModelError(f"no baseline {name!r}", found=names, fix="ask for one of those")
        return self.baselines[name].scores(frame)

    def reasons(
        self,
        frame: pd.DataFrame,
        told: Mapping[str, Told] | None = None,
        *,
        top: int = 3,
        least: float = WORTH_TELLING,
    ) -> list[list[Reason]]:
        """What raises and lowers the margin of each row, the strongest first.

        Args:
            frame: Rows with the features.
            told: What is said of a feature, by name; of others their name and value.
            top: For each row up to so many reasons that raise it, and so many that lower it.
            least: What contributes a smaller share of the strongest reason is none.

        Raises:
            ModelError: A feature column is missing.
        """
        values = feature_matrix(frame, self.features, self.target)
        if not len(values):
            return []
        explainer = Explainer(self.features, told or {})
        contributions = self._fitted.contributions(values)
        return explainer.reasons(values, contributions, top=top, least=least)

    @property
    def finds_changes(self) -> bool:
        """Whether :meth:`changes` can be asked: it ranks, and its learner has steps."""
        return self.ranks and isinstance(self._fitted, Stepwise)

    def changes(
        self,
        frame: pd.DataFrame,
        goal: Goal,
        told: Mapping[str, Told] | None = None,
        *,
        as_of: date | None = None,
    ) -> list[Change | None]:
        """For each row the nearest change of one feature that reaches the goal; else None.

        Args:
            frame: Rows with the features.
            goal: What is wanted, and what may change.
            told: What is said of a feature, by name; of others their name and value.
            as_of: Day of the predictions, as for :meth:`prediction_columns`.

        Raises:
            ModelError: A feature column is missing.
        """
        values, fitted = feature_matrix(frame, self.features, self.target), self._fitted
        if not len(values) or not self.ranks or not isinstance(fitted, Stepwise):
            return [None] * len(values)

        def predicted(margins: Doubles) -> Doubles:
            columns: Mapping[str, Doubles] = self.prediction_columns(margins, as_of)
            return columns[self.kind.predicted]

        finder = ChangeFinder(
            self.features, told or {}, self.sketches[1], goal, predicted,
            probabilities=self.kind.predicted == "probability",
        )  # fmt: skip
        return finder.changes(fitted, values)

    def reason_table(
        self, values: Floats, told: Mapping[str, Told] | None = None, *, top: int = 3
    ) -> ReasonTable:
        """Reasons of many rows as columns, of the features as a matrix; see :meth:`reasons`.

        Args:
            values: Features, float32 (rows, features).
            told: What is said of a feature, by name; of others their name and value.
            top: For each row up to so many reasons that raise it, and so many that lower it.
        """
        explainer = Explainer(self.features, told or {})
        return explainer.table(values, self._fitted.contributions(values), top=top)

    @cached_property
    def digest(self) -> str:
        """Digest of all attributes, 16 hex characters; equal models have equal digests."""
        return digest_of(self._description(), self.learned)

    def save(self, folder: str | Path) -> Path:
        """Write the learner's file and `model.json` to `folder`, completely or not at all."""
        StoredModel.of(self._description(), self.learned).write(Path(folder))
        return Path(folder)

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Read a model that :meth:`save` wrote, and check its digest.

        Raises:
            ModelError: There is no model in the folder, or it is damaged or was changed.
        """
        return cls._restore(StoredModel.read(Path(folder)))

    def to_bytes(self) -> bytes:
        """The model as bytes, without the code of its kind and learner."""
        return StoredModel.of(self._description(), self.learned).to_bytes()

    @classmethod
    def from_bytes(
        cls, data: bytes, kind: TargetKind | None = None, learner: Learner | None = None
    ) -> Self:
        """Read a model from :meth:`to_bytes`, and check its digest.

        Args:
            data: The bytes.
            kind: Kind of the target; by default looked up by name.
            learner: The learner; by default looked up by name.

        Raises:
            ModelError: The bytes are damaged or were changed.
        """
        return cls._restore(StoredModel.from_bytes(data), kind, learner)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle with kind and learner, so that Spark's workers need not look up names."""
        return type(self).from_bytes, (self.to_bytes(), self.kind, self.learner)

    @cached_property
    def _fitted(self) -> FittedLearner:
        return self.learner.load(self.learned)

    def _description(self) -> dict[str, Any]:
        named = {"kind": self.kind.name, "learner": self.learner.name}
        defaults = {"kind": DEFAULT_KIND, "learner": DEFAULT_LEARNER}
        return {
            # Defaults are not written, so that models made before there was a choice keep their
            # digest.
            **{key: name for key, name in named.items() if name != defaults[key]},
            "format": 1,
            "target": self.target,
            "features": list(self.features),
            "options": asdict(self.options),
            "calibrator": self.calibrator.to_json(),
            "baselines": {name: asdict(baseline) for name, baseline in self.baselines.items()},
            "metrics": self.metrics,
            "metadata": self.metadata,
            "trained_through": self.trained_through,
            "fingerprint": self.fingerprint,
        }

    @classmethod
    def _restore(
        cls, stored: StoredModel, kind: TargetKind | None = None, learner: Learner | None = None
    ) -> Self:
        kind = kind or find_target_kind(stored.kind)
        learner = learner or find_learner(stored.learner)
        data = stored.checked()
        try:
            return cls(
                target=data["target"],
                kind=kind,
                learner=learner,
                features=tuple(data["features"]),
                options=learner.make_options(**data["options"]),
                calibrator=kind.read_calibrator(data["calibrator"]),
                baselines={
                    name: Baseline.from_json(content) for name, content in data["baselines"].items()
                },
                metrics=data["metrics"],
                metadata=data["metadata"],
                trained_through=data["trained_through"],
                fingerprint=data["fingerprint"],
                learned=stored.learned,
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise stored.damaged(type(error).__name__) from error


def verdict_in(metrics: Mapping[str, Any]) -> TargetVerdict | None:
    """The verdict in a model's metrics; None if they have none."""
    data = metrics.get("verdict")
    return TargetVerdict.from_json(data) if data else None
