"""A trained sequence model: user vectors, next items, and storage as a folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
import torch
from pyarrow import feather
from safetensors import SafetensorError
from safetensors.torch import load, save

from behavior_spark.errors import ModelError
from behavior_spark.files import read_json, short_digest, staged_folder, write_json
from behavior_spark.model.arrays import Floats, Integers
from behavior_spark.model.sequence import MODEL_FILE
from behavior_spark.model.sequence.catalogue import ItemFacts
from behavior_spark.model.sequence.histories import Histories
from behavior_spark.model.sequence.network import Network, Shape
from behavior_spark.model.sequence.retrieval import BUDGET_BYTES, top_k
from behavior_spark.model.sequence.states import last_states, output_table
from behavior_spark.model.sequence.vocabulary import Vocabulary

WEIGHTS_FILE, ITEMS_FILE = "model.safetensors", "items.arrow"


@dataclass(frozen=True, eq=False)
class SequenceModel:
    """One network, or several whose scores are added up.

    A sum of products is a product of longer vectors, so several networks are searched as one.

    Attributes:
        vocabulary: Codes of items and traits.
        words: Words of items that the networks know, by code from 0.
        facts: Words and texts of the items.
        networks: Trained networks of one shape but for its weights.
        metadata: How it was trained and measured; plain data.
        trained_through: First day after the events it learned from; measuring it on an earlier
            day would be leakage.
    """

    vocabulary: Vocabulary
    words: tuple[str, ...]
    facts: ItemFacts
    networks: tuple[Network, ...]
    metadata: Mapping[str, Any] = field(default_factory=dict)
    trained_through: str | None = None

    @property
    def width(self) -> int:
        """Width of a user vector."""
        return sum(network.shape.width for network in self.networks)

    @property
    def length(self) -> int:
        """How many events back it looks."""
        return max(network.shape.length for network in self.networks)

    def vectors(self, histories: Histories) -> Floats:
        """State of each user after the last known event, float32 (users, width).

        All zero for a user without an event of a known item.
        """
        return np.concatenate([last_states(n, histories) for n in self.networks], axis=1)

    @cached_property
    def outputs(self) -> Floats:
        """What vectors are multiplied with, float32 (items + 1, width)."""
        return np.concatenate([output_table(n) for n in self.networks], axis=1)

    def next_items(
        self,
        histories: Histories,
        k: int,
        *,
        leave_out_seen: bool = True,
        budget_bytes: int = BUDGET_BYTES,
    ) -> tuple[Integers, Floats]:
        """Codes and scores of the k best items, int64 and float32 (users, k).

        A user without an event of a known item gets none: code 0 and score -inf.
        """
        known = histories.known()
        codes, scores = top_k(
            self.vectors(histories),
            self.outputs,
            k,
            seen=known if leave_out_seen else None,
            budget_bytes=budget_bytes,
        )
        nobody = known.lengths == 0
        codes[nobody], scores[nobody] = 0, -np.inf
        return codes, scores

    def with_items(self, items: tuple[str, ...], facts: ItemFacts) -> Self:
        """The same model with items that training did not see, known by their facts alone.

        Raises:
            ModelError: An item is known already, or facts are of another kind.
        """
        both = set(items) & set(self.vocabulary.items)
        if both or len(set(items)) < len(items):
            raise ModelError(
                "new items must be new, and named once",
                found=f"{len(both)} that the model knows",
                fix="leave those out",
            )
        vocabulary = Vocabulary(
            (*self.vocabulary.items, *items),
            self.vocabulary.types,
            gaps=self.vocabulary.gaps,
            values=self.vocabulary.values,
        )
        all_facts = self.facts.followed_by(facts)
        networks = tuple(_grown(n, len(items)) for n in self.networks)
        return type(self).of(
            vocabulary,
            self.words,
            all_facts,
            networks,
            metadata=self.metadata,
            trained_through=self.trained_through,
        )

    @classmethod
    def of(
        cls,
        vocabulary: Vocabulary,
        words: tuple[str, ...],
        facts: ItemFacts,
        networks: tuple[Network, ...],
        *,
        metadata: Mapping[str, Any] | None = None,
        trained_through: str | None = None,
    ) -> Self:
        """Put trained networks together, with the facts in their tables."""
        for network in networks:
            facts.put_into(network.table, words)
            network.eval()
        return cls(vocabulary, words, facts, networks, metadata or {}, trained_through)

    @cached_property
    def digest(self) -> str:
        """Digest of everything that decides its answers, 16 hex characters."""
        return _digest(self._description(), self._weights(), self._items())

    def save(self, folder: str | Path) -> Path:
        """Write config, weights and items to ``folder``, completely or not at all."""
        target = Path(folder)
        with staged_folder(target, replace=True) as staging:
            (staging / WEIGHTS_FILE).write_bytes(self._weights())
            (staging / ITEMS_FILE).write_bytes(self._items())
            write_json(staging / MODEL_FILE, {**self._description(), "digest": self.digest})
        return target

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Read a model that :meth:`save` wrote, and check its digest.

        Raises:
            ModelError: There is no model in the folder, or it is damaged or was changed.
        """
        source = Path(folder)
        problem = f"the sequence model in {source} is damaged or was changed"
        description = read_json(source / MODEL_FILE)
        try:
            recorded = description.pop("digest")
            weights = (source / WEIGHTS_FILE).read_bytes()
            items = (source / ITEMS_FILE).read_bytes()
            if recorded != _digest(description, weights, items):
                raise ModelError(problem, found="its digest does not match", fix="train it again")
            return cls._restore(description, weights, items)
        except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
            raise ModelError(problem, found=type(error).__name__, fix="train it again") from error

    @classmethod
    def _restore(cls, description: dict[str, Any], weights: bytes, items: bytes) -> Self:
        table = feather.read_table(pa.BufferReader(items))
        names = tuple(table["item"].to_pylist())
        traits = description["traits"]
        types = None if traits["types"] is None else tuple(traits["types"])
        vocabulary = Vocabulary(names, types, gaps=traits["gaps"], values=traits["values"])
        bags = table["words"].to_pylist() if "words" in table.column_names else None
        texts = (
            np.array(table["text"].to_pylist(), np.float32)
            if "text" in table.column_names
            else None
        )
        networks = []
        states = _by_network(load(weights))
        for number, shape in enumerate(description["networks"]):
            network = Network(Shape(**shape))
            network.load_state_dict(states[number])
            networks.append(network)
        return cls.of(
            vocabulary,
            tuple(description["words"]),
            ItemFacts(bags, texts),
            tuple(networks),
            metadata=description["metadata"],
            trained_through=description["trained_through"],
        )

    def _description(self) -> dict[str, Any]:
        types = self.vocabulary.types
        return {
            "format": 1,
            "networks": [asdict(network.shape) for network in self.networks],
            "traits": {
                "types": None if types is None else list(types),
                "gaps": self.vocabulary.gaps,
                "values": self.vocabulary.values,
            },
            "words": list(self.words),
            "metadata": dict(self.metadata),
            "trained_through": self.trained_through,
        }

    def _weights(self) -> bytes:
        tensors = {
            f"{number}.{name}": tensor.detach().contiguous()
            for number, network in enumerate(self.networks)
            for name, tensor in network.state_dict().items()
        }
        return bytes(save(tensors))

    def _items(self) -> bytes:
        columns: dict[str, Any] = {"item": pa.array(self.vocabulary.items, pa.string())}
        if self.facts.words is not None:
            columns["words"] = pa.array([list(b) for b in self.facts.words], pa.list_(pa.string()))
        if self.facts.texts is not None:
            columns["text"] = pa.array(list(self.facts.texts), pa.list_(pa.float32()))
        sink = pa.BufferOutputStream()
        feather.write_feather(pa.table(columns), sink, compression="uncompressed")
        return bytes(sink.getvalue())


def _grown(network: Network, more: int) -> Network:
    """The same network with a table of more items, whose own vectors are zero."""
    shape = Shape(**{**asdict(network.shape), "items": network.shape.items + more})
    grown = Network(shape)
    state = dict(network.state_dict())
    own = state["table.own.weight"]
    state["table.own.weight"] = torch.cat([own, own.new_zeros(more, own.shape[1])])
    grown.load_state_dict(state)
    return grown


def _by_network(tensors: Mapping[str, torch.Tensor]) -> dict[int, dict[str, torch.Tensor]]:
    states: dict[int, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        number, rest = name.split(".", 1)
        states.setdefault(int(number), {})[rest] = tensor
    return states


def _digest(description: Mapping[str, Any], weights: bytes, items: bytes) -> str:
    canonical = json.dumps(description, sort_keys=True, separators=(",", ":"))
    return short_digest(b"\0".join([canonical.encode(), weights, items]))
