"""Pretraining without labels: it learns, goes on after a kill, and says what it saw."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from behavior_spark.config import Pretraining
from behavior_spark.errors import ModelError
from behavior_spark.model.encoder.encoder import Encoder, EncoderOptions
from behavior_spark.model.encoder.model_folder import trained_through
from behavior_spark.model.heads.holding_out import hash_place, normalise_text
from behavior_spark.model.pretraining import masked_words, near_texts
from behavior_spark.model.pretraining.corpus import Corpus
from behavior_spark.model.pretraining.masked_words import NOT_ASKED, MaskedWords, Masker
from behavior_spark.model.pretraining.pretrain import pretrain
from behavior_spark.model.training.checkpoint import Checkpoint

OPTIONS = EncoderOptions(max_length=20)
SETTINGS = Pretraining(
    epochs=6,
    batch_tokens=256,
    batch_texts=16,
    learning_rate=3e-3,
    held_out_share=0.2,
    precision="fp32",
    head_steps=0.2,
    checkpoint_seconds=1,
)
PAIRED = {"red": "lamp", "green": "mug", "blue": "bag", "warm": "box", "cold": "tea"}


def sentences(count=240):
    """Texts in which one word says the next."""
    rng = np.random.default_rng(0)
    firsts = list(PAIRED)
    rows = [(firsts[i], firsts[j]) for i, j in rng.integers(0, len(firsts), (count, 2))]
    return [f"please {a} {PAIRED[a]} order {b} {PAIRED[b]} {n}" for n, (a, b) in enumerate(rows)]


@pytest.fixture
def texts(tmp_path):
    folder = tmp_path / "texts"
    folder.mkdir()
    found = sentences()
    for number in range(2):
        table = pa.table({"text": found[number::2]})
        pq.write_table(table, folder / f"part-{number}.parquet", row_group_size=50)
    return folder


@pytest.fixture
def pairs(tmp_path):
    folder = tmp_path / "pairs"
    folder.mkdir()
    rows = [(f"{a} {n}", f"{b} {n + 1}") for n in range(60) for a, b in PAIRED.items()]
    table = pa.table({"left": [a for a, _ in rows], "right": [b for _, b in rows]})
    pq.write_table(table, folder / "part-0.parquet")
    return folder


def pretrained(source, folder, out, *, last_day="2026-01-31", progress=None, **changes):
    return pretrain(
        str(source),
        OPTIONS,
        folder,
        out,
        settings=SETTINGS.model_copy(update=changes),
        last_day=last_day,
        device="cpu",
        progress=progress,
    )


class Killed(BaseException):
    """As a kill: nothing in between is cleaned up."""


def test_words_of_the_domain_are_guessed_better_and_the_result_is_an_encoder(
    tiny_folder, texts, tmp_path
):
    found = pretrained(tiny_folder, texts, tmp_path / "out")
    before, after = (
        figures["perplexity"] for figures in (found.outcome.before, found.outcome.after)
    )
    assert after < 0.8 * before and found.new_word_head and found.packed
    curve = found.outcome.curve
    assert len(curve) > 10 and np.mean(curve[-5:]) < np.mean(curve[:5])
    encoder = Encoder.load(str(found.folder), OPTIONS, device="cpu")
    assert encoder.digest == found.digest == found.folder.name
    assert np.isfinite(encoder.embed(["red lamp"]).embeddings).all()
    assert trained_through(str(found.folder)) == "2026-01-31"
    record = json.loads((found.folder / "pretraining.json").read_text())
    assert record["outcome"]["after"]["perplexity"] == after
    assert not any("please" in str(value) for value in record.values())
    assert "behavior_spark" not in (found.folder / "config.json").read_text()
    assert [p.name for p in (tmp_path / "out").iterdir()] == [found.digest]


@pytest.mark.parametrize("method", ["mlm", "behaviour"])
def test_a_stopped_run_goes_on_to_the_same_loss_curve_and_weights(
    tiny_folder, texts, pairs, tmp_path, monkeypatch, method
):
    monkeypatch.setattr(Checkpoint, "due", lambda self: True)
    folder = {"mlm": texts, "behaviour": pairs}[method]
    whole = pretrained(tiny_folder, folder, tmp_path / "whole", method=method, epochs=2)
    for stop in (2, 9):  # while a new head learns alone, and later

        def tell(stage, done, total, stop=stop):
            if done == stop:
                raise Killed

        with pytest.raises(Killed):
            pretrained(
                tiny_folder, folder, tmp_path / "broken", method=method, epochs=2, progress=tell
            )
    again = pretrained(tiny_folder, folder, tmp_path / "broken", method=method, epochs=2)
    assert again.outcome == whole.outcome and again.digest == whole.digest


def test_texts_that_people_met_together_come_near(tiny_folder, pairs, tmp_path):
    found = pretrained(tiny_folder, pairs, tmp_path / "out", method="behaviour", epochs=3)
    assert found.outcome.after["found"] > found.outcome.before["found"] + 0.1


def test_dropout_alone_spreads_the_vectors(tiny_folder, texts, tmp_path):
    found = pretrained(tiny_folder, texts, tmp_path / "out", method="simcse", epochs=2)
    assert found.outcome.after["uniformity"] < found.outcome.before["uniformity"]


@pytest.mark.parametrize("method", ["simcse", "mlm"])
def test_processes_that_share_a_step_make_fewer(tiny_folder, texts, monkeypatch, method):
    settings = SETTINGS.model_copy(update={"method": method, "batch_texts": 4})
    kind = {"simcse": near_texts, "mlm": masked_words}[method]

    def steps() -> int:
        encoder = Encoder.load(str(tiny_folder), OPTIONS, device="cpu", trainable=True)
        if method == "mlm":
            task = MaskedWords(encoder, str(tiny_folder), settings)
        else:
            task = near_texts.NearTexts(encoder, settings)
        return task.prepare(Corpus(texts, ("text",), 0.2))

    alone = steps()
    monkeypatch.setattr(kind, "world_size", lambda: 3)
    assert alone > 5 and steps() == pytest.approx(alone / 3, abs=settings.epochs)


def test_while_a_new_head_learns_alone_the_encoder_stays(tiny_folder, texts):
    encoder = Encoder.load(str(tiny_folder), OPTIONS, device="cpu", trainable=True)
    words = MaskedWords(encoder, str(tiny_folder), SETTINGS)
    corpus = Corpus(texts, ("text",), 0.2)
    steps = words.prepare(corpus)
    optimisation = words.optimisation(steps)
    before = {n: p.clone() for n, p in encoder.model.named_parameters()}
    head = words.head.dense.weight.clone()
    (part, *_) = words.batches(corpus.sample(50, held_out=False), epoch=0, buffer=0)
    assert words.measured_at == round(0.2 * steps) > 0
    optimisation.step([part], [1], lambda p: words.loss(p, done=0))
    assert all(torch.equal(before[n], p) for n, p in encoder.model.named_parameters())
    assert not torch.equal(head, words.head.dense.weight)
    optimisation.done = words.measured_at + 1
    optimisation.step([part], [1], lambda p: words.loss(p, done=optimisation.done))
    changed = [n for n, p in encoder.model.named_parameters() if not torch.equal(before[n], p)]
    assert "embeddings.word_embeddings.weight" in changed


def test_packed_texts_have_the_loss_and_the_gradients_of_padded_ones(tiny_folder, texts):
    found = []
    for packs in (True, False):
        encoder = Encoder.load(str(tiny_folder), OPTIONS, device="cpu", trainable=True)
        words = MaskedWords(encoder, str(tiny_folder), SETTINGS)
        assert encoder.inference.packs
        if not packs:
            encoder.inference.packs = False
            encoder.model.set_attn_implementation("sdpa")
        rows = Corpus(texts, ("text",), 0.2).sample(40, held_out=False)
        (part, *_) = words.batches(rows, epoch=0, buffer=0)
        loss = words.loss(part, done=10**6)
        loss.backward()
        weight = encoder.model.encoder.layer[0].attention.self.query.weight
        found.append((float(loss.detach()), weight.grad))
    assert found[0][0] == pytest.approx(found[1][0], abs=1e-5)
    assert torch.allclose(found[0][1], found[1][1], atol=1e-6)


def test_a_head_for_words_in_the_folder_is_used(tiny_folder, texts):
    tensors = load_file(tiny_folder / "model.safetensors")
    rng = torch.Generator().manual_seed(3)
    count = tensors["embeddings.word_embeddings.weight"].shape[0]
    tensors |= {
        "cls.predictions.transform.dense.weight": torch.randn(32, 32, generator=rng),
        "cls.predictions.transform.dense.bias": torch.zeros(32),
        "cls.predictions.transform.LayerNorm.weight": torch.ones(32),
        "cls.predictions.transform.LayerNorm.bias": torch.zeros(32),
        "cls.predictions.bias": torch.randn(count, generator=rng),
    }
    save_file(tensors, tiny_folder / "model.safetensors", metadata={"format": "pt"})
    encoder = Encoder.load(str(tiny_folder), OPTIONS, device="cpu", trainable=True)
    words = MaskedWords(encoder, str(tiny_folder), SETTINGS)
    assert not words.head.is_new
    assert torch.equal(words.head.bias.detach(), tensors["cls.predictions.bias"])


@settings(max_examples=80, deadline=None)
@given(st.lists(st.integers(0, 40), min_size=1, max_size=200), st.integers(0, 5))
def test_only_words_are_asked_for_and_what_is_not_asked_for_stays(ids, seed):
    special = np.array([0, 1, 2, 3, 4])
    masker = Masker(mask=4, special=special, vocabulary=41, share=0.15)
    given_ids = np.array(ids)
    read, asked = masker.hide(given_ids, np.random.default_rng(seed))
    chosen = asked != NOT_ASKED
    assert np.array_equal(asked[chosen], given_ids[chosen])
    assert np.array_equal(read[~chosen], given_ids[~chosen])
    assert not np.isin(given_ids[chosen], special).any()
    assert chosen.any() == (~np.isin(given_ids, special)).any()


def test_fifteen_in_a_hundred_are_asked_for_and_eight_of_ten_of_them_masked():
    masker = Masker(mask=4, special=np.arange(5), vocabulary=1000, share=0.15)
    ids = np.random.default_rng(0).integers(5, 1000, 40_000)
    read, asked = masker.hide(ids, np.random.default_rng(1))
    chosen = asked != NOT_ASKED
    assert chosen.mean() == pytest.approx(0.15, abs=0.01)
    assert (read[chosen] == 4).mean() == pytest.approx(0.8, abs=0.02)
    assert (read[chosen] == ids[chosen]).mean() == pytest.approx(0.1, abs=0.02)


def test_a_corpus_is_read_once_an_epoch_in_another_order_without_what_is_held_out(texts):
    corpus = Corpus(texts, ("text",), 0.2)
    orders = [
        [row[0] for buffer in corpus.epoch(seed=seed, epoch=epoch) for row in buffer]
        for seed, epoch in ((0, 0), (0, 0), (0, 1), (1, 0))
    ]
    held = {row[0] for row in corpus.sample(10**6, held_out=True)}
    assert held == {t for t in sentences() if hash_place(normalise_text(t)) < 0.2}
    assert sorted(orders[0]) == sorted(set(sentences()) - held)
    assert orders[0] == orders[1] != orders[2] != orders[3] and sorted(orders[2]) == sorted(
        orders[0]
    )


def test_too_little_to_learn_from_says_so(tiny_folder, tmp_path):
    folder = tmp_path / "texts"
    folder.mkdir()
    with pytest.raises(ModelError, match="no texts"):
        pretrained(tiny_folder, folder, tmp_path / "out")
    pq.write_table(pa.table({"text": ["one text"]}), folder / "part-0.parquet")
    with pytest.raises(ModelError, match="too few texts") as error:
        pretrained(tiny_folder, folder, tmp_path / "out")
    assert "one text" not in str(error.value)


def test_an_encoder_pretrained_twice_keeps_the_later_day(tiny_folder, texts, tmp_path):
    first = pretrained(tiny_folder, texts, tmp_path / "out", epochs=1, last_day="2026-02-28")
    second = pretrained(first.folder, texts, tmp_path / "out", epochs=1, last_day="2026-01-31")
    assert trained_through(str(second.folder)) == "2026-02-28"
