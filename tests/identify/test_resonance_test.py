"""The simulated test: its command, a mode's exact response, and spectra as SciPy has them."""

import numpy as np
import pytest
import resonances
from scipy.signal import cont2discrete, lfilter, welch

from jaxcorr.identify import resonance_test
from jaxcorr.identify.resonance_test import Mode, ResonanceTest


def test_the_command_is_that_of_the_documentation():
    rate_hz = 51_200.0
    ours, theirs = resonance_test.command(rate_hz), resonances.sweep(rate_hz)
    # Samples in which the acceleration changes are averages; ours goes on to 135 Hz.
    same = np.isclose(ours[: len(theirs)], theirs)
    assert np.mean(same) > 0.97
    assert 129.0 < len(ours) / rate_hz < 131.0
    assert ours.max() == pytest.approx(75.0 * 135.0, rel=0.01)


def test_the_command_ends_each_cycle_at_rest():
    velocity = np.cumsum(resonance_test.command(1600.0)) / 1600.0
    # Half a period of 75 f mm/s2 to either side: 75 / 4 mm/s at every frequency.
    assert np.abs(velocity).max() == pytest.approx(18.75, rel=1e-3)


@pytest.mark.parametrize(("frequency_hz", "ratio"), [(24.0, 0.14), (90.0, 0.02), (150.0, 0.6)])
def test_a_modes_response_is_exact(frequency_hz, ratio):
    w = 2 * np.pi * frequency_hz
    accel = np.random.default_rng(0).standard_normal(4000)
    above, below, _ = cont2discrete(([2 * ratio * w, w**2], [1, 2 * ratio * w, w**2]), 1 / 1600)
    found = resonance_test.respond(accel, 1600.0, frequency_hz, ratio)
    np.testing.assert_allclose(found, lfilter(above[0], below, accel), atol=1e-9)


def test_spectra_are_welchs():
    values = np.random.default_rng(0).standard_normal(10_000)
    spectra = resonance_test.window_spectra(values, 512)[:, :-1]
    expected = welch(values, 800.0, np.kaiser(512, 6.0), detrend="constant")[1]
    np.testing.assert_allclose(resonance_test.power(spectra, 800.0, 512), expected[:-1], rtol=1e-9)


def test_shares_add_up_and_no_modes_are_the_command():
    test = ResonanceTest(1.5, 130)
    stiff = test.psd([])
    # Slow motion goes through an axis as it is, whatever its modes are.
    soft = test.psd([Mode(70.0, 0.1, 0.6), Mode(90.0, 0.1, 0.2)])
    slow = slice(5, 9)
    np.testing.assert_allclose(soft[slow], stiff[slow], rtol=0.05)
    assert soft[47] > 4.0 * stiff[47]
    assert resonance_test.stiff_share([Mode(70.0, 0.1, 0.6)]) == pytest.approx(0.4)
    halves = [Mode(50.0, 0.1, 0.5), Mode(50.0, 0.1, 0.5)]
    np.testing.assert_allclose(test.psd(halves), test.psd([Mode(50.0, 0.1)]))


def test_the_spectrum_is_that_of_a_finer_simulation():
    modes = [(48.0, 0.08, 1.0)]
    moved = resonances.accelerate(modes)
    series = np.column_stack([np.arange(len(moved)), moved, moved, moved])
    frequency_hz, psd = resonances.spectra(series)
    test = ResonanceTest(frequency_hz[1], len(frequency_hz))
    ratio = test.psd([Mode(*modes[0])]) / psd[:, 0]
    band = (frequency_hz > 12) & (frequency_hz < 120)
    np.testing.assert_allclose(ratio[band] / np.median(ratio[band]), 1.0, atol=0.03)
