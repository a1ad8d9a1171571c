"""Settings of pretraining an encoder on the texts of the warehouse, without labels."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from behavior_spark.config.section import Section


class Pretraining(Section):
    """How ``pretrain`` trains the encoder further, on texts without labels."""

    method: Literal["mlm", "simcse", "behaviour"] = Field(
        "mlm",
        description="mlm: guess masked words; simcse: a text is near itself under dropout; "
        "behaviour: texts of one session are near each other",
    )
    epochs: int = Field(1, ge=1, le=100, description="passes over the texts or pairs")
    learning_rate: float = Field(5e-5, gt=0, description="peak rate")
    warm_up: float = Field(0.06, ge=0, lt=1, description="share of the steps with a rising rate")
    weight_decay: float = Field(0.01, ge=0, description="of AdamW, on weight matrices alone")
    batch_tokens: int = Field(4096, ge=64, description="mlm: tokens in one forward pass")
    batch_texts: int = Field(
        64, ge=2, description="simcse, behaviour: texts or pairs in one forward pass"
    )
    accumulate: int = Field(1, ge=1, description="forward passes for each step of the optimiser")
    mask_share: float = Field(0.15, gt=0, lt=1, description="mlm: share of the tokens guessed")
    head_steps: float = Field(
        0.1,
        ge=0,
        lt=1,
        description="mlm: share of the steps in which a new word head learns alone, for an "
        "encoder that comes without one",
    )
    temperature: float = Field(0.05, gt=0, description="simcse, behaviour: temperature of the loss")
    held_out_share: float = Field(
        0.05, gt=0, lt=0.5, description="texts, by hash, that only measure"
    )
    max_texts: int | None = Field(None, ge=100, description="texts or pairs at most, by hash")
    where: str | None = Field(None, description="SQL condition on a row of the table texts")
    event_types: list[str] = Field(
        default_factory=list, description="behaviour: events whose texts pair up; none: all"
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="of the products; auto: bf16 where the processor has it"
    )
    checkpoint_seconds: int = Field(120, ge=1, description="a killed run loses no more than this")
    seed: int = Field(7, description="of the order of texts, masks and dropout")
