"""Training runs: they go on after a kill, share work over processes, and few labels pay."""

import os
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from behavior_spark.config import Tuning
from behavior_spark.errors import ModelError
from behavior_spark.model.encoder.encoder import Encoder, EncoderOptions
from behavior_spark.model.heads.labelled import split_task, with_label_names
from behavior_spark.model.heads.logistic_regression import label_weights
from behavior_spark.model.registry.text_model import load_text_model
from behavior_spark.model.training.checkpoint import Checkpoint
from behavior_spark.model.training.contrastive import (
    contrast_classes,
    in_batch_negatives,
    supervised_contrast,
)
from behavior_spark.model.training.finetune import LabelledTexts, finetune
from behavior_spark.model.training.optimisation import Rates, epoch_batches, layer_groups

OPTIONS = EncoderOptions(max_length=20)
TUNING = Tuning(
    precision="fp32",
    epochs=3,
    learning_rate=2e-3,
    batch_size=16,
    contrast_epochs=6,
    checkpoint_seconds=1,
)
FILLER = ["warm", "cold", "lamp", "mug", "bag", "box", "tea", "please", "order"]


def colours(count, *, seed=0, names=("red", "blue")):
    """Texts labelled by the colour that stands somewhere in them."""
    rng = np.random.default_rng(seed)
    labels = [names[row % len(names)] for row in range(count)]
    texts = [
        " ".join(rng.permutation([*rng.choice(FILLER, 4), label, str(row)]))
        for row, label in enumerate(labels)
    ]
    return texts, labels


def firsts(count, *, seed=0):
    """Texts with two colours, labelled by the one that comes first: words alone do not say it."""
    rng = np.random.default_rng(seed)
    texts, labels = [], []
    for row in range(count):
        one, other = ("red", "blue") if row % 2 else ("blue", "red")
        texts.append(f"{one} {' '.join(rng.choice(FILLER, 3))} {other} {row}")
        labels.append(one)
    return texts, labels


def task(count=96, **changes):
    return LabelledTexts("colour", *colours(count), **changes)


def trained(folder, out, **arguments):
    arguments = {"mode": "full", "tuning": TUNING, "device": "cpu"} | arguments
    return finetune(str(folder), OPTIONS, [task()], out, **arguments)


class Killed(BaseException):
    """As a kill: nothing in between is cleaned up."""


KILLED = """
import os, signal, sys
from pathlib import Path
from behavior_spark.model.training import checkpoint
from behavior_spark.model.encoder.encoder import use_threads
sys.path.insert(0, str(Path(sys.argv[1]).parent))
from test_training import trained
use_threads(1)
checkpoint.Checkpoint.due = lambda self: True
def tell(stage, done, total):
    if stage == "train" and done == 8:
        os.kill(os.getpid(), signal.SIGKILL)
trained(sys.argv[2], Path(sys.argv[3]), progress=tell)
"""


def test_a_run_killed_by_signal_9_ends_as_an_unbroken_one(tiny_folder, tmp_path):
    whole = trained(tiny_folder, tmp_path / "whole")
    root = Path(find_spec("behavior_spark").origin).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", KILLED, __file__, str(tiny_folder), str(tmp_path / "broken")],
        cwd=root,
        env=os.environ | {"PYTHONPATH": str(root)},
        capture_output=True,
        timeout=120,
    )
    assert done.returncode == -9, done.stderr.decode()[-800:]
    assert list((tmp_path / "broken" / ".training").iterdir())
    steps = []
    again = trained(tiny_folder, tmp_path / "broken", progress=lambda *each: steps.append(each))
    assert next(done for stage, done, _ in steps if stage == "train") == 8
    assert again.digest == whole.digest and again.metrics == whole.metrics
    assert not (tmp_path / "broken" / ".training").exists()


@pytest.mark.parametrize("mode", ["full", "few"])
@pytest.mark.parametrize("kill_at", [1, 5])
def test_a_run_stopped_at_any_step_goes_on_there(tiny_folder, tmp_path, monkeypatch, mode, kill_at):
    monkeypatch.setattr(Checkpoint, "due", lambda self: True)
    whole = trained(tiny_folder, tmp_path / "whole", mode=mode)

    def tell(stage, done, total):
        if stage in ("train", "contrast") and done == kill_at:
            raise Killed

    with pytest.raises(Killed):
        trained(tiny_folder, tmp_path / "broken", mode=mode, progress=tell)
    assert trained(tiny_folder, tmp_path / "broken", mode=mode).metrics == whole.metrics


def test_another_seed_or_setting_is_another_run_and_finds_no_state_of_the_first(
    tiny_folder, tmp_path, monkeypatch
):
    monkeypatch.setattr(Checkpoint, "due", lambda self: True)

    def tell(stage, done, total):
        if stage == "train" and done == 5:
            raise Killed

    with pytest.raises(Killed):
        trained(tiny_folder, tmp_path, progress=tell)
    steps = []
    trained(tiny_folder, tmp_path, seed=1, progress=lambda *each: steps.append(each))
    assert next(done for stage, done, _ in steps if stage == "train") == 1


def test_a_damaged_state_says_what_to_do(tiny_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(Checkpoint, "due", lambda self: True)

    def tell(stage, done, total):
        if stage == "train" and done == 3:
            raise Killed

    with pytest.raises(Killed):
        trained(tiny_folder, tmp_path, progress=tell)
    (state,) = (tmp_path / ".training").glob("*/state.safetensors")
    state.write_bytes(b"no state")
    with pytest.raises(ModelError, match="remove that folder"):
        trained(tiny_folder, tmp_path)


def test_two_processes_learn_what_one_learns_from_two_halves_of_each_batch(tiny_folder, tmp_path):
    shared = TUNING.model_copy(update={"epochs": 1, "processes": 2, "batch_size": 8})
    halves = TUNING.model_copy(update={"epochs": 1, "accumulate": 2, "batch_size": 8})
    two = trained(tiny_folder, tmp_path / "two", tuning=shared)
    one = trained(tiny_folder, tmp_path / "one", tuning=halves)
    models = [load_text_model(result.folder) for result in (two, one)]
    assert models[0].metadata["processes"] == 2 and models[1].metadata["processes"] == 1
    scores = [model.metadata["macro_f1_by_epoch"] for model in models]
    assert scores[0] == pytest.approx(scores[1], abs=1e-6)
    texts, _ = colours(20, seed=3)
    vectors = [
        Encoder.load(m.encoder_source, m.options, device="cpu").embed(texts).embeddings
        for m in models
    ]
    assert np.abs(vectors[0] - vectors[1]).max() < 1e-4


def test_few_labels_teach_the_encoder_more_than_a_head_on_it_learns(tiny_folder, tmp_path):
    texts, labels = firsts(64)
    few = LabelledTexts("first", texts, labels, tested_elsewhere=True)
    # Random weights are worth nothing: all of what is taught is kept.
    tuning = Tuning(learning_rate=3e-3, contrast_epochs=25, layer_decay=1.0, contrast_share=1.0)
    fresh, truth = firsts(200, seed=5)
    right = {}
    for mode in ("heads", "few"):
        result = finetune(
            str(tiny_folder), OPTIONS, [few], tmp_path, mode=mode, tuning=tuning, device="cpu"
        )
        model = load_text_model(result.folder)
        encoder = Encoder.load(model.encoder_source, model.options, device="cpu")
        head = model.heads["first"]
        said = head.decide(head.probabilities(encoder.embed(fresh).embeddings))
        right[mode] = np.mean([a == b for a, b in zip(said, truth, strict=True)])
    assert right["few"] > right["heads"] + 0.05


def test_the_name_of_a_label_is_one_more_text_of_it_but_never_a_held_out_one():
    texts = [
        "my card is late",
        "where is it",
        "rate",
        "what rate",
        "exchange rate",
        "Card  Arrival",
    ]
    labels = ["card_arrival", "card_arrival", "exchange", "exchange", "exchange", "card_arrival"]
    held = [False] * 5 + [True]
    split = split_task(
        LabelledTexts("t", texts, labels, held_out=held),
        validation_share=0.5, seed=0, max_examples=None,
    )  # fmt: skip
    named = with_label_names(split)
    assert named.texts == [*split.texts, "exchange"] and named.validation.sum() == 1
    assert named.targets[-1] == named.labels.index("exchange")


def test_auto_takes_few_for_few_labels_and_heads_for_many_or_several_a_text(tiny_folder, tmp_path):
    tuning = TUNING.model_copy(update={"contrast_epochs": 1})
    tasks = {
        "few": task(40),
        "heads": task(300),
    }
    for mode, each in tasks.items():
        result = finetune(
            str(tiny_folder), OPTIONS, [each], tmp_path, mode="auto", tuning=tuning, device="cpu"
        )
        assert result.mode == mode
    texts, labels = colours(40)
    several = LabelledTexts("tags", texts, [[label] for label in labels], kind="multi_label")
    with pytest.raises(ModelError, match="several"):
        finetune(str(tiny_folder), OPTIONS, [several], tmp_path, mode="few")


def test_heads_from_stored_embeddings_are_those_of_embedded_texts_and_load_no_encoder(
    tiny_folder, tmp_path, monkeypatch
):
    plain = trained(tiny_folder, tmp_path / "plain", mode="heads")
    encoder = Encoder.load(str(tiny_folder), OPTIONS, device="cpu")
    texts = task().texts
    store = dict(zip(texts, encoder.embed(texts).embeddings, strict=True))
    monkeypatch.setattr(Encoder, "load", None)
    asked = []

    def stored(digest, wanted):
        asked.append(digest)
        return store

    again = trained(tiny_folder, tmp_path / "stored", mode="heads", stored=stored)
    assert again.texts_embedded == 0 and plain.texts_embedded == len(texts)
    assert asked == [encoder.digest] and again.texts_stored == len(texts)
    assert again.metrics["colour"]["f1"] == plain.metrics["colour"]["f1"]


def test_an_official_dev_part_is_what_is_held_out_and_no_text_of_it_is_learned():
    texts, labels = colours(60)
    held = [row >= 40 for row in range(60)]
    split = split_task(
        LabelledTexts("t", [*texts, texts[50].upper()], [*labels, labels[50]],
                      held_out=[*held, False]),
        validation_share=0.5, seed=0, max_examples=None,
    )  # fmt: skip
    assert split.validation.sum() == 20 and split.dropped["also_held_out"] == 1
    assert not split.refit
    with pytest.raises(ModelError, match="parts"):
        split_task(
            LabelledTexts("t", texts, labels, held_out=[x == "red" for x in labels]),
            validation_share=0.5, seed=0, max_examples=None,
        )  # fmt: skip


def test_a_head_that_is_tested_elsewhere_learns_from_the_held_out_texts_in_the_end(
    tiny_folder, tmp_path
):
    heads = {}
    for elsewhere in (False, True):
        each = task(tested_elsewhere=elsewhere)
        result = finetune(str(tiny_folder), OPTIONS, [each], tmp_path, device="cpu")
        heads[elsewhere] = load_text_model(result.folder).heads["colour"]
    assert heads[True].metrics["f1"] == heads[False].metrics["f1"]
    assert heads[True].temperature == heads[False].temperature
    assert not np.array_equal(heads[True].weight, heads[False].weight)


def test_rare_labels_weigh_more_where_asked():
    texts, labels = colours(80)
    rare = [label if label == "red" or row < 20 else "red" for row, label in enumerate(labels)]
    split = split_task(
        LabelledTexts("t", texts, rare), validation_share=0.2, seed=0, max_examples=None
    )
    assert label_weights(split, "none") is None
    balanced, root = (label_weights(split, how).numpy() for how in ("balanced", "sqrt"))
    blue, red = split.labels.index("blue"), split.labels.index("red")
    counts = np.bincount(split.targets[~split.validation])
    assert balanced[blue] / balanced[red] == pytest.approx(counts[red] / counts[blue])
    assert root == pytest.approx(np.sqrt(balanced))
    several = replace(split, kind="multi_label", targets=np.eye(2, dtype=np.float32)[split.targets])
    assert label_weights(several, "balanced")[blue] == pytest.approx(counts[red] / counts[blue])


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 200), st.integers(1, 40), st.integers(0, 3), st.integers(0, 3))
def test_an_epoch_reads_every_text_once_the_same_way_each_time(count, size, seed, epoch):
    lengths = np.random.default_rng(count).integers(3, 60, count)
    batches = epoch_batches(lengths, size, seed=seed, epoch=epoch)
    assert sorted(np.concatenate(batches).tolist()) == list(range(count))
    assert len(batches) == -(-count // size) and max(map(len, batches)) <= size
    again = epoch_batches(lengths, size, seed=seed, epoch=epoch)
    assert all(np.array_equal(a, b) for a, b in zip(batches, again, strict=True))


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 300),
    st.floats(0, 0.9),
    st.sampled_from(["cosine", "linear"]),
    st.integers(0, 50),
)
def test_rates_rise_to_the_peak_once_and_fall_and_never_leave_it(total, warm_up, schedule, after):
    rates = [
        Rates(total + after, warm_up, schedule).at(s, after=after) for s in range(total + after)
    ]
    assert rates[:after] == [0.0] * after
    moving = np.array(rates[after:])
    assert (moving > 0).all() and (moving <= 1).all()
    top = int(moving.argmax())
    assert (np.diff(moving[: top + 1]) > 0).all() and (np.diff(moving[top:]) < 1e-12).all()


def test_lower_layers_learn_slower_and_vectors_are_not_decayed(tiny_folder):
    encoder = Encoder.load(str(tiny_folder), OPTIONS, device="cpu", trainable=True)
    groups = layer_groups(encoder.model, rate=1.0, layer_decay=0.5, weight_decay=0.1)
    peak = {id(p): group["peak"] for group in groups for p in group["params"]}
    model = encoder.model
    assert peak[id(model.encoder.layer[1].output.dense.weight)] == 1.0
    assert peak[id(model.encoder.layer[0].output.dense.weight)] == 0.5
    assert peak[id(model.embeddings.word_embeddings.weight)] == 0.25
    assert len(peak) == len(list(model.parameters()))
    for group in groups:
        assert all((p.ndim > 1) == (group["weight_decay"] > 0) for p in group["params"])


def test_contrast_moves_the_weights_the_share_of_the_way(tiny_folder):
    texts, labels = firsts(32)
    task = LabelledTexts("first", texts, labels, tested_elsewhere=True)
    split = split_task(task, validation_share=0.2, seed=0, max_examples=None)
    weights = []
    for share in (1.0, 0.25):
        encoder = Encoder.load(str(tiny_folder), OPTIONS, device="cpu", trainable=True)
        before = [p.detach().clone() for p in encoder.model.parameters()]
        tuning = TUNING.model_copy(update={"contrast_share": share})
        contrast_classes(encoder, [split], tuning, seed=0, tell=lambda *_: None)
        weights.append([p.detach().clone() for p in encoder.model.parameters()])
    assert any((taught != start).any() for start, taught in zip(before, weights[0], strict=True))
    for start, whole, part in zip(before, *weights, strict=True):
        assert torch.allclose(part, start + 0.25 * (whole - start), atol=1e-6)


def test_contrast_is_least_where_labels_lie_apart():
    labels = torch.tensor([0, 0, 1, 1, 2])
    apart = torch.tensor([[1.0, 0, 0], [2, 0.1, 0], [0, 1, 0], [0, 3, 0.1], [0, 0, 1]])
    mixed = apart[[0, 2, 1, 3, 4]]
    near = supervised_contrast(apart, labels, temperature=0.1)
    assert near < 0.01 < supervised_contrast(mixed, labels, temperature=0.1)
    assert supervised_contrast(apart, torch.arange(5), temperature=0.1) == 0.0
    right = in_batch_negatives(apart[:4], apart[:4], temperature=0.1)
    assert right < in_batch_negatives(apart[:4], apart[[1, 2, 3, 0]], temperature=0.1)


def test_equal_texts_are_no_negatives_of_each_other():
    same = torch.eye(2)[[0, 0, 1]]
    equal = torch.tensor([[1, 1, 0], [1, 1, 0], [0, 0, 1]]).bool()
    blind = in_batch_negatives(same, same, temperature=0.1)
    assert in_batch_negatives(same, same, temperature=0.1, equal=equal) < 0.01 < blind


def test_training_in_bf16_learns_as_well_as_in_fp32(tiny_folder, tmp_path):
    scores, digests = {}, set()
    for how in ("fp32", "bf16"):
        tuning = TUNING.model_copy(update={"precision": how, "epochs": 8, "layer_decay": 1.0})
        task = LabelledTexts("first", *firsts(200))
        result = finetune(
            str(tiny_folder), OPTIONS, [task], tmp_path, mode="full", tuning=tuning, device="cpu"
        )
        scores[how] = max(load_text_model(result.folder).metadata["macro_f1_by_epoch"])
        digests.add(result.digest)
    assert len(digests) == 2 and min(scores.values()) > 0.9
