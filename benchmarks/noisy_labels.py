"""Labels of which a part is wrong: calibration on clean test texts, by three ways.

    OMP_NUM_THREADS=1 python -m benchmarks.noisy_labels --data FOLDER [--draws 3]

FOLDER holds banking77 (Casanueva et al. 2020): ``train.csv.gz`` and ``test.csv.gz`` with ``text``
and ``category``. A part of the labels is exchanged: *chance*, for one drawn of all classes; *next*,
for the class that follows by name. *Groups*: the intents are dealt into that many classes, so that
a linear head finds many true texts hard. Embeddings are those of MiniLM, not fine-tuned, and are
kept in ``--cache``. Prints Markdown: expected calibration error (15 bins) on the test texts by the
temperature alone, by the temperature without suspected labels, and by that of ``label_noise``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from behavior_spark.model.arrays import Bools, Floats
from behavior_spark.model.encoder.encoder import use_threads
from behavior_spark.model.heads import label_noise
from behavior_spark.model.heads.answers import answers_of
from behavior_spark.model.heads.fitting import fit_head
from behavior_spark.model.heads.head import Head
from behavior_spark.model.heads.label_errors import suspected_labels
from behavior_spark.model.heads.labelled import LabelledTexts, TaskSplit, split_task
from behavior_spark.model.heads.logistic_regression import Regression
from behavior_spark.model.measures.figures import FIGURES
from benchmarks.banking77 import embedded

# Classes (0: all intents in 7 groups), texts of each class (of all, where grouped).
CASES = [(10, 20), (10, 50), (77, 20), (0, 400), (0, 1500)]
NOISES = [("chance", 0.0), ("chance", 0.05), ("chance", 0.1), ("chance", 0.3), ("next", 0.1),
          ("next", 0.3)]  # fmt: skip
GROUPS = 7


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--draws", type=int, default=3)
    options = parser.parse_args()
    use_threads(1)  # on a busy machine two threads wait for each other
    train = pd.read_csv(options.data / "train.csv.gz").sample(5000, random_state=0)
    test = pd.read_csv(options.data / "test.csv.gz")
    vectors, test_vectors = embedded(train, test, options.cache)
    print("| classes | texts | wrong | found | accuracy | temperature | unsuspected | with noise |")
    print("| --- | ---: | --- | --- | --- | --- | --- | --- |")
    for classes, texts in CASES:
        for kind, share in NOISES:
            rows = [
                measured(train, vectors, test, test_vectors, (classes, texts, kind, share), draw)
                for draw in range(1 if classes == 77 else options.draws)
            ]
            columns = [", ".join(column) for column in zip(*rows, strict=True)]
            name = f"{GROUPS} groups" if not classes else str(classes)
            each = f"{texts}" if not classes else f"{texts} each"
            print(f"| {name} | {each} | {share:.0%} {kind} | {' | '.join(columns)} |", flush=True)


def measured(
    train: pd.DataFrame,
    vectors: Floats,
    test: pd.DataFrame,
    test_vectors: Floats,
    case: tuple[int, int, str, float],
    draw: int,
) -> Iterator[str]:
    """The columns of one draw: wrong labels found, accuracy, and three calibration errors."""
    classes, texts, kind, share = case
    rng = np.random.default_rng(draw)
    intents = sorted(train["category"].unique())
    if classes:
        chosen = sorted(rng.choice(intents, classes, replace=False))
        group = {name: name for name in chosen}
        part = train[train["category"].isin(chosen)]
        part = part[part.groupby("category").cumcount() < texts]
    else:
        group = {name: f"group {rng.integers(GROUPS)}" for name in intents}
        part = train.sample(texts, random_state=draw)
    names = sorted(set(group.values()))
    true = part["category"].map(group)
    following = {name: names[(place + 1) % len(names)] for place, name in enumerate(names)}
    other = rng.choice(names, len(part)) if kind == "chance" else true.map(following)
    given = np.where(rng.random(len(part)) < share, other, true)
    split, own = split_of(list(part["text"]), [str(label) for label in given])
    embeddings = vectors[train.index.get_indexer(part.index)][own]
    head = fit_head(split, embeddings, backbone_digest="-")
    plain, unsuspected = without_noise(split, embeddings)
    inside = test["category"].isin(group).to_numpy()
    truth = [(label,) for label in test["category"][inside].map(group)]
    yield f"{head.metrics.get('label_noise', {}).get('wrong', 0.0):.0%}"
    yield f"{figure('accuracy', head, test_vectors[inside], truth):.3f}"
    for judged in (plain, unsuspected, head):
        yield f"{figure('calibration_error', judged, test_vectors[inside], truth):.3f}"


def split_of(texts: list[str], labels: list[str]) -> tuple[TaskSplit, list[int]]:
    """The task, and the place of each of its texts."""
    task = LabelledTexts("intent", texts, labels)
    split = split_task(task, validation_share=0.15, seed=0, max_examples=None)
    place = {text: row for row, text in enumerate(texts)}
    return split, [place[text] for text in split.texts]


def without_noise(split: TaskSplit, embeddings: Floats) -> tuple[Head, Head]:
    """Heads by the temperature alone: of all labels, and of those that are not suspected."""
    kept = label_noise.LEAST_SHARE
    label_noise.LEAST_SHARE = 2.0
    try:
        plain = fit_head(split, embeddings, backbone_digest="-")
        task = Regression.of(split, embeddings, "none")
        start = torch.zeros(len(split.labels), embeddings.shape[1] + 1)
        logits = task.out_of_fold(plain.metrics["inverse_l2"], start)
        probabilities = split.rules.probabilities((logits / plain.temperature).astype(np.float32))
        suspects = suspected_labels(probabilities, split.truth, split.labels)
        clean: Bools = np.ones(len(split.texts), dtype=np.bool_)
        clean[[suspect.row for suspect in suspects]] = False
        again = split.rules.calibrate(plain, logits[clean], split.targets[clean])
        return plain, again
    finally:
        label_noise.LEAST_SHARE = kept


def figure(name: str, head: Head, vectors: Floats, truth: list[tuple[str]]) -> float:
    """A figure of a head on the test texts."""
    answers = answers_of(head, vectors, truth)
    return float(FIGURES[name](answers, np.ones((1, len(answers))))[0])


if __name__ == "__main__":
    main()
