"""Shaped moves leave the plant at rest; the linear inverse undoes what the linear plant does."""

import numpy as np
import pytest
from planned import plan_of

from jaxcorr.compensation import baselines
from jaxcorr.compensation.baselines import linear_response
from jaxcorr.data import parts
from jaxcorr.identify import shapers
from jaxcorr.printer import drive, gcode
from jaxcorr.printer.drive import Command
from jaxcorr.printer.planner import PlanOptions, plan_layer
from jaxcorr.printer_spec import Simulation

RATE_HZ = 2000.0
PLANT = Simulation()


@pytest.fixture(scope="module")
def layer():
    program = gcode.read(parts.find_part("standard_trajectory")[0])
    return drive.make_layer(plan_layer(program, 0, PlanOptions(accel_mm_s2=3000.0)), RATE_HZ, 100.0)


def rms(values):
    return float(np.sqrt(np.mean(values**2)))


def test_recovers_a_known_command_exactly(layer):
    knots = 0.1 * np.random.default_rng(0).standard_normal((layer.num_knots, 2))
    knots[:2] = knots[-50:] = 0.0  # the last of them has rung out where the layer ends
    command = drive.corrected(layer, knots)
    begin = layer.at_knots.start
    wanted = linear_response(PLANT, command) - linear_response(PLANT, layer.reference)
    found = baselines.solve(PLANT, wanted[begin:], layer.num_knots, 100.0)
    np.testing.assert_allclose(found, knots, atol=2e-4)


def test_follows_a_plan_on_the_linear_plant(layer):
    knots = baselines.invert(PLANT, layer)
    assert knots.shape == (layer.num_knots, 2)
    plan = (layer.time_s >= 0) & (layer.time_s <= layer.plan.total_s)
    errors = [
        rms((linear_response(PLANT, c) - layer.reference.position_mm)[plan])
        for c in (layer.reference, drive.corrected(layer, knots))
    ]
    assert errors[1] < 0.1 * errors[0]
    # No knots nearby are better: the gradient of the square is zero there.
    for scale in (0.99, 1.01):
        other = linear_response(PLANT, drive.corrected(layer, scale * knots))
        assert rms((other - layer.reference.position_mm)[plan]) > errors[1]


def test_a_stiff_printer_needs_no_correction(layer):
    stiff = Simulation(
        mass_kg=(0.01, 0.01),
        stiffness_n_m=(1e6, 1e6),
        damping_ns_m=(50.0, 50.0),
        friction_n=(0.0, 0.0),
    )
    knots = baselines.invert(stiff, layer)
    assert np.abs(knots).max() < 1e-3


def test_friction_does_not_enter(layer):
    slippery = Simulation(friction_n=(0.0, 0.0))
    np.testing.assert_array_equal(baselines.invert(PLANT, layer), baselines.invert(slippery, layer))


def test_friction_leads_by_its_offset_in_the_direction_of_motion(tmp_path):
    layer = drive.make_layer(plan_of(tmp_path, "G1 X30 Y0 E1 F3000", "G1 X0 Y0 E1"), RATE_HZ, 100.0)
    printer = Simulation(friction_n=(0.8, 1.2), stiffness_n_m=(8000.0, 16000.0))
    lead = baselines.friction_lead(printer, layer)
    velocity = layer.reference.velocity_mm_s[layer.at_knots]
    for sign in (1.0, -1.0):
        cruising = np.abs(velocity[:, 0] - sign * 50.0) < 1e-9
        assert cruising.sum() > 20
        np.testing.assert_allclose(lead[cruising], np.tile([sign * 0.1, 0.0], (cruising.sum(), 1)))
    options = printer.model_copy(
        update={"microstep_um": 0.0, "jitter_cycles": 0.0, "floor_um": 0.0}
    )
    commands = [layer.reference, baselines.friction_led(layer, printer)]
    error = drive.drive(layer, commands, [printer] * 2, options, 0).error_mm[::10][
        : len(lead), :, 0
    ]
    # At constant speed, once the corner has rung out, exactly F/k is left or nothing.
    settled = np.flatnonzero(np.abs(velocity[:, 0] - 50.0) < 1e-9)[-5:]
    np.testing.assert_allclose(error[settled, 0], -0.1, atol=1e-4)
    np.testing.assert_allclose(error[settled, 1], 0.0, atol=1e-4)


@pytest.mark.parametrize("damping", ["relative", "ground"])
def test_the_inverse_with_friction_takes_what_either_alone_leaves(layer, damping):
    plant = Simulation(damping=damping)
    commands = [
        layer.reference,
        baselines.inverted(layer, plant),
        baselines.friction_led(layer, plant),
        baselines.inverted_and_led(layer, plant),
    ]
    driven = drive.drive(layer, commands, [plant] * 4, plant, 1).until(layer.plan.total_s)
    none, inverse, friction, both = (rms(driven.error_mm[:, i]) for i in range(4))
    assert both < 0.35 * min(none, inverse, friction)


def test_the_linear_response_in_closed_form():
    """Constant acceleration a leaves an error of -a / w^2, here on x."""
    time_s = np.arange(0, 1.5, 1 / RATE_HZ)
    motion = np.stack([250.0 * time_s**2, 0 * time_s], axis=1)
    speed = np.stack([500.0 * time_s, 0 * time_s], axis=1)
    found = linear_response(PLANT, drive.Command(motion, speed)) - motion
    np.testing.assert_allclose(found[-1], [-500.0 / (8000.0 / 0.35), 0.0], atol=1e-9)


def test_a_layer_too_short_to_correct():
    found = baselines.solve(PLANT, np.ones((21, 2)), 2, 100.0)
    np.testing.assert_array_equal(found, np.zeros((2, 2)))


def test_the_axes_of_the_printer():
    assert baselines.natural(Simulation(), 0) == pytest.approx((24.06, 0.142), rel=2e-3)
    assert baselines.natural(Simulation(), 1) == pytest.approx((21.22, 0.125), rel=2e-3)


def test_constant_speed_has_no_lag():
    shaper = shapers.make_shaper("ei", 20.0, 0.1)
    time_s = np.linspace(0, 1, 11)
    np.testing.assert_allclose(baselines.shape(shaper, time_s, lambda t: 3.0 * t), 3.0 * time_s)


@pytest.mark.parametrize("kind", shapers.KINDS)
def test_the_plant_rests_after_a_shaped_move(kind):
    """A move from rest to rest, 0.8 s long, on both axes of the true plant without friction."""
    plant = Simulation(friction_n=(0.0, 0.0), plant_rate_hz=8000.0)
    time_s = np.arange(-0.1, 2.0, 1 / plant.plant_rate_hz)

    def velocity(t):
        return np.interp(t, [0.0, 0.1, 0.7, 0.8], [0.0, 50.0, 50.0, 0.0])

    def position(t):
        rising, falling = np.clip(t, 0, 0.1), np.clip(t - 0.7, 0, 0.1)
        return 250 * rising**2 + 50 * np.clip(t - 0.1, 0, 0.6) + 50 * falling - 250 * falling**2

    axes = [baselines.shaper_for(kind, plant, axis) for axis in (0, 1)]
    shaped, plain = (
        Command(*(np.stack([f(axis, fn) for axis in axes], axis=1) for fn in (position, velocity)))
        for f in (lambda axis, fn: baselines.shape(axis, time_s, fn), lambda _, fn: fn(time_s))
    )
    after = time_s > 0.8 + max(axis.times_s[-1] - axis.lag_s for axis in axes) + 1e-3
    left = np.abs(linear_response(plant, shaped) - shaped.position_mm)[after].max(axis=0)
    rings = np.abs(linear_response(plant, plain) - plain.position_mm)[after].max(axis=0)
    allowed = 0.07 if kind == "ei" else 1e-3
    assert np.all(rings > 1e-3)
    assert np.all(left < allowed * rings)


def test_belts_that_differ_are_inverted_and_led(layer):
    belts = Simulation(
        kinematics="corexy",
        stiffness_n_m=(8000.0, 6000.0),
        second_share=(0.2, 0.0),
        second_frequency_hz=(70.0, 0.0),
        sources_off=("microstep", "jitter", "floor"),
    )
    commands = [layer.reference, baselines.inverted_and_led(layer, belts)]
    driven = drive.drive(layer, commands, [belts] * 2, belts, 0).until(layer.plan.total_s)
    none, both = (rms(driven.error_mm[:, i]) for i in range(2))
    assert both < 0.25 * none
    frequency, _ = baselines.natural(belts, 0)
    assert frequency == pytest.approx(np.sqrt(14000.0 / 0.35) / (2 * np.pi))
