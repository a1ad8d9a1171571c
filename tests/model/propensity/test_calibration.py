"""Calibrators: monotone, honest, and plain data."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from behavior_spark.errors import ModelError
from behavior_spark.model.measures.ranking import expected_calibration_error
from behavior_spark.model.propensity.calibration import Calibrator, fit_calibrator

KINDS = ["platt", "isotonic", "identity"]
ROWS = st.lists(st.tuples(st.floats(-30, 30), st.booleans()), min_size=4, max_size=60).filter(
    lambda rows: len({label for _, label in rows}) == 2
)


def overconfident(size: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Margins twice as far from -1 as the truth warrants."""
    generator = np.random.default_rng(seed)
    truth = generator.normal(-1, 1, size)
    return truth * 2 + 1, (generator.random(size) < 1 / (1 + np.exp(-truth))).astype(int)


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None, max_examples=60)
@given(rows=ROWS)
@example(rows=[(1.0, False), (9.905190711696276e-216, True), (-9.541492882618325, False)])
@example(
    rows=[(1.0, False), (1.0, False), (9.905190711696276e-216, True), (-10.0, False),
          (-9.541492882618325, False)]
)  # fmt: skip
def test_probabilities_never_fall_as_margins_rise(kind, rows):
    margins, labels = [margin for margin, _ in rows], [label for _, label in rows]
    calibrator = fit_calibrator(margins, labels, kind=kind)
    probabilities = calibrator.predict(np.linspace(-40, 40, 201))
    assert (np.diff(probabilities) >= 0).all()
    assert ((probabilities >= 0) & (probabilities <= 1)).all()


@pytest.mark.parametrize("kind", KINDS)
def test_json_round_trip_gives_the_same_probabilities(kind):
    margins, labels = overconfident(500)
    calibrator = fit_calibrator(margins, labels, kind=kind)
    restored = Calibrator.from_json(json.loads(json.dumps(calibrator.to_json())))
    assert restored == calibrator
    assert (restored.predict(margins) == calibrator.predict(margins)).all()


@pytest.mark.parametrize("kind", ["platt", "isotonic"])
def test_calibration_repairs_overconfident_margins_on_new_rows(kind):
    calibrator = fit_calibrator(*overconfident(5000), kind=kind)
    margins, labels = overconfident(20_000, seed=1)
    raw = expected_calibration_error(labels, Calibrator("identity").predict(margins))
    assert expected_calibration_error(labels, calibrator.predict(margins)) < 0.03 < raw / 2


def test_platt_finds_the_slope_and_intercept_that_made_the_labels():
    calibrator = fit_calibrator(*overconfident(100_000), kind="platt")
    assert calibrator.slope == pytest.approx(0.5, abs=0.02)
    assert calibrator.intercept == pytest.approx(-0.5, abs=0.03)


def test_auto_takes_isotonic_only_with_a_thousand_of_each_class():
    assert fit_calibrator(*overconfident(2000)).kind == "platt"
    assert fit_calibrator(*overconfident(6000)).kind == "isotonic"


def test_platt_on_separable_margins_stays_off_zero_and_one():
    calibrator = fit_calibrator([-5, -4, 4, 5], [0, 0, 1, 1], kind="platt")
    low, high = calibrator.predict([-5, 5])
    assert 0.2 < low < 0.25  # both targets are 0.25, met between the two margins
    assert high == pytest.approx(1 - low)


def test_isotonic_never_says_never_or_certain():
    calibrator = fit_calibrator(np.arange(100), np.arange(100) >= 50, kind="isotonic")
    assert calibrator.predict([-1e9])[0] == pytest.approx(1 / 102)
    assert calibrator.predict([1e9])[0] == pytest.approx(101 / 102)


@pytest.mark.parametrize("kind", ["platt", "isotonic"])
def test_margins_that_rank_backwards_become_the_base_rate(kind):
    margins, labels = overconfident(5000)
    probabilities = fit_calibrator(-margins, labels, kind=kind).predict([-3.0, 3.0])
    assert np.ptp(probabilities) < 0.1
    assert probabilities.mean() == pytest.approx(labels.mean(), abs=0.05)


def test_equal_margins_give_the_base_rate():
    assert fit_calibrator([2.0] * 100, [1] * 30 + [0] * 70, kind="platt").predict([2.0])[
        0
    ] == pytest.approx(0.3, abs=0.02)


@pytest.mark.parametrize(
    ("margins", "labels", "kind"),
    [([1.0, 2.0], [1, 1], "auto"), ([1.0, np.nan], [0, 1], "auto"), ([1.0, 2.0], [0, 1], "beta")],
)
def test_what_cannot_be_calibrated_is_refused(margins, labels, kind):
    with pytest.raises(ModelError):
        fit_calibrator(margins, labels, kind=kind)


def test_an_unknown_kind_in_a_file_is_refused():
    with pytest.raises(ModelError, match="unknown calibrator"):
        Calibrator.from_json({"kind": "pickle"})


@pytest.mark.parametrize("kind", ["platt", "isotonic"])
def test_rows_that_stand_for_others_are_calibrated_to_the_rate_of_all(kind):
    margins, labels = overconfident(60_000)
    margins, labels = np.asarray(margins) - 2, np.asarray(labels)
    labels = (np.random.default_rng(3).random(len(labels)) < 1 / (1 + np.exp(-margins))).astype(int)
    kept = (labels == 1) | (np.random.default_rng(4).random(len(labels)) < 0.1)
    weights = np.where(labels == 1, 1.0, 10.0)[kept]
    whole = fit_calibrator(margins, labels, kind=kind)
    sampled = fit_calibrator(margins[kept], labels[kept], kind=kind, weights=weights)
    unweighted = fit_calibrator(margins[kept], labels[kept], kind=kind)
    at = np.quantile(margins, [0.1, 0.3, 0.5, 0.7, 0.9])
    assert np.abs(sampled.predict(at) - whole.predict(at)).max() < 0.02
    assert np.abs(unweighted.predict(at) - whole.predict(at)).max() > 0.1


@pytest.mark.parametrize(("positives", "negatives"), [(25, 5_000), (100, 5_000), (500, 20_000)])
def test_a_sampled_class_is_smoothed_by_the_rows_it_stands_for(positives, negatives):
    generator = np.random.default_rng(0)
    labels = np.repeat([1, 0], [positives, negatives])
    margins = generator.normal(2 * labels - 1, 1)
    weights = np.where(labels > 0, 1.0, 100.0)
    predicted = fit_calibrator(margins, labels, weights=weights, kind="platt").predict(margins)
    rate = np.average(labels, weights=weights)
    assert np.average(predicted, weights=weights) == pytest.approx(rate, rel=0.1)
