"""Disturbances against their own definitions: derivative, range, RMS and spectrum."""

import numpy as np
import pytest
from scipy.signal import butter, freqz, welch

from jaxcorr.printer import disturbance
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


RATE_HZ = 100.0


def test_generator_is_the_published_one():
    """Its 10,000th number from seed 1, as the C++ standard gives it for minstd_rand."""
    drawn = disturbance._uniform(1, 10_000)
    assert round((drawn[-1] / np.sqrt(12.0) + 0.5) * disturbance.MODULUS) == 399268537


def test_size_is_as_asked_and_the_start_is_on_the_reference():
    knots = disturbance.draw_knots(disturbance.seed_of([1, 2]), 20_000, 0.05, RATE_HZ)
    np.testing.assert_array_equal(knots[0], 0.0)
    np.testing.assert_allclose(np.std(knots, axis=0), 0.05, rtol=0.05)
    assert abs(np.corrcoef(knots.T)[0, 1]) < 0.1
    np.testing.assert_array_equal(disturbance.draw_knots(7, 50, 0.0, RATE_HZ), np.zeros((50, 2)))


def test_half_of_the_power_density_is_left_at_the_cut_off():
    knots = disturbance.draw_knots(3, 40_000, 1.0, RATE_HZ)
    power = np.mean(np.abs(np.fft.rfft(knots[1:], axis=0)) ** 2, axis=1)
    band = np.fft.rfftfreq(len(knots) - 1, 1 / RATE_HZ)
    near = power[(band > 14.5) & (band < 15.5)].mean()
    assert near / power[(band > 0.1) & (band < 5)].mean() == pytest.approx(0.5, rel=0.1)
    assert power[band > 40].mean() < 0.01 * near


def test_seeds_name_their_trace():
    words = [3, *b"boat", 256, 7, 500000, 0, 50000]
    seeds = {
        disturbance.seed_of(words),
        disturbance.seed_of([*words[:-1], 100000]),
        disturbance.seed_of(words[1:]),
    }
    assert len(seeds) == 3
    assert all(0 <= seed < disturbance.MODULUS for seed in seeds)
    one, two = (
        disturbance.draw_knots(disturbance.seed_of([7, k]), 5000, 1.0, RATE_HZ) for k in (1, 2)
    )
    assert abs(np.corrcoef(one[:, 0], two[:, 0])[0, 1]) < 0.1
    assert disturbance.draw_knots(0, 10, 1.0, RATE_HZ).std() > 0.0
