"""What a head must beat to be worth its cost: the most frequent label, and words alone.

The keyword baseline is logistic regression on TF-IDF of words and pairs of words (scikit-learn),
with a threshold of 0.5 where a text may have several labels.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from behavior_spark.model.arrays import Bools
from behavior_spark.model.heads.labelled import TaskSplit
from behavior_spark.model.heads.stated_costs import cost_of_texts
from behavior_spark.model.measures.classification_report import classification_report

# The first of so many texts: more change little, and fitting takes seconds.
MOST_TEXTS = 5_000
FIGURES = ("accuracy", "precision", "recall", "f1")


def baseline_figures(split: TaskSplit) -> dict[str, dict[str, float]]:
    """Accuracy, precision, recall and F1 of both baselines on the task's held-out texts.

    With stated costs also the mean ``cost`` of a text, and its standard error ``cost_error``.

    Args:
        split: The task; at least one text is held out.
    """
    held = split.validation
    truth = split.truth
    said = {
        "majority": _most_frequent(truth[~held], int(held.sum()), split.rules.exclusive),
        "keywords": _by_words(split, truth),
    }
    figures = {}
    for name, given in said.items():
        report = classification_report(split.labels, truth[held], given)
        figures[name] = {figure: float(report[figure]) for figure in FIGURES}
        if split.costs:
            figures[name] |= cost_figures(split, given)
    return figures


def cost_figures(split: TaskSplit, given: Bools) -> dict[str, float]:
    """Mean cost of a held-out text by the task's stated costs, and its standard error.

    Args:
        split: The task.
        given: bool [held-out texts, labels], predicted labels.
    """
    cost = cost_of_texts(
        split.truth[split.validation],
        given,
        split.labels,
        split.costs,
        exclusive=split.rules.exclusive,
    )
    return {"cost": float(cost.mean()), "cost_error": float(cost.std() / np.sqrt(len(cost)))}


def _most_frequent(learned: Bools, count: int, exclusive: bool) -> Bools:
    """Bool [count, L]: the most frequent label; of several those that most texts have."""
    share = learned.mean(axis=0)
    row = np.arange(len(share)) == share.argmax() if exclusive else share > 0.5
    return np.tile(row, (count, 1))


def _by_words(split: TaskSplit, truth: Bools) -> Bools:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier

    learned = np.flatnonzero(~split.validation)[:MOST_TEXTS]
    held = np.flatnonzero(split.validation)
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"\w+")
    try:
        known = vectorizer.fit_transform([split.texts[row] for row in learned])
    except ValueError:  # no text has a word
        return _most_frequent(truth[learned], len(held), split.rules.exclusive)
    new = vectorizer.transform([split.texts[row] for row in held])
    model: Any = LogisticRegression(C=10.0, max_iter=200)
    with warnings.catch_warnings():
        # Many labels with few texts, a label that all texts have, an end before convergence.
        warnings.simplefilter("ignore")
        if split.rules.exclusive:
            model.fit(known, truth[learned].argmax(axis=1))
            return np.asarray(model.predict(new)[:, None] == np.arange(truth.shape[1]))
        model = OneVsRestClassifier(model).fit(known, truth[learned].astype(int))
        return np.asarray(model.predict(new)).reshape(len(held), -1).astype(bool)
