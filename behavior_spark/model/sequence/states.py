"""What a trained network says: states of users after their last event, outputs of items."""

from __future__ import annotations

import numpy as np
import torch

from behavior_spark.model.arrays import Floats
from behavior_spark.model.sequence.histories import Histories
from behavior_spark.model.sequence.network import Network


@torch.inference_mode()
def last_states(network: Network, histories: Histories, *, users: int = 512) -> Floats:
    """State of each user after the last event, (users, width); 0 without events.

    Numbers are those of the network's weights: float32, or float64 of ``network.double()``. Users
    with as many events are computed together, whatever their order.
    """
    network.eval()
    newest = histories.known().newest(network.shape.length)
    kind = torch.zeros(0, dtype=network.table.own.weight.dtype).numpy().dtype
    states = np.zeros((len(newest), network.shape.width), dtype=kind)
    order = np.argsort(newest.lengths, kind="stable")
    order = order[newest.lengths[order] > 0]
    for first in range(0, len(order), users):
        rows = order[first : first + users]
        part = newest.take(rows)
        found = network.states(*inputs(network, part))
        states[rows] = found[torch.arange(len(rows)), torch.from_numpy(part.lengths - 1)].numpy()
    return states


@torch.inference_mode()
def output_table(network: Network) -> Floats:
    """Outputs of all items, float32 (items + 1, width)."""
    network.eval()
    codes = torch.arange(network.shape.items + 1)
    return network.outputs(network.table(codes)).numpy()


def inputs(network: Network, part: Histories) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Vectors of items and codes of traits, padded to the longest user."""
    items = torch.from_numpy(part.padded())
    vectors = network.table(items.reshape(-1)).view(*items.shape, -1)
    traits = {
        name: torch.from_numpy(part.padded(part.traits[name])) for name in network.shape.traits
    }
    return vectors * (items > 0)[..., None], traits
