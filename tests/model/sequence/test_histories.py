"""Ragged histories, and codes of what they hold."""

import datetime as dt
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from behavior_spark.errors import ModelError
from behavior_spark.model.sequence.histories import Histories
from behavior_spark.model.sequence.vocabulary import BUCKETS, Vocabulary, read_histories

users = st.lists(st.lists(st.integers(0, 9), max_size=12), max_size=6)


def as_lists(histories: Histories) -> list[list[int]]:
    return [part.items.tolist() for _, part in histories.blocks(1)]


@given(users, st.integers(0, 5))
def test_parts_of_histories_equal_slices_of_lists(lists, count):
    histories = Histories.of_lists(lists, {"twice": [[2 * i for i in row] for row in lists]})
    assert as_lists(histories) == lists
    assert as_lists(histories.newest(count)) == [row[max(len(row) - count, 0) :] for row in lists]
    assert as_lists(histories.without_newest(count)) == [
        row[: max(len(row) - count, 0)] for row in lists
    ]
    known = histories.known()
    assert as_lists(known) == [[i for i in row if i] for row in lists]
    assert np.array_equal(known.traits["twice"], 2 * known.items)
    order = np.arange(len(lists))[::-1]
    assert as_lists(histories.take(order)) == lists[::-1]


@given(users, st.integers(1, 5))
def test_windows_ask_for_every_event_but_the_first_once(lists, length):
    windows = as_lists(Histories.of_lists(lists).windows(length))
    assert sum(len(row) - 1 for row in windows) == sum(max(len(row) - 1, 0) for row in lists)
    assert all(2 <= len(row) <= length + 1 for row in windows)
    pairs = sorted(pair for row in lists for pair in pairwise(row))
    assert sorted(pair for row in windows for pair in pairwise(row)) == pairs


def test_a_stream_of_batches_gives_the_same_codes_in_any_order():
    rows = [["b", "a", None], [], ["c", "b"], None, ["a"]]
    batch = pa.record_batch({"items": pa.array(rows, pa.list_(pa.string()))})
    vocabulary, histories = read_histories([batch.slice(0, 2), batch.slice(2)])
    assert vocabulary.items == ("a", "b", "c")
    assert as_lists(histories) == [[2, 1, 0], [], [3, 2], [], [1]]
    backwards = batch.take(pa.array([4, 3, 2, 1, 0]))
    assert as_lists(read_histories(iter([backwards]))[1]) == as_lists(histories)[::-1]
    assert as_lists(vocabulary.histories(batch)) == as_lists(histories)
    assert vocabulary.names_of(np.array([3, 0, 1])).to_pylist() == ["c", None, "a"]
    rare, kept = read_histories([batch], least=2)
    assert rare.items == ("a", "b")
    assert as_lists(kept) == [[2, 1, 0], [], [0, 2], [], [1]]


def test_gaps_and_values_fall_into_doubling_buckets():
    day = dt.datetime(2026, 1, 1)
    batch = pa.record_batch(
        {
            "items": [["a", "a", "a"], ["a", "a"]],
            "event_times": [
                [day, day + dt.timedelta(seconds=59), day + dt.timedelta(days=9999)],
                [day, day + dt.timedelta(minutes=2)],
            ],
            "values": [[0.0, 2.9, 1e12], [-1.0, None]],
        }
    )
    _, histories = read_histories([batch])
    assert histories.traits["gap"].tolist() == [0, 1, BUCKETS, 0, 2]
    assert histories.traits["value"].tolist() == [1, 2, BUCKETS, BUCKETS + 1, 0]


def test_what_does_not_fit_is_said():
    with pytest.raises(ModelError, match="do not fit each other"):
        Histories(np.array([0, 2]), np.array([1], np.int32))
    vocabulary = Vocabulary(("a",), ("view",))
    with pytest.raises(ModelError, match="lacks the column 'event_types'"):
        vocabulary.histories(pa.record_batch({"items": [["a"]]}))
    with pytest.raises(ModelError, match="differ in length"):
        vocabulary.histories(pa.record_batch({"items": [["a"]], "event_types": [["view", "view"]]}))
