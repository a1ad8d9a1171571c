"""Users unlike their peers: an isolation forest over deviations from what is usual in a group.

Liu, Ting and Zhou, Isolation forest (ICDM 2008), by scikit-learn. The forest sees each feature as
robust deviations from the user's group of peers, so that one forest serves all groups.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from behavior_spark.errors import ModelError
from behavior_spark.model.anomaly.peers import Peers
from behavior_spark.model.arrays import Doubles, Integers


@dataclass(frozen=True)
class Compared:
    """Users compared with their peers.

    Attributes:
        rarity: float64 [users]: share of the sample that is as easy to isolate, above 0.
        deviations: float64 [users, features]: robust z-scores.
        centres: float64 [users, features]: medians of the peers.
        groups: int64 [users]: place of the group in ``Peers.groups``.
    """

    rarity: Doubles
    deviations: Doubles
    centres: Doubles
    groups: Integers


@dataclass(frozen=True)
class PeerForest:
    """A fitted forest, with what is usual in each group.

    Attributes:
        names: Features in order.
        peers: What is usual.
        forest: scikit-learn's IsolationForest.
        scores: float64 [sample]: scores of the sample, ascending; the lowest are the strangest.
    """

    names: tuple[str, ...]
    peers: Peers
    forest: Any
    scores: Doubles

    @classmethod
    def fit(
        cls,
        values: Doubles,
        groups: Sequence[str],
        names: Sequence[str],
        *,
        least_peers: int,
        trees: int,
        seed: int = 7,
    ) -> PeerForest:
        """Fit to a sample of users; the same rows in the same order give the same forest.

        Args:
            values: float64 [users, features]; NaN: not known.
            groups: Each user's group of peers.
            names: Features in order.
            least_peers: Smaller groups are compared with everybody.
            trees: Number of trees; each sees 256 users.
            seed: Seed of the trees.

        Raises:
            ModelError: There are too few users, or no feature varies.
        """
        from sklearn.ensemble import IsolationForest

        if len(values) < 2 or not len(names):
            raise ModelError(
                "users cannot be compared",
                found=f"{len(values)} users, {len(names)} features",
                fix="run this on a night with more users, or leave unusual_behaviour out",
            )
        peers = Peers.of(values, groups, least=least_peers)
        if not (peers.scales > 0).any():
            raise ModelError(
                "users cannot be compared",
                found=f"none of {len(names)} features varies",
                fix="choose other features in alerts.unusual_behaviour, or leave the kind out",
            )
        deviations = peers.deviations(values, peers.number(groups))
        forest = IsolationForest(n_estimators=trees, max_samples=min(256, len(values)),
                                 random_state=seed)  # fmt: skip
        forest.fit(deviations)
        return cls(tuple(names), peers, forest, np.sort(forest.score_samples(deviations)))

    def compare(self, values: Doubles, groups: Sequence[str]) -> Compared:
        """Compare users with their peers.

        Args:
            values: float64 [users, features], as for ``fit``.
            groups: Each user's group.
        """
        numbers = self.peers.number(groups)
        deviations = self.peers.deviations(values, numbers)
        scores = self.forest.score_samples(deviations)
        as_strange = np.searchsorted(self.scores, scores, side="right")
        rarity = np.maximum(as_strange, 1) / (1 + len(self.scores))
        return Compared(rarity, deviations, self.peers.centres[numbers], numbers)
