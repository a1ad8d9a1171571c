"""The nearest values between the split points of trees that a person can read."""

from __future__ import annotations

import numpy as np

from behavior_spark.model.arrays import Doubles, Floats

# Values are written with so many digits; see ``sayings``.
_DIGITS = 3


def nearest_values(
    splits: Floats, *, low: float, high: float, whole: bool
) -> tuple[Doubles, Doubles]:
    """For each interval between split points the value next to the one below and the one above.

    Interval 0 ends before the first split point; interval k begins with split point k - 1.

    Args:
        splits: Split points, float32 (splits,), ascending.
        low: Smallest value there may be.
        high: Greatest value there may be.
        whole: Whether only whole numbers are possible.

    Returns:
        Values next to the intervals below, float64 (splits + 1,), then next to those above; NaN
        where there is none. They have at most three digits where such a number is inside.

    >>> up, down = nearest_values(
    ...     np.array([2.0133, 9.5], np.float32), low=0.0, high=30.0, whole=False
    ... )
    >>> up.tolist(), down.tolist()
    ([nan, 2.02, 9.5], [2.01, 9.49, nan])
    >>> up, down = nearest_values(np.array([2.5], np.float32), low=0.0, high=30.0, whole=True)
    >>> up.tolist(), down.tolist()
    ([nan, 3.0], [2.0, nan])
    """
    exact = splits.astype(np.float64)
    before = np.nextafter(splits, np.float32(-np.inf)).astype(np.float64)
    begins, ends = np.append(-np.inf, exact), np.append(before, np.inf)
    if whole:
        up = np.append(np.nan, np.ceil(exact))
        down = np.append(np.ceil(exact) - 1, np.nan)
    else:
        up = np.append(np.nan, _rounded(exact, np.ceil))
        down = np.append(_rounded(before, np.floor), np.nan)
        up = np.where(_inside(up, begins, ends), up, np.append(np.nan, exact))
        down = np.where(_inside(down, begins, ends), down, np.append(before, np.nan))
        up = np.where(up > high, np.append(np.nan, exact), up)
        down = np.where(down < low, np.append(before, np.nan), down)
    possible = [
        np.where(_inside(values, begins, ends) & (values >= low) & (values <= high), values, np.nan)
        for values in (up, down)
    ]
    return possible[0], possible[1]


def _rounded(values: Doubles, towards: np.ufunc) -> Doubles:
    """To three digits, up or down."""
    with np.errstate(divide="ignore"):
        digits = np.where(values == 0, 0, np.floor(np.log10(np.abs(values))))
    unit = 10.0 ** (digits - _DIGITS + 1)
    near = np.round(values / unit)
    # What is such a number already, as float32 writes it, stays as it is.
    steps = np.where(np.float32(near * unit) == np.float32(values), near, towards(values / unit))
    return np.asarray(np.round(steps * unit, 12))


def _inside(values: Doubles, begins: Doubles, ends: Doubles) -> np.ndarray:
    """Whether a value is in its interval as models read it, in float32."""
    read = values.astype(np.float32).astype(np.float64)
    return np.asarray((read >= begins) & (read <= ends))
