"""Settings of a text model's life-cycle (evaluation, gate, shadow) and of annotation."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from behavior_spark.config.section import Section


class Evaluation(Section):
    """How a text model is measured on held-out texts."""

    leakage: Literal["remove", "refuse"] = Field(
        "remove",
        description="held-out texts that the model was trained on (equal except for case and "
        "white space): leave them out and count them, or refuse to measure",
    )
    resamples: int = Field(
        1000, ge=100, le=10_000, description="bootstrap resamples of each interval"
    )
    length_buckets: list[int] = Field(
        default=[5, 15, 40], description="upper limits of slices by length, in words, ascending"
    )

    @field_validator("length_buckets")
    @classmethod
    def _ascending(cls, value: list[int]) -> list[int]:
        if any(words < 1 for words in value) or sorted(set(value)) != value:
            raise ValueError("length_buckets must be positive, ascending, each once")
        return value


class Gate(Section):
    """When a new model may replace the champion, on the same held-out texts."""

    figure: Literal["f1_macro", "f1_micro", "accuracy", "roc_auc_macro"] = Field(
        "f1_macro", description="figure compared over all held-out texts, by a paired bootstrap"
    )
    most_lost: float = Field(
        0.02, ge=0, le=1, description="a larger loss is refused, whatever its interval"
    )
    slice_margin: float = Field(0.05, ge=0, le=1, description="largest loss of accuracy in a slice")
    slice_rows: int = Field(50, ge=1, description="slices with fewer texts are ignored")


class Shadow(Section):
    """The sample of a night's texts that the challenger reads too; none with most_texts 0."""

    share: float = Field(
        0.05, ge=0, le=1, description="share of the night's texts, chosen by their hash"
    )
    most_texts: int = Field(2000, ge=0, description="maximum number of texts")
    days: int = Field(7, ge=1, description="texts that arrived in this many days before the night")


class Annotation(Section):
    """A language model that labels texts of the table ``texts``."""

    model: str = Field(
        description="folder of a causal language model in Hugging Face format with safetensors, "
        "readable by every worker, or package:NAME/folder"
    )
    labels: dict[str, str] = Field(
        description="label -> its words in a prompt; a list of labels: their names are the words"
    )
    prompts: Annotated[list[str], Field(min_length=1)] = Field(
        description="each contains {text} once and ends in {label}; {labels} becomes the list of "
        "all labels. Each of several prompts has one vote"
    )
    where: str | None = Field(None, description="SQL condition on a row of the table texts")
    most_texts: int = Field(2000, ge=1, description="texts annotated in one run, by hash")
    calibrate: bool = Field(
        True,
        description="divide out the label probabilities of a prompt without content (Zhao et al. "
        "2021)",
    )
    max_length: int = Field(512, ge=16, description="tokens of a text that are read")
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto",
        description="auto: bf16 if the processor of a worker has it; chosen once for each model "
        "and its prompts, recorded, and used by all workers",
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="auto: the GPU that Spark assigned to the task, else any GPU, else CPU"
    )

    @field_validator("labels", mode="before")
    @classmethod
    def _list_of_labels(cls, value: object) -> object:
        if isinstance(value, list):
            for label in value:
                if not isinstance(label, str):
                    raise ValueError(
                        f"the label {label!r} is no text: put it in quotes (YAML takes yes and no, "
                        "numbers and days for other things)"
                    )
            if len(set(value)) != len(value):
                raise ValueError("a label is listed twice")
            return {label: label.replace("_", " ") for label in value}
        return value

    @field_validator("labels")
    @classmethod
    def _two_labels(cls, value: dict[str, str]) -> dict[str, str]:
        words = [" ".join(label_words.split()) for label_words in value.values()]
        if len(words) < 2 or len(set(words)) != len(words) or not all(words):
            raise ValueError("give two labels or more, each with words of its own")
        return value

    @model_validator(mode="after")
    def _prompts(self) -> Annotation:
        for prompt in self.prompts:
            if prompt.count("{text}") != 1 or prompt.count("{label}") != 1:
                raise ValueError("a prompt holds {text} once and {label} once")
            if not prompt.rstrip().endswith("{label}"):
                raise ValueError("a prompt ends in {label}: what comes after is not read")
            if prompt.index("{text}") > prompt.index("{label}"):
                raise ValueError("a prompt holds {text} before {label}")
        return self
