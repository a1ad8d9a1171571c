"""Settings of pretraining an encoder on the texts of the warehouse, without labels."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from behavior_spark.config.section import Section


class Pretraining(Section):
    """Settings of ``pretrain``, which trains the encoder further on texts without labels."""

    method: Literal["mlm", "simcse", "behaviour"] = Field(
        "mlm",
        description="mlm: predict masked words; simcse: embed a text alike under two dropouts; "
        "behaviour: embed texts of one session alike",
    )
    epochs: int = Field(1, ge=1, le=100, description="passes over the texts or pairs")
    learning_rate: float = Field(5e-5, gt=0, description="peak learning rate")
    warm_up: float = Field(0.06, ge=0, lt=1, description="share of the steps with a rising rate")
    weight_decay: float = Field(0.01, ge=0, description="weight decay of AdamW, for matrices only")
    batch_tokens: int = Field(4096, ge=64, description="mlm: tokens in one forward pass")
    batch_texts: int = Field(
        64, ge=2, description="simcse, behaviour: texts or pairs in one forward pass"
    )
    accumulate: int = Field(1, ge=1, description="forward passes for each step of the optimiser")
    mask_share: float = Field(0.15, gt=0, lt=1, description="mlm: share of the tokens to predict")
    head_steps: float = Field(
        0.1,
        ge=0,
        lt=1,
        description="mlm: share of the steps in which only a new word head is trained, for an "
        "encoder without one",
    )
    temperature: float = Field(0.05, gt=0, description="simcse, behaviour: temperature of the loss")
    held_out_share: float = Field(
        0.05, gt=0, lt=0.5, description="share of texts held out for measuring, by hash"
    )
    max_texts: int | None = Field(
        None, ge=100, description="maximum number of texts or pairs, by hash"
    )
    where: str | None = Field(None, description="SQL condition on a row of the table texts")
    event_types: list[str] = Field(
        default_factory=list, description="behaviour: event types whose texts are paired; none: all"
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="precision of matrix products; auto: bf16 if the processor has it"
    )
    checkpoint_seconds: int = Field(120, ge=1, description="a killed run loses no more than this")
    seed: int = Field(7, description="seed of the order of texts, of masks and of dropout")
