"""What users did, as ragged arrays: no padding, no Python object for an event."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np
import numpy.typing as npt

from behavior_spark.errors import ModelError
from behavior_spark.model.arrays import Integers

Codes = npt.NDArray[np.int32]
NOTHING = 0  # The code of padding, and of an item that is not known.


@dataclass(frozen=True, eq=False)
class Histories:
    """Events of users, in order of time.

    Attributes:
        offsets: int64 (users + 1,); user ``u`` has the events ``offsets[u]`` to ``offsets[u + 1]``.
        items: int32 (events,), codes of items from 1 on; 0 is an item that is not known.
        traits: Other codes of each event by name, int32 (events,) each, such as its type or how
            long ago the event before was; 0 is not known.
    """

    offsets: Integers
    items: Codes
    traits: Mapping[str, Codes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        sizes = {len(self.items), *(len(codes) for codes in self.traits.values())}
        ends = (int(self.offsets[0]), int(self.offsets[-1])) if len(self.offsets) else (0, -1)
        if len(sizes) != 1 or ends != (0, len(self.items)) or (np.diff(self.offsets) < 0).any():
            raise ModelError(
                "offsets and events of histories do not fit each other",
                found=f"offsets from {ends[0]} to {ends[1]}, {sorted(sizes)} events",
                fix="give offsets that rise from 0 to the number of events",
            )

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> Integers:
        """Number of events of each user, int64 (users,)."""
        return np.diff(self.offsets)

    @property
    def owners(self) -> Integers:
        """Row of the user of each event, int64 (events,)."""
        return np.repeat(np.arange(len(self)), self.lengths)

    @classmethod
    def of_lists(
        cls,
        items: Sequence[Sequence[int]],
        traits: Mapping[str, Sequence[Sequence[int]]] | None = None,
    ) -> Self:
        """From a list of codes for each user."""
        offsets = np.cumsum([0, *(len(events) for events in items)], dtype=np.int64)
        return cls(
            offsets,
            _flat(items),
            {name: _flat(codes) for name, codes in (traits or {}).items()},
        )

    def part(self, first: Integers, last: Integers) -> Self:
        """Events ``first`` to before ``last`` of each user, as positions in ``items``."""
        lengths = np.maximum(last - first, 0)
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        chosen = np.repeat(first - offsets[:-1], lengths) + np.arange(offsets[-1])
        return type(self)(
            offsets,
            self.items[chosen],
            {name: codes[chosen] for name, codes in self.traits.items()},
        )

    def take(self, rows: Integers | slice) -> Self:
        """Users at these rows, in this order."""
        return self.part(self.offsets[:-1][rows], self.offsets[1:][rows])

    def newest(self, count: int) -> Self:
        """The last ``count`` events of each user."""
        return self.part(np.maximum(self.offsets[:-1], self.offsets[1:] - count), self.offsets[1:])

    def without_newest(self, count: int) -> Self:
        """All but the last ``count`` events of each user."""
        return self.part(self.offsets[:-1], self.offsets[1:] - count)

    def known(self) -> Self:
        """Without the events of items that are not known."""
        kept = self.items != NOTHING
        offsets = np.concatenate([[0], np.cumsum(kept)])[self.offsets]
        return type(self)(
            offsets, self.items[kept], {name: codes[kept] for name, codes in self.traits.items()}
        )

    def windows(self, length: int) -> Self:
        """Cut users into rows of at most ``length + 1`` events, to learn from all of them.

        Two windows of a user share one event: it is the last answer of one and the first event
        of the next. Rows without an answer (fewer than two events) are left out.
        """
        answers = np.maximum(self.lengths - 1, 0)
        counts = -(-answers // length)
        users = np.repeat(np.arange(len(self)), counts)
        number = np.arange(len(users)) - np.repeat(np.cumsum(counts) - counts, counts)
        last = self.offsets[1:][users] - number * length
        return self.part(np.maximum(last - length - 1, self.offsets[users]), last)

    def padded(self, codes: Codes | None = None) -> npt.NDArray[np.int64]:
        """Codes as int64 (users, longest), 0 after the last event; ``items`` unless given."""
        lengths = self.lengths
        width = int(lengths.max(initial=0))
        table = np.zeros((len(self), width), dtype=np.int64)
        table[np.arange(width) < lengths[:, None]] = self.items if codes is None else codes
        return table

    def blocks(self, users: int) -> Iterator[tuple[slice, Self]]:
        """Blocks of at most ``users`` users, each with the rows that it has."""
        for first in range(0, len(self), users):
            rows = slice(first, min(first + users, len(self)))
            yield rows, self.take(rows)


def _flat(lists: Iterable[Sequence[int]]) -> Codes:
    return np.fromiter((code for events in lists for code in events), dtype=np.int32)
