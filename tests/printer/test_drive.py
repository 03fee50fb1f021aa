"""Driven layers against the simulator, and commands against their definition."""

import numpy as np
import pytest

from jaxcorr.data import parts
from jaxcorr.printer import correction_curve, drive, gcode
from jaxcorr.printer.planner import PlanOptions, plan_layer
from jaxcorr.printer.simulate import make_jobs, simulate_jobs
from jaxcorr.printer_spec import Printer, Simulation

KNOT_RATE_HZ = 100.0
QUIET = Simulation(sources_off=("jitter", "floor"))


@pytest.fixture(scope="module")
def program():
    return gcode.read(parts.find_part("standard_trajectory")[0])


@pytest.fixture(scope="module")
def layer(program):
    return drive.make_layer(plan_layer(program, 0, PlanOptions()), 2000.0, KNOT_RATE_HZ)


def run(layer, *knots, plants=None, options=QUIET, seed=0):
    commands = [drive.corrected(layer, k) for k in knots]
    return drive.drive(layer, commands, plants or [Simulation()] * len(knots), options, seed)


def nothing(layer):
    return np.zeros((layer.num_knots, 2))


def test_the_reference_errs_as_the_simulator_says(program, layer):
    made = next(simulate_jobs(program, make_jobs(QUIET, [1]), QUIET)).fields
    driven = run(layer, nothing(layer)).until(layer.plan.total_s)
    errors = np.stack([made["error_x"], made["error_y"]], axis=1)
    np.testing.assert_allclose(driven.error_mm[::10, 0], errors, atol=1e-9)
    np.testing.assert_allclose(driven.time_s[::10], made["time"], atol=1e-12)
    assert np.sqrt(np.mean(errors**2)) > 0.05


def test_commands_are_sampled_in_parts(layer, monkeypatch):
    whole = run(layer, nothing(layer))
    monkeypatch.setattr(drive, "SAMPLED", 2 * drive.BLOCK)
    assert len(layer.time_s) > 2 * drive.SAMPLED
    np.testing.assert_array_equal(run(layer, nothing(layer)).actual_mm, whole.actual_mm)


def test_a_command_is_the_reference_plus_its_knots(layer):
    rng = np.random.default_rng(0)
    knots = rng.standard_normal((layer.num_knots, 2))
    command = drive.corrected(layer, knots)
    added = (command.position_mm - layer.reference.position_mm)[layer.at_knots]
    np.testing.assert_allclose(added, knots, atol=1e-12)
    speed = (command.velocity_mm_s - layer.reference.velocity_mm_s)[layer.at_knots]
    np.testing.assert_allclose(speed, correction_curve.slopes(knots, KNOT_RATE_HZ), atol=1e-9)


def test_position_and_velocity_of_a_command_belong_together(layer):
    knots = 0.1 * np.sin(np.arange(layer.num_knots)[:, None] * [0.2, 0.3])
    added = [
        a - b for a, b in zip(drive.corrected(layer, knots)[:2], layer.reference, strict=False)
    ]
    way = np.cumsum((added[1][1:] + added[1][:-1]) / 2, axis=0) / layer.rate_hz
    np.testing.assert_allclose(added[0][1:] - added[0][0], way, atol=1e-4)


def test_outside_of_the_plan_nothing_moves(layer):
    knots = np.ones((layer.num_knots, 2))
    command = drive.corrected(layer, knots)
    outside = (layer.time_s < 0) | (layer.time_s > layer.plan.total_s)
    assert np.all(command.velocity_mm_s[outside] == 0.0)
    np.testing.assert_array_equal(command.position_mm[0], layer.reference.position_mm[0] + 1.0)


def test_commands_do_not_touch_each_other(layer):
    rng = np.random.default_rng(2)
    knots = [nothing(layer), 0.1 * rng.standard_normal((layer.num_knots, 2))]
    soft = Printer(
        mass_kg=(0.5, 0.6),
        stiffness_n_m=(8000.0, 7000.0),
        damping_ns_m=(15.0, 10.0),
        friction_n=(0.8, 0.4),
    )
    plants = [Printer(), soft]
    both = run(layer, *knots, plants=plants, options=Simulation())
    for i in range(2):
        alone = run(layer, knots[i], plants=plants[i : i + 1], options=Simulation())
        np.testing.assert_allclose(alone.actual_mm[:, 0], both.actual_mm[:, i], atol=1e-12)


@pytest.mark.parametrize("source", ["friction", "microstep", "jitter", "floor"])
def test_each_source_counts(layer, source):
    options = Simulation(floor_um=3.0)
    found = [
        run(layer, nothing(layer), options=o)
        for o in (options, Simulation(floor_um=3.0, sources_off=(source,)))
    ]
    change_mm = np.sqrt(np.mean((found[0].actual_mm - found[1].actual_mm) ** 2))
    least = {"friction": 0.03, "microstep": 0.003, "jitter": 1e-6, "floor": 0.0025}[source]
    assert least < change_mm < 0.3


def test_seeds_differ_and_repeat(layer):
    def made(seed):
        return run(layer, nothing(layer), options=Simulation(), seed=seed).actual_mm

    np.testing.assert_array_equal(made(1), made(1))
    assert np.abs(made(1) - made(2)).max() > 1e-3


def test_a_known_constant_error_is_removed_not_doubled(layer):
    """The sign, end to end: correction = -error, added to the command, takes the error away."""
    offset_mm = np.array([0.3, -0.2])
    standing = nothing(layer) + offset_mm
    driven = run(layer, nothing(layer), standing)
    error = driven.actual_mm[:, 1] - driven.actual_mm[:, 0]
    quiet = np.abs(error - offset_mm) < 0.05  # the microsteps lie elsewhere on the motor's circle
    assert quiet.mean() > 0.99
    shifted = drive.Driven(driven.time_s, driven.reference_mm + offset_mm, driven.actual_mm)
    before, after = np.sqrt(np.mean(shifted.error_mm**2, axis=(0, 2)))
    assert after < 0.5 * before
