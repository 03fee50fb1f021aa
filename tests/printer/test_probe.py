"""Probes: their size, their band, and numbers that repeat."""

import numpy as np
import pytest

from jaxcorr.printer import probe

RATE_HZ = 100.0


def test_generator_is_the_published_one():
    """Its 10,000th number from seed 1, as the C++ standard gives it for minstd_rand."""
    drawn = probe._uniform(1, 10_000)
    assert round((drawn[-1] / np.sqrt(12.0) + 0.5) * probe.MODULUS) == 399268537


def test_size_is_as_asked_and_the_start_is_on_the_reference():
    knots = probe.draw_knots(probe.seed_of([1, 2]), 20_000, 0.05, RATE_HZ)
    np.testing.assert_array_equal(knots[0], 0.0)
    np.testing.assert_allclose(np.std(knots, axis=0), 0.05, rtol=0.05)
    assert abs(np.corrcoef(knots.T)[0, 1]) < 0.1
    np.testing.assert_array_equal(probe.draw_knots(7, 50, 0.0, RATE_HZ), np.zeros((50, 2)))


def test_half_of_the_power_density_is_left_at_the_cut_off():
    knots = probe.draw_knots(3, 40_000, 1.0, RATE_HZ)
    power = np.mean(np.abs(np.fft.rfft(knots[1:], axis=0)) ** 2, axis=1)
    band = np.fft.rfftfreq(len(knots) - 1, 1 / RATE_HZ)
    near = power[(band > 14.5) & (band < 15.5)].mean()
    assert near / power[(band > 0.1) & (band < 5)].mean() == pytest.approx(0.5, rel=0.1)
    assert power[band > 40].mean() < 0.01 * near


def test_seeds_name_their_trace():
    words = [3, *b"boat", 256, 7, 500000, 0, 50000]
    seeds = {probe.seed_of(words), probe.seed_of([*words[:-1], 100000]), probe.seed_of(words[1:])}
    assert len(seeds) == 3
    assert all(0 <= seed < probe.MODULUS for seed in seeds)
    one, two = (probe.draw_knots(probe.seed_of([7, k]), 5000, 1.0, RATE_HZ) for k in (1, 2))
    assert abs(np.corrcoef(one[:, 0], two[:, 0])[0, 1]) < 0.1
    assert probe.draw_knots(0, 10, 1.0, RATE_HZ).std() > 0.0
