"""The curve through the knots of a correction: continuous, consistent, exact where it can be."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxcorr.errors import InputError
from jaxcorr.printer import correction_curve

KNOTS = np.random.default_rng(0).normal(size=(30, 2))
RATE_HZ = 100.0


def test_knots_are_on_the_curve_and_slopes_on_its_velocity():
    position, velocity = correction_curve.curve(KNOTS, RATE_HZ, 20)
    assert position.shape == velocity.shape == (29 * 20 + 1, 2)
    np.testing.assert_array_equal(position[::20], KNOTS)
    np.testing.assert_array_equal(velocity[::20], correction_curve.slopes(KNOTS, RATE_HZ))
    np.testing.assert_array_equal(velocity[[0, -1]], 0.0)
    same = correction_curve.curve(KNOTS, RATE_HZ, 1)
    np.testing.assert_array_equal(same[0], KNOTS)


def test_velocity_is_the_derivative_of_position_across_knots_too():
    fine = 1000
    position, velocity = correction_curve.curve(KNOTS, RATE_HZ, fine)
    slope = (position[2:] - position[:-2]) * (RATE_HZ * fine / 2)
    assert np.abs(slope - velocity[1:-1]).max() < 1e-2 * np.abs(velocity).max()
    assert np.abs(np.diff(velocity, axis=0)).max() < 1e-2 * np.abs(velocity).max()


def test_a_parabola_comes_back_between_inner_knots():
    time = np.arange(20) / RATE_HZ
    position, velocity = correction_curve.curve((3 * time**2 - time)[:, None], RATE_HZ, 10)
    fine = np.arange(len(position)) / (10 * RATE_HZ)
    inner = slice(10, -10)
    np.testing.assert_allclose(position[inner, 0], (3 * fine**2 - fine)[inner], atol=1e-15)
    np.testing.assert_allclose(velocity[inner, 0], (6 * fine - 1)[inner], atol=1e-12)


def test_jax_and_numpy_agree():
    theirs = correction_curve.curve(jnp.asarray(KNOTS), RATE_HZ, 4)
    for ours, other in zip(correction_curve.curve(KNOTS, RATE_HZ, 4), theirs, strict=True):
        np.testing.assert_allclose(other, ours, rtol=1e-5, atol=1e-3)
    assert correction_curve.curve(KNOTS.astype(np.float32), RATE_HZ, 4)[0].dtype == np.float32


def test_rates_that_do_not_divide_are_refused():
    assert correction_curve.per_knot(1000.0, 100.0, "x") == 10
    with pytest.raises(InputError, match=r"^x: expected a knot rate that divides 100 Hz, got 30\."):
        correction_curve.per_knot(100.0, 30.0, "x")
    with pytest.raises(InputError, match="got 200"):
        correction_curve.per_knot(100.0, 200.0, "x")
