"""The probability that a need must reach, so that needs are right as often as wanted."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from behavior_spark.config import Service
from behavior_spark.errors import InputError
from behavior_spark.model.arrays import Floats
from behavior_spark.model.heads.head import Head
from behavior_spark.model.measures.answers import Answers
from behavior_spark.model.measures.confidence import Kept, threshold_for
from behavior_spark.model.registry.held_out import HeldOut
from behavior_spark.model.registry.learned_from import LearnedFrom
from behavior_spark.model.registry.store import CHAMPION
from behavior_spark.pipelines.text_models.evaluation import answer_held_out, text_store
from behavior_spark.pipelines.text_models.held_out import read_held_out, without_learned
from behavior_spark.pipelines.text_models.label_embeddings import embed_held_out
from behavior_spark.runs.run import Run


@dataclass(frozen=True)
class RoutingThreshold:
    """Least probability of a need.

    Attributes:
        least: From this probability on a need is given; infinite: never.
        kept: What it keeps of the held-out texts; None where it was not measured.
        held_out: Held-out texts that it was chosen by.
        origin: Where they are from; None where it was not measured.
        wanted: Precision that was asked for; None: the config gives the probability.
    """

    least: float
    kept: Kept | None = None
    held_out: int = 0
    origin: str | None = None
    wanted: float | None = None

    @property
    def words(self) -> str:
        """What it means, in one line."""
        if self.kept is None:
            if self.wanted is None or math.isfinite(self.least):
                return f"needs from a probability of {self.least:.2f} on"
            return f"no probability makes needs right at {self.wanted:.0%}: none is given"
        return (
            f"needs from a probability of {self.kept.threshold:.3f} on: {self.kept.accuracy:.1%} "
            f"right ({self.kept.low:.1%} to {self.kept.high:.1%}) at {self.kept.share:.0%} of "
            f"{self.held_out:,} held-out texts ({self.origin})"
        )


def routing_threshold(run: Run, service: Service, head: Head) -> RoutingThreshold:
    """The configured probability, or the one that reaches the wanted precision.

    Where no labelled text is held out, the wanted precision itself is taken: probabilities are
    calibrated, so needs above it are right at least as often. It is noted.

    Args:
        run: The run.
        service: The section.
        head: The head of needs.
    """
    wanted = service.wanted_precision
    if wanted is None:
        return RoutingThreshold(float(service.least_confidence or 0.0))
    store = text_store(run)
    digest = store.alias(CHAMPION)
    try:
        if digest is None:
            raise InputError("no model was promoted")
        held = without_learned(
            run, read_held_out(run, service.need), [LearnedFrom.load(store.folder(digest))]
        )
    except InputError as error:
        run.note(
            f"service.precision cannot be measured ({error.problem}): needs are given from a "
            f"probability of {wanted:.2f} on"
        )
        return RoutingThreshold(wanted, wanted=wanted)
    vectors = embed_held_out(run, store.load(digest), held.texts)
    confidence, right = confidence_of(head, vectors, held)
    kept = threshold_for(confidence, right, wanted)
    if kept is None:
        run.note(
            f"service.precision {wanted:.2f} is not reached by any probability on {len(held):,} "
            "held-out texts: no text gets a need. Lower it, or label more texts"
        )
    least = math.inf if kept is None else kept.threshold
    return RoutingThreshold(least, kept, len(held), held.origin, wanted)


def confidence_of(head: Head, vectors: Floats, held: HeldOut) -> tuple[np.ndarray, np.ndarray]:
    """Probability of each text's need (-1 where the head abstains), and whether it is right."""
    answers: Answers = answer_held_out(head, vectors, held)
    answered = answers.predicted.any(axis=1)
    confidence = np.where(answers.predicted, answers.probabilities, -1.0).max(axis=1)
    right = (answers.truth == answers.predicted).all(axis=1) & answered
    return confidence.astype(np.float64), right
