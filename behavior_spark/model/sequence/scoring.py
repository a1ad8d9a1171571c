"""Next items of a batch of users, Arrow in and out: what a Spark task calls.

The reason of an item is the event without which its score would be lowest. It is found by leaving
out each of the newest events in turn and computing the user anew (occlusion, Zeiler & Fergus
2014), so it is exact: ``influence`` is what the score loses without that event.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from behavior_spark.model.arrays import Bools, Floats, Integers
from behavior_spark.model.sequence.histories import Histories
from behavior_spark.model.sequence.model import SequenceModel

USER = "user_id"


@dataclass(frozen=True)
class ScoreOptions:
    """What is asked of each user.

    Attributes:
        k: Number of next items.
        leave_out_seen: Whether items of the user's events are left out.
        occluded: How many of the newest events may be the reason; 0: no reasons are computed.
            Each costs one more pass over the user.
    """

    k: int = 10
    leave_out_seen: bool = True
    occluded: int = 5


def score_schema(user_type: pa.DataType) -> pa.Schema:
    """Columns of :func:`score`; lists have one entry for each next item, best first."""
    return pa.schema(
        [
            pa.field(USER, user_type),
            pa.field("items", pa.list_(pa.string())),
            pa.field("scores", pa.list_(pa.float32())),
            pa.field("reason_items", pa.list_(pa.string())),
            pa.field("influences", pa.list_(pa.float32())),
            pa.field("last_item", pa.string()),
            pa.field("vector", pa.list_(pa.float32())),
            pa.field("known_events", pa.int32()),
            pa.field("unknown_events", pa.int32()),
        ]
    )


def score(
    model: SequenceModel, batch: pa.RecordBatch, options: ScoreOptions | None = None
) -> pa.RecordBatch:
    """Next items, reasons and vector of each user of a batch.

    A row depends on no other row of the batch. A user without an event of a known item has empty
    lists and no vector; events of items that are not known are counted and left out.

    Args:
        model: The model.
        batch: Column ``user_id`` and those of ``Vocabulary.histories``, one row a user.
        options: What is asked.

    Returns:
        One row for each of the batch, in its order, with the columns of :func:`score_schema`.

    Raises:
        ModelError: A column is missing.
    """
    options = options or ScoreOptions()
    histories = model.vocabulary.histories(batch)
    known = histories.known()
    codes, scores = model.next_items(known, options.k, leave_out_seen=options.leave_out_seen)
    vectors = model.vectors(known)
    reasons, influences = influential(model, known, vectors, codes, events=options.occluded)
    present = codes > 0
    counts = present.sum(axis=1)
    names = model.vocabulary.names_of
    newest = known.newest(1)
    last = np.zeros(len(known), dtype=np.int64)
    last[newest.lengths > 0] = newest.items
    users = batch.column(batch.schema.get_field_index(USER))
    columns = [
        users,
        _lists(names(codes[present]), counts),
        _lists(pa.array(scores[present], pa.float32()), counts),
        _lists(names(reasons[present]), counts),
        _lists(pa.array(influences[present], pa.float32()), counts),
        names(last),
        _vectors(vectors, known.lengths > 0),
        pa.array(known.lengths, pa.int32()),
        pa.array(histories.lengths - known.lengths, pa.int32()),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=score_schema(users.type))


def influential(
    model: SequenceModel, histories: Histories, vectors: Floats, codes: Integers, *, events: int
) -> tuple[Integers, Floats]:
    """The event without which the score of an item would be lowest.

    Args:
        model: The model.
        histories: Events of known items.
        vectors: States after all of them, float32 (users, width).
        codes: Items to explain, int64 (users, k); 0: none.
        events: How many of the newest events to leave out in turn.

    Returns:
        Code of the item of that event, int64 (users, k), 0 where no event raises the score or a
        user has only one; and what the score loses without it, float32 (users, k), 0 there.
    """
    reasons = np.zeros(codes.shape, dtype=np.int64)
    influences = np.zeros(codes.shape, dtype=np.float32)
    wanted = model.outputs[codes]
    full = np.einsum("uw,ukw->uk", vectors, wanted)
    for back in range(1, events + 1):
        rows = np.flatnonzero(histories.lengths >= max(back, 2))
        if not len(rows):
            break
        part = histories.take(rows).newest(model.length)
        places = part.offsets[1:] - back
        inside = places >= part.offsets[:-1]
        rows, part = rows[inside], part.take(np.flatnonzero(inside))
        places = part.offsets[1:] - back
        without = model.vectors(_without(part, places))
        lost = full[rows] - np.einsum("uw,ukw->uk", without, wanted[rows])
        better = (lost > influences[rows]) & (codes[rows] > 0)
        items = part.items[places].astype(np.int64)
        reasons[rows] = np.where(better, items[:, None], reasons[rows])
        influences[rows] = np.where(better, lost, influences[rows])
    return reasons, influences


def _without(histories: Histories, places: Integers) -> Histories:
    """Leave out one event of each user."""
    kept = np.ones(len(histories.items), dtype=np.bool_)
    kept[places] = False
    offsets = histories.offsets - np.arange(len(histories.offsets))
    traits = {name: codes[kept] for name, codes in histories.traits.items()}
    return Histories(offsets, histories.items[kept], traits)


def _lists(flat: pa.Array, counts: Integers) -> pa.ListArray:
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), flat)


def _vectors(vectors: Floats, known: Bools) -> pa.ListArray:
    width = vectors.shape[1]
    offsets = np.concatenate([[0], np.cumsum(known * width)]).astype(np.int32)
    flat = pa.array(vectors[known].ravel(), pa.float32())
    return pa.ListArray.from_arrays(pa.array(offsets), flat, mask=pa.array(~known))
