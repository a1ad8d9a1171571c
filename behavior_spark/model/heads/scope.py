"""Whether a text belongs to any class at all: how close it is to what a head has learned.

Closeness is the largest cosine to an example of the training texts (Sun et al. 2022,
"Out-of-Distribution Detection with Deep Nearest Neighbors", arXiv 2204.06507) plus a share of
the top probability (Hendrycks & Gimpel 2017, arXiv 1610.02136). Of the ways measured on
banking77 (``benchmarks/models_gate.py``) the two together find most texts of classes that were
left out of training, and all texts of another kind. Each class keeps a few examples: those next
to the centres of a k-means.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from behavior_spark.errors import ModelError
from behavior_spark.model.arrays import Floats
from behavior_spark.model.heads.head import Head, Scope
from behavior_spark.model.measures.ranking import roc_auc

EXAMPLES_PER_CLASS = 16
MOST_TEXTS_PER_CLASS = 5_000


@dataclass(frozen=True)
class ScopeFigures:
    """How well a head tells texts outside every class from those inside.

    Attributes:
        recall: Share of the texts outside that get no answer.
        false_alarm_rate: Share of the texts inside that get none.
        roc_auc: Of closeness, texts inside against texts outside; NaN without texts outside.
        inside: Texts inside.
        outside: Texts outside.
    """

    recall: float
    false_alarm_rate: float
    roc_auc: float
    inside: int
    outside: int


def fit_scope(
    head: Head,
    embeddings: Floats,
    targets: npt.NDArray[np.int64],
    dev_embeddings: Floats,
    *,
    false_alarms: float,
    seed: int = 0,
) -> Head:
    """``head`` with a threshold under which it gives no answer.

    No text outside the classes is needed: the threshold is the closeness that a share
    ``false_alarms`` of held-out texts inside them falls short of.

    Args:
        head: A head that gives every text one label.
        embeddings: float32 [n, dimension] of the texts it learned from, without NaN.
        targets: int64 [n], their label numbers.
        dev_embeddings: float32 [m, dimension] of held-out texts inside the classes.
        false_alarms: In (0, 1); such as 0.05.
        seed: Of the choice of examples.

    Raises:
        ModelError: The head gives several labels, the share is none, or nothing is held out.
    """
    if not head.rules.exclusive:
        raise ModelError(
            f"the head {head.name!r} gives several labels to a text and abstains by thresholds",
            fix="leave out `abstain` for it",
        )
    if not 0 < false_alarms < 1 or not len(dev_embeddings):
        raise ModelError(
            "to abstain needs a share between 0 and 1 and held-out texts",
            found=f"{false_alarms} and {len(dev_embeddings)} texts",
        )
    examples = _examples(_unit(embeddings), targets, len(head.labels), seed)
    open_scope = Scope(examples, threshold=-np.inf)
    closeness = open_scope.closeness(dev_embeddings, head.probabilities(dev_embeddings))
    threshold = float(np.float32(np.quantile(closeness, false_alarms)))
    return replace(head, scope=Scope(examples, threshold))


def measure_scope(head: Head, inside: Floats, outside: Floats) -> ScopeFigures:
    """Recall and false alarms of a head's abstention.

    Args:
        head: A head; one without a scope answers always.
        inside: float32 [n, dimension] of texts inside the classes that it has not seen.
        outside: float32 [m, dimension] of texts outside every class.
    """
    if not len(inside):
        raise ModelError("no text inside the classes to measure abstention on")
    silent = [np.mean(head.answer(each)[1] < 0) if len(each) else np.nan
              for each in (inside, outside)]  # fmt: skip
    auc = float("nan")
    if head.scope is not None and len(outside):
        scores: npt.NDArray[Any] = np.concatenate(
            [head.scope.closeness(each, head.probabilities(each)) for each in (inside, outside)]
        )
        auc = roc_auc(np.r_[np.ones(len(inside)), np.zeros(len(outside))], scores)
    return ScopeFigures(float(silent[1]), float(silent[0]), auc, len(inside), len(outside))


def _examples(
    vectors: Floats, targets: npt.NDArray[np.int64], label_count: int, seed: int
) -> Floats:
    """float32 [m, dimension]: for each class the texts next to the centres of a k-means."""
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    generator, found = np.random.default_rng(seed), []
    with threadpool_limits(1):  # sums in one order: the same examples every time
        for label in range(label_count):
            own = vectors[targets == label]
            if len(own) > MOST_TEXTS_PER_CLASS:
                own = own[np.sort(generator.permutation(len(own))[:MOST_TEXTS_PER_CLASS])]
            own = np.unique(own, axis=0)
            if len(own) > EXAMPLES_PER_CLASS:
                fitted = KMeans(EXAMPLES_PER_CLASS, n_init=1, max_iter=20, random_state=seed)
                centres = fitted.fit(own).cluster_centers_
                own = own[np.unique((centres @ own.T).argmax(axis=1))]
            found.append(own)
    return np.concatenate(found).astype(np.float32)


def _unit(vectors: Floats) -> Floats:
    found: Floats = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return found
