"""BG/NBD and gamma-gamma: how often a customer buys again, and for how much, by maximum likelihood.

Fader, Hardie and Lee 2005, "Counting Your Customers the Easy Way: An Alternative to the Pareto/NBD
Model", Marketing Science 24(2), doi 10.1287/mksc.1040.0098; Fader and Hardie 2013, "The Gamma-Gamma
Model of Monetary Value", brucehardie.com/notes/025. Written here because the library that had them
(`lifetimes`) is kept no longer; `tests/benchmarks` checks the published figures.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import gammaln, hyp2f1

Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Histories:
    """Purchases of customers until now; all arrays are float64 (customers,).

    Attributes:
        repeats: Purchases after the first, x.
        last: Time from the first purchase to the last, t_x; 0 without a repeat.
        age: Time from the first purchase until now, T.
    """

    repeats: Doubles
    last: Doubles
    age: Doubles


@dataclass(frozen=True)
class BetaGeometric:
    """BG/NBD: rates are gamma (r, alpha), the chance to stop after a purchase is beta (a, b)."""

    r: float
    alpha: float
    a: float
    b: float

    def log_likelihood(self, customers: Histories) -> float:
        """Of all customers together: equation 6 of the paper, in logarithms."""
        x, again = customers.repeats, customers.repeats > 0
        rates = gammaln(self.r + x) - gammaln(self.r) + self.r * np.log(self.alpha)
        stops = (
            gammaln(self.a + self.b) + gammaln(self.b + x)
            - gammaln(self.b) - gammaln(self.a + self.b + x)
        )  # fmt: skip
        active = -(self.r + x) * np.log(self.alpha + customers.age)
        stopped = (
            np.log(self.a) - np.log(self.b + np.maximum(x, 1) - 1)
            - (self.r + x) * np.log(self.alpha + customers.last)
        )  # fmt: skip
        either = np.where(again, np.logaddexp(active, stopped), active)
        return float((rates + stops + either).sum())

    def active(self, customers: Histories) -> Doubles:
        """Probability that a customer has not stopped, (customers,)."""
        return 1 / (1 + self._odds_of_stop(customers))

    def expected(self, customers: Histories, horizon: float) -> Doubles:
        """Expected purchases within the horizon, (customers,): equation 10 of the paper."""
        x, reach = customers.repeats, self.alpha + customers.age
        power = (reach / (reach + horizon)) ** (self.r + x)
        series = hyp2f1(
            self.r + x, self.b + x, self.a + self.b + x - 1, horizon / (reach + horizon)
        )
        factor = (self.a + self.b + x - 1) / (self.a - 1)
        return np.asarray(factor * (1 - power * series) * self.active(customers))

    def none_within(self, customers: Histories, horizon: float) -> Doubles:
        """Probability of no purchase within the horizon, (customers,)."""
        reach = self.alpha + customers.age
        waits = (reach / (reach + horizon)) ** (self.r + customers.repeats)
        return np.asarray(1 - self.active(customers) * (1 - waits))

    def _odds_of_stop(self, customers: Histories) -> Doubles:
        x = customers.repeats
        ratio = (self.alpha + customers.age) / (self.alpha + customers.last)
        odds = self.a / (self.b + np.maximum(x, 1) - 1) * ratio ** (self.r + x)
        return np.where(x > 0, odds, 0.0)


@dataclass(frozen=True)
class GammaGamma:
    """Values of purchases are gamma (p, nu), and nu is gamma (q, v) over customers."""

    p: float
    q: float
    v: float

    def log_likelihood(self, repeats: Doubles, means: Doubles) -> float:
        """Of customers with at least one repeat and their mean value; equation 1a of the note."""
        shape = self.p * repeats
        return float(
            (
                gammaln(shape + self.q) - gammaln(shape) - gammaln(self.q)
                + self.q * np.log(self.v) + (shape - 1) * np.log(means)
                + shape * np.log(repeats) - (shape + self.q) * np.log(self.v + means * repeats)
            ).sum()
        )  # fmt: skip

    def expected(self, repeats: Doubles, means: Doubles) -> Doubles:
        """Expected value of a purchase, (customers,); means of customers without repeats are 0."""
        return np.asarray(
            self.p * (self.v + means * repeats) / (self.p * repeats + self.q - 1)
        )


def fit_beta_geometric(customers: Histories) -> BetaGeometric:
    """The parameters of greatest likelihood; time is scaled for the search alone."""
    unit = float(customers.age.max()) / 10

    def negative(parameters: Doubles) -> float:
        r, alpha, a, b = np.exp(parameters)
        return -BetaGeometric(r, alpha * unit, a, b).log_likelihood(customers)

    r, alpha, a, b = _greatest(negative, [[0, 0, 0, 0], [-1, 0, -1, 1], [0, 1, -1, 1]])
    return BetaGeometric(r, alpha * unit, a, b)


def fit_gamma_gamma(repeats: Doubles, means: Doubles) -> GammaGamma:
    """The parameters of greatest likelihood, of customers with repeats and a mean above 0."""
    used = (repeats > 0) & (means > 0)
    repeats, means = repeats[used], means[used]
    unit = float(means.mean())

    def negative(parameters: Doubles) -> float:
        p, q, v = np.exp(parameters)
        return -GammaGamma(p, q, v * unit).log_likelihood(repeats, means)

    p, q, v = _greatest(negative, [[1, 1, 0], [2, 1, 1], [0, 1, 0]])
    return GammaGamma(p, q, v * unit)


def _greatest(negative: Callable[[Doubles], float], starts: Sequence[Sequence[float]]) -> Doubles:
    """The parameters (not their logarithms) of the best of several searches."""
    bounds = [(-10.0, 10.0)] * len(starts[0])
    searches = [
        minimize(negative, np.array(start, dtype=float), method="L-BFGS-B", bounds=bounds)
        for start in starts
    ]
    best = min(searches, key=lambda search: float(search.fun))
    return np.asarray(np.exp(best.x))
