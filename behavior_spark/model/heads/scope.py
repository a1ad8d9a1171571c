"""Detect texts that belong to no class of a head (out of scope), by their closeness to examples.

Closeness is the largest cosine to an example of the training texts (Sun et al. 2022,
"Out-of-Distribution Detection with Deep Nearest Neighbors", arXiv 2204.06507) plus a share of
the top probability (Hendrycks & Gimpel 2017, arXiv 1610.02136). Of the methods measured on
banking77 (``benchmarks/models_gate.py``) this sum detects most texts of classes that were left
out of training, and all texts of another kind. The examples of a class are the texts nearest to
the centres of a k-means.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import binom

from behavior_spark.errors import ModelError
from behavior_spark.model.arrays import Bools, Floats
from behavior_spark.model.heads.head import Head, Scope
from behavior_spark.model.measures.ranking import roc_auc

EXAMPLES_PER_CLASS = 16
MOST_TEXTS_PER_CLASS = 5_000
LEFT_OUT_LEVEL = 0.01


@dataclass(frozen=True)
class ScopeFigures:
    """How well a head separates texts outside every class from texts inside.

    Attributes:
        recall: Share of outside texts that get no label.
        false_alarm_rate: Share of inside texts that get no label.
        roc_auc: AUC of closeness, inside against outside texts; NaN without outside texts.
        inside: Number of inside texts.
        outside: Number of outside texts.
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
    closeness: Floats | None = None,
    seed: int = 0,
) -> Head:
    """``head`` with examples and a threshold of closeness, below which it gives no label.

    The threshold is the ``false_alarms`` quantile of the closeness of held-out texts inside the
    classes, or of ``closeness``. No text outside the classes is needed.

    Args:
        head: A head that gives one label to each text.
        embeddings: float32 [n, dimension] of training texts, without NaN.
        targets: Their label numbers, int64 [n].
        dev_embeddings: float32 [m, dimension] of held-out texts inside the classes.
        false_alarms: Share of inside texts that get no label, in (0, 1), such as 0.05.
        closeness: float32 [k], that of texts inside the classes, from :func:`closeness_by_folds`.
        seed: Seed of the choice of examples.

    Raises:
        ModelError: The head gives several labels to a text, ``false_alarms`` is not between 0
            and 1, or nothing is held out.
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
    if closeness is None:
        open_scope = Scope(examples, threshold=-np.inf)
        closeness = open_scope.closeness(dev_embeddings, head.probabilities(dev_embeddings))
    threshold = float(np.float32(np.quantile(closeness, false_alarms)))
    return replace(head, scope=Scope(examples, threshold))


def closeness_by_folds(
    embeddings: Floats,
    targets: npt.NDArray[np.int64],
    probabilities: Floats,
    folds: npt.NDArray[np.int64],
    *,
    seed: int = 0,
) -> Floats:
    """Closeness of each text to examples of the other folds, float32 [n].

    With few held-out texts their lowest closeness says little of a share such as 5 %; all labelled
    texts together say more.

    Args:
        embeddings: float32 [n, dimension], without NaN.
        targets: Their label numbers, int64 [n].
        probabilities: float32 [n, labels], each row by a head that has not learned from the text.
        folds: int64 [n], the fold of each text; there are two or more.
        seed: Seed of the choice of examples.
    """
    closeness = np.empty(len(embeddings), dtype=np.float32)
    unit = _unit(embeddings)
    for fold in np.unique(folds):
        out = folds == fold
        examples = _examples(unit[~out], targets[~out], probabilities.shape[1], seed)
        scope = Scope(examples, threshold=-np.inf)
        closeness[out] = scope.closeness(embeddings[out], probabilities[out])
    return closeness


def often_left_out(
    abstained: Bools, truth: Bools, labels: Sequence[str]
) -> list[dict[str, Any]]:
    """Labels whose texts get no label more often than others', as few of them were seen.

    Args:
        abstained: bool [n], texts inside the classes that get no label.
        truth: bool [n, labels].
        labels: Names.

    Returns:
        ``label``, ``texts`` and ``left_out`` of each label with more texts left out than chance
        would leave (one-sided binomial test at ``LEFT_OUT_LEVEL``, corrected for the number of
        labels), the most affected first.
    """
    texts, left_out = truth.sum(axis=0), (truth & abstained[:, None]).sum(axis=0)
    others = (abstained.sum() - left_out) / np.maximum(len(truth) - texts, 1)
    chance = binom.sf(left_out - 1, texts, np.maximum(others, 1.0 / max(len(truth), 1)))
    often = np.flatnonzero((left_out > 1) & (chance * len(labels) < LEFT_OUT_LEVEL))
    order = often[np.argsort(-(left_out[often] / texts[often]), kind="stable")]
    return [
        {"label": labels[n], "texts": int(texts[n]), "left_out": int(left_out[n])} for n in order
    ]


def measure_scope(head: Head, inside: Floats, outside: Floats) -> ScopeFigures:
    """Recall and false alarms of a head's abstention.

    Args:
        head: A head; without a scope it never abstains.
        inside: float32 [n, dimension] of texts inside the classes, not used in training.
        outside: float32 [m, dimension] of texts outside every class.

    Raises:
        ModelError: There is no inside text.
    """
    if not len(inside):
        raise ModelError("no text inside the classes to measure abstention on")
    abstained = [np.mean(head.answer(embeddings)[1] < 0) if len(embeddings) else np.nan
              for embeddings in (inside, outside)]  # fmt: skip
    auc = float("nan")
    if head.scope is not None and len(outside):
        scores: npt.NDArray[Any] = np.concatenate(
            [
                head.scope.closeness(embeddings, head.probabilities(embeddings))
                for embeddings in (inside, outside)
            ]
        )
        auc = roc_auc(np.r_[np.ones(len(inside)), np.zeros(len(outside))], scores)
    return ScopeFigures(float(abstained[1]), float(abstained[0]), auc, len(inside), len(outside))


def _examples(
    vectors: Floats, targets: npt.NDArray[np.int64], label_count: int, seed: int
) -> Floats:
    """For each class the vectors nearest to the centres of a k-means, float32 [m, dimension]."""
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    generator, examples = np.random.default_rng(seed), []
    with threadpool_limits(1):  # one order of summation, so that the examples are reproducible
        for label in range(label_count):
            class_vectors = vectors[targets == label]
            if len(class_vectors) > MOST_TEXTS_PER_CLASS:
                class_vectors = class_vectors[
                    np.sort(generator.permutation(len(class_vectors))[:MOST_TEXTS_PER_CLASS])
                ]
            class_vectors = np.unique(class_vectors, axis=0)
            if len(class_vectors) > EXAMPLES_PER_CLASS:
                fitted = KMeans(EXAMPLES_PER_CLASS, n_init=1, max_iter=20, random_state=seed)
                centres = fitted.fit(class_vectors).cluster_centers_
                class_vectors = class_vectors[np.unique((centres @ class_vectors.T).argmax(axis=1))]
            examples.append(class_vectors)
    return np.concatenate(examples).astype(np.float32)


def _unit(vectors: Floats) -> Floats:
    unit: Floats = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return unit
