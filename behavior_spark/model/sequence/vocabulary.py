"""Codes of items and of an event's traits, and histories from Arrow batches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from behavior_spark.errors import ModelError
from behavior_spark.model.arrays import Integers
from behavior_spark.model.sequence.histories import Codes, Histories

ITEMS, TYPES, TIMES, VALUES = "items", "event_types", "event_times", "values"
BUCKETS = 20


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """Which items and event types have which code.

    Attributes:
        items: Names of items; the first has code 1.
        types: Names of event types, likewise; None: events have no types.
        gaps: Whether events have times, of which the gap to the event before is used.
        values: Whether events have values.
    """

    items: tuple[str, ...]
    types: tuple[str, ...] | None = None
    gaps: bool = False
    values: bool = False

    @property
    def traits(self) -> dict[str, int]:
        """Largest code of each trait."""
        return {
            **({"type": max(1, len(self.types))} if self.types is not None else {}),
            **({"gap": BUCKETS} if self.gaps else {}),
            **({"value": BUCKETS + 1} if self.values else {}),
        }

    def codes_of(self, names: pa.Array) -> Codes:
        """Codes of items; 0 of one that is not known."""
        return _codes(names, self._item_set)

    def names_of(self, codes: Integers) -> pa.Array:
        """Names of items by code; null of 0."""
        return self._item_set.take(pa.array(codes - 1, mask=codes <= 0))

    def histories(self, batch: pa.RecordBatch) -> Histories:
        """Encode a batch with a list of events in each row, in order of time.

        Args:
            batch: Columns ``items`` (list of strings) and, where the vocabulary has them,
                ``event_types`` (list of strings), ``event_times`` (list of timestamps),
                ``values`` (list of numbers). A null list is an empty one.

        Raises:
            ModelError: A column is missing, or lists of a row differ in length.
        """
        offsets, items = _column(batch, ITEMS)
        wanted = {"type": TYPES, "gap": TIMES, "value": VALUES}
        traits: dict[str, Codes] = {}
        for trait in self.traits:
            own, flat = _column(batch, wanted[trait])
            if not np.array_equal(own, offsets):
                raise ModelError(
                    f"{wanted[trait]} and {ITEMS} of a user differ in length",
                    found=f"{own[-1]} and {offsets[-1]} entries in a batch",
                    fix="collect all lists of a user from the same events",
                )
            traits[trait] = self._trait(trait, flat, offsets)
        return Histories(offsets, self.codes_of(items), traits)

    def _trait(self, trait: str, flat: pa.Array, offsets: Integers) -> Codes:
        if trait == "type":
            return _codes(flat, pa.array(self.types, pa.string()))
        if trait == "gap":
            return gap_codes(flat, offsets)
        return value_codes(flat)

    @cached_property
    def _item_set(self) -> pa.Array:
        return pa.array(self.items, pa.string())


def read_histories(
    batches: Iterable[pa.RecordBatch], *, least: int = 1
) -> tuple[Vocabulary, Histories]:
    """Read a stream of batches once; traits are those whose columns the first batch has.

    Memory holds four bytes for each event and column, beside one batch. Codes follow the names
    of items, so they do not depend on the order of users.

    Args:
        batches: As in :meth:`Vocabulary.histories`.
        least: Items with fewer events are not known.

    Raises:
        ModelError: There is no batch, or a column is missing.
    """
    growing, parts = _Growing(), []
    for batch in batches:
        parts.append(growing.encode(batch))
    if not parts:
        raise ModelError(
            "no events to learn next items from", fix="give batches with a column 'items'"
        )
    histories = _joined(parts)
    items, new_codes = _sorted(growing.items, histories.items, least)
    traits = dict(histories.traits)
    types = None
    if growing.types is not None:
        types, type_codes = _sorted(growing.types, traits["type"], 1)
        traits["type"] = type_codes
    vocabulary = Vocabulary(items, types, gaps="gap" in traits, values="value" in traits)
    return vocabulary, Histories(histories.offsets, new_codes, traits)


def gap_codes(times: pa.Array, offsets: Integers) -> Codes:
    """Buckets of the time since the event before: 1 within a minute, then doubling; 0 unknown."""
    seconds = times.cast(pa.timestamp("us")).cast(pa.int64()).to_numpy(zero_copy_only=False) / 1e6
    gaps = np.full(len(seconds), np.nan)
    gaps[1:] = np.diff(seconds)
    first = offsets[:-1][np.diff(offsets) > 0]
    gaps[first] = np.nan
    return _doubling(np.maximum(gaps, 0) / 60.0)


def value_codes(values: pa.Array) -> Codes:
    """Buckets of an amount, doubling; the highest code is for amounts below 0, 0 for null."""
    amounts = values.cast(pa.float64()).to_numpy(zero_copy_only=False)
    codes = _doubling(np.maximum(amounts, 0))
    codes[amounts < 0] = BUCKETS + 1
    return codes


class _Growing:
    """Codes by first occurrence, while batches come."""

    def __init__(self) -> None:
        self.items: pa.Array = pa.array([], pa.string())
        self.types: pa.Array | None = None
        self._columns: tuple[str, ...] | None = None

    def encode(self, batch: pa.RecordBatch) -> Histories:
        """Codes of one batch."""
        if self._columns is None:
            self._columns = tuple(c for c in (TYPES, TIMES, VALUES) if c in batch.schema.names)
            self.types = pa.array([], pa.string()) if TYPES in self._columns else None
        offsets, items = _column(batch, ITEMS)
        self.items = _extended(self.items, items)
        traits: dict[str, Codes] = {}
        if self.types is not None:
            _, flat = _column(batch, TYPES)
            self.types = _extended(self.types, flat)
            traits["type"] = _codes(flat, self.types)
        if TIMES in self._columns:
            traits["gap"] = gap_codes(_column(batch, TIMES)[1], offsets)
        if VALUES in self._columns:
            traits["value"] = value_codes(_column(batch, VALUES)[1])
        return Histories(offsets, _codes(items, self.items), traits)


def _column(batch: pa.RecordBatch, name: str) -> tuple[Integers, pa.Array]:
    """Offsets from 0 and values of a list column."""
    if name not in batch.schema.names:
        raise ModelError(
            f"a batch of events lacks the column {name!r}",
            found=", ".join(batch.schema.names),
            fix="collect it as a list for each user, in order of time",
        )
    lists = batch.column(batch.schema.get_field_index(name))
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
    offsets = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
    flat = lists.flatten()
    if pa.types.is_string(flat.type) or pa.types.is_large_string(flat.type):
        flat = flat.cast(pa.string())
    return offsets, flat


def _codes(names: pa.Array, known: pa.Array) -> Codes:
    places = pc.index_in(names.cast(pa.string()), value_set=known, skip_nulls=True)
    return np.asarray(pc.fill_null(places, -1).to_numpy(zero_copy_only=False) + 1, np.int32)


def _extended(known: pa.Array, names: pa.Array) -> pa.Array:
    distinct = pc.unique(names.cast(pa.string()).drop_null())
    new = distinct.filter(pc.invert(pc.is_in(distinct, value_set=known)))
    return pa.concat_arrays([known, new]) if len(new) else known


def _sorted(names: pa.Array, codes: Codes, least: int) -> tuple[tuple[str, ...], Codes]:
    """Names in order, without rare ones, and the codes that they then have."""
    counts = np.bincount(codes, minlength=len(names) + 1)[1:]
    order = pc.sort_indices(names).to_numpy()
    order = order[counts[order] >= least]
    table = np.zeros(len(names) + 1, dtype=np.int32)
    table[order + 1] = np.arange(1, len(order) + 1)
    return tuple(names.take(pa.array(order)).to_pylist()), table[codes]


def _joined(parts: list[Histories]) -> Histories:
    starts = np.cumsum([0, *(len(part.items) for part in parts)])
    offsets = [part.offsets[1:] + start for part, start in zip(parts, starts[:-1], strict=True)]
    traits: Mapping[str, Any] = {
        name: np.concatenate([part.traits[name] for part in parts]) for name in parts[0].traits
    }
    return Histories(
        np.concatenate([[0], *offsets]), np.concatenate([part.items for part in parts]), traits
    )


def _doubling(amounts: np.ndarray[Any, np.dtype[np.float64]]) -> Codes:
    """1 below 1, 2 below 3, 3 below 7 and so on, at most BUCKETS; 0 of NaN."""
    known = np.nan_to_num(amounts, nan=0.0, posinf=1e300)
    codes = np.minimum(1 + np.floor(np.log2(1 + known)), BUCKETS)
    return np.where(np.isnan(amounts), 0, codes).astype(np.int32)
