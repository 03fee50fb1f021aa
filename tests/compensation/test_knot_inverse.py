"""The linear step: the best change of the knots, and nothing outside the bounds."""

import numpy as np
import pytest
import scipy.linalg
import scipy.optimize
from knots import LEAD, RATE_HZ, TAPS, respond, smooth_knots

from jaxcorr.compensation.knot_inverse import MOST_ROWS, Bounds, KnotInverse, ToeplitzInverse
from jaxcorr.errors import InputError

WIDE = Bounds(1e3, 1e6, 1e9)


def make(num_knots, bounds=WIDE, effort=0.0):
    return KnotInverse(TAPS, LEAD, num_knots, RATE_HZ, effort, bounds)


def test_a_known_correction_is_found_in_one_step():
    wanted = smooth_knots(200)
    found = make(200).step(np.zeros((200, 2)), -respond(wanted))
    np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_a_step_takes_away_what_the_knots_so_far_have_left():
    wanted, first = smooth_knots(150), smooth_knots(150, seed=1)
    found = make(150).step(first, respond(first - wanted))
    np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_effort_trades_error_for_smoothness():
    error = -respond(smooth_knots(200))
    zero = np.zeros((200, 2))
    rough, smooth = make(200).step(zero, error), make(200, effort=1.0).step(zero, error)
    assert np.sum(np.diff(smooth, 2, axis=0) ** 2) < 0.2 * np.sum(np.diff(rough, 2, axis=0) ** 2)
    assert np.sum((error + respond(smooth)) ** 2) < np.sum(error**2)
    cost = [
        np.sum((error + respond(knots)) ** 2) + np.sum(np.diff(knots, 2, axis=0) ** 2)
        for knots in (smooth, 0.99 * smooth, 1.01 * smooth)
    ]
    assert min(cost) == cost[0]


@pytest.mark.parametrize(
    "bounds", [Bounds(0.05, 1e6, 1e9), Bounds(1e3, 3.0, 1e9), Bounds(1e3, 1e6, 400.0)]
)
def test_bounds_hold_and_cost_little_more_than_they_must(bounds):
    num_knots = 60
    wanted = np.zeros((num_knots, 2))
    wanted[10:20] = [0.1, -0.08]
    error = -respond(wanted)
    inverse = make(num_knots, bounds, effort=1e-3)
    found = inverse.step(np.zeros((num_knots, 2)), error)
    assert 0.5 < inverse.violation(found) <= 1.0 + 1e-12
    assert np.all(np.abs(found) <= bounds.correction_mm)
    assert np.all(np.abs(np.diff(found, axis=0)) * RATE_HZ <= bounds.speed_mm_s)
    assert np.all(np.abs(np.diff(found, 2, axis=0)) * RATE_HZ**2 <= bounds.accel_mm_s2)

    def cost(knots):
        knots = np.stack([np.r_[0.0, knots], np.zeros(num_knots)], axis=1)
        return np.sum((error + respond(knots))[:, 0] ** 2) + 1e-3 * np.sum(
            np.diff(knots, 2, axis=0) ** 2
        )

    rows = np.vstack(
        [
            np.eye(num_knots) / bounds.correction_mm,
            np.diff(np.eye(num_knots), axis=0) * RATE_HZ / bounds.speed_mm_s,
            np.diff(np.eye(num_knots), 2, axis=0) * RATE_HZ**2 / bounds.accel_mm_s2,
        ]
    )[:, 1:]
    best = scipy.optimize.minimize(
        cost,
        found[1:, 0],
        method="SLSQP",
        constraints=scipy.optimize.LinearConstraint(rows, -1.0, 1.0),
        options={"maxiter": 200},
    )
    assert cost(found[1:, 0]) < 1.1 * best.fun + 0.02 * cost(np.zeros(num_knots - 1))


def test_few_knots_are_enough():
    for num_knots in (2, 3, 5):
        found = make(num_knots).step(np.zeros((num_knots, 2)), np.full((num_knots, 2), 0.1))
        assert found.shape == (num_knots, 2)
        assert np.isfinite(found).all()
        np.testing.assert_array_equal(found[0], 0.0)


@pytest.mark.parametrize("name", Bounds._fields)
def test_bounds_without_room_are_refused(name):
    for value in (0.0, -1.0, np.nan):
        with pytest.raises(InputError, match=f"^compensate: expected {name} > 0, got"):
            make(10, Bounds()._replace(**{name: value}))


@pytest.mark.parametrize("num_knots", [12, 90, MOST_ROWS + 30])
def test_fewer_knots_are_solved_like_more(num_knots):
    most = MOST_ROWS + 60
    bounds = Bounds(0.05, 1e6, 1e9)
    error = -respond(smooth_knots(most)[:num_knots])
    zero = np.zeros((num_knots, 2))
    for limits in (WIDE, bounds):
        whole = make(num_knots, limits, effort=0.1).step(zero, error)
        shortened = make(most, limits, effort=0.1).shortened(num_knots).step(zero, error)
        np.testing.assert_allclose(shortened, whole, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("band", [[2.0], [2.0, -0.9], [1.0, 0.4, -0.2, 0.1], [6.1, -4.0, 1.0]])
@pytest.mark.parametrize("num_rows", [1, 3, MOST_ROWS, MOST_ROWS + 1, 2 * MOST_ROWS])
def test_toeplitz_systems_are_solved(band, num_rows):
    first = np.pad(band, (0, num_rows))[:num_rows]
    values = np.random.default_rng(0).normal(size=num_rows)
    inverse = ToeplitzInverse(np.array(band), num_rows)
    for found in (inverse, ToeplitzInverse(np.array(band), 3 * MOST_ROWS).shortened(num_rows)):
        left = scipy.linalg.matmul_toeplitz(first, found.solve(values)) - values
        np.testing.assert_allclose(left, 0.0, atol=1e-10)
