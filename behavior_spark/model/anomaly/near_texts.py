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


def character_runs(text: str) -> npt.NDArray[np.uint64]:
    """Hashes of the distinct runs of five characters, without case, signs and digits' values.

    Digits become 0: texts that differ in a number, a price or a code are still the same text.

    >>> len(character_runs("Hello, World!")), len(character_runs("hello world"))
    (7, 7)
    >>> len(character_runs(""))
    0
    """
    plain = re.sub(r"\d", "0", _NOT_WORDS.sub(" ", text.casefold()).strip())
    runs = {plain[start : start + RUN] for start in range(max(1, len(plain) - RUN + 1))} - {""}
    hashed = [zlib.crc32(run.encode()) for run in runs]
    return np.unique(np.array(hashed, dtype=np.uint64) % _PRIME)


def band_keys(texts: Sequence[str]) -> Integers:
    """A key for each band of each text's MinHash signature, int64 [texts, bands].

    A text without a letter or digit has key -1 in every band.
    """
    keys = np.full((len(texts), BANDS), -1, dtype=np.int64)
    for place, text in enumerate(texts):
        runs = character_runs(text)
        if len(runs):
            values = (_FACTORS[:, None] * runs[None, :] + _OFFSETS[:, None]) % _PRIME
            signature = values.min(axis=1).reshape(BANDS, ROWS)
            keys[place] = [hash(tuple(band)) for band in signature.tolist()]
    return keys


def similarities(left: Sequence[str], right: Sequence[str]) -> npt.NDArray[np.float64]:
    """Jaccard similarity of the character runs of each pair of texts, float64 [pairs]."""
    found = np.zeros(len(left))
    sets = {text: set(character_runs(text).tolist()) for text in {*left, *right}}
    for place, (one, other) in enumerate(zip(left, right, strict=True)):
        runs, others = sets[one], sets[other]
        common = len(runs & others)
        either = len(runs) + len(others) - common
        found[place] = common / either if either else 0.0
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
