"""The customer-base models of the benchmark give what their papers give."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.contenders.bg_nbd import (
    BetaGeometric,
    GammaGamma,
    Histories,
    fit_beta_geometric,
    fit_gamma_gamma,
)

# Estimates for CDNOW: table 1 of the BG/NBD paper, and section 4 of the gamma-gamma note.
CDNOW = BetaGeometric(r=0.243, alpha=4.414, a=0.793, b=2.426)
SPENDING = GammaGamma(p=6.25, q=3.74, v=15.44)


def test_expected_purchases_are_those_of_the_authors_spreadsheet() -> None:
    """Customer 0001 of CDNOW: brucehardie.com/notes/004."""
    one = Histories(np.array([2.0]), np.array([30.43]), np.array([38.86]))
    assert CDNOW.expected(one, 39.0)[0] == pytest.approx(1.226, abs=0.001)


def test_the_expected_value_of_a_purchase_is_that_of_the_note() -> None:
    """Customers 0001, 0002 and one without a repeat, who gets the mean of all."""
    values = SPENDING.expected(np.array([2.0, 1.0, 0.0]), np.array([22.35, 11.77, 0.0]))
    np.testing.assert_allclose(values, [24.65, 18.91, 35.21], atol=0.05)


def simulated(count: int, weeks: float) -> tuple[Histories, np.ndarray]:
    """Customers drawn from BG/NBD, and how often each buys in the ten weeks after."""
    dice = np.random.default_rng(5)
    rates = dice.gamma(0.8, 1 / 6.0, count)
    stops = dice.beta(1.2, 3.0, count)
    age = dice.uniform(20, weeks, count)
    repeats, last, later = np.zeros(count), np.zeros(count), np.zeros(count)
    for place in range(count):
        now = 0.0
        while dice.random() >= (stops[place] if now else 0.0):
            now += dice.exponential(1 / rates[place])
            if now <= age[place]:
                repeats[place], last[place] = repeats[place] + 1, now
            elif now <= age[place] + 10:
                later[place] += 1
            else:
                break
    return Histories(repeats, last, age), later


def test_a_fit_finds_what_customers_were_drawn_from_and_foretells_what_they_do() -> None:
    customers, later = simulated(6_000, 100.0)
    fitted = fit_beta_geometric(customers)
    assert (fitted.r, fitted.alpha) == pytest.approx((0.8, 6.0), rel=0.15)
    assert fitted.a / (fitted.a + fitted.b) == pytest.approx(1.2 / 4.2, rel=0.2)
    assert fitted.log_likelihood(customers) >= CDNOW.log_likelihood(customers)
    expected = fitted.expected(customers, 10.0)
    assert expected.mean() == pytest.approx(later.mean(), rel=0.1)
    often = expected > np.quantile(expected, 0.8)
    assert expected[often].mean() == pytest.approx(later[often].mean(), rel=0.1)
    none = fitted.none_within(customers, 10.0)
    assert none.mean() == pytest.approx((later == 0).mean(), abs=0.02)


def test_gamma_gamma_finds_what_values_were_drawn_from() -> None:
    dice = np.random.default_rng(6)
    repeats = dice.integers(1, 9, 5_000).astype(float)
    scales = dice.gamma(4.0, 1 / 15.0, 5_000)
    means = dice.gamma(6.0 * repeats, 1 / (scales * repeats))
    fitted = fit_gamma_gamma(repeats, means)
    assert (fitted.p, fitted.q) == pytest.approx((6.0, 4.0), rel=0.1)
    assert fitted.v == pytest.approx(15.0, rel=0.15)
