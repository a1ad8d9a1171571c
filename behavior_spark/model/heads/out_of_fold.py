"""Logits for labelled texts by heads that have not learned from them (cross-validation).

Every labelled text is judged once by a head that was fitted on the other folds. Few held-out texts
say too little to choose a temperature by; all labelled texts together say more (stacking, Wolpert
1992). The same logits find labels that are likely wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from behavior_spark.model.arrays import Bools, Doubles, Integers
from behavior_spark.model.heads.holding_out import hash_place, normalise_text

FOLDS = 4

# Weights float64 [labels, dimension + 1] of a head fitted on the texts of a mask, bool [n].
Fit = Callable[[Bools], Doubles]


def fold_numbers(texts: Sequence[str], *, folds: int = FOLDS) -> Integers:
    """int64 [n]: the fold of each text, from the hash of its normalised form.

    Equal texts are in one fold. The digits of the hash that decide are not those by which texts
    are held out. Where all texts fall into one fold, as few may, they are dealt out in the order
    of their hashes, so that two different texts are never all in one.
    """
    places = [hash_place(normalise_text(text)) for text in texts]
    numbers = np.array([int(place * 2**40) % folds for place in places], dtype=np.int64)
    if len(np.unique(numbers)) > 1:
        return numbers
    ranks = np.unique(places, return_inverse=True)[1]
    return np.asarray(ranks % folds, dtype=np.int64)


def out_of_fold_logits(
    texts: Sequence[str], embeddings: npt.NDArray[np.floating], fit: Fit
) -> Doubles:
    """float64 [n, labels]: logits of each text by a head fitted on the texts of other folds.

    Args:
        texts: n texts.
        embeddings: [n, dimension], as ``fit`` reads them.
        fit: Fits a head on a part of the texts.
    """
    folds = fold_numbers(texts)
    vectors = embeddings.astype(np.float64)
    logits: Doubles | None = None
    for fold in np.unique(folds):
        out = folds == fold
        weights = fit(~out)
        if logits is None:
            logits = np.zeros((len(texts), len(weights)))
        logits[out] = vectors[out] @ weights[:, :-1].T + weights[:, -1]
    return np.empty((0, 0)) if logits is None else logits
