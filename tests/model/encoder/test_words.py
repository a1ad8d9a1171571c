"""Ids by word are the ids of the whole text."""

import copy

import numpy as np
import pyarrow as pa
import pytest
import tokenizers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import normalizers, pre_tokenizers
from transformers import AutoTokenizer

from behavior_spark.model.encoder import tokens, words
from behavior_spark.model.encoder.encoder import EncoderOptions
from behavior_spark.model.encoder.model_folder import resolve_model_folder
from behavior_spark.model.encoder.tokens import Tokenizer
from behavior_spark.model.encoder.words import Words

# What could join, part or hide words: kinds of space, marks that combine, ends, halves of them.
PARTS = [
    *" \t\n\r\v\f\x1c\x85\xa0\u2003\u3000\u200b\ufeff\x00\ufffd",
    *("red", "Mug", "don't", "unaffable", "x" * 120, "[SEP]", "[CLS]", "[MASK]", "[PAD]", "[UNK]"),
    *(
        "[SE",
        "P]",
        "[",
        "]",
        "##s",
        "[sep]",
        "e\u0301",
        "\u0301",
        "ΑΣ",
        "İ",
        "ﬁ",
        "杯子",
        "한",
        "👩‍👩‍👧",
    ),
]
written = st.lists(st.one_of(st.sampled_from(PARTS), st.characters(exclude_categories=["Cs"])))
texts_of = st.lists(written.map("".join), max_size=6)
EXAMPLES = settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module", autouse=True)
def however_few():
    """Read texts by words, even a few of them."""
    before, tokens.FEWEST_BY_WORDS = tokens.FEWEST_BY_WORDS, 0
    yield
    tokens.FEWEST_BY_WORDS = before


@pytest.fixture(scope="module")
def fast(real_source) -> tokenizers.Tokenizer:
    original = AutoTokenizer.from_pretrained(resolve_model_folder(real_source))
    found = copy.deepcopy(original.backend_tokenizer)
    found.no_padding()
    found.no_truncation()
    return found


@pytest.fixture(scope="module")
def known(fast) -> Words:
    found = Words.of(fast)
    assert found is not None
    return found


@EXAMPLES
@given(texts=texts_of)
def test_ids_are_those_of_the_whole_text(fast, known, texts):
    ids, counts = known.ids(pa.array(texts, pa.large_string()))
    expected = [each.ids for each in fast.encode_batch(texts, add_special_tokens=False)]
    assert counts.tolist() == [len(each) for each in expected]
    assert ids.tolist() == [token for each in expected for token in each]


@pytest.fixture(scope="module")
def both(real_source):
    """Of two lengths and both ways with long texts: by words, and one by one."""
    original = AutoTokenizer.from_pretrained(resolve_model_folder(real_source))
    found = []
    for length in (3, 9):
        for long_texts in ("truncate", "pool"):
            options = EncoderOptions(max_length=length, long_texts=long_texts)
            pair = [Tokenizer(original, options) for _ in range(2)]
            assert pair[0]._words is not None
            pair[1]._words = None
            found.append(pair)
    return found


@EXAMPLES
@given(
    texts=st.lists(st.one_of(st.none(), written.map("".join)), max_size=6),
    way=st.sampled_from(range(4)),
)
def test_pieces_are_those_of_one_text_at_a_time(both, texts, way):
    found, expected = (tokenizer.tokens(texts) for tokenizer in both[way])
    column = both[way][0].tokens(pa.array(["skipped", *texts], pa.string())[1:])
    assert column.ids.tolist() == found.ids.tolist() and column.errors == found.errors
    for name in ("ids", "starts", "rows", "token_counts", "truncated"):
        assert getattr(found, name).tolist() == getattr(expected, name).tolist(), name
    assert found.errors == expected.errors


def test_a_text_too_long_to_read_is_cut_where_it_is_one_by_one(both):
    texts = ["red " * 40_000, "x" * 100_000, "  " * 40_000 + "mug", "é" * 5_000, "a \udce2 b"]
    for pair in both:
        found, expected = (tokenizer.tokens(texts) for tokenizer in pair)
        assert found.truncated.tolist() == expected.truncated.tolist()
        assert found.ids.tolist() == expected.ids.tolist()


def test_more_words_than_are_remembered_change_nothing(fast, monkeypatch):
    monkeypatch.setattr(words, "MOST_WORDS", 120)
    few = Words.of(fast)
    for start in range(0, 300, 50):
        texts = [f"order {number} of item{number * 31}" for number in range(start, start + 50)]
        ids, counts = few.ids(pa.array(texts, pa.large_string()))
        expected = [each.ids for each in fast.encode_batch(texts, add_special_tokens=False)]
        assert [part.tolist() for part in np.split(ids, np.cumsum(counts)[:-1])] == expected
        assert len(few._vocabulary.words) <= 120


def _with(fast, **changes):
    other = copy.deepcopy(fast)
    for name, value in changes.items():
        setattr(other, name, value)
    return other


def test_a_tokenizer_that_does_not_read_word_by_word_is_left_alone(fast):
    assert Words.of(_with(fast, pre_tokenizer=pre_tokenizers.ByteLevel())) is None
    assert Words.of(_with(fast, normalizer=normalizers.NFC())) is None
    assert Words.of(_with(fast, post_processor=tokenizers.processors.ByteLevel())) is None
    for token in (
        tokenizers.AddedToken("two words"),
        tokenizers.AddedToken("whole", single_word=True),
    ):
        other = copy.deepcopy(fast)
        other.add_tokens([token])
        assert Words.of(other) is None


def test_a_word_of_the_vocabulary_s_own_is_found_wherever_it_stands(fast):
    other = copy.deepcopy(fast)
    other.add_tokens(["brandname"])
    texts = ["a brandname here", "xbrandnamex [SEP]brandname", "BrandName"]
    found = Words.of(other)
    assert found is not None
    expected = [each.ids for each in other.encode_batch(texts, add_special_tokens=False)]
    assert found.ids(pa.array(texts, pa.large_string()))[0].tolist() == [
        token for each in expected for token in each
    ]


def test_blank_is_what_python_says_it_is(both):
    texts = [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000]
    found = both[0][0].tokens(texts)
    blank = [text for text, error in zip(texts, found.errors, strict=True) if error]
    assert blank == [text for text in texts if text.isspace()]
    assert both[0][0].tokens(["", " \u2003\n", None]).errors == [
        "empty_text",
        "empty_text",
        "null_text",
    ]
