"""The settings of a job as pydantic models; unknown keys are errors.

Sections are in the order of the data flow: sources, privacy, text, features, targets, training.
Every field has a description; ``behavior-spark init`` writes descriptions as comments.
"""

from __future__ import annotations

import re
from typing import Any, Literal, get_args

from pydantic import ConfigDict, Field, field_validator, model_validator

from behavior_spark.config.behaviour import LeakageSettings
from behavior_spark.config.features import FeatureSettings
from behavior_spark.config.intake import Intake
from behavior_spark.config.labels import Format, Labels
from behavior_spark.config.lifecycle import Annotation, Evaluation, Gate, Shadow
from behavior_spark.config.pretraining import Pretraining
from behavior_spark.config.reader_options import refuse_unknown_options
from behavior_spark.config.section import Section, checked_names, known_name
from behavior_spark.config.tuning import Tuning
from behavior_spark.errors import ConfigError, ModelError
from behavior_spark.extensions import LEARNERS, TARGET_KINDS
from behavior_spark.shared_folder import SharedFolder

# First words of the names of features that do not belong to one event type, target or head.
RESERVED = {
    "event", "session", "text", "value", "active", "recency", "tenure", "funnel", "attribute",
}  # fmt: skip


class Source(Section):
    """One of your tables, and SQL expressions that map its columns to a contract."""

    name: str = Field("", description="shown in summaries; by default the contract's name")
    path: str | None = Field(None, description="folder or file, readable by every worker")
    table: str | None = Field(None, description="catalog.schema.table, instead of a path")
    format: Format = Field("parquet", description="parquet | delta | csv | json")
    options: dict[str, str | bool | int] = Field(
        default_factory=dict, description="reader options, such as header for CSV", repr=False
    )
    where: str | None = Field(None, description="SQL condition: rows that belong to this contract")
    columns: dict[str, str] = Field(
        description="column of the contract -> SQL expression over your columns"
    )
    shared_ids: bool = Field(
        False,
        description="with several sources of events or texts: whether equal ids mean the same row; "
        "if not, the ids of each source get its name as a prefix",
    )

    @model_validator(mode="after")
    def _one_place(self) -> Source:
        if (self.path is None) == (self.table is None):
            raise ValueError("give either path or table")
        refuse_unknown_options(self.options, format_=self.format, is_table=self.table is not None)
        return self

    @property
    def location(self) -> str:
        """Path or table name, for messages."""
        return self.path or self.table or ""


# Columns of a table of attributes that are not attributes.
ATTRIBUTE_KEYS = ("user_id", "valid_from", "known_at")


class Attributes(Source):
    """One of your tables with attributes of users; each row is valid from a moment on."""

    columns: dict[str, str] = Field(
        description="user_id, valid_from (since when the row is valid), known_at (since when it "
        "was known; by default valid_from); every other name is a feature: an SQL expression of a "
        "number or a condition"
    )

    @field_validator("columns")
    @classmethod
    def _complete(cls, value: dict[str, str]) -> dict[str, str]:
        missing = [name for name in ("user_id", "valid_from") if name not in value]
        if missing:
            raise ValueError(f"{missing[0]} is missing")
        if not set(value) - set(ATTRIBUTE_KEYS):
            raise ValueError("no attribute: map at least one more column")
        return checked_names(value, "attribute")


def _as_list(value: object) -> object:
    return [value] if isinstance(value, dict) else value


class Sources(Section):
    """Your tables. Each key may be one source or a list of sources."""

    events: list[Source] = Field(
        default_factory=list, description="what users did; none: texts are scored, nobody predicted"
    )
    texts: list[Source] = Field(default_factory=list, description="what users wrote or read")
    items: list[Source] = Field(
        default_factory=list, description="what events are about, such as products or pages"
    )
    identities: list[Source] = Field(
        default_factory=list, description="links of anonymous visitors to users"
    )
    attributes: dict[str, Attributes] = Field(
        default_factory=dict,
        description="your own tables about users, by name; read as known at each as_of",
    )

    @field_validator("attributes")
    @classmethod
    def _attribute_names(cls, value: dict[str, Attributes]) -> dict[str, Attributes]:
        return checked_names(value, "attribute table")

    @model_validator(mode="after")
    def _names_apart(self) -> Sources:
        for table in ("events", "texts", "items", "identities"):
            names = [source.name for source in getattr(self, table) if source.name]
            if len(set(names)) != len(names):
                raise ValueError(f"{table}: two sources have one name")
        return self

    def mapped(self, table: str) -> set[str]:
        """Columns of a contract that at least one of its sources has."""
        return {name for source in getattr(self, table) for name in source.columns}

    def id_prefixes(self, table: str, index: int) -> dict[str, str]:
        """Prefixes of the ids of a source, by column; empty for a single source.

        The ``text_id`` of an event belongs to the source of texts with the same name.
        """
        key = {"events": "event_id", "texts": "text_id"}.get(table)
        source: Source = getattr(self, table)[index]
        prefixes = {}
        if key and len(getattr(self, table)) > 1 and not source.shared_ids:
            prefixes[key] = f"{source.name or f'{table}[{index}]'}:"
        if table == "events":
            for text in self.texts if len(self.texts) > 1 else ():
                if text.name == source.name and text.name and not text.shared_ids:
                    prefixes["text_id"] = f"{text.name}:"
        return prefixes

    @field_validator("events", "texts", "items", "identities", mode="before")
    @classmethod
    def _single_is_a_list(cls, value: object) -> object:
        return _as_list(value)


class WarehouseSettings(Section):
    """Where tables are written."""

    path: str | None = Field(None, description="folder: one Delta table a subfolder")
    schema_: str | None = Field(None, alias="schema", description="catalog.schema, managed tables")
    register_in: str | None = Field(
        None, alias="register", description="with path: schema in which the tables are registered"
    )
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    @model_validator(mode="after")
    def _one_place(self) -> WarehouseSettings:
        if (self.path is None) == (self.schema_ is None):
            raise ValueError("give either path or schema")
        if self.register_in and not self.path:
            raise ValueError("register goes with path; a schema's tables are registered already")
        return self


PersonalKind = Literal["secret", "email", "iban", "ip", "id", "card", "phone"]
PERSONAL_KINDS: tuple[PersonalKind, ...] = get_args(PersonalKind)
# Countries whose national phone numbers have a typical grouping and no leading zero.
PHONE_REGIONS = ("US", "IN", "CN", "BR", "IT", "RU", "MX", "TR", "GR", "CO")


class Privacy(Section):
    """What is masked or replaced before anything is stored."""

    pseudonymise_key: str | None = Field(
        None,
        description="secret key: user ids and text hashes become keyed hashes (HMAC-SHA256)",
        repr=False,
    )
    mask_personal_data: bool = Field(
        True, description="mask personal numbers, addresses and secrets in texts"
    )
    masked_kinds: tuple[PersonalKind, ...] = Field(
        PERSONAL_KINDS, min_length=1, description="kinds to mask; id: national identity numbers"
    )
    phone_regions: tuple[str, ...] = Field(
        PHONE_REGIONS,
        description="countries (ISO 3166) whose national phone numbers are detected by their "
        "grouping; others need a '+', a leading 0 or a word such as 'tel' nearby",
    )
    presidio_recognizers: tuple[str, ...] = Field(
        (),
        description="additional pattern recognisers of Presidio, such as UsPassportRecognizer; "
        "needs the extra presidio",
    )

    @field_validator("phone_regions")
    @classmethod
    def _regions(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if invalid := [region for region in value if not re.fullmatch("[A-Z]{2}", region)]:
            raise ValueError(f"{', '.join(invalid)}: write two capital letters, such as GB")
        return value

    @field_validator("pseudonymise_key")
    @classmethod
    def _empty_is_none(cls, value: str | None) -> str | None:
        if value is not None and 0 < len(value) < 16:
            raise ValueError("a key must have at least 16 characters")
        return value or None


class GpuSettings(Section):
    """GPUs for the scoring stage, by a Spark resource profile (not in local mode)."""

    per_task: float = Field(
        1.0, gt=0, description="GPUs per task; with 0.5 two tasks, each with a model, share one"
    )
    cpus_per_task: int = Field(1, ge=1, description="cores per task, for tokenising")
    per_executor: int | None = Field(
        None,
        ge=1,
        description="with dynamic allocation: GPUs of each executor started for this stage; by "
        "default the cluster's existing executors are used",
    )
    executor_cores: int | None = Field(None, ge=1, description="cores of those executors")
    executor_memory: str | None = Field(None, description="memory of those executors, such as 8g")
    discovery_script: str = Field("", description="script on executors that lists their GPUs")
    vendor: str = Field("", description="vendor of the GPUs for Kubernetes, such as nvidia.com")

    @model_validator(mode="after")
    def _amounts(self) -> GpuSettings:
        if self.per_task > 0.5 and self.per_task != int(self.per_task):
            raise ValueError("gpu.per_task must be a whole number, or 0.5 or less")
        if self.per_executor is None and (self.executor_cores or self.executor_memory):
            raise ValueError("gpu.executor_cores and executor_memory go with gpu.per_executor")
        return self


Pooling = Literal["cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"]


class TextSettings(Section):
    """How texts are cleaned, embedded and classified."""

    encoder: str | None = Field(
        None,
        description="encoder folder in Hugging Face format, its address in an object store, "
        "package:NAME/folder, or hub:org/name@<40-digit commit>; none: texts are stored and not "
        "scored",
    )
    max_chars: int = Field(4000, ge=16, le=1_000_000, description="longer texts are cut")
    normal_form: Literal["NFC", "NFKC"] = Field(
        "NFC",
        description="Unicode normal form of stored texts: NFKC also replaces compatible forms, "
        "such as fullwidth letters, and decomposes some Thai and Lao vowels",
    )
    max_length: int | None = Field(
        None,
        ge=8,
        le=8192,
        description="maximum tokens of a text; none: as in the encoder's folder, else 128",
    )
    pooling: str = Field(
        "auto",
        description="pooling of tokens to a vector. auto: as in the encoder's folder, else mean; "
        "mean, cls, max, lasttoken, weightedmean, mean_sqrt_len_tokens, or several joined by +",
    )
    prompt: str | None = Field(
        None, description="words put before each text; none: the encoder's default prompt, if any"
    )
    prompt_name: str | None = Field(
        None, description="instead of prompt: name of a prompt in the encoder's folder"
    )
    long_texts: Literal["truncate", "pool"] = Field(
        "truncate",
        description="a text of more than max_length tokens is cut, or read in pieces whose "
        "vectors are averaged",
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto",
        description="auto: bf16 if the processor has it and a self-check finds the same results; "
        "chosen once for each model and recorded with it",
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="auto: the GPU that Spark assigned to the task, else any GPU, else CPU"
    )
    gpu: GpuSettings | None = Field(
        None, description="GPUs to request from Spark for the scoring stage"
    )
    token_budget: int | None = Field(
        None, ge=64, description="tokens in one forward pass; the default depends on the device"
    )
    max_failed_share: float = Field(
        0.5,
        ge=0,
        le=1,
        description="the run stops if a larger share of at least 20 texts cannot be embedded",
    )
    score_days: int | None = Field(
        None, ge=1, description="texts that arrived more days ago are not scored; none: all are"
    )
    commit_seconds: int = Field(
        120, ge=1, description="seconds between commits of scores; a killed run loses no more"
    )
    heads: dict[str, Labels] = Field(
        default_factory=dict, description="one classification head for each labelled table"
    )
    finetune: Literal["heads", "few", "full", "auto"] = Field(
        "heads",
        description="heads: the encoder stays frozen; few: it is fine-tuned by contrast, for 8 to "
        "64 texts a label; full: all weights are trained; auto: few or heads, by the number of "
        "texts",
    )
    tuning: Tuning = Field(default=Tuning(), description="how the encoder is fine-tuned")
    max_examples: int | None = Field(
        None, ge=10, description="maximum number of texts for each head"
    )
    promote: Literal["auto", "manual"] = Field(
        "auto",
        description="auto: a model that passes the gate after finetune becomes the champion; "
        "manual: it stays the challenger until `promote`",
    )
    gate: Gate = Field(default=Gate(), description="conditions for the promotion of a challenger")
    evaluation: Evaluation = Field(
        default=Evaluation(), description="how `evaluate` measures a text model"
    )
    shadow: Shadow = Field(default=Shadow(), description="what the challenger reads on a night")
    licence: str | None = Field(
        None, description="licence of the encoder and the labels, for the model card"
    )

    @field_validator("pooling")
    @classmethod
    def _known_pooling(cls, value: str) -> str:
        if value != "auto" and (unknown := set(value.split("+")) - set(get_args(Pooling))):
            raise ValueError(f"{min(unknown)!r} is none of auto, {', '.join(get_args(Pooling))}")
        return value

    @model_validator(mode="after")
    def _one_prompt(self) -> TextSettings:
        if self.prompt is not None and self.prompt_name is not None:
            raise ValueError("give either text.prompt or text.prompt_name")
        return self

    @field_validator("heads")
    @classmethod
    def _names(cls, value: dict[str, Labels]) -> dict[str, Labels]:
        return checked_names(value, "head")


class Target(Section):
    """What a user may do within a horizon after as_of."""

    kind: str = Field(
        "does",
        description="what is predicted of the events: does (probability that at least one "
        "happens), does_not (that none happens: churn), count (their number), amount (their "
        "value), or a kind that you added",
    )
    event: str = Field(description="SQL condition on an event, such as event_type = 'purchase'")
    item: str | None = Field(
        None, description="SQL condition on its item: item_id, title, category, price"
    )
    horizon_days: int = Field(30, ge=1, le=730, description="[as_of, as_of + horizon)")
    description: str = Field("", description="meaning of a high prediction, for readers")

    @field_validator("kind")
    @classmethod
    def _known_kind(cls, value: str) -> str:
        return known_name(TARGET_KINDS, value)

    @property
    def meaning(self) -> dict[str, Any]:
        """Everything that the meaning of a prediction depends on, as JSON values."""
        # The default kind is left out, so that models made before there was a choice stay valid.
        excluded = {"description"} | ({"kind"} if self.kind == "does" else set())
        return self.model_dump(exclude=excluded)


class TrainingSettings(Section):
    """How propensity models are trained, and how long they are valid."""

    as_of_days: int = Field(6, ge=1, le=60, description="number of training days")
    every_days: int = Field(30, ge=1, description="days between two training days")
    retrain_every_days: int = Field(
        28, ge=1, description="a night trains again if models are older than this many days"
    )
    max_rows: int = Field(
        500_000,
        ge=100,
        description="approximate maximum of training rows; if there are more, positives are kept "
        "first, and others are sampled by hash, with a weight",
    )
    min_positives: int = Field(20, ge=2, description="a target with fewer positives is refused")
    learner: str = Field(
        "xgboost", description="learner of all targets: xgboost (boosted trees), or one you added"
    )
    calibration: Literal["auto", "isotonic", "platt"] = Field(
        "auto",
        description="calibration of probabilities: isotonic regression or Platt's sigmoid; auto: "
        "isotonic if each class has 1,000 rows or more",
    )
    reasons: int = Field(3, ge=0, le=10, description="number of reasons for each prediction")
    seed: int = Field(7, description="seed of training and of bootstrap intervals")

    @field_validator("learner")
    @classmethod
    def _known_learner(cls, value: str) -> str:
        return known_name(LEARNERS, value)


class LocalSpark(Section):
    """The local Spark session that is started if there is none. Ignored on a cluster."""

    master: str = Field("local[*]", description="local[*]: all cores; local[4]: four of them")
    driver_memory: str = Field("3g", description="memory of the JVM that does all the work")
    shuffle_partitions: int = Field(4, ge=1, description="partitions after a shuffle")
    conf: dict[str, str] = Field(
        default_factory=dict, description="more Spark settings", repr=False
    )


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
    pretrain: Pretraining = Field(
        default=Pretraining(),
        description="how `pretrain` trains the encoder further on your own texts",
    )
    annotate: dict[str, Annotation] = Field(
        default_factory=dict,
        description="tasks for which a language model labels texts, by name",
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
        "intake", "privacy", "text", "training", "pretrain", "leakage", "spark", mode="before"
    )
    @classmethod
    def _empty_section(cls, value: object) -> object:
        return {} if value is None else value  # all lines of the section are comments

    @field_validator("warehouse", mode="before")
    @classmethod
    def _plain_path(cls, value: object) -> object:
        return {"path": value} if isinstance(value, str) else value

    @field_validator("annotate")
    @classmethod
    def _annotation_names(cls, value: dict[str, Annotation]) -> dict[str, Annotation]:
        return checked_names(value, "annotation")

    @field_validator("targets")
    @classmethod
    def _target_names(cls, value: dict[str, Target]) -> dict[str, Target]:
        return checked_names(value, "target")

    @model_validator(mode="after")
    def _consistent(self) -> Settings:
        if not self.sources.events and not self.sources.texts:
            raise ValueError("sources.events is missing: what users did; or sources.texts alone")
        if self.sources.events and not self.features.event_types:
            raise ValueError(
                "features.event_types is missing: event types that get features of their own"
            )
        if self.sources.events and not self.targets:
            raise ValueError("targets is missing: what is predicted, by name")
        if self.targets and not self.sources.events:
            raise ValueError("targets: nothing can be predicted without sources.events")
        if self.warehouse.schema_ and not self.models:
            raise ValueError("models: a folder is needed where the warehouse is a schema")
        if self.text.heads and not self.text.encoder:
            raise ValueError("text.heads need text.encoder")
        for name, labels in self.text.heads.items():
            if labels.annotated is not None and labels.annotated not in self.annotate:
                raise ValueError(f"text.heads.{name}: annotate has no task {labels.annotated!r}")
        if not self.features.built("activity"):
            raise ValueError(
                "features.groups needs activity: recency, frequency and value are what every "
                "model is measured against"
            )
        named = [*self.targets, *self.features.event_types, *self.text.heads]
        reserved = sorted(RESERVED.intersection(named))
        if reserved:
            raise ValueError(f"{reserved[0]} names features of all events: choose another name")
        clash = set(self.targets) & set(self.features.event_types)
        if clash:
            raise ValueError(f"a target and an event type share the name {sorted(clash)[0]}")
        if any(target.item for target in self.targets.values()) and not self.sources.items:
            raise ValueError("a target filters on items, but sources.items is not mapped")
        return self

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
