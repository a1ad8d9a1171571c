"""Held-out texts: the mask keeps texts, labels and slices together; slices are those declared."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd

from behavior_spark.model.registry.held_out import HeldOut, held_out_by_hash, slice_masks

TEXTS = ["red mug", "a blue mug with a lid", "tea", "green tea"]
TABLE = pd.DataFrame(
    {
        "day": [dt.date(2024, 1, 31), dt.date(2024, 2, 1), None, dt.date(2024, 2, 9)],
        "slices": [{"shop": "a"}, {"shop": "b"}, {"shop": "a"}, {"shop": "b"}],
    }
)


def test_slices_are_by_length_by_month_and_by_declared_column_and_none_is_empty():
    masks = slice_masks(TEXTS, TABLE, length_buckets=[1, 3, 4])
    assert {name: np.flatnonzero(mask).tolist() for name, mask in masks.items()} == {
        "length 1-1 words": [2],
        "length 2-3 words": [0, 3],
        "length over 4 words": [1],
        "day 2024-02": [1, 3],
        "day 2024-01": [0],
        "shop a": [0, 2],
        "shop b": [1, 3],
    }


def test_texts_left_out_are_counted_and_labels_and_slices_follow_the_texts():
    masks = slice_masks(TEXTS, TABLE, length_buckets=[3])
    held = HeldOut("intent", "test", TEXTS, [("x",), ("y",), ("",), ("z",)], masks, {"a": 1})
    kept = held.where(np.array([True, False, False, True]), "no_label")
    assert kept.texts == ["red mug", "green tea"] and kept.labels == [("x",), ("z",)]
    assert kept.slices["shop b"].tolist() == [False, True]
    assert kept.dropped == {"a": 1, "no_label": 2}
    assert kept.fingerprint != held.fingerprint


def test_a_text_is_held_out_by_its_own_hash_whatever_stands_beside_it():
    texts = [f"text {number}" for number in range(2000)]
    kept = held_out_by_hash(texts, share=0.2)
    assert 0.15 < kept.mean() < 0.25
    assert (held_out_by_hash(texts[500:], share=0.2) == kept[500:]).all()
