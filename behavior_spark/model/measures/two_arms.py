"""What is expected of a group, and what two groups of which one was reached tell.

Intervals are of 95 %. Sources: R. G. Newcombe, "Interval estimation for the difference between
independent proportions", Statistics in Medicine 17 (1998), method 10; A. Donner and G. Y. Zou,
"Closed-form confidence intervals for functions of the normal mean and standard deviation",
Statistical Methods in Medical Research 21 (2012), for the ratio; Y. Hong, "On computing the
distribution function for the Poisson binomial distribution", CSDA 59 (2013), section 3.2, for the
normal approximation of a sum of unequal coins.
"""

from __future__ import annotations

import math

from behavior_spark.model.measures.confidence import wilson_interval

Interval = tuple[float, float]
_TWO_SIDED, _POWER = 1.959964, 0.841621  # quantiles of the normal: 97.5 % and 80 %


def expected_interval(mean: float, variance: float, *, count: int) -> Interval:
    """Interval of the number of successes among ``count`` independent trials.

    Args:
        mean: Sum of the trials' probabilities.
        variance: Sum of p (1 - p).
        count: Number of trials.

    >>> [round(bound, 1) for bound in expected_interval(50.0, 25.0, count=100)]
    [39.7, 60.3]
    """
    # Half a success more on each side: the number is whole, the normal is not.
    half = _TWO_SIDED * math.sqrt(variance) + (0.5 if variance > 0 else 0.0)
    return max(0.0, mean - half), min(float(count), mean + half)


def difference_interval(hits: int, count: int, other_hits: int, other_count: int) -> Interval:
    """Interval of hits / count - other_hits / other_count (Newcombe's method 10).

    >>> [round(bound, 4) for bound in difference_interval(56, 70, 48, 80)]
    [0.0524, 0.3339]
    """
    share, other = hits / count, other_hits / other_count
    low, high = wilson_interval(share, count)
    other_low, other_high = wilson_interval(other, other_count)
    difference = share - other
    return (
        difference - math.hypot(share - low, other_high - other),
        difference + math.hypot(high - share, other - other_low),
    )


def ratio_interval(hits: int, count: int, other_hits: int, other_count: int) -> Interval:
    """Interval of (hits / count) / (other_hits / other_count), from the two Wilson intervals.

    The upper bound is infinite where the other share may be 0.

    >>> [round(bound, 3) for bound in ratio_interval(56, 70, 48, 80)]
    [1.078, 1.663]
    """
    share, other = hits / count, other_hits / other_count
    low, high = wilson_interval(share, count)
    other_low, other_high = wilson_interval(other, other_count)
    high_ratio = math.inf
    if other > 0:
        high_ratio = _ratio_bound(share, other, high, other_low, sign=1)
    return _ratio_bound(share, other, low, other_high, sign=-1), high_ratio


def _ratio_bound(share: float, other: float, end: float, other_end: float, *, sign: int) -> float:
    """A bound of the ratio share / other by Donner and Zou, from an end of each interval."""
    product, part, other_part = (
        share * other, end * (2 * share - end), other_end * (2 * other - other_end)
    )  # fmt: skip
    if abs(other_part) < 1e-12:  # the limit of the formula below
        return part / (2 * product) if product else 0.0
    root = math.sqrt(max(product**2 - part * other_part, 0.0))
    return max(0.0, (product + sign * root) / other_part)


def detectable_difference(rate: float, count: int, other_count: int) -> float | None:
    """The smallest rise over a rate that is seen with 80 % power; None without an arm.

    Two-sided at 5 %, by the normal approximation (J. L. Fleiss, "Statistical Methods for Rates and
    Proportions", chapter 4), to three digits. 1 where not even the largest rise is.

    Args:
        rate: Conversions per member of the other arm.
        count: Members of the arm whose rate rises.
        other_count: Members of the other arm.

    >>> round(detectable_difference(0.1, 900, 100), 3)
    0.115
    """
    if not count or not other_count:
        return None
    # Four more members, two of them with success: a rate of 0 is never certain (Agresti, Coull).
    base = (rate * other_count + 2) / (other_count + 4)
    low, high = 0.0, 1 - base
    if not _is_seen(base, high, count, other_count):
        return 1.0
    for _ in range(20):
        middle = (low + high) / 2
        low, high = (low, middle) if _is_seen(base, middle, count, other_count) else (middle, high)
    return high


def _is_seen(base: float, rise: float, count: int, other_count: int) -> bool:
    """Whether a rise is seen with 80 % power."""
    raised = base + rise
    pooled = (raised * count + base * other_count) / (count + other_count)
    if_none = math.sqrt(pooled * (1 - pooled) * (1 / count + 1 / other_count))
    if_any = math.sqrt(raised * (1 - raised) / count + base * (1 - base) / other_count)
    return rise >= _TWO_SIDED * if_none + _POWER * if_any
