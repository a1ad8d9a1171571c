import os
import platform
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from behavior_spark.model.encoder import devices
from behavior_spark.model.encoder.devices import describe_processor, is_native
from behavior_spark.model.encoder.encoder import Encoder, EncoderOptions, backbone_digest
from behavior_spark.model.heads import frozen_heads, precision
from behavior_spark.model.heads.head import Head
from behavior_spark.model.heads.precision import (
    SAMPLE,
    check_precision,
    spread_sample,
)
from behavior_spark.model.registry.store import ModelStore
from behavior_spark.model.registry.text_model import load_text_model
from behavior_spark.model.training.finetune import LabelledTexts, finetune
from behavior_spark.model.training.joint import Trained

CPU = torch.device("cpu")
OPTIONS = EncoderOptions(max_length=20)
TEXTS = [
    "WHITE HANGING HEART T-LIGHT HOLDER",
    "I still have not got my card, and it has been two weeks. Where is it?",
    "ok",
    "merci beaucoup, ça va",
    "please cancel my order",
    "why was I charged twice for one mug?",
]
SHORT = ["red mug", "hello", "please order a warm lamp", "box of tea", "card?", "bye bye", "money"]

# Modules that ask which formats the processor computes in itself.
ASKING = ("encoder.encoder", "heads.precision", "heads.frozen_heads", "training.optimisation")


@pytest.fixture
def native(monkeypatch):
    """As on a processor with bf16 of its own; one without computes the same by emulation."""
    for module in ASKING:
        monkeypatch.setattr(f"behavior_spark.model.{module}.is_native", lambda *_: True)


@pytest.fixture
def foreign(monkeypatch):
    """As on a processor without bf16."""
    for module in ASKING:
        monkeypatch.setattr(
            f"behavior_spark.model.{module}.is_native", lambda wanted, _: wanted == "fp32"
        )


def embedded(source, how, texts=SHORT, options=OPTIONS):
    encoder = Encoder.load(source, replace(options, precision=how), device="cpu")
    return encoder.embed(texts).embeddings


# What is chosen


def test_bf16_is_chosen_for_the_real_encoder(native, real_source):
    head = Head(
        name="intent",
        labels=("a", "b", "c"),
        kind="single_label",
        weight=np.random.default_rng(0).normal(size=(3, 384)),
        bias=np.zeros(3),
        thresholds=np.full(3, 0.5),
        temperature=1.0,
        backbone_digest="0" * 16,
    )
    check = check_precision(
        real_source, EncoderOptions(), [*TEXTS, TEXTS[0], " "], heads={"intent": head}, device="cpu"
    )
    assert check.precision == "bf16" and check.texts == len(TEXTS)
    assert 0.999 <= check.least_cosine < 1.0 and check.labels_changed == 0.0
    assert check.processor == describe_processor(CPU)
    assert f"cosine >= {check.least_cosine:.5f}" in check.reason
    assert check.as_dict()["precision"] == "bf16"


def test_the_cosine_is_that_of_the_text_farthest_from_fp32(native, tiny_folder):
    source = str(tiny_folder)
    check = check_precision(source, OPTIONS, SHORT, device="cpu")
    exact, rough = (embedded(source, how) for how in ("fp32", "bf16"))
    assert check.least_cosine == pytest.approx((exact * rough).sum(axis=1).min(), abs=1e-6)
    unscaled = replace(OPTIONS, normalize=False)
    again = check_precision(source, unscaled, SHORT, device="cpu")
    assert again.least_cosine == pytest.approx(check.least_cosine, abs=1e-6)


@pytest.mark.parametrize("configured", ["fp32", "bf16"])
def test_a_processor_without_bf16_stays_with_fp32(foreign, tiny_folder, configured):
    options = replace(OPTIONS, precision=configured)
    check = check_precision(str(tiny_folder), options, SHORT, device="cpu")
    assert check.precision == "fp32" and "no bf16 of its own" in check.reason
    assert (check.texts, check.least_cosine, check.labels_changed) == (0, None, None)
    assert check.settled  # or each night on such a processor would check again


def test_a_cosine_under_the_bound_keeps_fp32(native, tiny_folder, monkeypatch):
    monkeypatch.setattr(precision, "LEAST_COSINE", 1.1)
    check = check_precision(str(tiny_folder), OPTIONS, SHORT, device="cpu")
    assert check.precision == "fp32" and check.texts == len(SHORT)
    assert f"cosine {check.least_cosine:.5f} < 1.1" in check.reason


@pytest.fixture
def flipping(tiny_folder, make_head):
    """A head whose border lies between the fp32 and the bf16 vector of some texts."""
    exact, rough = (embedded(str(tiny_folder), how) for how in ("fp32", "bf16"))
    across = (rough[0] - exact[0]).astype(np.float64)
    border = across @ (rough[0] + exact[0]) / 2

    def make(*, kind: str) -> tuple[Head, float]:
        scale = 1e7
        labels, rows = (("b",), [1]) if kind == "multi_label" else (("a", "b"), [0, 1])
        head = make_head(
            labels=labels,
            kind=kind,
            dimension=32,
            temperature=1.0,
            weight=np.array([across * scale * row for row in rows]),
            bias=np.array([-border * scale * row for row in rows]),
            thresholds=np.full(len(labels), 0.5),
        )
        before, after = (head.decide_all(head.probabilities(vectors)) for vectors in (exact, rough))
        return head, float(np.mean([a != b for a, b in zip(before, after, strict=True)]))

    return make


@pytest.mark.parametrize("kind", ["single_label", "multi_label"])
def test_labels_that_change_keep_fp32_and_are_counted(
    native, tiny_folder, flipping, make_head, kind
):
    head, share = flipping(kind=kind)
    steady = make_head(dimension=32, weight=np.zeros((3, 32)))
    heads = {"flips": head, "steady": steady}
    check = check_precision(str(tiny_folder), OPTIONS, SHORT, heads=heads, device="cpu")
    assert share >= 1 / len(SHORT) and check.labels_changed == pytest.approx(share)
    assert check.precision == "fp32" and f"changes {share:.1%} of the labels" in check.reason
    kept = check_precision(str(tiny_folder), OPTIONS, SHORT, heads={"s": steady}, device="cpu")
    assert kept.precision == "bf16" and kept.labels_changed == 0.0


@pytest.mark.parametrize(("changed", "chosen"), [(0.01, "bf16"), (0.0101, "fp32")])
def test_one_label_in_a_hundred_may_change(
    native, tiny_folder, make_head, monkeypatch, changed, chosen
):
    monkeypatch.setattr(precision, "_labels_changed", lambda *_: changed)
    heads = {"intent": make_head(dimension=32)}
    check = check_precision(str(tiny_folder), OPTIONS, SHORT, heads=heads, device="cpu")
    assert check.precision == chosen and check.labels_changed == changed


@pytest.mark.parametrize("texts", [[], ["", "  \n"]])
def test_where_there_is_no_text_to_compare_fp32_stays(native, tiny_folder, texts):
    check = check_precision(str(tiny_folder), OPTIONS, texts, device="cpu")
    assert check.precision == "fp32" and "no text" in check.reason
    assert check.texts == 0 and not check.settled


def test_a_text_without_a_vector_in_bf16_keeps_fp32(native, tiny_folder, monkeypatch):
    embed = Encoder.embed

    def lossy(self, texts):
        found = embed(self, texts)
        if self.options.precision == "bf16":
            found.embeddings[0] = np.nan
        return found

    monkeypatch.setattr(Encoder, "embed", lossy)
    check = check_precision(str(tiny_folder), OPTIONS, SHORT, device="cpu")
    assert check.precision == "fp32" and check.reason.startswith("1 texts have no embedding")
    assert check.texts == len(SHORT) - 1


def test_the_processor_says_whether_it_has_bf16_of_its_own(monkeypatch):
    for flags, native in (
        ({"avx2", "avx512f"}, False),
        ({"avx512f", "avx512_bf16"}, True),
        ({"amx_tile", "amx_bf16"}, True),
        ({"asimd", "bf16"}, True),
        (set(), False),
    ):
        monkeypatch.setattr(devices, "_cpu_flags", lambda found=flags: frozenset(found))
        assert is_native("bf16", CPU) is native and is_native("fp32", CPU)
        assert describe_processor(CPU).startswith("cpu: ")
        assert ("bf16" in describe_processor(CPU)) is native


@pytest.mark.parametrize(
    ("capability", "native"), [((7, 5), False), ((8, 0), True), ((9, 0), True)]
)
def test_a_gpu_has_bf16_from_capability_eight(monkeypatch, capability, native):
    monkeypatch.setattr("torch.cuda.get_device_capability", lambda _: capability)
    assert is_native("bf16", torch.device("cuda:0")) is native


def test_an_encoder_knows_whether_it_runs_natively(foreign, tiny_folder):
    for how, natively in (("fp32", True), ("bf16", False)):
        encoder = Encoder.load(str(tiny_folder), replace(OPTIONS, precision=how), device="cpu")
        assert encoder.runs_natively is natively


# The sample


def test_a_sample_is_spread_from_the_shortest_to_the_longest_text():
    texts = ["x" * length for length in range(1, 2001)]
    found = spread_sample(texts)
    lengths = [len(text) for text in found]
    assert len(set(found)) == SAMPLE == 256 and lengths == sorted(lengths)
    assert (lengths[0], lengths[-1]) == (1, 2000)
    gaps = np.diff(lengths)
    assert gaps.min() >= 7 and gaps.max() <= 9


def test_a_sample_of_few_texts_is_all_that_differ():
    assert spread_sample(["bb", "a", " ", "", "bb", "\t"]) == ["a", "bb"]


some_texts = st.lists(st.text(max_size=5), max_size=400)


@settings(max_examples=30, deadline=None)
@given(some_texts, st.randoms(use_true_random=False), st.integers(1, 3))
def test_a_sample_depends_neither_on_the_order_nor_on_repeats(texts, shuffle, times):
    turned = texts * times
    shuffle.shuffle(turned)
    assert spread_sample(turned) == spread_sample(texts)


# Fine-tuning


def task(count=60):
    rng = np.random.default_rng(0)
    filler = ["warm", "cold", "lamp", "mug", "bag", "box", "tea", "please", "order"]
    labels = ["red" if row % 2 else "blue" for row in range(count)]
    texts = [
        " ".join(rng.permutation([*rng.choice(filler, 5), label, str(row)]))
        for row, label in enumerate(labels)
    ]
    return LabelledTexts("colour", texts, labels)


@pytest.fixture
def tuned(tiny_folder, tmp_path):
    """Fine-tune the tiny encoder, and read what was saved."""

    def run(**arguments):
        arguments = {"mode": "heads", "validation_share": 0.3, "device": "cpu"} | arguments
        result = finetune(str(tiny_folder), OPTIONS, [task()], tmp_path / "out", **arguments)
        return load_text_model(result.folder)

    return run


def belong(model, how):
    """Whether the heads are those of the encoder in one precision, and the options name it."""
    options = replace(model.options, precision=how)
    digest = backbone_digest(model.encoder_source, options)
    return model.options == options and model.heads["colour"].backbone_digest == digest


@pytest.fixture
def lenient(native, monkeypatch):
    """Labels may change: of a random encoder's eighteen held-out texts one often does."""
    monkeypatch.setattr(precision, "MOST_LABELS_CHANGED", 1.0)


def test_heads_belong_to_the_precision_that_was_chosen(lenient, tuned):
    model = tuned(choose_precision=True)
    recorded = model.metadata["precision"]
    assert recorded["precision"] == "bf16" and recorded["texts"] > 0
    assert 0.999 <= recorded["least_cosine"] < 1 and recorded["labels_changed"] is not None
    assert belong(model, "bf16")


def test_without_a_choice_nothing_is_recorded_and_the_options_precision_is_used(native, tuned):
    model = tuned()
    assert "precision" not in model.metadata and belong(model, "fp32")


def test_every_text_is_embedded_once_whichever_precision_the_check_chooses(
    request, native, tiny_folder, tmp_path, monkeypatch
):
    """Beside the sample of the check, and the texts that its heads were fitted on."""
    embedded, embed = Counter(), Encoder.embed

    def counted(encoder, texts, **arguments):
        embedded.update((encoder.options.precision, text) for text in texts)
        return embed(encoder, texts, **arguments)

    monkeypatch.setattr(Encoder, "embed", counted)
    monkeypatch.setattr(precision, "SAMPLE", 8)
    monkeypatch.setattr(frozen_heads, "SAMPLE", 8)
    monkeypatch.setattr(frozen_heads, "PILOT_TEXTS", 40)
    given = task(400)
    arguments = {"mode": "heads", "device": "cpu", "choose_precision": True}
    for chosen, other, least_cosine in (("fp32", "bf16", 2.0), ("bf16", "fp32", -1.0)):
        monkeypatch.setattr(precision, "LEAST_COSINE", least_cosine)
        monkeypatch.setattr(precision, "MOST_LABELS_CHANGED", 1.0)
        embedded.clear()
        result = finetune(str(tiny_folder), OPTIONS, [given], tmp_path / chosen, **arguments)
        counts = Counter(how for how, _ in embedded.elements())
        assert load_text_model(result.folder).options.precision == chosen
        assert 400 <= counts[chosen] <= 400 + 16  # and the sample of the check
        assert counts[other] <= 16 + 45
        assert result.texts_embedded <= 400 + 45


@pytest.mark.parametrize("why", ["foreign", "check"])
def test_where_the_check_says_fp32_heads_are_those_fitted_in_fp32(request, tuned, monkeypatch, why):
    plain = tuned()
    if why == "check":
        request.getfixturevalue("native")
        monkeypatch.setattr(precision, "LEAST_COSINE", 1.1)
    else:
        request.getfixturevalue("foreign")
    model = tuned(choose_precision=True)
    assert model.digest == plain.digest and belong(model, "fp32")
    assert model.heads["colour"].digest == plain.heads["colour"].digest


def test_the_record_says_why_fp32_was_kept(native, tuned, monkeypatch):
    monkeypatch.setattr(precision, "LEAST_COSINE", 1.1)
    recorded = tuned(choose_precision=True).metadata["precision"]
    assert recorded["precision"] == "fp32" and "1.1" in recorded["reason"]


@pytest.mark.parametrize("best_epoch", [0, 1])
def test_a_tuned_encoder_is_checked_itself_and_one_that_is_kept_has_its_first_check(
    lenient, tuned, tiny_folder, monkeypatch, best_epoch
):
    checked, check = [], precision.check_precision

    def watched(source, *arguments, **named):
        checked.append((Path(source), check(source, *arguments, **named)))
        return checked[-1][1]

    def trained(encoder, splits, start, *_, **__):
        with torch.no_grad():
            encoder.model.embeddings.word_embeddings.weight.mul_(1.5)
        layers = {name: (head.weight, head.bias) for name, head in start.items()}
        return Trained(best_epoch, [0.5, 0.6], layers)

    monkeypatch.setattr("behavior_spark.model.heads.frozen_heads.check_precision", watched)
    monkeypatch.setattr("behavior_spark.model.training.finetune.train_together", trained)
    model = tuned(choose_precision=True, mode="full")
    assert checked[0][0] == tiny_folder and len(checked) == 1 + best_epoch
    assert (Path(model.encoder_source) == tiny_folder.resolve()) is (best_epoch == 0)
    assert model.metadata["precision"] == checked[-1][1].as_dict()
    assert checked[-1][1].precision == "bf16" and belong(model, "bf16")
    assert best_epoch == 0 or checked[0][1] != checked[1][1]


# The record of an encoder used as it is


def test_the_first_precision_recorded_for_an_encoder_stays(tmp_path):
    store = ModelStore(tmp_path)
    assert store.precision("a" * 16) is None
    store.record_precision("a" * 16, {"precision": "bf16", "reason": "first"})
    store.record_precision("b" * 16, {"precision": "fp32"})
    store.record_precision("a" * 16, {"precision": "fp32", "reason": "second"})
    again = ModelStore(tmp_path)
    assert again.precision("a" * 16) == "bf16" and again.precision("b" * 16) == "fp32"
    assert again.precision("c" * 16) is None
    assert [path.name for path in (tmp_path / "text").iterdir()] == ["precision.json"]


# Emulation

EMULATED = """
import sys, torch, numpy as np
from behavior_spark.model.encoder.encoder import Encoder, EncoderOptions, use_threads
use_threads(1)
from behavior_spark.model.encoder.linear import can_pack
options = EncoderOptions(precision="bf16", max_length=32)
encoder = Encoder.load(sys.argv[1], options, device="cpu")
vectors = encoder.embed(sys.stdin.read().split("\\n")).embeddings
np.savez(sys.argv[2], vectors=vectors, by_onednn=can_pack(torch.bfloat16))
"""


def test_a_worker_that_emulates_bf16_differs_no_more_than_bf16_does_from_fp32(
    real_source, tmp_path
):
    # Measured: 0.99985 between the two and of each to fp32, at a text of three tokens. Under
    # AVX2 torch emulates; from AVX-512 on oneDNN does, at 0.99997.
    done = subprocess.run(
        [sys.executable, "-c", EMULATED, real_source, str(tmp_path / "found.npz")],
        input="\n".join(TEXTS).encode(),
        env=os.environ | {"ONEDNN_MAX_CPU_ISA": "AVX2"},
        cwd=Path(find_spec("behavior_spark").origin).parents[1],
        capture_output=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr.decode()
    with np.load(tmp_path / "found.npz") as found:
        emulated, by_onednn = found["vectors"], bool(found["by_onednn"])
    assert not by_onednn or platform.machine() != "x86_64"
    options = EncoderOptions(max_length=32)
    for how in ("bf16", "fp32"):
        cosines = (emulated * embedded(real_source, how, TEXTS, options)).sum(axis=1)
        assert cosines.min() > 0.9995
