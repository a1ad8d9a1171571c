"""Which texts a training run learns from, as hashes for the model's record."""

from __future__ import annotations

from collections.abc import Sequence

from behavior_spark.config import Settings
from behavior_spark.model.heads.labelled import LabelledTexts, split_task
from behavior_spark.model.registry.learned_from import LearnedFrom, key_check, text_keys


def learned_from(tasks: Sequence[LabelledTexts], settings: Settings) -> LearnedFrom:
    """Hashes of the texts that training on ``tasks`` learns from.

    Texts by which training only chooses an epoch or a threshold are kept apart, as ``dev``.
    """
    key = settings.privacy.pseudonymise_key
    train: list[str] = []
    dev: list[str] = []
    for task in tasks:
        split = split_task(
            task,
            validation_share=settings.text.heads[task.name].validation_share,
            seed=settings.training.seed,
            max_examples=settings.text.max_examples,
        )
        in_dev = split.validation & (not split.refit)
        for part, mask in ((train, ~in_dev), (dev, in_dev)):
            part += [text for text, in_part in zip(split.texts, mask, strict=True) if in_part]
    return LearnedFrom(text_keys(train, key=key), text_keys(dev, key=key), key_check(key))
