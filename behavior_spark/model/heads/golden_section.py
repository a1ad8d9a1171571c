"""Golden-section search (Kiefer 1953, "Sequential minimax search for a maximum")."""

from __future__ import annotations

import math
from collections.abc import Callable


def find_minimum(loss: Callable[[float], float], low: float, high: float) -> float:
    """Argument between ``low`` and ``high`` with the lowest value of a unimodal function.

    The result is within 1e-3 of the minimum.

    >>> round(find_minimum(lambda x: (x - 0.5) ** 2, 0.0, 2.0), 2)
    0.5
    """
    ratio = (math.sqrt(5.0) - 1.0) / 2.0
    left, right = high - ratio * (high - low), low + ratio * (high - low)
    at_left, at_right = loss(left), loss(right)
    while high - low > 1e-3:
        if at_left <= at_right:
            high, right, at_right = right, left, at_left
            left = high - ratio * (high - low)
            at_left = loss(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + ratio * (high - low)
            at_right = loss(right)
    return (low + high) / 2.0
