"""Boosted trees as step functions of one feature, the others as they are: exact, for many rows.

A tree's margin changes along a feature at its own split points only. So the leaves that a row can
reach by moving this feature alone give its margin everywhere (Tolomei et al. 2017, "Interpretable
Predictions of Tree-based Ensembles via Actionable Feature Tweaking", arXiv 1706.06691, walks the
same paths).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from behavior_spark.model.arrays import Bools, Doubles, Floats, Integers


@dataclass(frozen=True)
class TreeSteps:
    """All nodes and leaves of boosted trees, as arrays.

    Attributes:
        features: Feature of each inner node, int64 (nodes,).
        thresholds: A smaller value goes left, float32 (nodes,).
        missing_left: Whether a missing value goes left, bool (nodes,).
        values: What each leaf adds to the margin, float64 (leaves,).
        trees: Tree of each leaf, int64 (leaves,).
        paths: Nodes from the root to each leaf, int64 (leaves, depth); -1 fills shorter paths.
        lefts: Whether the path goes left at the node, bool (leaves, depth).
    """

    features: Integers
    thresholds: Floats
    missing_left: Bools
    values: Doubles
    trees: Integers
    paths: Integers
    lefts: Bools

    @classmethod
    def of(cls, trees: Sequence[Mapping[str, Any]]) -> Self:
        """From ``learner.gradient_booster.model.trees`` of XGBoost's JSON format."""
        nodes: list[tuple[int, float, bool]] = []
        leaves: list[tuple[int, float, list[tuple[int, bool]]]] = []
        for number, tree in enumerate(trees):
            left, right = tree["left_children"], tree["right_children"]
            waiting: list[tuple[int, list[tuple[int, bool]]]] = [(0, [])]
            while waiting:
                node, path = waiting.pop()
                condition = tree["split_conditions"][node]
                if left[node] < 0:
                    leaves.append((number, condition, path))
                    continue
                place = len(nodes)
                nodes.append(
                    (tree["split_indices"][node], condition, bool(tree["default_left"][node]))
                )
                waiting.append((right[node], [*path, (place, False)]))
                waiting.append((left[node], [*path, (place, True)]))
        depth = max((len(path) for *_, path in leaves), default=0)
        filled = [path + [(-1, False)] * (depth - len(path)) for *_, path in leaves]
        steps = np.array(filled, dtype=np.int64).reshape(len(leaves), depth, 2)
        return cls(
            features=np.array([feature for feature, _, _ in nodes], dtype=np.int64),
            thresholds=np.array([threshold for _, threshold, _ in nodes], dtype=np.float32),
            missing_left=np.array([missing for *_, missing in nodes], dtype=bool),
            values=np.array([value for _, value, _ in leaves], dtype=np.float64),
            trees=np.array([tree for tree, *_ in leaves], dtype=np.int64),
            paths=steps[:, :, 0],
            lefts=steps[:, :, 1].astype(bool),
        )

    def splits(self, feature: int) -> Floats:
        """Split points of a feature, float32 (splits,), ascending; empty if no tree reads it."""
        return np.unique(self.thresholds[self.features == feature])

    def margins_along(self, values: Floats, feature: int) -> Doubles:
        """What the trees that read a feature add to the margin for each of its possible values.

        Args:
            values: Rows, float32 (rows, features); NaN is missing. The feature's own is not read.
            feature: The feature's column.

        Returns:
            float64 (rows, splits + 1): column 0 for values below the first split point, column k
            from split point k - 1 on. Their differences are those of the model's margins.
        """
        splits = self.splits(feature)
        own = (self.features == feature)[self.paths] & (self.paths >= 0)
        chosen = np.isin(self.trees, self.trees[own.any(axis=1)])
        leaves = np.flatnonzero(chosen)
        steps = self._leaf_steps(leaves, own[leaves], splits)
        return np.asarray(self._reached(values, leaves, own[leaves]) @ steps)

    def _leaf_steps(self, leaves: Integers, own: Bools, splits: Floats) -> Doubles:
        """Value of each leaf where its path lets the feature be, else 0; (leaves, splits + 1)."""
        interval = np.arange(len(splits) + 1)
        at = np.searchsorted(splits, self.thresholds[self.paths[leaves]])
        left = self.lefts[leaves]
        lowest = np.where(own & ~left, at + 1, 0).max(axis=1, initial=0)
        highest = np.where(own & left, at, len(splits)).min(axis=1, initial=len(splits))
        within = (interval >= lowest[:, None]) & (interval <= highest[:, None])
        return np.asarray(within * self.values[leaves][:, None])

    def _reached(self, values: Floats, leaves: Integers, own: Bools) -> Doubles:
        """1 where nothing but the feature decides whether a row is in a leaf; (rows, leaves)."""
        nodes, numbers = np.unique(self.paths[leaves], return_inverse=True)
        numbers = numbers.reshape(len(leaves), -1)
        read = values[:, self.features[nodes]]
        goes_left = np.where(
            np.isnan(read), self.missing_left[nodes], read < self.thresholds[nodes]
        )
        reached = np.ones((len(values), len(leaves)), dtype=bool)
        free = own | (self.paths[leaves] < 0)
        for step in range(numbers.shape[1]):
            reached &= (goes_left[:, numbers[:, step]] == self.lefts[leaves, step]) | free[:, step]
        return reached.astype(np.float64)
