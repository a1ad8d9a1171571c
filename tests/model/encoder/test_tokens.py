import hashlib
import json
import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
import tokenizers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from behavior_spark.model.encoder import tokens as tokens_module
from behavior_spark.model.encoder.encoder import Encoder, EncoderOptions, backbone_digest
from behavior_spark.model.encoder.model_folder import resolve_model_folder
from behavior_spark.model.encoder.tokens import MOST_PIECES, Tokenizer

# One sentence each, in fifteen scripts and a line of emoji.
SCRIPTS = {
    "latin": "The mug arrived broken.",
    "greek": "Ποιος έσπασε την κούπα;",
    "cyrillic": "Чашка пришла разбитой.",
    "armenian": "Բաժակը կոտրված եկավ",
    "hebrew": "הספל הגיע שבור.",
    "arabic": "وصل الكوب مكسورا.",
    "devanagari": "कप टूटा हुआ आया।",
    "bengali": "কাপটি ভাঙা এসেছে।",
    "tamil": "கோப்பை உடைந்து வந்தது.",
    "thai": "แก้วมาถึงแตก",
    "georgian": "ფინჯანი გატეხილი მოვიდა.",
    "ethiopic": "ኩባያው ተሰብሮ ደረሰ።",
    "han": "杯子到货时已经碎了。",
    "kana": "カップが割れて届きました。",
    "hangul": "컵이 깨진 채로 도착했어요.",
    "emoji": "😀👍🏽 👩‍👩‍👧 ❤️",
}
HOSTILE = {
    "a lone surrogate": "a \udce2 lone \ud83d surrogate",
    "ten thousand spaces": " " * 10_000 + "then a word",
    "spaces at the end": "a word then" + " " * 10_000,
    "a megabyte of one word": "x" * 1_000_000,
    "a megabyte of words": "word " * 200_000,
    "control characters": "\x00\x01\x7f",
    "a space of no width": "\u200b",
    "special tokens": "[CLS] [SEP] [PAD] [MASK]",
}


@pytest.fixture(scope="module", params=[0, 1_000_000], ids=["by words", "one by one"], autouse=True)
def fewest_by_words(request):
    """Both ways a text becomes ids."""
    before, tokens_module.FEWEST_BY_WORDS = tokens_module.FEWEST_BY_WORDS, request.param
    yield
    tokens_module.FEWEST_BY_WORDS = before


@pytest.fixture(scope="module")
def original(real_source):
    return AutoTokenizer.from_pretrained(resolve_model_folder(real_source))


def of(original, **options) -> Tokenizer:
    return Tokenizer(original, EncoderOptions(**options))


def pieces_of(tokens, row):
    """The pieces of one text, in the order they lie."""
    own = np.flatnonzero(tokens.rows == row)
    return [tokens.ids[tokens.starts[i] : tokens.starts[i + 1]].tolist() for i in own]


@pytest.mark.parametrize("max_length", [3, 8, 128])
@pytest.mark.parametrize("side", ["right", "left"])
def test_token_ids_are_those_of_transformers_own_call(real_source, max_length, side):
    folder = resolve_model_folder(real_source)
    original = AutoTokenizer.from_pretrained(folder, truncation_side=side)
    texts = [*SCRIPTS.values(), "word " * 38, "a [MASK] b", "x" * 192, "Ünïcödé İstanbul ﬁ"]
    tokens = of(original, max_length=max_length).tokens(texts)
    expected = original(texts, truncation=True, max_length=max_length)["input_ids"]
    assert [pieces_of(tokens, row) for row in range(len(texts))] == [[ids] for ids in expected]
    assert tokens.token_counts.tolist() == [len(ids) for ids in expected]


@pytest.mark.parametrize("long_texts", ["truncate", "pool"])
def test_the_original_tokenizer_keeps_its_state(real_source, tmp_path, long_texts):
    original = AutoTokenizer.from_pretrained(resolve_model_folder(real_source))
    original(["set its own state"], truncation=True, max_length=77, padding="max_length")
    backend = original.backend_tokenizer
    before = (backend.to_str(), backend.truncation, backend.padding)
    original.save_pretrained(tmp_path / "before")
    ours = of(original, max_length=9, long_texts=long_texts)
    assert ours.tokens(["word " * 50]).lengths.max() == 9
    assert (backend.to_str(), backend.truncation, backend.padding) == before
    original.save_pretrained(tmp_path / "after")
    saved = [(tmp_path / part / "tokenizer.json").read_bytes() for part in ("before", "after")]
    assert saved[0] == saved[1] and backend.truncation["max_length"] == 77


def test_a_tokenizer_saved_with_truncation_and_padding_does_neither_here(real_source):
    original = AutoTokenizer.from_pretrained(resolve_model_folder(real_source))
    saved = json.loads(original.backend_tokenizer.to_str())
    assert saved["truncation"] and saved["padding"]
    tokens = of(original, max_length=300).tokens(["word " * 200, "ok"])
    assert tokens.lengths.tolist() == [202, 3]


@pytest.mark.parametrize("max_length", [3, 10, 128])
def test_truncated_is_said_from_one_token_too_many(original, max_length):
    exact, longer = "red " * (max_length - 2), "red " * (max_length - 1)
    tokens = of(original, max_length=max_length).tokens([exact, longer, "red"])
    assert tokens.token_counts.tolist() == [max_length, max_length, 3]
    assert tokens.truncated.tolist() == [False, True, False]


def test_pieces_hold_every_token_of_a_long_text_in_order(original):
    texts = [" ".join(f"number {i} is {i * 7919}" for i in range(count)) for count in (90, 1, 7)]
    tokens = of(original, max_length=12, long_texts="pool").tokens(texts)
    for row, text in enumerate(texts):
        inside = [piece[1:-1] for piece in pieces_of(tokens, row)]
        whole = original(text, truncation=False)["input_ids"]
        assert [token for piece in inside for token in piece] == whole[1:-1]
        assert tokens.token_counts[row] == len(whole) - 2 + 2 * len(inside)
    assert not tokens.truncated.any() and tokens.lengths.max() == 12


@pytest.mark.parametrize("normalize", [False, True])
def test_the_vector_of_a_long_text_is_the_mean_of_its_pieces_weighted_by_tokens(
    tiny_folder, normalize
):
    options = EncoderOptions(max_length=10, long_texts="pool", normalize=normalize)
    encoder = Encoder.load(str(tiny_folder), options, device="cpu")
    plain = Encoder.load(str(tiny_folder), options, device="cpu", trainable=True)
    texts = ["red mug", "please order a warm blue lamp and tea " * 3, "box " * 17, "hello " * 8]
    found = encoder.embed(texts, token_budget=25)
    counts = []
    for row, text in enumerate(texts):
        pieces = pieces_of(encoder.prepare([text]), 0)
        vectors = np.stack([plain.inference.batch([ids]).detach().numpy()[0] for ids in pieces])
        counts.append([len(ids) for ids in pieces])
        expected = np.average(vectors, axis=0, weights=counts[-1])
        expected /= np.linalg.norm(expected) if normalize else 1.0
        assert np.abs(found.embeddings[row] - expected).max() < 1e-5
    assert [len(own) for own in counts] == [1, len(counts[1]), 3, 1] and len(counts[1]) > 2
    assert counts[2] == [10, 10, 3]  # so that a mean without weights is another one
    assert found.token_counts.tolist() == [sum(own) for own in counts]
    assert found.errors == [None] * 4 and not found.truncated.any()


def test_a_text_of_one_piece_has_the_same_vector_whether_long_ones_are_cut_or_pooled(tiny_folder):
    texts = ["red mug", "box " * 8, "box " * 9, None]
    cut, pooled = (
        Encoder.load(
            str(tiny_folder), EncoderOptions(max_length=10, long_texts=long_texts), device="cpu"
        ).embed(texts)
        for long_texts in ("truncate", "pool")
    )
    same = np.abs(cut.embeddings - pooled.embeddings).max(axis=1) < 1e-6
    assert same[:3].tolist() == [True, True, False]
    assert cut.truncated.tolist() == [False, False, True, False]
    assert cut.errors == pooled.errors == [None, None, None, "null_text"]


def test_a_text_is_read_up_to_sixty_four_pieces(original):
    texts = ["red " * MOST_PIECES, "red " * (MOST_PIECES + 1), "red " * 100_000]
    tokens = of(original, max_length=3, long_texts="pool").tokens(texts)
    assert MOST_PIECES == 64 and tokens.token_counts.tolist() == [192, 192, 192]
    assert tokens.truncated.tolist() == [False, True, True]


def test_one_failed_piece_makes_its_text_an_error_and_no_other(tiny_folder, monkeypatch):
    options = EncoderOptions(max_length=10, long_texts="pool")
    encoder = Encoder.load(str(tiny_folder), options, device="cpu")
    texts = ["red mug", "box " * 20, "tea"]
    expected, pooled = encoder.embed(texts).embeddings, encoder.pooled

    def picky(tokens, start, stop):
        if any(tokens.rows[i] == 1 and tokens.lengths[i] < 10 for i in range(start, stop)):
            raise ValueError
        return pooled(tokens, start, stop)

    monkeypatch.setattr(encoder, "pooled", picky)
    found = encoder.embed(texts)
    assert found.errors == [None, "model_error", None]
    assert np.isnan(found.embeddings[1]).all()
    assert np.abs(found.embeddings[[0, 2]] - expected[[0, 2]]).max() < 1e-5


def test_pieces_lie_longest_first_and_equal_ones_in_the_order_given(original):
    texts = ["b", "a b c", "c", None, "a b c d e f g", "d e f", "e"]
    tokens = of(original, max_length=7, long_texts="pool").tokens(texts)
    assert tokens.rows.tolist() == [4, 1, 5, 4, 0, 2, 6]
    assert tokens.lengths.tolist() == [7, 5, 5, 4, 3, 3, 3]
    assert tokens.starts.tolist() == [0, *np.cumsum(tokens.lengths)]
    assert tokens.starts[-1] == len(tokens.ids) == tokens.token_counts.sum()


@pytest.fixture(scope="module")
def both_ways(original) -> list[Tokenizer]:
    return [of(original, max_length=5, long_texts=how) for how in ("truncate", "pool")]


EXAMPLES = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
any_text = st.one_of(st.none(), st.text(st.characters(), max_size=30), st.just("  \t"))


@EXAMPLES
@given(texts=st.lists(any_text, max_size=8), way=st.sampled_from([0, 1]))
def test_every_text_has_either_tokens_or_an_error(both_ways, texts, way):
    tokens = both_ways[way].tokens(texts)
    read = set(tokens.rows.tolist())
    refused = {row for row, error in enumerate(tokens.errors) if error}
    assert not read & refused and read | refused == set(range(len(texts)))
    assert (np.flatnonzero(tokens.token_counts) == sorted(read)).all()
    assert not tokens.truncated[sorted(refused)].any()
    assert set(tokens.errors) <= {None, "null_text", "empty_text"}


@pytest.mark.parametrize("text", SCRIPTS.values(), ids=SCRIPTS)
def test_every_script_has_tokens(original, text):
    tokens = of(original).tokens([text])
    assert tokens.errors == [None] and tokens.token_counts[0] > 2


@pytest.mark.parametrize("long_texts", ["truncate", "pool"])
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_text_has_tokens_and_changes_no_other(original, name, long_texts):
    ours = of(original, max_length=16, long_texts=long_texts)
    expected = pieces_of(ours.tokens(["a red mug"]), 0)
    tokens = ours.tokens([HOSTILE[name], "a red mug"])
    assert tokens.errors == [None, None] and tokens.token_counts[0] >= 2
    assert pieces_of(tokens, 1) == expected
    assert tokens.token_counts[0] <= (16 if long_texts == "truncate" else 16 * MOST_PIECES)
    assert tokens.truncated[0] or not name.startswith("a megabyte")


def test_leading_spaces_do_not_hide_a_text(original):
    ours = of(original)
    assert pieces_of(ours.tokens([" " * 10_000 + "red mug"]), 0) == pieces_of(
        ours.tokens(["red mug"]), 0
    )


def test_a_text_without_a_token_is_empty_where_a_tokenizer_adds_none_of_its_own():
    fast = tokenizers.Tokenizer(
        tokenizers.models.WordLevel({"[UNK]": 0, "red": 1}, unk_token="[UNK]")
    )
    fast.normalizer = tokenizers.normalizers.BertNormalizer()
    fast.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    bare = SimpleNamespace(backend_tokenizer=fast, truncation_side="right")
    tokens = of(bare).tokens(["red red", "\u200b", "red"])
    assert tokens.errors == [None, "empty_text", None]
    assert tokens.lengths.tolist() == [2, 1] and tokens.token_counts.tolist() == [2, 0, 1]


def test_a_text_the_tokenizer_fails_on_is_an_error_alone_and_is_not_logged(
    original, monkeypatch, caplog
):
    ours = of(original)
    texts = ["red", "a secret", None, "blue mug", " "]
    expected = ours.tokens([text if text != "a secret" else None for text in texts])
    pieces = ours.pieces

    def picky(found):
        if "a secret" in found:
            raise RuntimeError("a secret")
        return pieces(found)

    def all_at_once(found):
        raise RuntimeError("a secret")

    monkeypatch.setattr(ours, "pieces", picky)
    monkeypatch.setattr(ours._words, "ids", all_at_once)
    with caplog.at_level(logging.DEBUG):
        tokens = ours.tokens(texts)
    assert tokens.errors == [None, "model_error", "null_text", None, "empty_text"]
    assert np.array_equal(tokens.ids, expected.ids)
    assert np.array_equal(tokens.rows, expected.rows)
    assert tokens.token_counts[1] == 0 and not tokens.truncated.any()
    assert "tokenising a batch failed" in caplog.text and "secret" not in caplog.text


def test_no_texts_have_no_tokens(original):
    tokens = of(original).tokens([])
    assert len(tokens.ids) == len(tokens.lengths) == len(tokens.errors) == 0
    assert tokens.starts.tolist() == [0]


def test_two_threads_at_once_get_what_one_gets(original):
    ours = of(original, max_length=12, long_texts="pool")
    batches = [[f"{text} {i * 31}" * (i % 5 + 1) for text in SCRIPTS.values()] for i in range(24)]
    expected = [ours.tokens(batch) for batch in batches]
    both = threading.Barrier(2)

    def all_of_them(_):
        both.wait(timeout=20)
        return [ours.tokens(batch) for batch in batches]

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(all_of_them, range(2)))
    for found in results:
        for one, other in zip(found, expected, strict=True):
            assert np.array_equal(one.ids, other.ids) and np.array_equal(one.starts, other.starts)
            assert np.array_equal(one.rows, other.rows)


# The digest


def test_the_digest_is_the_one_that_stored_embeddings_were_given(real_source):
    # Of preprocessing version 2; they change with that number.
    for options, digest in (
        (EncoderOptions(), "8567de28e1ca5eda"),
        (EncoderOptions(precision="bf16"), "4dc87aff7dae85b1"),
        (EncoderOptions(max_length=256, pooling="cls"), "a82d243a54fe1f80"),
    ):
        assert backbone_digest(real_source, options) == digest


def test_cutting_long_texts_keeps_the_old_digest_and_pooling_them_changes_it(tiny_folder):
    files = ("config.json", "model.safetensors", "tokenizer_config.json", "vocab.txt")
    content = {
        "files": {
            name: hashlib.sha256((tiny_folder / name).read_bytes()).hexdigest() for name in files
        },
        "options": {"pooling": "mean", "normalize": True, "max_length": 40, "precision": "fp32"},
        "preprocessing": [2, 64],
    }
    by_hand = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
    source = str(tiny_folder)
    assert backbone_digest(source, EncoderOptions(long_texts="truncate")) == by_hand
    assert backbone_digest(source, EncoderOptions(long_texts="pool")) != by_hand
