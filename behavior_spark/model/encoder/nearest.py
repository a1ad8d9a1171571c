"""Exact nearest neighbours by cosine; results do not depend on how the matrices are cut up.

The float32 product of two vectors differs in its last bits with the shape of the matrices, the
BLAS library and the processor. Rounding does not help: two products can lie on both sides of a
rounding edge. So the product only selects candidates: all pairs that can be among the k best,
given its error bound. Their cosines are computed again in float64, for each pair by itself and in
a fixed order. Products of float32 numbers are exact in float64.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch

from behavior_spark.errors import ModelError
from behavior_spark.model.arrays import Doubles, Floats, Integers

# Scores (float32), or numbers of recomputed pairs (float64), in memory at once: 8 MB of scores fit
# into a processor's cache.
_AT_ONCE = 2_000_000
# Steps of the similarity between 0 and 1. They are coarser than float64's error, so that all
# orthogonal vectors have exactly the same similarity, 0.
_STEPS = 2.0**24


def nearest(
    queries: Floats,
    corpus: Floats,
    k: int,
    *,
    excluded: npt.NDArray[np.integer] | None = None,
    device: str = "cpu",
) -> tuple[Floats, Integers]:
    """The k corpus rows nearest to each query by cosine similarity, the nearest first.

    A similarity is the cosine rounded to a multiple of 2**-24 (6e-8, the precision of float32
    near 1) and depends only on its two vectors. Equal similarities are in the order of the corpus.
    A vector of zeros has similarity 0 to all. Memory beyond the arguments: one normalised copy of
    each, and some tens of MB.

    Args:
        queries: float32 [q, d], finite, of any norm.
        corpus: float32 [n, d], finite, of any norm.
        k: Number of rows to return, at least 1; n if the corpus has fewer rows.
        excluded: integer [q], for each query a corpus row that must not match, or -1.
        device: Device of the matrix product.

    Returns:
        float32 [q, min(k, n)], similarities in [-1, 1], and int64 of the same shape, corpus rows.
        If there are fewer than k other rows, the excluded row is last, with similarity -inf.

    Raises:
        ModelError: The widths differ, a number is not finite, or k is less than 1.
    """
    _check(queries, corpus, k)
    count, width = len(queries), min(k, len(corpus))
    similarities, indices = np.empty((count, width), np.float32), np.empty((count, width), np.int64)
    if not similarities.size:
        return similarities, indices
    excluded_columns = np.full(count, -1) if excluded is None else np.asarray(excluded)
    query_norms, corpus_norms = _norms(queries), _norms(corpus)
    left = _units(queries, query_norms, device)
    right = _units(corpus, corpus_norms, device)
    for part in _parts(count, len(corpus)):
        rows, columns = _candidates(left[part], right, width, excluded_columns[part])
        cosines = _cosines(
            (queries[part], query_norms[part]), (corpus, corpus_norms), rows, columns
        )
        cosines[columns == excluded_columns[part][rows]] = -np.inf
        order = np.lexsort((columns, -cosines, rows))
        starts = np.searchsorted(rows, np.arange(part.stop - part.start))
        top = order[starts[:, None] + np.arange(width)]
        similarities[part], indices[part] = cosines[top], columns[top]
    return similarities, indices


class RunningNearest:
    """The k rows nearest to each query, of a corpus that is given in blocks.

    Attributes:
        similarities: float32 [q, at most k], equal to :func:`nearest` over all blocks so far.
        positions: int64 of the same shape, row numbers counted over all blocks.
    """

    def __init__(self, queries: Floats, k: int, *, device: str = "cpu") -> None:
        self.similarities = np.empty((len(queries), 0), np.float32)
        self.positions = np.empty((len(queries), 0), np.int64)
        self._queries, self._k, self._device = queries, k, device
        self._seen = 0

    def add(self, corpus: Floats, *, excluded: npt.NDArray[np.integer] | None = None) -> None:
        """Compare the queries with the corpus's next block; arguments as in :func:`nearest`."""
        similarities, indices = nearest(
            self._queries, corpus, self._k, excluded=excluded, device=self._device
        )
        similarities = np.concatenate([self.similarities, similarities], axis=1)
        positions = np.concatenate([self.positions, indices + self._seen], axis=1)
        # Stable: of equal similarities, rows of earlier blocks stay first.
        order = np.argsort(-similarities, axis=1, kind="stable")[:, : self._k]
        self.similarities = np.take_along_axis(similarities, order, axis=1)
        self.positions = np.take_along_axis(positions, order, axis=1)
        self._seen += len(corpus)


def _check(queries: Floats, corpus: Floats, k: int) -> None:
    if k < 1:
        raise ModelError("k must be at least 1", found=str(k))
    if queries.ndim != 2 or corpus.ndim != 2 or queries.shape[1] != corpus.shape[1]:
        raise ModelError(
            "these embeddings cannot be compared: their lengths differ",
            found=f"queries of shape {queries.shape}, a corpus of shape {corpus.shape}",
            fix="compare embeddings of one encoder",
        )
    if not (np.isfinite(queries).all() and np.isfinite(corpus).all()):
        raise ModelError(
            "an embedding holds a number that is null, NaN or infinite",
            fix="leave out such rows, or set their embedding to null",
        )


def _candidates(
    queries: torch.Tensor, corpus: torch.Tensor, k: int, excluded: npt.NDArray[np.integer]
) -> tuple[Integers, Integers]:
    """All pairs that can be among a query's k best: rows, ascending, and their columns.

    For unit vectors of width d the error of the product is at most (d + 3) 2**-24, for any order
    of its sums (Higham 2002, "Accuracy and Stability of Numerical Algorithms", 3.1), and that of
    the rounded cosine 2**-25. So the score of a pair among the k best is less than twice their
    sum below the k-th best score.
    """
    scores = queries @ corpus.T
    rows = np.flatnonzero(excluded >= 0)
    scores[torch.from_numpy(rows), torch.from_numpy(excluded[rows])] = -torch.inf
    kth_best = torch.topk(scores, k, dim=1, sorted=False).values.amin(dim=1, keepdim=True)
    margin = (queries.shape[1] + 8) * 2.0**-23
    pairs = torch.nonzero(scores >= kth_best - margin).cpu().numpy()
    return pairs[:, 0], pairs[:, 1]


def _cosines(
    queries: tuple[Floats, Doubles],
    corpus: tuple[Floats, Doubles],
    rows: Integers,
    columns: Integers,
) -> Floats:
    """Rounded cosine of each pair (row, column), float32 [pairs], from vectors and their norms."""
    cosines = np.zeros(len(rows), np.float32)
    lengths = queries[1][rows] * corpus[1][columns]
    pairs = np.flatnonzero(lengths)
    for part in _parts(len(pairs), 2 * corpus[0].shape[1]):
        selected = pairs[part]
        left, right = queries[0][rows[selected]], corpus[0][columns[selected]]
        dots = np.multiply(left, right, dtype=np.float64).sum(axis=1)
        cosines[selected] = np.rint(dots / lengths[selected] * _STEPS) / _STEPS + 0.0  # never -0.0
    return cosines


def _norms(matrix: Floats) -> Doubles:
    norms = np.empty(len(matrix), np.float64)
    for part in _parts(len(matrix), 2 * matrix.shape[1]):
        norms[part] = np.sqrt(np.square(matrix[part], dtype=np.float64).sum(axis=1))
    return norms


def _units(matrix: Floats, norms: Doubles, device: str) -> torch.Tensor:
    """Vectors of length 1, zeros where the norm is 0."""
    units = np.zeros(matrix.shape, np.float32)
    lengths = np.where(norms > 0, norms, 1.0)[:, None]
    np.divide(matrix, lengths, out=units, casting="same_kind")
    # Other code of the process may have allowed TF32 products; then use float64.
    precise = torch.get_float32_matmul_precision() == "highest"
    return torch.from_numpy(units).to(device, torch.float32 if precise else torch.float64)


def _parts(rows: int, width: int) -> Iterator[slice]:
    """Slices of rows such that rows in a slice times ``width`` is at most ``_AT_ONCE``."""
    step = max(1, _AT_ONCE // max(1, width))
    return (slice(start, min(start + step, rows)) for start in range(0, rows, step))
