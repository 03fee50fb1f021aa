"""Shapers as the literature has them, and where Klipper would set them."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq

from jaxcorr.identify import shapers
from jaxcorr.identify.resonance_test import Mode, ResonanceTest

FREQUENCIES, RATIOS = st.floats(5.0, 80.0), st.floats(0.0, 0.6)


def residual(shaper, frequency_hz, ratio):
    """V: vibration after the last impulse, as a fraction of what one impulse leaves.

    Source: Singer and Seering, 1990, equation of the residual amplitude.
    """
    w = 2.0 * np.pi * frequency_hz
    phase = w * np.sqrt(1.0 - ratio**2) * shaper.times_s
    left = shaper.amplitudes * np.exp(ratio * w * (shaper.times_s - shaper.times_s[-1]))
    return float(np.hypot(left @ np.cos(phase), left @ np.sin(phase)))


def insensitivity(kind, tolerance=0.05):
    """Width of the range of w / w_modelled, without damping, where V stays within a tolerance."""
    shaper = shapers.make_shaper(kind, 1.0, 0.0)

    def above(ratio):
        return residual(shaper, ratio, 0.0) - tolerance - 1e-9

    low: Any = brentq(above, 0.5, 0.999 if above(0.999) < 0 else 0.95)
    high: Any = brentq(above, 1.001 if above(1.001) < 0 else 1.05, 1.5)
    return high - low


@given(st.sampled_from(shapers.KINDS), FREQUENCIES, RATIOS)
def test_impulses_are_positive_and_sum_to_one(kind, frequency_hz, ratio):
    shaper = shapers.make_shaper(kind, frequency_hz, ratio)
    assert np.all(shaper.amplitudes > 0)
    assert np.all(np.diff(shaper.times_s) > 0)
    assert shaper.times_s[0] == 0.0
    assert shaper.amplitudes.sum() == pytest.approx(1.0)


@given(st.sampled_from(["zv", "mzv"]), FREQUENCIES, RATIOS)
def test_zv_and_mzv_leave_no_vibration(kind, frequency_hz, ratio):
    assert residual(shapers.make_shaper(kind, frequency_hz, ratio), frequency_hz, ratio) < 1e-12


def test_impulses_as_the_literature_has_them():
    zv, ei = shapers.make_shaper("zv", 10.0, 0.0), shapers.make_shaper("ei", 10.0, 0.0)
    np.testing.assert_allclose(zv.amplitudes, [0.5, 0.5])
    np.testing.assert_allclose(zv.times_s, [0.0, 0.05])
    np.testing.assert_allclose(ei.amplitudes, [0.2625, 0.475, 0.2625])
    np.testing.assert_allclose(ei.times_s, [0.0, 0.05, 0.1])
    mzv = shapers.make_shaper("mzv", 10.0, 0.0)
    np.testing.assert_allclose(mzv.amplitudes, [1 - 0.5**0.5, 2**0.5 - 1, 1 - 0.5**0.5])
    np.testing.assert_allclose(mzv.times_s, [0.0, 0.0375, 0.075])


def test_ei_leaves_its_tolerance_at_the_frequency_and_nothing_on_either_side():
    ei = shapers.make_shaper("ei", 1.0, 0.0)
    assert residual(ei, 1.0, 0.0) == pytest.approx(shapers.EI_TOLERANCE)
    aside = np.arccos(-(1 - shapers.EI_TOLERANCE) / (1 + shapers.EI_TOLERANCE)) / np.pi
    for ratio in (aside, 2 - aside):
        assert residual(ei, ratio, 0.0) < 1e-12


def test_robustness_to_a_wrong_frequency_is_that_of_the_literature():
    # Singhose's insensitivity at 5% of vibration: ZV 0.065, EI 0.399.
    zv, mzv, ei = (insensitivity(kind) for kind in shapers.KINDS)
    assert zv == pytest.approx(0.065, abs=0.002)
    assert ei == pytest.approx(0.399, abs=0.002)
    assert zv < mzv < ei


@pytest.mark.parametrize(("kind", "slope"), [("zv", np.pi / 2), ("mzv", 0.976)])
def test_slopes_of_the_residual(kind, slope):
    shaper = shapers.make_shaper(kind, 1.0, 0.0)
    assert residual(shaper, 1.0001, 0.0) / 1e-4 == pytest.approx(slope, rel=1e-3)


@pytest.mark.parametrize("kind", shapers.KINDS)
def test_residual_vibration_is_singers(kind):
    made = [shapers.make_shaper(kind, frequency_hz, 0.1) for frequency_hz in (20.0, 35.0)]
    amplitudes, times_s = (np.array(values) for values in zip(*made, strict=True))
    frequency_hz = np.array([5.0, 20.0, 60.0])
    found = shapers.residual_vibration(amplitudes, times_s, frequency_hz, 0.075)
    expected = [[residual(each, f, 0.075) for f in frequency_hz] for each in made]
    np.testing.assert_allclose(found, expected, atol=1e-12)


def choose_slowly(kind, frequency_hz, psd):
    """The choice, one frequency after the other, from the highest down."""
    power = psd * shapers.command_weight(frequency_hz)
    least = power.max() / 20

    def left(tried):
        made = shapers.make_shaper(kind, tried, 0.1)
        return max(
            sum(
                max(residual(made, f, ratio) * p - least, 0.0)
                for f, p in zip(frequency_hz, power, strict=True)
            )
            / np.maximum(power - least, 0.0).sum()
            for ratio in (0.075, 0.1, 0.15)
        )

    def score(tried, share):
        smoothing = shapers.corner_smoothing_mm(shapers.make_shaper(kind, tried, 0.1))
        return smoothing * (share**1.5 + 0.2 * share + 0.01)

    tried = np.arange(shapers.LOWEST_HZ[kind], 150.0, 0.2)
    shares = [left(each) for each in tried]
    scores = [score(*pair) for pair in zip(tried, shares, strict=True)]
    best = max(i for i, share in enumerate(shares) if share == min(shares))
    chosen = best
    for i in range(len(tried)):
        if shares[i] < 1.1 * shares[best] + 0.0005 and scores[i] < scores[chosen]:
            chosen = i
    return tried[chosen], shares[chosen]


@pytest.mark.parametrize(
    "modes",
    [[Mode(45.0, 0.06)], [Mode(40.0, 0.1, 0.6), Mode(70.0, 0.08, 0.4)]],
    ids=["one mode", "two modes"],
)
@pytest.mark.parametrize("kind", ["zv", "mzv"])
def test_klippers_choice_is_the_search_as_described(kind, modes):
    frequency_hz = 4.0 * np.arange(1, 50)
    psd = ResonanceTest(4.0, 50).psd(modes)[1:]
    found = shapers.klippers_choice(kind, frequency_hz, psd)
    assert found == pytest.approx(choose_slowly(kind, frequency_hz, psd))


def test_klippers_choice_follows_the_axis():
    test, frequency_hz = ResonanceTest(1.5, 134), 1.5 * np.arange(134)
    for mode_hz in (35.0, 50.0, 80.0):
        psd = test.psd([Mode(mode_hz, 0.05)])
        found = shapers.klippers_choice("zv", frequency_hz, psd)
        assert found.frequency_hz == pytest.approx(mode_hz, rel=0.02)
        assert found.vibrations < 0.05
        # A louder test tells the same.
        assert shapers.klippers_choice("zv", frequency_hz, 7.0 * psd) == pytest.approx(found)


def test_corners_are_cut_more_by_slower_shapers():
    zv, slow, mzv = (
        shapers.corner_smoothing_mm(shapers.make_shaper(kind, frequency_hz, 0.0))
        for kind, frequency_hz in (("zv", 40.0), ("zv", 20.0), ("mzv", 40.0))
    )
    # ZV at 40 Hz, a reversal: each impulse is 6.25 ms from the middle, at half of 5000 mm/s2.
    assert zv == pytest.approx(2500.0 * 0.00625**2)
    # A turn by 90 degrees of two axes counts more for a fast shaper: late half, 5 mm/s besides.
    fast = shapers.corner_smoothing_mm(shapers.make_shaper("zv", 120.0, 0.0))
    late_s = 0.00625 / 3.0
    assert fast == pytest.approx(2**0.5 * 0.5 * (5.0 + 2500.0 * late_s) * late_s)
    assert zv < mzv < slow


def test_the_weight_of_the_command_can_be_undone():
    frequency_hz = np.array([0.0, 1.5, 9.0, 10.5, 150.0])
    weight = shapers.command_weight(frequency_hz)
    assert np.all(weight > 0)
    np.testing.assert_allclose(weight[3:], 1 / (frequency_hz[3:] + 0.1))
    assert np.all(np.diff(weight[:3]) > 0)
