"""Each row gets its own text and its own pseudonym, whatever characters are in it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from behavior_spark.cleaning.columns import clean_text_column, pseudonym_column
from behavior_spark.cleaning.text import clean_text, pseudonym, text_hash
from behavior_spark.errors import ModelError
from behavior_spark.model.heads.labelled import LabelledTexts, split_task
from behavior_spark.model.propensity.target_kind import find_target_kind
from behavior_spark.model.propensity.training_rows import ordered_rows
from behavior_spark.scoring.functions import EmbeddingCache

KEY = "a-key-of-sixteen-characters"
# Every C0 and C1 control, and what ends or parts a string elsewhere.
CONTROLS = [chr(code) for code in (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0xFEFF, 0xFFFE)]
IDS = [f"{start}{control}{end}" for control in CONTROLS for start in "a " for end in ("", "b", "c")]
ANY_STRING = st.text(st.sampled_from(["a", "b", "\0", "\x01", "\x1f", "\n", "\x85", " ", "é"]))
CLEAN = clean_text_column(max_chars=50).func
HIDE = pseudonym_column(key=KEY).func


@given(st.lists(st.none() | ANY_STRING, max_size=30))
@settings(max_examples=200, deadline=None)
def test_each_row_of_a_batch_gets_what_it_gets_alone(values):
    column = pd.Series(values, dtype=object)
    hidden = [None if value is None else pseudonym(value, key=KEY) for value in values]
    assert HIDE(column).tolist() == hidden
    for value, row in zip(values, CLEAN(column).itertuples(index=False), strict=True):
        text = None if value is None else clean_text(value, max_chars=50).text
        assert row.text == text
        assert row.text_hash == (text_hash(text) if text else None)


@pytest.mark.parametrize("nulls", [[], [None]])
def test_ids_that_differ_in_a_control_character_are_different_people(nulls):
    column = pd.Series([*IDS, "a", "", *nulls, *IDS], dtype=object)
    pseudonyms = HIDE(column)
    assert pseudonyms.nunique() == len({*IDS, "a", ""}) and pseudonyms.isna().sum() == len(nulls)
    assert pseudonyms[: len(IDS)].tolist() == pseudonyms[-len(IDS) :].tolist()


def test_training_rows_of_users_that_differ_in_a_control_character_are_no_repetitions():
    frame = pd.DataFrame({"user": ["a\0b", "a\0c", "a"], "day": "2024-01-01", "label": [0, 1, 0]})
    names = {"label": "label", "as_of": "day", "user": "user", "kind": find_target_kind("does")}
    order, _, _ = ordered_rows(frame, "buys", **names)
    assert frame["user"].iloc[order].tolist() == ["a", "a\0b", "a\0c"]
    with pytest.raises(ModelError, match="1 repeated"):
        ordered_rows(pd.concat([frame, frame[:1]]), "buys", **names)


def test_the_cache_of_the_functions_keeps_texts_apart_that_differ_in_a_control_character():
    cache, texts = EmbeddingCache(1 << 20), [f"a{control}b" for control in CONTROLS]
    keys = [cache.key("0" * 16, text) for text in texts]
    cache.put(keys, [np.full(2, number, dtype=np.float32) for number in range(len(keys))])
    assert [float(vector[0]) for vector in cache.get(keys)] == list(range(len(keys)))


def test_labels_and_texts_that_differ_in_a_control_character_stay_apart():
    texts = [f"{word}{control}" for control in "\0\x01" for word in "abcdefghijklmnop"]
    # At the ends of a label control characters are removed, as white space is.
    labels = ["x\0y" if text.endswith("\0") else "xy" for text in texts]
    split = split_task(
        LabelledTexts("t", texts, labels), validation_share=0.2, seed=0, max_examples=None
    )
    assert sorted(split.labels) == ["x\0y", "xy"]
