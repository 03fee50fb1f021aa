"""Disturbances against their own definitions: derivative, range, RMS and spectrum."""

import numpy as np
from scipy.signal import butter, freqz, welch

from jaxcorr.printer.disturbance import floor_noise, microstep, timer_lateness


def test_microstep_derivative_and_periods():
    r = np.linspace(-3.0, 3.0, 6001)
    deviation, slope = microstep(r, 0.004)
    np.testing.assert_allclose(np.gradient(deviation, r)[1:-1], slope[1:-1], atol=1e-4)
    np.testing.assert_allclose(microstep(r + 0.8, 0.004)[0], deviation, atol=1e-12)
    assert not np.allclose(microstep(r + 0.2, 0.004)[0], deviation, atol=1e-3)
    assert np.std(deviation) < 0.0041  # two sines of 4 um: 4 um RMS


def test_lateness_is_zero_mean_within_fifty_cycles():
    late = timer_lateness(np.random.default_rng(0), 20_000, 50.0)
    assert np.abs(late).max() <= 50.0 / 72e6
    assert abs(late.mean()) < 1e-8
    np.testing.assert_allclose(np.std(late), 50.0 / 72e6 / np.sqrt(3.0), rtol=0.02)


def test_floor_has_its_rms_from_the_first_sample_and_the_spectrum_of_the_filter():
    rng = np.random.default_rng(1)
    starts = np.array([floor_noise(rng, 1, 0.002, 30.0, 2000.0) for _ in range(2000)])
    np.testing.assert_allclose(np.std(starts), 0.002, rtol=0.05)
    noise = floor_noise(rng, 400_000, 0.002, 30.0, 2000.0)
    np.testing.assert_allclose(np.std(noise, axis=0), 0.002, rtol=0.03)
    frequency, power = welch(noise[:, 0], 2000.0, nperseg=4096)
    _, response = freqz(*butter(2, 30.0, fs=2000.0), frequency, fs=2000.0)
    shape = np.abs(response) ** 2
    band = (frequency > 2.0) & (frequency < 90.0)
    scale = np.sum(power) / np.sum(shape)
    np.testing.assert_allclose(power[band], scale * shape[band], rtol=0.5)
