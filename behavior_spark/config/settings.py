"""The settings of a job as pydantic models; unknown keys are errors.

Each section has a module of its own; ``Settings`` holds them all and checks that they agree. Every
field has a description; ``behavior-spark init`` writes descriptions as comments.
"""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field, field_validator, model_validator

from behavior_spark.config.alerts import Alerts
from behavior_spark.config.audiences import Audience, Recommendations, check_audiences
from behavior_spark.config.behaviour import LeakageSettings
from behavior_spark.config.features import FeatureSettings
from behavior_spark.config.intake import Intake
from behavior_spark.config.lifecycle import Annotation
from behavior_spark.config.local_spark import LocalSpark
from behavior_spark.config.pretraining import Pretraining
from behavior_spark.config.privacy import Privacy
from behavior_spark.config.section import Section, checked_names
from behavior_spark.config.sequence import SequenceSettings
from behavior_spark.config.service import Service, check_service
from behavior_spark.config.sources import Sources
from behavior_spark.config.targets import Target
from behavior_spark.config.text import TextSettings
from behavior_spark.config.training import TrainingSettings
from behavior_spark.config.warehouse import WarehouseSettings
from behavior_spark.errors import ConfigError, ModelError
from behavior_spark.shared_folder import SharedFolder

# First words of the names of features that do not belong to one event type, target or head.
RESERVED = {
    "event", "session", "text", "value", "active", "recency", "tenure", "funnel", "attribute",
}  # fmt: skip


class Settings(Section):
    """One job's settings."""

    name: str = Field("behavior", description="shown in summaries and stored with each run")
    warehouse: WarehouseSettings = Field(
        description="where the tables are written; a plain string is a folder"
    )
    models: str | None = Field(
        None,
        description="folder for models that all workers can read, or its address in an object "
        "store; default warehouse/_models",
    )
    checkpoints: str | None = Field(
        None,
        description="folder, or its address in an object store, in which finetune and pretrain "
        "keep what a killed run continues from; default models/.training",
    )
    sources: Sources = Field(description="your tables, and the mapping of their columns")
    lookback_days: int = Field(
        0,
        ge=0,
        description="arrival days a night reads again, for logs whose rows come late "
        "without an arrival time",
    )
    intake: Intake = Field(
        default=Intake(), description="which rows are corrected, and when a night stops"
    )
    privacy: Privacy = Field(
        default=Privacy(), description="what is masked or replaced before anything is stored"
    )
    text: TextSettings = Field(
        default=TextSettings(), description="how texts are cleaned, embedded and classified"
    )
    features: FeatureSettings = Field(default=FeatureSettings(), description="features to build")
    population: str = Field(
        "true", description="SQL condition on an event: users with one before as_of are predicted"
    )
    targets: dict[str, Target] = Field(
        default_factory=dict,
        description="what is predicted, by name: a condition on events and a horizon",
    )
    training: TrainingSettings = Field(
        default=TrainingSettings(), description="how the propensity models are trained"
    )
    audiences: dict[str, Audience] = Field(
        default_factory=dict,
        description="people to reach, by name: a target, a rule, and who is left out",
    )
    recommendations: Recommendations = Field(
        default=Recommendations(), description="how items for members of audiences are found"
    )
    sequence: SequenceSettings | None = Field(
        None,
        description="next items of each user, by a sequence model; without it none are predicted",
    )
    pretrain: Pretraining = Field(
        default=Pretraining(),
        description="how `pretrain` trains the encoder further on your own texts",
    )
    annotate: dict[str, Annotation] = Field(
        default_factory=dict,
        description="tasks for which a language model labels texts, by name",
    )
    alerts: Alerts | None = Field(
        None, description="risk alerts for a security team (table risk_alerts); none unless set"
    )
    service: Service | None = Field(
        None, description="texts for customer service (table service_queue); none unless set"
    )
    leakage: LeakageSettings = Field(
        default=LeakageSettings(), description="thresholds of `check-leakage`"
    )
    spark: LocalSpark = Field(
        default=LocalSpark(),
        description="the local Spark session that is started if there is none; ignored on a "
        "cluster",
    )

    @field_validator(
        "intake", "privacy", "text", "features", "targets", "training", "audiences",
        "recommendations", "pretrain", "annotate", "leakage", "spark", mode="before",
    )  # fmt: skip
    @classmethod
    def _empty_section(cls, value: object) -> object:
        return {} if value is None else value  # all lines of the section are comments

    @field_validator("warehouse", mode="before")
    @classmethod
    def _plain_path(cls, value: object) -> object:
        return {"path": value} if isinstance(value, str) else value

    @field_validator("checkpoints")
    @classmethod
    def _usable_folder(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                SharedFolder(value)
            except ModelError as error:
                raise ValueError(f"{error.problem} {error.fix}") from error
        return value

    @field_validator("annotate")
    @classmethod
    def _annotation_names(cls, value: dict[str, Annotation]) -> dict[str, Annotation]:
        return checked_names(value, "annotation")

    @field_validator("audiences")
    @classmethod
    def _audience_names(cls, value: dict[str, Audience]) -> dict[str, Audience]:
        return checked_names(value, "audience")

    @field_validator("targets")
    @classmethod
    def _target_names(cls, value: dict[str, Target]) -> dict[str, Target]:
        return checked_names(value, "target")

    @model_validator(mode="after")
    def _consistent(self) -> Settings:
        if problems := [*self._missing(), *self._wrong_names(), *self._contradictions()]:
            raise ValueError("; ".join(problems))
        return self

    def _missing(self) -> Iterator[str]:
        """Sections without which there is nothing to do."""
        if not self.sources.events and not self.sources.texts:
            yield "sources.events is missing: what users did; or sources.texts alone"
        if self.sources.events and not self.features.event_types:
            yield "features.event_types is missing: event types that get features of their own"
        if self.sources.events and not self.targets:
            yield "targets is missing: what is predicted, by name"
        if self.alerts and not self.sources.events:
            yield "alerts: there is nothing to watch without sources.events"
        if self.targets and not self.sources.events:
            yield "targets: nothing can be predicted without sources.events"
        if self.warehouse.schema_ and not self.models:
            yield "models: a folder is needed where the warehouse is a schema"

    def _wrong_names(self) -> Iterator[str]:
        """Names that two features would have."""
        named = [*self.targets, *self.features.event_types, *self.text.heads]
        for name in sorted(RESERVED.intersection(named)):
            yield f"{name} names features of all events: choose another name"
        for name in sorted(set(self.targets) & set(self.features.event_types)):
            yield f"a target and an event type share the name {name}"

    def _contradictions(self) -> Iterator[str]:
        """What one section asks for and another leaves out."""
        if self.text.heads and not self.text.encoder:
            yield "text.heads need text.encoder"
        for name, labels in self.text.heads.items():
            if labels.annotated is not None and labels.annotated not in self.annotate:
                yield f"text.heads.{name}: annotate has no task {labels.annotated!r}"
        if not self.features.built("activity"):
            yield (
                "features.groups needs activity: recency, frequency and value are what every "
                "model is measured against"
            )
        for name, target in self.targets.items():
            own = target.is_event_type(self.features.event_types) is None
            if target.who != "everybody" and own and not self.features.built("targets"):
                yield (
                    f"targets.{name}.who: {target.who} needs the target's past: add targets to "
                    "features.groups"
                )
        if self.features.movable and not any(t.wanted for t in self.targets.values()):
            yield (
                "features.movable: no target says which way it should go: set targets.NAME.wanted "
                "to more or less"
            )
        if any(target.item for target in self.targets.values()) and not self.sources.items:
            yield "a target filters on items, but sources.items is not mapped"
        try:
            check_audiences(
                self.audiences,
                targets=self.targets,
                attributes=self._attribute_features,
                items=bool(self.sources.items),
            )
        except ValueError as error:
            yield str(error)
        try:
            if self.service:
                check_service(
                    self.service,
                    heads=self.text.heads,
                    targets=self.targets,
                    texts=bool(self.sources.texts),
                )
        except ValueError as error:
            yield str(error)

    @property
    def _attribute_features(self) -> set[str]:
        """Names of the features that are attributes of users."""
        if not self.features.built("attributes"):
            return set()
        return {
            f"attribute_{name}_{feature}"
            for name, source in self.sources.attributes.items()
            for feature in source.feature_names
        }

    def worker_models(self, *, language: bool = True) -> tuple[str, ...]:
        """Models that the session's Python workers may load, so that they need torch.

        Args:
            language: Whether language models are among them.
        """
        annotators = [task.model for task in self.annotate.values()] if language else []
        return tuple(filter(None, [self.text.encoder, *annotators]))

    @property
    def models_path(self) -> str:
        """Folder of the models: a path that every process can open, or an object store's address.

        Raises:
            ConfigError: It is an address of a kind in which models cannot be.
        """
        folder = self.models or f"{(self.warehouse.path or '').rstrip('/')}/_models"
        try:
            SharedFolder(folder)
        except ModelError as error:
            follows = "" if self.models else ", which follows warehouse"
            raise ConfigError(
                f"models: {error.problem}", found=f"{folder}{follows}", fix=error.fix
            ) from error
        return folder

    @property
    def checkpoints_path(self) -> str:
        """Folder of the checkpoints of trainings: a path, or an object store's address.

        Raises:
            ConfigError: As ``models_path``, which it follows where it is not set.
        """
        return self.checkpoints or f"{self.models_path.rstrip('/')}/.training"
