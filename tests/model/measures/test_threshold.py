"""The threshold of confidence that makes labels right as often as wanted."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from behavior_spark.model.measures.confidence import threshold_for

ROWS = st.lists(
    st.tuples(st.sampled_from([-1.0, 0.1, 0.4, 0.5, 0.8, 0.9, 0.99]), st.booleans()), max_size=60
)


@settings(max_examples=200, deadline=None)
@given(rows=ROWS, precision=st.sampled_from([0.5, 0.8, 0.95]), fewest=st.integers(1, 10))
def test_the_threshold_is_the_lowest_that_keeps_enough_labels_right(
    rows: list[tuple[float, bool]], precision: float, fewest: int
) -> None:
    confidence = np.array([row[0] for row in rows], dtype=np.float64)
    right = np.array([row[1] for row in rows], dtype=np.bool_)
    kept = threshold_for(confidence, right, precision, fewest=fewest)
    fitting = [
        value
        for value in set(confidence[confidence >= 0].tolist())
        if (among := right[confidence >= value]).sum() >= precision * len(among)
        and len(among) >= fewest
    ]
    if not fitting:
        assert kept is None
        return
    assert kept is not None and kept.threshold == min(fitting)
    among = right[confidence >= kept.threshold]
    assert (kept.labels, kept.accuracy) == (len(among), among.mean())
    assert kept.share == len(among) / len(rows)
    assert kept.low - 1e-9 <= kept.accuracy <= kept.high + 1e-9
