"""The solver: known commands found, real friction overcome, and an outcome that tells the truth."""

import jax
import numpy as np
import pytest
from knots import LEAD, RATE_HZ, TAPS, respond, smooth_knots

from jaxcorr.compensation import solver
from jaxcorr.compensation.knot_inverse import Bounds
from jaxcorr.compensation.solver import ImpulseResponse, Options, solve
from jaxcorr.printer import correction_curve
from jaxcorr.printer.plant import track
from jaxcorr.printer_spec import Simulation

RESPONSE = ImpulseResponse(TAPS, LEAD)
SLIPPERY = Simulation(friction_n=(0.0, 0.0))
EVERY = 20


def plant_error(options, reference, knots):
    """Actual - reference at the knots, of the plant at 2 kHz along a reference in float64."""
    moved = correction_curve.curve(knots, RATE_HZ, EVERY)
    command = [r + q for r, q in zip(reference, moved, strict=True)]
    with jax.enable_x64(True):
        lag = np.asarray(track(options, *command, options.plant_rate_hz).error_mm)
    return (lag + moved[0])[::EVERY]


def plant_response(options):
    """Of a lone knot, from rest."""
    knots = np.zeros((90, 2))
    knots[4] = 1.0
    still = np.zeros((89 * EVERY + 1, 2))
    return ImpulseResponse(plant_error(options, (still, still), knots)[2:], 2)


def corners():
    """A square of 20 mm at 40 mm/s with ramps, x and y in turns; position and velocity."""
    speed = np.zeros((4400, 2))
    ramp = np.clip(np.minimum(np.arange(1000), 999 - np.arange(1000)) * 0.25, 0.0, 40.0)
    for side, (axis, sign) in enumerate(((0, 1), (1, 1), (0, -1), (1, -1))):
        speed[100 + 1000 * side : 1100 + 1000 * side, axis] = sign * ramp
    speed = np.concatenate([speed, [[0.0, 0.0]]])
    position = np.zeros_like(speed)
    position[1:] = np.cumsum((speed[1:] + speed[:-1]) / 2, axis=0) / 2000.0
    return position, speed


def rms(error):
    return np.sqrt(np.mean(np.sum(error**2, axis=1)))


def test_recovers_a_known_command_exactly_on_a_linear_map():
    wanted = smooth_knots(300)
    found = solve(lambda q: respond(q - wanted), RESPONSE, 300, RATE_HZ, Options(effort=0.0))
    np.testing.assert_allclose(found.knots, wanted, atol=1e-6)
    assert found.outcome == "converged"
    assert found.rms_mm[-1] < 1e-5 * found.rms_mm[0]


def test_recovers_a_known_command_exactly_on_a_linear_plant():
    """The reference is where the plant goes under a known correction of a still command."""
    wanted = np.cumsum(smooth_knots(200), axis=0)
    wanted -= np.linspace(0, 1, 200)[:, None] * wanted[-1]
    still = np.zeros((199 * EVERY + 1, 2))
    path = plant_error(SLIPPERY, (still, still), wanted)

    def error_fn(knots):
        return plant_error(SLIPPERY, (still, still), knots) - path

    options = Options(effort=0.0, most_steps=30, gain=1e-6, bounds=Bounds(1e3, 1e6, 1e9))
    found = solve(error_fn, plant_response(SLIPPERY), 200, RATE_HZ, options)
    # What the last knots do comes after the end, where nobody looks.
    np.testing.assert_allclose(found.knots[:-20], wanted[:-20], atol=1e-6)


@pytest.mark.parametrize(("options", "left"), [(SLIPPERY, 0.05), (Simulation(), 0.06)])
def test_takes_the_error_of_the_plant_away_with_and_without_friction(options, left):
    reference = corners()
    num_knots = (len(reference[0]) - 1) // EVERY + 1
    before = rms(plant_error(options, reference, np.zeros((num_knots, 2))))
    found = solve(
        lambda q: plant_error(options, reference, q), plant_response(SLIPPERY), num_knots, RATE_HZ
    )
    after = rms(plant_error(options, reference, found.knots))
    assert found.outcome == "converged"
    assert found.rms_mm[0] == pytest.approx(before)
    assert found.rms_mm[-1] == pytest.approx(after)
    assert after < left * before
    # The sign, end to end: the correction is added; subtracted, it doubles the error.
    assert rms(plant_error(options, reference, -found.knots)) > 1.5 * before


def test_bounds_hold_and_are_named():
    reference = corners()
    bounds = Bounds(0.03, 2.0, 400.0)
    found = solve(
        lambda q: plant_error(Simulation(), reference, q),
        plant_response(SLIPPERY),
        (len(reference[0]) - 1) // EVERY + 1,
        RATE_HZ,
        Options(bounds=bounds),
    )
    assert found.outcome == "at bounds"
    assert found.rms_mm[-1] < found.rms_mm[0]
    assert np.abs(found.knots).max() <= bounds.correction_mm
    assert np.abs(np.diff(found.knots, axis=0)).max() * RATE_HZ <= bounds.speed_mm_s
    assert np.abs(np.diff(found.knots, 2, axis=0)).max() * RATE_HZ**2 <= bounds.accel_mm_s2


def test_every_step_lowers_the_cost_even_where_the_axis_answers_otherwise():
    """An axis that answers twice as strongly as it is told to: full steps would never settle."""
    wanted = smooth_knots(120)
    found = solve(lambda q: respond(2.5 * (q - wanted)), RESPONSE, 120, RATE_HZ)
    assert all(b < a for a, b in zip(found.rms_mm, found.rms_mm[1:], strict=False))
    assert found.rms_mm[-1] < 0.2 * found.rms_mm[0]


def test_says_why_not():
    wanted = smooth_knots(60)
    assert solve(lambda q: 0.0 * q + 0.1, RESPONSE, 60, RATE_HZ).outcome == "no gain"
    broken = solve(lambda q: q * np.nan, RESPONSE, 60, RATE_HZ)
    assert broken.outcome == "not finite"
    np.testing.assert_array_equal(broken.knots, 0.0)
    hurried = Options(most_steps=1)
    assert solve(lambda q: respond(q - wanted), RESPONSE, 60, RATE_HZ, hurried).outcome == (
        "too few steps"
    )
    # Nothing to do is done.
    idle = solve(lambda q: respond(q), RESPONSE, 60, RATE_HZ)
    np.testing.assert_array_equal(idle.knots, 0.0)
    assert idle.outcome == "converged"


def test_default_options_are_those_of_the_class():
    assert Options() == solver.DEFAULT


def test_effort_rises_with_the_rate_of_fine_knots():
    default = solver.DEFAULT
    assert default.at_rate(100.0) == default.at_rate(solver.EFFORT_RATE_HZ) == default
    assert default.at_rate(5 * solver.EFFORT_RATE_HZ).effort == pytest.approx(25 * default.effort)
