"""Prompts that ask a language model for a label, and the vote of several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from behavior_spark.errors import ModelError
from behavior_spark.model.arrays import Floats


@dataclass(frozen=True)
class Prompt:
    """A prompt split at ``{text}``.

    Attributes:
        before: Part before the text.
        after: Part after the text, without white space at its end.
        space: White space between ``after`` and the label.
    """

    before: str
    after: str
    space: str

    @classmethod
    def parse(cls, prompt: str, words: Sequence[str]) -> Prompt:
        """A prompt of the config.

        Args:
            prompt: It contains ``{text}`` once and ends in ``{label}``.
            words: Those of the labels, which take the place of ``{labels}``.

        Raises:
            ModelError: It does not.
        """
        if prompt.count("{text}") != 1 or not prompt.rstrip().endswith("{label}"):
            raise ModelError(
                "a prompt holds {text} once and ends in {label}",
                fix="such as 'Message: {text}\\nThe customer wants: {label}'",
            )
        listed = prompt.rstrip().removesuffix("{label}").replace("{labels}", ", ".join(words))
        before, after = listed.split("{text}")
        stripped = after.rstrip()
        return cls(before, stripped, after[len(stripped) :])

    def fill(self, text: str) -> str:
        """The prompt with a text, up to the label."""
        return f"{self.before}{text}{self.after}"


def majority_vote(votes: Floats) -> tuple[npt.NDArray[np.int64], Floats, Floats]:
    """The label that most prompts chose; in a tie, the one with the higher mean probability.

    Args:
        votes: float32 [n, prompts, labels].

    Returns:
        Label numbers, int64 [n]; share of prompts that chose this label, float32 [n]; its mean
        probability over prompts, float32 [n].
    """
    labels = votes.shape[2]
    chosen = np.eye(labels, dtype=np.float32)[votes.argmax(axis=2)].mean(axis=1)
    mean = votes.mean(axis=1)
    winner = (chosen + mean * np.float32(1e-4)).argmax(axis=1)
    rows = np.arange(len(votes))
    return winner, chosen[rows, winner], mean[rows, winner]
