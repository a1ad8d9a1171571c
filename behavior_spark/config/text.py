"""The section ``text``: how texts are cleaned, embedded and classified."""

from __future__ import annotations

from typing import Literal, get_args

from pydantic import Field, field_validator, model_validator

from behavior_spark.config.labels import Labels
from behavior_spark.config.lifecycle import Evaluation, Gate, Shadow
from behavior_spark.config.section import Section, checked_names
from behavior_spark.config.tuning import Tuning


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
