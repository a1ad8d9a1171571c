"""Texts that are nearly equal: MinHash signatures, bands, exact similarity, connected components.

Broder, On the resemblance and containment of documents (1997); Leskovec, Rajaraman and Ullman,
Mining of massive datasets, chapter 3. Two texts whose sets of character runs have the Jaccard
similarity s agree in one position of their signatures with probability s, in all four of a band
with s^4, and in at least one of 20 bands with 1 - (1 - s^4)^20: 0.72 at s = 0.5, 0.94 at 0.6.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from behavior_spark.model.arrays import Integers

RUN = 5
BANDS, ROWS = 20, 4
_PRIME = np.uint64((1 << 31) - 1)
_NOT_WORDS = re.compile(r"[\W_]+")
_DRAWS = np.random.default_rng(20240229)
_FACTORS = _DRAWS.integers(1, int(_PRIME), BANDS * ROWS, dtype=np.uint64)
_OFFSETS = _DRAWS.integers(0, int(_PRIME), BANDS * ROWS, dtype=np.uint64)


def character_runs(text: str) -> npt.NDArray[np.uint32]:
    """Hashes of the distinct runs of five characters, ascending; no case, signs, digits' values.

    Digits become 0: texts that differ in a number, a price or a code are still the same text.

    >>> len(character_runs("Hello, World!")), len(character_runs("hello world"))
    (7, 7)
    >>> len(character_runs(""))
    0
    """
    plain = re.sub(r"\d", "0", _NOT_WORDS.sub(" ", text.casefold()).strip())
    runs = {plain[start : start + RUN] for start in range(max(1, len(plain) - RUN + 1))} - {""}
    hashed = [zlib.crc32(run.encode()) for run in runs]
    return np.unique(np.array(hashed, dtype=np.uint64) % _PRIME).astype(np.uint32)


def band_keys(texts: Sequence[str]) -> Integers:
    """A key for each band of each text's MinHash signature, int64 [texts, bands].

    A text without a letter or digit has key -1 in every band.
    """
    keys = np.full((len(texts), BANDS), -1, dtype=np.int64)
    for place, text in enumerate(texts):
        runs = character_runs(text)
        if len(runs):
            spread = runs.astype(np.uint64)[None, :]
            values = (_FACTORS[:, None] * spread + _OFFSETS[:, None]) % _PRIME
            signature = values.min(axis=1).reshape(BANDS, ROWS)
            keys[place] = [hash(tuple(band)) for band in signature.tolist()]
    return keys


def packed_runs(texts: Sequence[str]) -> list[bytes]:
    """The character runs of each text, four bytes each, as ``similarities`` compares them."""
    return [character_runs(text).tobytes() for text in texts]


def similarities(left: Sequence[bytes], right: Sequence[bytes]) -> npt.NDArray[np.float64]:
    """Jaccard similarity of the character runs of each pair of texts, float64 [pairs].

    Args:
        left: One text of each pair, from ``packed_runs``.
        right: The other, in the same order.
    """
    size = np.dtype(np.uint32).itemsize
    lengths = [np.array([len(runs) // size for runs in side], dtype=np.int64)
               for side in (left, right)]  # fmt: skip
    # A run with its pair before it is one number; these ascend, as pairs and their runs do.
    pairs = np.arange(len(left), dtype=np.uint64) << np.uint64(32)
    ones, others = (
        np.repeat(pairs, length) | np.frombuffer(b"".join(side), dtype=np.uint32)
        for side, length in zip((left, right), lengths, strict=True)
    )
    common = np.zeros(len(left), dtype=np.int64)
    if len(ones):
        nearest = np.minimum(np.searchsorted(ones, others), len(ones) - 1)
        shared = others[ones[nearest] == others]
        common = np.bincount((shared >> np.uint64(32)).astype(np.int64), minlength=len(left))
    either = lengths[0] + lengths[1] - common
    found = np.zeros(len(left))
    np.divide(common, either, out=found, where=either > 0)
    return found


def components(left: Integers, right: Integers) -> tuple[Integers, Integers]:
    """Connected components of pairs.

    Args:
        left: int64 [pairs]: one end of each pair.
        right: int64 [pairs]: its other end.

    Returns:
        The distinct ends, ascending, and for each the smallest end of its component.
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    nodes, places = np.unique(np.concatenate([left, right]), return_inverse=True)
    if not len(nodes):
        return nodes, nodes
    ends = places.reshape(2, -1)
    links = coo_matrix((np.ones(ends.shape[1], dtype=np.int8), (ends[0], ends[1])),
                       shape=(len(nodes), len(nodes)))  # fmt: skip
    count, labels = connected_components(links, directed=False)
    smallest = np.full(count, np.iinfo(np.int64).max)
    np.minimum.at(smallest, labels, nodes)
    return nodes, smallest[labels]
