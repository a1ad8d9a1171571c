"""SHAP values of boosted trees from tables: exact, and many rows at a time.

A leaf contributes to the features on its path alone, and how much follows from which of their
conditions a row satisfies: two to the power of the features cases, which are computed once (Yang
2021, "Fast TreeSHAP: Accelerating SHAP Value Computation for Trees", arXiv 2109.09847, second
version). Here leaves that share most of their path have one table, whose row is given by the
conditions of all their nodes, a bit each: a tree of depth 4 is two tables of 256 rows. The values
are those of TreeSHAP (Lundberg et al. 2020, doi 10.1038/s42256-019-0138-9, path-dependent), in
float64.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from behavior_spark.model.arrays import Bools, Doubles, Floats, Integers

# Inner nodes below the top of a block: three levels.
_NODES_BELOW = 7
_ROWS_AT_ONCE = 4096
# Numbers in all tables: 128 MB. Larger trees have no tables.
MOST_CELLS = 16_000_000
# Conditions of a block: the bits of a uint16.
_MOST_BITS = 16


@dataclass(frozen=True)
class _Leaf:
    """A leaf, and the nodes that lead to it: which way, and how many of a node's rows go there."""

    value: float
    nodes: tuple[int, ...]
    lefts: tuple[bool, ...]
    shares: tuple[float, ...]


@dataclass(frozen=True)
class Block:
    """Leaves whose contributions are looked up together.

    Attributes:
        conditions: Condition of each bit of the table's row, int64 (bits,).
        features: Features that they contribute to, int64 (features,).
        table: float64 (features, 2 ** bits).
    """

    conditions: Integers
    features: Integers
    table: Doubles


@dataclass(frozen=True)
class TreeContributions:
    """Boosted trees as conditions on features, and tables of contributions.

    Attributes:
        features: Feature of each condition, int64 (conditions,).
        thresholds: It is that the value is smaller than this, float32 (conditions,).
        missing_left: Whether a missing value satisfies it, bool (conditions,).
        blocks: Tables that are added up.
    """

    features: Integers
    thresholds: Floats
    missing_left: Bools
    blocks: tuple[Block, ...]

    @classmethod
    def of(cls, trees: Sequence[Mapping[str, Any]]) -> Self | None:
        """From ``learner.gradient_booster.model.trees`` of XGBoost's JSON format.

        None where the trees are so deep that tables would be too large.
        """
        numbers: dict[tuple[int, np.float32, bool], int] = {}
        parts = [(tree, leaves) for tree in trees for leaves in _blocks(tree)]
        if sum(_cells(tree, leaves) for tree, leaves in parts) > MOST_CELLS:
            return None
        blocks = tuple(_block(tree, leaves, numbers) for tree, leaves in parts)
        conditions = list(numbers)
        return cls(
            features=np.array([feature for feature, *_ in conditions], dtype=np.int64),
            thresholds=np.array([threshold for _, threshold, _ in conditions], dtype=np.float32),
            missing_left=np.array([missing for *_, missing in conditions], dtype=bool),
            blocks=blocks,
        )

    def contributions(self, values: Floats) -> Doubles:
        """SHAP values, float64 (rows, features), without the bias.

        Args:
            values: Rows, float32 (rows, features); NaN is missing.
        """
        rows, width = values.shape
        summed = np.zeros((width, rows))
        for start in range(0, rows, _ROWS_AT_ONCE):
            part = slice(start, min(start + _ROWS_AT_ONCE, rows))
            self._add(np.ascontiguousarray(values[part].T), summed[:, part])
        return np.ascontiguousarray(summed.T)

    def _add(self, columns: Floats, summed: Doubles) -> None:
        """Add the contributions of some rows; columns and sums are (features, rows)."""
        rows = columns.shape[1]
        satisfied = self._satisfied(columns)
        bit, place = np.empty(rows, np.uint16), np.empty(rows, np.uint16)
        index, found = np.empty(rows, np.intp), np.empty(rows)
        for block in self.blocks:
            place.fill(0)
            for shift, condition in enumerate(block.conditions):
                np.left_shift(satisfied[condition], shift, out=bit, dtype=np.uint16)
                np.bitwise_or(place, bit, out=place)
            index[:] = place
            for feature, entries in zip(block.features, block.table, strict=True):
                np.take(entries, index, out=found, mode="clip")
                summed[feature] += found

    def _satisfied(self, columns: Floats) -> npt.NDArray[np.uint8]:
        """1 where a row satisfies a condition, (conditions, rows)."""
        found = np.empty((len(self.features), columns.shape[1]), dtype=bool)
        for number, (feature, threshold, missing) in enumerate(
            zip(self.features, self.thresholds, self.missing_left, strict=True)
        ):
            if missing:
                np.greater_equal(columns[feature], threshold, out=found[number])
                np.logical_not(found[number], out=found[number])
            else:
                np.less(columns[feature], threshold, out=found[number])
        return found.view(np.uint8)


def _blocks(tree: Mapping[str, Any]) -> Iterator[list[_Leaf]]:
    """The leaves of a tree in blocks: of the highest nodes with few enough nodes below."""
    left, right = tree["left_children"], tree["right_children"]
    below = [0] * len(left)
    for node in reversed(_downwards(left, right)):
        if left[node] >= 0:
            below[node] = 1 + below[left[node]] + below[right[node]]
    waiting: list[tuple[int, _Leaf]] = [(0, _Leaf(0.0, (), (), ()))]
    while waiting:
        node, path = waiting.pop()
        if below[node] <= _NODES_BELOW:
            leaves = [leaf for leaf in _leaves(tree, node, path) if leaf.nodes]
            if leaves:
                yield leaves
        else:
            waiting += _children(tree, node, path)


def _downwards(left: Sequence[int], right: Sequence[int]) -> list[int]:
    """Nodes in an order in which parents come before their children."""
    order, waiting = [], [0]
    while waiting:
        node = waiting.pop()
        order.append(node)
        if left[node] >= 0:
            waiting += [left[node], right[node]]
    return order


def _leaves(tree: Mapping[str, Any], node: int, path: _Leaf) -> Iterator[_Leaf]:
    if tree["left_children"][node] < 0:
        yield _Leaf(tree["split_conditions"][node], path.nodes, path.lefts, path.shares)
        return
    for child, longer in _children(tree, node, path):
        yield from _leaves(tree, child, longer)


def _children(tree: Mapping[str, Any], node: int, path: _Leaf) -> list[tuple[int, _Leaf]]:
    weights = tree["sum_hessian"]
    return [
        (
            child,
            _Leaf(
                0.0, (*path.nodes, node), (*path.lefts, goes_left),
                (*path.shares, weights[child] / weights[node]),
            ),
        )
        for child, goes_left in (
            (tree["left_children"][node], True), (tree["right_children"][node], False)
        )
    ]  # fmt: skip


def _nodes(leaves: Sequence[_Leaf]) -> list[int]:
    """All nodes on the paths of leaves, each once."""
    return list(dict.fromkeys(node for leaf in leaves for node in leaf.nodes))


def _cells(tree: Mapping[str, Any], leaves: Sequence[_Leaf]) -> float:
    """Numbers in the table of a block; infinite where a path is too long."""
    nodes = _nodes(leaves)
    if len(nodes) > _MOST_BITS:
        return math.inf
    return float(2 ** len(nodes) * len({tree["split_indices"][node] for node in nodes}))


def _block(
    tree: Mapping[str, Any],
    leaves: Sequence[_Leaf],
    numbers: dict[tuple[int, np.float32, bool], int],
) -> Block:
    """The table of some leaves; conditions that are new get a number."""
    nodes = _nodes(leaves)
    feature_of = {node: int(tree["split_indices"][node]) for node in nodes}
    features = sorted(set(feature_of.values()))
    column = {feature: number for number, feature in enumerate(features)}
    bit_of = {node: bit for bit, node in enumerate(nodes)}
    bits = np.ascontiguousarray(_bits(len(nodes)).T)
    table = np.zeros((len(features), bits.shape[1]))
    for leaf, (shares, cases) in zip(leaves, _cases_of(leaves, feature_of), strict=True):
        satisfied = dict.fromkeys(shares, np.True_)
        for node, goes_left in zip(leaf.nodes, leaf.lefts, strict=True):
            bit = bits[bit_of[node]]
            satisfied[feature_of[node]] = satisfied[feature_of[node]] & (bit if goes_left else ~bit)
        case = sum(known.astype(np.intp) << n for n, known in enumerate(satisfied.values()))
        table[[column[feature] for feature in shares]] += leaf.value * cases[:, case]
    conditions = [
        numbers.setdefault(
            (feature_of[n], np.float32(tree["split_conditions"][n]), bool(tree["default_left"][n])),
            len(numbers),
        )
        for n in nodes
    ]
    return Block(np.array(conditions), np.array(features), table)


def _cases_of(
    leaves: Sequence[_Leaf], feature_of: Mapping[int, int]
) -> list[tuple[dict[int, float], Doubles]]:
    """For each leaf the share of each feature on its path, and what ``_cases`` makes of them."""
    found = []
    for leaf in leaves:
        shares: dict[int, float] = {}
        for node, share in zip(leaf.nodes, leaf.shares, strict=True):
            shares[feature_of[node]] = shares.get(feature_of[node], 1.0) * share
        found.append(shares)
    by_count = {
        count: iter(_cases(np.array([[*s.values()] for s in found if len(s) == count])))
        for count in {len(shares) for shares in found}
    }
    return [(shares, next(by_count[len(shares)])) for shares in found]


@lru_cache
def _bits(count: int) -> Bools:
    """The bits of each number below 2 ** count, bool (numbers, count)."""
    numbers = np.arange(2**count)[:, None]
    return np.asarray((numbers >> np.arange(count)) & 1, dtype=bool)


def _cases(shares: Doubles) -> Doubles:
    """Shapley values of the game in which a leaf of value 1 is reached, for each case.

    A feature that is known lets a row through or not; one that is not known lets its share through.
    The sum over all sets of known features is that over their size, as a polynomial's coefficients.

    Args:
        shares: Share of each feature on the path of each leaf, float64 (leaves, features).

    Returns:
        float64 (leaves, features, 2 ** features): column c for rows that satisfy the features
        whose bit of c is 1.
    """
    leaves, count = shares.shape
    satisfied = _bits(count).astype(np.float64)
    weights = _weights(count)
    values = np.empty((leaves, count, len(satisfied)))
    for own in range(count):
        sizes = np.zeros((leaves, len(satisfied), count))
        sizes[:, :, 0] = 1.0
        for other in range(count):
            if other != own:
                known = sizes[:, :, :-1] * satisfied[:, other : other + 1]
                sizes *= shares[:, other, None, None]
                sizes[:, :, 1:] += known
        values[:, own] = (sizes @ weights) * (satisfied[:, own] - shares[:, own, None])
    return values


@lru_cache
def _weights(count: int) -> Doubles:
    """Of sets of other features by their size: how many orders of all have them first."""
    orders = [math.factorial(n) * math.factorial(count - 1 - n) for n in range(count)]
    return np.array(orders) / math.factorial(count)
