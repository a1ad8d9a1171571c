"""Settings of fine-tuning an encoder together with its heads."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from behavior_spark.config.section import Section


class Tuning(Section):
    """Settings of fine-tuning in the modes ``full`` and ``few``.

    ``few`` uses the rates, the batch size and ``contrast_*``; ``heads`` only ``class_weights``.
    """

    epochs: int = Field(
        5, ge=1, le=200, description="maximum number of passes over the labelled texts"
    )
    patience: int = Field(
        3, ge=1, description="stop after this many epochs without a better one; the best is kept"
    )
    batch_size: int = Field(32, ge=1, description="texts in one forward pass")
    accumulate: int = Field(1, ge=1, description="forward passes for each step of the optimiser")
    learning_rate: float = Field(5e-5, gt=0, description="peak rate of the encoder's last layer")
    head_learning_rate: float = Field(1e-3, gt=0, description="peak rate of the heads")
    layer_decay: float = Field(
        0.9,
        gt=0,
        le=1,
        description="learning rate of a layer as a share of that of the layer above",
    )
    schedule: Literal["cosine", "linear"] = Field(
        "cosine", description="how the rate falls to zero after the warm-up"
    )
    warm_up: float = Field(0.1, ge=0, lt=1, description="share of the steps with a rising rate")
    weight_decay: float = Field(0.01, ge=0, description="weight decay of AdamW, for matrices only")
    label_smoothing: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="label smoothing, for heads with one label a text",
    )
    class_weights: Literal["none", "balanced", "sqrt"] = Field(
        "none",
        description="weight of a label in the loss: one over its frequency (balanced), or the root "
        "of that (sqrt)",
    )
    contrast_epochs: int = Field(10, ge=1, le=500, description="few: passes over the texts")
    contrast_temperature: float = Field(
        0.1, gt=0, description="few: temperature of the contrastive loss"
    )
    contrast_share: float = Field(
        0.5,
        gt=0,
        le=1,
        description="few: weight of the fine-tuned weights in the mean with those before",
    )
    label_names: bool = Field(
        True, description="few: use label names such as `card_arrival` as additional texts"
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="precision of matrix products; auto: bf16 if the processor has it"
    )
    processes: int = Field(
        1, ge=1, description="processes on the driver that share each batch (one per GPU)"
    )
    checkpoint_seconds: int = Field(
        120, ge=1, description="seconds between checkpoints; a killed run continues from the last"
    )
