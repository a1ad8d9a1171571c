"""Random draws, with one reproducible stream for each user and purpose.

A numpy Generator is slow for single numbers, so uniform numbers are drawn in blocks and all other
draws are computed from them. A stream depends only on the seed, the user and the purpose, never on
the partition or machine that runs it.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import TypeVar

import numpy as np

T = TypeVar("T")

_BLOCK = 512
_MASK = (1 << 64) - 1


def scrambled(index: int, number: int, *, seed: int, salt: int = 0) -> str:
    """Return 16 hexadecimal digits, unique for (index, number), that do not reveal either.

    Every step is a bijection of 64 bits, so ids of one seed and salt do not collide while a user
    has fewer than 2**24 of them.
    """
    mixed = ((index << 24) | number) ^ (seed * 0x9E3779B97F4A7C15 + salt * 0xD1B54A32D192ED03)
    mixed &= _MASK
    for factor in (0xBF58476D1CE4E5B9, 0x94D049BB133111EB):
        mixed = ((mixed ^ (mixed >> 31)) * factor) & _MASK
    return f"{mixed ^ (mixed >> 31):016x}"


def cumulative(weights: Sequence[float]) -> tuple[float, ...]:
    """Turn weights into cumulative shares for `Dice.weighted`.

    >>> cumulative([1, 1, 2])
    (0.25, 0.5, 1.0)
    """
    total = float(sum(weights))
    return tuple(running / total for running in accumulate(weights))


class Dice:
    """A reproducible stream of draws."""

    def __init__(self, *key: int) -> None:
        self._generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence(key)))
        self._block: list[float] = []

    def uniform(self) -> float:
        """Draw from [0, 1)."""
        if not self._block:
            self._block = self._generator.random(_BLOCK).tolist()
        return self._block.pop()

    def between(self, low: float, high: float) -> float:
        """Draw from [low, high)."""
        return low + (high - low) * self.uniform()

    def below(self, bound: int) -> int:
        """Draw a whole number from [0, bound)."""
        return int(self.uniform() * bound)

    def chance(self, probability: float) -> bool:
        """Return True with this probability."""
        return self.uniform() < probability

    def pick(self, options: Sequence[T]) -> T:
        """Pick one of the options, all equally likely."""
        return options[int(self.uniform() * len(options))]

    def weighted(self, options: Sequence[T], shares: Sequence[float]) -> T:
        """Pick one of the options by cumulative shares (see `cumulative`)."""
        return options[min(bisect_right(shares, self.uniform()), len(options) - 1)]

    def poisson(self, mean: float) -> int:
        """Draw from the Poisson distribution; fast only for small means."""
        limit, count, product = math.exp(-mean), 0, self.uniform()
        while product > limit:
            count += 1
            product *= self.uniform()
        return count

    def exponential(self, mean: float) -> float:
        """Draw from the exponential distribution."""
        return -mean * math.log(1.0 - self.uniform())

    def normal(self) -> float:
        """Draw from the standard normal distribution."""
        radius = math.sqrt(-2.0 * math.log(1.0 - self.uniform()))
        return radius * math.cos(2.0 * math.pi * self.uniform())
