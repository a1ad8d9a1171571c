"""Effect of pretraining the encoder on unlabelled texts of a domain for a task of that domain.

    python benchmarks/models_pretrained.py banking77 simcse
    python benchmarks/models_pretrained.py forum behaviour --epochs 5

``banking77``: the corpus is the texts of its training part. The task is its 77 intents by a
logistic head, trained on 8 texts per label (three draws) and on all, measured on the official test
part.

``forum`` (Stack Exchange, quantum computing): the corpus is its posts and comments; for the method
``behaviour``, pairs of successive texts of a thread. The task is the ten most frequent tags of its
612 questions, by cross-validation with five folds.

Prints figures of the encoder as it came, pretrained, and with the mean of both weights, with the
difference to the first and its 95 % interval (paired bootstrap over texts).
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from behavior_spark.config.pretraining import Pretraining
from behavior_spark.model.encoder.encoder import Encoder, EncoderOptions
from behavior_spark.model.encoder.saving import save_encoder
from behavior_spark.model.heads.answers import answers_of
from behavior_spark.model.heads.fitting import fit_head
from behavior_spark.model.heads.labelled import LabelledTexts, split_task
from behavior_spark.model.measures.answers import Answers
from behavior_spark.model.measures.classification import estimate, estimate_difference
from behavior_spark.model.pretraining.pretrain import pretrain
from benchmarks.models import DATA, ENCODER, Data, banking77, clean, few

TAGS, FOLDS, DRAWS = 10, 5, 3


def forum(method: str) -> tuple[list[tuple[str, ...]], LabelledTexts]:
    """Rows of the corpus (one text, or a pair), and the questions with their frequent tags."""
    folder = DATA / "stackexchange_quantumcomputing"
    posts = pd.read_parquet(folder / "posts.parquet")
    comments = pd.read_parquet(folder / "comments.parquet")
    words = posts["Title"].fillna("") + ". " + posts["Body"].fillna("")
    posts["text"] = [clean(re.sub("<[^>]+>", " ", text)) for text in words]
    questions = posts[posts["PostTypeId"] == "1"]
    all_tags = [re.findall("<([^<>]+)>", text) for text in questions["Tags"]]
    frequent = {t for t, _ in Counter(t for tags in all_tags for t in tags).most_common(TAGS)}
    labels = [[tag for tag in tags if tag in frequent] for tags in all_tags]
    task = LabelledTexts("tags", list(questions["text"]), labels, kind="multi_label")
    posts["thread"], comments["text"] = posts["ParentId"].fillna(posts["Id"]), comments["Text"]
    threads = posts.set_index("Id")["thread"]
    comments["thread"] = comments["PostId"].map(threads)
    columns = ["thread", "CreationDate", "text"]
    texts = pd.concat([posts[columns], comments[columns]]).dropna().sort_values(columns)
    if method != "behaviour":
        return [(clean(text),) for text in texts["text"].drop_duplicates()], task
    following = texts.groupby("thread")["text"].shift(-1)
    pairs = zip(texts["text"], following, strict=True)
    return [(clean(a), clean(b)) for a, b in pairs if isinstance(b, str)], task


def answers_by_fold(encoder: Encoder, task: LabelledTexts) -> Answers:
    """Answers by cross-validation: each fold is classified by a head trained on the others."""
    vectors, labels = encoder.embed(task.texts).embeddings, [list(names) for names in task.labels]
    position = {text: i for i, text in enumerate(task.texts)}
    folds, rows = [], np.arange(len(task.texts))
    for number in range(FOLDS):
        kept, out = rows[rows % FOLDS != number], rows[rows % FOLDS == number]
        part = replace(task, texts=[task.texts[i] for i in kept], labels=[labels[i] for i in kept])
        split = split_task(part, validation_share=0.2, seed=0, max_examples=None)
        own = vectors[[position[text] for text in split.texts]]
        head = fit_head(split, own, backbone_digest=encoder.digest)
        folds.append(answers_of(head, vectors[out], [labels[i] for i in out]))
    return replace(
        folds[0],
        truth=np.concatenate([fold.truth for fold in folds]),
        predicted=np.concatenate([fold.predicted for fold in folds]),
        probabilities=np.concatenate([fold.probabilities for fold in folds]),
    )


def answers_on_test(encoder: Encoder, data: Data, test: np.ndarray) -> Answers:
    """Answers on banking77's test part by a head trained on ``data``.

    ``test`` are the embeddings of the test part, float32 [texts, dimension].
    """
    split = split_task(data.task, validation_share=0.1, seed=0, max_examples=None)
    split = replace(split, refit=True)
    vectors = encoder.embed(split.texts).embeddings
    head = fit_head(split, vectors, backbone_digest=encoder.digest)
    return answers_of(head, test, [[str(label)] for label in data.truth])


def half_way(source: str, pretrained: Path, folder: Path) -> Path:
    """Save an encoder whose weights are the mean of two encoders'; return its folder."""
    before, mean = (
        Encoder.load(name, EncoderOptions(), trainable=True) for name in (source, str(pretrained))
    )
    with torch.no_grad():
        for start, end in zip(before.model.parameters(), mean.model.parameters(), strict=True):
            end.lerp_(start, 0.5)
    return save_encoder(mean, source, folder)


def compare(name: str, answers: Sequence[dict[str, Answers]], figure: str) -> None:
    """Print the figure of each encoder and its difference to the first."""
    for encoder in answers[0]:
        values = [estimate(draw[encoder], [figure], resamples=0)[figure].value for draw in answers]
        line = f"{name}, {encoder}: {figure} {np.mean(values):.4f}"
        if encoder != "as it came":
            differences = [
                estimate_difference(draw[encoder], draw["as it came"], figure) for draw in answers
            ]
            shown = ", ".join(
                f"{d.value:+.4f} ({d.low:+.4f} to {d.high:+.4f})" for d in differences
            )
            line += f"; difference {shown}"
        print(line, flush=True)


def main() -> None:
    """Pretrain, measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("data", choices=["banking77", "forum"])
    parser.add_argument("method", choices=["mlm", "simcse", "behaviour"])
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--learning-rate", type=float, default=5e-5)
    call = parser.parse_args()
    options = EncoderOptions(max_length=64 if call.data == "banking77" else 128)
    bank = banking77() if call.data == "banking77" else None
    if bank:
        if call.method == "behaviour":
            parser.error("banking77 has no behaviour: mlm or simcse")
        rows: list[tuple[str, ...]] = [(text,) for text in dict.fromkeys(bank.task.texts)]
    else:
        rows, task = forum(call.method)
    settings = Pretraining(method=call.method, epochs=call.epochs, learning_rate=call.learning_rate)
    with tempfile.TemporaryDirectory() as scratch:
        corpus = Path(scratch) / "corpus"
        corpus.mkdir()
        names = ("left", "right") if call.method == "behaviour" else ("text",)
        columns = dict(zip(names, (list(c) for c in zip(*rows, strict=True)), strict=True))
        pq.write_table(pa.table(columns), corpus / "part-0.parquet")
        start = time.monotonic()
        pretrained = pretrain(ENCODER, options, corpus, Path(scratch) / "made", settings=settings)
        outcome = pretrained.outcome
        took = f"{outcome.steps:,} steps in {time.monotonic() - start:,.0f} s"
        print(f"{call.data}, {call.method}: {len(rows):,} rows, {took}", flush=True)
        print(f"{outcome.before} -> {outcome.after}", flush=True)
        middle = half_way(ENCODER, pretrained.folder, Path(scratch) / "middle")
        sources = {"as it came": ENCODER, "pretrained": str(pretrained.folder)}
        sources["half way"] = str(middle)
        encoders = {key: Encoder.load(source, options) for key, source in sources.items()}
        if bank:
            tests = {key: encoder.embed(bank.test).embeddings for key, encoder in encoders.items()}
            parts = {"8 a class": [few(bank, 8, seed) for seed in range(DRAWS)], "all": [bank]}
            for name, draws in parts.items():
                draws_answers = [
                    {key: answers_on_test(e, part, tests[key]) for key, e in encoders.items()}
                    for part in draws
                ]
                compare(name, draws_answers, "accuracy")
        else:
            answers = {key: answers_by_fold(encoder, task) for key, encoder in encoders.items()}
            for figure in ("roc_auc_macro", "f1_macro"):
                compare("ten tags", [answers], figure)


if __name__ == "__main__":
    main()
