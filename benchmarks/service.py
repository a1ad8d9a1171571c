"""Routing and suggested answers on banking77: coverage at a precision, and the right answer found.

    python -m benchmarks.service --data FOLDER [--train-texts 5000] [--cache FILE]

FOLDER holds banking77 (Casanueva et al. 2020): ``train.csv.gz`` and ``test.csv.gz`` with ``text``
and ``category``. Embeddings of frozen MiniLM are kept in ``--cache``. A head over them learns from
the training texts that are drawn; the least confidence is chosen on the 15 % of those that are held
out by hash; everything is measured on the test texts. Beside it: keywords (the words of the label's
name), and the nearest text without a head. Answers are written from the label's name alone
(``canned``), or are reached by one training text of the class as the question that they answer
(``past case``, drawn with a seed). Prints Markdown with Wilson's 95 % intervals.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from behavior_spark.model.arrays import Bools, Doubles, Floats
from behavior_spark.model.encoder.answers import AnswerIndex
from behavior_spark.model.encoder.encoder import use_threads
from behavior_spark.model.encoder.nearest import nearest
from behavior_spark.model.heads.fitting import fit_head
from behavior_spark.model.heads.head import Head
from behavior_spark.model.heads.labelled import LabelledTexts, split_task
from behavior_spark.model.measures.confidence import threshold_for, wilson_interval
from behavior_spark.model.registry.held_out import held_out_by_hash
from benchmarks.banking77 import embedded, frozen_encoder

SHARE, SEED = 0.15, 0
EMPTY_WORDS = {"to", "of", "or", "by", "my", "up", "for", "not", "and", "the", "on", "in", "card"}


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--train-texts", type=int, default=5000)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--precision", type=float, default=0.95)
    options = parser.parse_args()
    use_threads(1)
    train = pd.read_csv(options.data / "train.csv.gz")
    train = train.sample(options.train_texts, random_state=SEED).reset_index(drop=True)
    test = pd.read_csv(options.data / "test.csv.gz")
    known, asked = embedded(train, test, options.cache)
    truth = [str(name) for name in test["category"]]

    held = held_out_by_hash(list(train["text"]), share=SHARE)
    head = fitted(train[~held], known[~held])
    confidence, right, needs = answered(head, asked, truth)
    chosen_by = [str(name) for name in train["category"][held]]
    kept = threshold_for(*answered(head, known[held], chosen_by)[:2], options.precision)
    if kept is None:
        raise SystemExit(f"no threshold reaches {options.precision:.0%} on {held.sum()} texts")
    print(f"{len(train):,} training texts, {int(held.sum())} of them held out; {len(test):,} test "
          f"texts.\nLeast confidence {kept.threshold:.3f}: held out {kept.accuracy:.1%} right "
          f"({kept.low:.1%} to {kept.high:.1%}) at {kept.share:.1%}.\n")  # fmt: skip

    print("| routing | coverage | of these right |\n| --- | --- | --- |")
    sure = confidence >= kept.threshold
    row("head, at the chosen confidence", sure, right)
    best = threshold_for(confidence, right, options.precision)
    if best is not None:
        row("the same, chosen on the test texts (bound)", confidence >= best.threshold, right)
    row("head, never abstaining", np.ones_like(right), right)
    words = by_name(list(test["text"]), sorted(set(truth)))
    row("keywords: words of the label's name", np.array([w is not None for w in words]),
        np.array([w == t for w, t in zip(words, truth, strict=True)]))  # fmt: skip
    near, places = nearest(asked, known, 1)
    of_nearest = list(train["category"].iloc[places[:, 0]])
    hits = np.array([a == b for a, b in zip(of_nearest, truth, strict=True)])
    row("nearest training text, never abstaining", np.ones_like(right), hits)
    at_same(near[:, 0].astype(np.float64), hits, sure, "nearest training text")

    print("\n| answers | rule | coverage | of these right |\n| --- | --- | --- | --- |")
    labels = sorted(set(truth))
    canned = [f"This is about {name.replace('_', ' ')}." for name in labels]
    canned_vectors = frozen_encoder().embed(canned).embeddings
    draw = train[~held].groupby("category").sample(1, random_state=SEED)
    case_of = dict(zip(draw["category"], draw.index, strict=True))
    cases = np.stack([known[case_of[name]] for name in labels])
    for name, vectors in (("canned", canned_vectors), ("past case", cases)):
        print_answers(name, labels, vectors, asked, truth, needs, sure)


def fitted(train: pd.DataFrame, vectors: Floats) -> Head:
    """A head over frozen embeddings of the training texts."""
    of_text = dict(zip(train["text"], vectors, strict=True))
    task = LabelledTexts("intent", list(train["text"]), [str(n) for n in train["category"]])
    split = split_task(task, validation_share=SHARE, seed=SEED, max_examples=None)
    embeddings = np.stack([of_text[text] for text in split.texts])
    return fit_head(split, embeddings, backbone_digest="-")


def answered(
    head: Head, vectors: Floats, truth: Sequence[str]
) -> tuple[Doubles, Bools, list[str | None]]:
    """Confidence (-1 where there is no label), whether it is right, and the label."""
    probabilities, codes = head.answer(vectors)
    labels = [None if code < 0 else head.labels[code] for code in codes.tolist()]
    confidence = np.where(codes < 0, -1.0, head.confidence(probabilities).astype(np.float64))
    right = np.array([a == b for a, b in zip(labels, truth, strict=True)], dtype=np.bool_)
    return confidence, right, labels


def by_name(texts: Sequence[str], labels: Sequence[str]) -> list[str | None]:
    """The label most words of whose name stand in the text; None without any, or with a tie."""
    names = {label: set(label.lower().split("_")) - EMPTY_WORDS for label in labels}
    found: list[str | None] = []
    for text in texts:
        words = set("".join(c if c.isalnum() else " " for c in text.lower()).split())
        hits = sorted(((len(words & own), name) for name, own in names.items()), reverse=True)
        found.append(hits[0][1] if hits[0][0] > hits[1][0] else None)
    return found


def at_same(similarity: Doubles, hits: Bools, sure: Bools, name: str) -> None:
    """Print a rule by similarity, at the coverage of another."""
    count = int(sure.sum())
    order = np.argsort(-similarity, kind="stable")[:count]
    mask = np.zeros(len(hits), dtype=np.bool_)
    mask[order] = True
    row(f"{name}, as many texts by similarity", mask, hits)


def print_answers(
    kind: str,
    labels: Sequence[str],
    vectors: Floats,
    asked: Floats,
    truth: Sequence[str],
    needs: Sequence[str | None],
    sure: Bools,
) -> None:
    """Rates at which the right intent's answer is found: by need, and by similarity alone."""
    near, places = nearest(asked, vectors, 1)
    hits = np.array([labels[p] == t for p, t in zip(places[:, 0], truth, strict=True)])
    count = len(truth)
    for least in (0.4, 0.3, 0.0):
        index = AnswerIndex(
            list(labels), [frozenset({n}) for n in labels], [None] * len(labels), vectors, least,
            0.01,
        )  # fmt: skip
        wanted = [[n] if n and s else None for n, s in zip(needs, sure, strict=True)]
        replies = index.reply(asked, wanted, [None] * count)
        given = np.array([name is not None for name in replies.ids])
        right = np.array([a == b for a, b in zip(replies.ids, truth, strict=True)])
        row(f"{kind} | need, then similarity from {least:g} on", given, right)
    everything = np.ones(count, dtype=np.bool_)
    row(f"{kind} | nearest answer, never abstaining", everything, hits)
    at_same(near[:, 0].astype(np.float64), hits, sure, f"{kind} | nearest answer")


def row(name: str, given: Bools, right: Bools) -> None:
    """Print coverage, and the share that is right, with its interval."""
    count, hits = int(given.sum()), int((given & right).sum())
    low, high = wilson_interval(hits / count, count) if count else (0.0, 0.0)
    share = f"{hits / count:.1%} ({low:.1%} to {high:.1%})" if count else "-"
    print(f"| {name} | {count / len(right):.1%} | {share} |")


if __name__ == "__main__":
    main()
