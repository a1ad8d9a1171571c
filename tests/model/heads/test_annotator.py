"""A language model as annotator: tiny, with random weights, for the arithmetic is what counts."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertForMaskedLM

from behavior_spark.errors import ModelError
from behavior_spark.model.encoder import devices
from behavior_spark.model.heads.annotator import (
    Annotator,
    AnnotatorOptions,
    annotator_digest,
)
from behavior_spark.model.heads.prompts import majority_vote
from tests.model.language_model import tiny_language_model

OPTIONS = AnnotatorOptions(
    labels=("refund", "parcel", "other"),
    words=("money back", "late parcel", "where"),
    prompts=("message : {text} . the customer wants {label}", "{text} : {label}"),
    calibrate=False,
    max_length=16,
)
TEXTS = ["where is my parcel", "refund", "the late late parcel is a message my", ""]


@pytest.fixture(scope="module", params=["gpt2", "llama"])
def folder(request, tmp_path_factory) -> Path:
    return tiny_language_model(tmp_path_factory.mktemp("lm"), kind=request.param)


def load(folder: Path, **changes) -> Annotator:
    annotator = Annotator.load(str(folder), replace(OPTIONS, **changes), device="cpu")
    annotator._model.float()  # the same arithmetic as below, on any processor
    return annotator


def naive(annotator: Annotator, prompt: str, words: str) -> float:
    """Mean log-probability of the label's tokens, from one plain forward pass."""
    ids = annotator._tokenizer(prompt, add_special_tokens=False)["input_ids"]
    label = annotator._tokenizer(words, add_special_tokens=False)["input_ids"]
    with torch.inference_mode():
        logits = annotator._model(input_ids=torch.tensor([ids + label])).logits[0]
    chances = torch.log_softmax(logits.float(), dim=-1)
    places = range(len(ids) - 1, len(ids) + len(label) - 1)
    return float(np.mean([chances[p, t] for p, t in zip(places, label, strict=True)]))


def test_labels_are_scored_as_if_each_were_read_alone_after_its_prompt(folder: Path) -> None:
    annotator = load(folder)
    votes = annotator.votes(TEXTS)
    assert votes.shape == (4, 2, 3) and np.allclose(votes.sum(axis=2), 1, atol=1e-5)
    for i, text in enumerate(TEXTS):
        for j, prompt in enumerate(
            (f"message : {text} . the customer wants", f"{text} :")
        ):  # fmt: skip
            scores = np.array([naive(annotator, prompt, words) for words in OPTIONS.words])
            expected = np.exp(scores) / np.exp(scores).sum()
            assert np.allclose(votes[i, j], expected, atol=1e-4)


def test_what_is_said_without_content_is_divided_out(folder: Path) -> None:
    plain, fair = load(folder).votes(["N/A", "[MASK]", "", *TEXTS]), load(folder, calibrate=True)
    prior = np.exp(np.log(plain[:3]).mean(axis=0))
    expected = plain[3:] / prior
    assert np.allclose(fair.votes(TEXTS), expected / expected.sum(axis=2, keepdims=True), atol=1e-4)


def test_a_text_is_labelled_the_same_alone_and_among_many(folder: Path, monkeypatch) -> None:
    annotator = load(folder, calibrate=True)
    together = annotator.votes(TEXTS * 3)
    monkeypatch.setattr("behavior_spark.model.heads.annotator.LOGITS_AT_ONCE", 1)
    assert np.allclose(annotator.votes(TEXTS * 3), together, atol=1e-5)
    assert annotator.votes([]).shape == (0, 2, 3)


def test_a_long_text_is_cut_where_the_prompt_still_fits(folder: Path) -> None:
    annotator = load(folder, max_length=500)
    long, longer = "my parcel is late " * 30, "my parcel is late " * 5000
    assert np.allclose(annotator.votes([long]), annotator.votes([longer]), atol=1e-6)
    short = load(folder, max_length=16)
    assert np.allclose(
        short.votes(["late " * 16]), short.votes(["late " * 16 + "refund " * 9]), atol=1e-6
    )


def test_the_digest_changes_with_all_that_decides_a_label(folder: Path) -> None:
    changes = ({}, {"prompts": OPTIONS.prompts[:1]}, {"words": ("a", "b", "c")},
               {"labels": ("x", "y", "z")}, {"calibrate": True}, {"max_length": 8},
               {"precision": "bf16"})  # fmt: skip
    found = {annotator_digest(str(folder), replace(OPTIONS, **each)) for each in changes}
    assert len(found) == len(changes)


def test_the_winner_is_what_most_prompts_say_and_of_equals_the_likelier() -> None:
    votes = np.array(
        [
            [[0.5, 0.4, 0.1], [0.6, 0.3, 0.1], [0.0, 1.0, 0.0]],
            [[0.4, 0.3, 0.3], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6]],
        ],
        dtype=np.float32,
    )
    winner, agreement, probability = majority_vote(votes)
    assert winner.tolist() == [0, 1]
    assert agreement == pytest.approx([2 / 3, 1 / 3])
    assert probability == pytest.approx([1.1 / 3, 1.3 / 3])


@pytest.mark.parametrize("prompt", ["no text {label}", "{label} of {text}", "{text} {label}?"])
def test_a_prompt_without_its_parts_is_refused(folder: Path, prompt: str) -> None:
    with pytest.raises(ModelError, match="a prompt holds"):
        load(folder, prompts=(prompt,))


def test_an_encoder_is_no_language_model(tiny_folder: Path) -> None:
    with pytest.raises(ModelError, match="language model"):
        Annotator.load(str(tiny_folder), OPTIONS, device="cpu")


def test_a_model_in_gguf_is_refused_by_name_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "small-Q4_K_M.gguf").write_bytes(b"GGUF")
    (tmp_path / "config.json").write_text("{}")
    for source in (tmp_path, tmp_path / "small-Q4_K_M.gguf"):
        with pytest.raises(ModelError, match="GGUF") as error:
            annotator_digest(str(source), OPTIONS)
        assert "small-Q4_K_M.gguf" in str(error.value) and "heads.gguf" in str(error.value)
        with pytest.raises(ModelError, match="GGUF"):
            Annotator.load(str(source), OPTIONS, device="cpu")
    assert len(str(error.value).splitlines()) == 3


def test_gguf_beside_a_whole_model_is_not_in_the_way(tmp_path: Path) -> None:
    folder = tiny_language_model(tmp_path / "lm")
    (folder / "small.gguf").write_bytes(b"GGUF")
    assert annotator_digest(str(folder), OPTIONS)


def altered(folder: Path, tmp_path: Path, *, config=None, tensors=None) -> Path:
    """A copy of a GPT-2 with a changed config, and tensors changed in place."""
    copy = tmp_path / "altered"
    shutil.copytree(folder, copy)
    if config:
        path = copy / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | config))
    if tensors:
        stored = load_file(copy / "model.safetensors")
        tensors(stored)
        save_file(stored, copy / "model.safetensors", metadata={"format": "pt"})
    return copy


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory) -> Path:
    return tiny_language_model(tmp_path_factory.mktemp("gpt2"))


def spoil_norm(stored) -> None:
    stored["transformer.ln_f.weight"][:] = float("nan")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"tensors": spoil_norm}, "not finite"),
        ({"config": {"n_layer": 1}}, "tensors in the weights and not in the config's model"),
        ({"config": {"n_layer": 3}}, "tensors missing in the weights"),
        ({"config": {"auto_map": {"AutoModelForCausalLM": "x.Y"}}}, "run its own code"),
        ({"config": {"is_encoder_decoder": True}}, "encoder with a decoder"),
    ],
)
def test_a_model_that_is_not_whole_or_cannot_compute_is_refused(
    gpt2: Path, tmp_path: Path, changes, said: str
) -> None:
    with pytest.raises(ModelError, match=said) as error:
        Annotator.load(str(altered(gpt2, tmp_path, **changes)), OPTIONS, device="cpu")
    assert len(str(error.value).splitlines()) <= 3


def test_a_model_that_fails_on_some_words_labels_nothing(gpt2: Path, tmp_path: Path) -> None:
    """Every label is NaN then, and the first one was taken, as if all prompts agreed."""
    word = json.loads((gpt2 / "tokenizer.json").read_text())["model"]["vocab"]["refund"]

    def spoil(stored) -> None:
        stored["transformer.wte.weight"][word] = float("nan")

    folder = altered(gpt2, tmp_path, tensors=spoil)
    with pytest.raises(ModelError, match="not finite"):
        Annotator.load(str(folder), OPTIONS, device="cpu").votes(["where is my refund"])


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("native", [False, True])
def test_a_model_runs_in_the_precision_of_its_digest_on_any_processor(
    gpt2: Path, precision: str, native: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each worker chose by its own processor, and two precisions had one digest."""
    monkeypatch.setattr(devices, "is_native", lambda precision, device: native)
    options = replace(OPTIONS, precision=precision)
    annotator = Annotator.load(str(gpt2), options, device="cpu")
    types = {parameter.dtype for parameter in annotator._model.parameters()}
    assert types == {torch.float32 if precision == "fp32" else torch.bfloat16}
    assert annotator.digest == annotator_digest(str(gpt2), options)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_model_that_reads_both_ways_is_no_language_model(
    gpt2: Path, tmp_path: Path, precision: str
) -> None:
    options = replace(OPTIONS, precision=precision)
    folder = tmp_path / "bert"
    shutil.copytree(gpt2, folder)
    (folder / "model.safetensors").unlink()
    config = BertConfig(
        vocab_size=19, hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=48, max_position_embeddings=64,
    )  # fmt: skip
    BertForMaskedLM(config).save_pretrained(folder)
    with pytest.raises(ModelError, match="reads what comes after"):
        Annotator.load(str(folder), options, device="cpu")
    whole = Annotator.load(str(gpt2), options, device="cpu")
    assert len(whole.votes(["where is my refund"])) == 1


def test_labels_that_the_model_cannot_tell_apart_are_refused(gpt2: Path) -> None:
    with pytest.raises(ModelError, match="two labels are the same") as error:
        load(gpt2, words=("money back", "r\u00e9clamation", "colis"))
    assert "'parcel' and 'other'" in str(error.value)
