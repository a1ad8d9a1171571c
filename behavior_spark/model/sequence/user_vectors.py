"""A user's history in a few numbers: principal components of a sequence model's user vectors.

The components are those of the users that the model learned from (Hotelling 1933), and are a part
of the model: numbers of two models mean different things. States are computed in double precision
and rounded, so that a user's numbers do not depend on who is computed with him.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace

import numpy as np

from behavior_spark.errors import ModelError
from behavior_spark.model.arrays import Doubles
from behavior_spark.model.sequence.histories import Histories
from behavior_spark.model.sequence.model import SequenceModel
from behavior_spark.model.sequence.network import Network
from behavior_spark.model.sequence.states import last_states

PROJECTION = "user_vector"
DECIMALS = 6


@dataclass(frozen=True, eq=False)
class UserVectors:
    """What computes the numbers.

    Attributes:
        model: The model.
        networks: Its networks in double precision.
        mean: Mean state, float64 (width,).
        components: float64 (dimensions, width).
    """

    model: SequenceModel
    networks: tuple[Network, ...]
    mean: Doubles
    components: Doubles

    @classmethod
    def of(cls, model: SequenceModel) -> UserVectors:
        """Those of a model that :func:`with_user_vectors` gave.

        Raises:
            ModelError: The model has no components.
        """
        stored = model.metadata.get(PROJECTION)
        if stored is None:
            raise ModelError(
                "the sequence model gives no user vectors",
                found="no components in its description",
                fix="take a model that with_user_vectors gave",
            )
        mean, components = (np.asarray(stored[n], np.float64) for n in ("mean", "components"))
        return cls(model, _exact(model), mean, components)

    @property
    def dimensions(self) -> int:
        """How many numbers a user has."""
        return len(self.components)

    def vectors(self, histories: Histories) -> Doubles:
        """float64 (users, dimensions), to six decimals; NaN without an event of a known item."""
        known = histories.known()
        reduced = (_states(self.networks, known) - self.mean) @ self.components.T
        reduced[known.lengths == 0] = np.nan
        return np.asarray(np.round(reduced, DECIMALS) + 0.0)


def with_user_vectors(
    model: SequenceModel, histories: Histories, *, dimensions: int
) -> SequenceModel:
    """The same model with the first principal components of these users' states.

    Args:
        model: A trained model.
        histories: Events that it learned from.
        dimensions: Number of components.

    Raises:
        ModelError: There are fewer users with a known item, or a narrower model.
    """
    known = histories.known()
    states = _states(_exact(model), known)[known.lengths > 0]
    if min(states.shape) < dimensions:
        raise ModelError(
            f"a user vector of {dimensions} dimensions cannot be made",
            found=f"{len(states)} users, a model of width {states.shape[1]}",
            fix="ask for fewer dimensions, or give a longer history",
        )
    mean = states.mean(axis=0)
    centred = states - mean
    _, vectors = np.linalg.eigh(centred.T @ centred)
    components = vectors[:, ::-1].T[:dimensions]
    # Either sign is an eigenvector: the largest entry is positive.
    largest = np.abs(components).argmax(axis=1)
    components = components * np.sign(components[np.arange(dimensions), largest])[:, None]
    spread = (centred @ components.T).var(axis=0).sum() / centred.var(axis=0).sum()
    projection = {
        "mean": mean.tolist(),
        "components": components.tolist(),
        "explained": round(float(spread), 6),
    }
    return replace(model, metadata={**model.metadata, PROJECTION: projection})


def _exact(model: SequenceModel) -> tuple[Network, ...]:
    return tuple(copy.deepcopy(network).double() for network in model.networks)


def _states(networks: tuple[Network, ...], known: Histories) -> Doubles:
    return np.concatenate([last_states(n, known) for n in networks], axis=1, dtype=np.float64)
