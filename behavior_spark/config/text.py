"""The section ``text``: how texts are cleaned, embedded and classified."""

from __future__ import annotations

from typing import Literal, get_args

from pydantic import Field, field_validator, model_validator

from behavior_spark.config.labels import Labels
from behavior_spark.config.lifecycle import Evaluation, Gate, Shadow
from behavior_spark.config.section import Section, checked_names
from behavior_spark.config.tuning import Tuning


class GpuSettings(Section):
    """GPUs for the scoring stage, by a resource profile of Spark's (not in local mode)."""

    per_task: float = Field(
        1.0, gt=0, description="GPUs a task takes; 0.5 lets two workers, each with a model, share"
    )
    cpus_per_task: int = Field(1, ge=1, description="cores a task takes: it tokenises ahead")
    per_executor: int | None = Field(
        None,
        ge=1,
        description="with dynamic allocation: GPUs of the executors to start for this stage; "
        "by default the cluster's own executors are used as they are",
    )
    executor_cores: int | None = Field(None, ge=1, description="cores of those executors")
    executor_memory: str | None = Field(None, description="memory of those executors, such as 8g")
    discovery_script: str = Field("", description="script on them that names their GPUs")
    vendor: str = Field("", description="such as nvidia.com, which Kubernetes wants")

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
        description="encoder folder in Hugging Face format, package:NAME/folder, or "
        "hub:org/name@<40-digit commit>; none: texts are stored, not scored",
    )
    max_chars: int = Field(4000, ge=16, le=1_000_000, description="longer texts are cut")
    normal_form: Literal["NFC", "NFKC"] = Field(
        "NFC",
        description="Unicode form of stored texts: NFKC also joins forms that mean the same, such "
        "as fullwidth and plain letters, and takes Thai and Lao vowels apart",
    )
    max_length: int | None = Field(
        None,
        ge=8,
        le=8192,
        description="tokens the encoder reads; none: as its folder says, else 128",
    )
    pooling: str = Field(
        "auto",
        description="of the tokens to the vector. auto: as the encoder's folder says, or mean; "
        "mean, cls, max, lasttoken, weightedmean, mean_sqrt_len_tokens, or several joined by +",
    )
    prompt: str | None = Field(
        None, description="words put before each text; none: the encoder's own default, if any"
    )
    prompt_name: str | None = Field(
        None, description="instead: a prompt of the encoder's folder by name, such as query"
    )
    long_texts: Literal["truncate", "pool"] = Field(
        "truncate",
        description="a text of more than max_length tokens is cut, or read in pieces whose "
        "vectors are averaged",
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto",
        description="auto: bf16 where the processor has it and a self-check finds no harm; "
        "chosen once for each model and recorded with it",
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="auto: the GPU Spark gave the task, else one that is there, else CPU"
    )
    gpu: GpuSettings | None = Field(
        None, description="ask Spark for GPUs for the scoring stage alone"
    )
    token_budget: int | None = Field(
        None, ge=64, description="tokens in one forward pass; by default what suits the device"
    )
    max_failed_share: float = Field(
        0.5,
        ge=0,
        le=1,
        description="the run stops where a larger share of at least 20 texts cannot be embedded",
    )
    score_days: int | None = Field(
        None, ge=1, description="texts that arrived longer ago are not scored any more; none: all"
    )
    commit_seconds: int = Field(
        120, ge=1, description="scores are committed about this often: a killed run loses no more"
    )
    heads: dict[str, Labels] = Field(
        default_factory=dict, description="one classification head for each labelled table"
    )
    finetune: Literal["heads", "few", "full", "auto"] = Field(
        "heads",
        description="heads: the encoder stays frozen; few: it learns by contrast, for 8 to 64 "
        "labels a class; full: all weights are trained; auto: few or heads, by the labels",
    )
    tuning: Tuning = Field(default=Tuning(), description="how the encoder is fine-tuned")
    max_examples: int | None = Field(None, ge=10, description="labels used for each head at most")
    promote: Literal["auto", "manual"] = Field(
        "auto",
        description="auto: finetune ends at the gate, and a model that passes is the champion; "
        "manual: it stays the challenger until `promote`",
    )
    gate: Gate = Field(default=Gate(), description="what a challenger must satisfy to be promoted")
    evaluation: Evaluation = Field(
        default=Evaluation(), description="how `evaluate` measures a text model"
    )
    shadow: Shadow = Field(default=Shadow(), description="what the challenger reads on a night")
    licence: str | None = Field(
        None, description="of the encoder and the labels, for the model card"
    )

    @field_validator("pooling")
    @classmethod
    def _known_pooling(cls, value: str) -> str:
        if value != "auto" and (odd := set(value.split("+")) - set(get_args(Pooling))):
            raise ValueError(f"{min(odd)!r} is none of auto, {', '.join(get_args(Pooling))}")
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
