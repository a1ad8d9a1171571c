"""Batches are filled up to few shapes, and a shape that comes often is recorded."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from behavior_spark.model.encoder import replays
from behavior_spark.model.encoder.packed import Layout
from behavior_spark.model.encoder.replays import Replays, Shape

CPU = torch.device("cpu")
lengths_of = st.lists(st.integers(1, 500), min_size=1, max_size=200).map(
    lambda lengths: np.array(sorted(lengths, reverse=True), dtype=np.int64)
)


def batch(lengths, seed=0):
    """Ids and positions for texts of such lengths."""
    rng = np.random.default_rng(seed)
    ids = rng.integers(0, 1000, int(lengths.sum()))
    return ids, np.concatenate([np.arange(length) for length in lengths])


def states_by_edges(ids: torch.Tensor, positions: torch.Tensor, layout: Layout) -> torch.Tensor:
    """As a model: a token's state depends on its text, of which the edges tell."""
    text = torch.searchsorted(layout.edges.long(), torch.arange(len(ids)), right=True)
    sums = torch.zeros(len(layout.edges) + 1, dtype=torch.int64).index_add(0, text, ids)
    return torch.stack([ids, positions, sums[text]], dim=1)


class Graph:
    """What stands for a CUDA graph on a CPU: it computes again from the same places."""

    def __init__(self, forward, states):
        self.forward, self.states, self.replayed = forward, states, 0

    def replay(self):
        self.replayed += 1
        self.states.copy_(self.forward())


class OnCpu(Replays):
    def _captured(self, forward):
        states = forward()
        return Graph(forward, states), states


@given(lengths=lengths_of)
def test_a_shape_has_room_and_little_more(lengths):
    shape = Shape.of(lengths)
    tokens = int(lengths.sum())
    assert shape.tokens >= tokens and shape.texts >= len(lengths) and shape.longest >= lengths[0]
    assert shape.tokens < max(2 * tokens, 257) and shape.tokens - tokens < 8192
    assert shape.texts < max(2 * len(lengths), 17) and shape.longest - lengths[0] < 128
    ids, positions = batch(lengths)
    filled, places, edges = shape.fill(ids, positions, lengths)
    assert filled[:tokens].tolist() == ids.tolist() and not filled[tokens:].any()
    assert places[:tokens].tolist() == positions.tolist() and len(places) == shape.tokens
    assert np.diff(edges)[: len(lengths)].tolist() == lengths.tolist()
    assert len(edges) == shape.texts + 1 and (edges[len(lengths) :] == tokens).all()


def test_full_batches_have_one_shape_whatever_the_last_text_leaves():
    few = {Shape.of(np.full(count, 60)).tokens for count in range(1092, 1080, -1)}
    assert few == {65536}


def test_what_is_recorded_gives_what_the_plain_way_gives():
    plain, recording = (OnCpu(states_by_edges, CPU) for _ in range(2))
    plain._records = False
    for seed in range(8):
        lengths = np.array([40 - seed, 9, 9, 3 + seed % 3])
        ids, positions = batch(lengths, seed)
        (found, layout), (expected, _) = (
            way.states(ids, positions, lengths) for way in (recording, plain)
        )
        assert torch.equal(found[: len(ids)], expected[: len(ids)])
        assert layout.edges[:5].tolist() == [0, *np.cumsum(lengths)] and layout.tokens == len(ids)
    (recorded,) = recording._recorded.values()
    assert recorded.graph.replayed == 8 - (replays.WORTH_RECORDING - 1)
    assert not plain._recorded


@pytest.mark.parametrize("how", ["fails", "forgotten"])
def test_where_recording_fails_or_memory_runs_out_the_plain_way_stays(how):
    class Fails(OnCpu):
        def _captured(self, forward):
            raise RuntimeError("operation not permitted when stream is capturing")

    found = Fails(states_by_edges, CPU) if how == "fails" else OnCpu(states_by_edges, CPU)
    lengths = np.array([5, 2])
    ids, positions = batch(lengths)
    for turn in range(6):
        states, _ = found.states(ids, positions, lengths)
        assert states[:7, 0].tolist() == ids.tolist()
        if how == "forgotten" and turn == 4:
            assert found._recorded
            found.forget()
    assert not found._recorded
