"""The linear inverse undoes what the linear plant does."""

import numpy as np
import pytest

from jaxcorr.compensation import linear_inverse
from jaxcorr.data import parts
from jaxcorr.printer import drive, gcode
from jaxcorr.printer.planner import PlanOptions, plan_layer
from jaxcorr.printer.plant import AxisPlant, PlantOptions

RATE_HZ = 2000.0
PLANT = PlantOptions()


@pytest.fixture(scope="module")
def layer():
    program = gcode.read(parts.find_part("standard_trajectory")[0])
    return drive.make_layer(plan_layer(program, 0, PlanOptions(accel_mm_s2=3000.0)), RATE_HZ)


def rms(values):
    return float(np.sqrt(np.mean(values**2)))


def test_recovers_a_known_command_exactly(layer):
    knots = 0.1 * np.random.default_rng(0).standard_normal((layer.num_knots, 2))
    knots[:2] = knots[-50:] = 0.0  # the last of them has rung out where the layer ends
    command = drive.corrected(layer, knots)
    begin = layer.at_knots.start
    wanted = linear_inverse.answer(PLANT, command) - linear_inverse.answer(PLANT, layer.reference)
    found = linear_inverse.solve(PLANT, wanted[begin:], layer.num_knots)
    np.testing.assert_allclose(found, knots, atol=2e-4)


def test_follows_a_plan_on_the_linear_plant(layer):
    knots = linear_inverse.invert(PLANT, layer)
    assert knots.shape == (layer.num_knots, 2)
    plan = (layer.time_s >= 0) & (layer.time_s <= layer.plan.total_s)
    errors = [
        rms((linear_inverse.answer(PLANT, c) - layer.reference.position_mm)[plan])
        for c in (layer.reference, drive.corrected(layer, knots))
    ]
    assert errors[1] < 0.1 * errors[0]
    # No knots nearby are better: the gradient of the square is zero there.
    for scale in (0.99, 1.01):
        other = linear_inverse.answer(PLANT, drive.corrected(layer, scale * knots))
        assert rms((other - layer.reference.position_mm)[plan]) > errors[1]


def test_a_stiff_printer_needs_no_correction(layer):
    stiff = AxisPlant(mass_kg=0.01, stiffness_n_m=1e6, damping_ns_m=50.0, friction_n=0.0)
    knots = linear_inverse.invert(PlantOptions(stiff, stiff), layer)
    assert np.abs(knots).max() < 1e-3


def test_friction_does_not_enter(layer):
    slippery = PlantOptions(AxisPlant(friction_n=0.0), AxisPlant(mass_kg=0.45, friction_n=0.0))
    np.testing.assert_array_equal(
        linear_inverse.invert(PLANT, layer), linear_inverse.invert(slippery, layer)
    )


def test_the_answer_in_closed_form():
    """Constant acceleration a leaves an error of -a / w^2, here on x."""
    time_s = np.arange(0, 1.5, 1 / RATE_HZ)
    motion = np.stack([250.0 * time_s**2, 0 * time_s], axis=1)
    speed = np.stack([500.0 * time_s, 0 * time_s], axis=1)
    found = linear_inverse.answer(PLANT, drive.Command(motion, speed)) - motion
    np.testing.assert_allclose(found[-1], [-500.0 / (8000.0 / 0.35), 0.0], atol=1e-9)


def test_a_layer_too_short_to_correct():
    found = linear_inverse.solve(PLANT, np.ones((21, 2)), 2)
    np.testing.assert_array_equal(found, np.zeros((2, 2)))
