"""Methods on a short layer, on the printer that they are tuned to and on others."""

import numpy as np
import pytest
from planned import FRICTIONLESS, SHORT, plan_of

from jaxcorr.compensation import baselines, cases, closed_loop
from jaxcorr.printer import drive
from jaxcorr.printer_spec import Simulation


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    lines = ["M204 P3000 T3000", *SHORT]
    return plan_of(tmp_path_factory.mktemp("plan"), *lines)


@pytest.fixture(scope="module")
def tried(plan):
    layout = closed_loop.Layout("part/layer01", 3000.0, 3)
    plants = cases.printers(FRICTIONLESS, ["nominal", "frequency -20%", "friction x2"])
    methods = {"flat": lambda layer: drive.corrected(layer, np.full((layer.num_knots, 2), 0.05))}
    return closed_loop.run(plan, layout, FRICTIONLESS, plants, methods)


def rms(tried, method, printer="nominal"):
    found = [r.judged for r in tried.rows if (r.method, r.printer) == (method, printer)]
    assert len(found) == 1
    return found[0].rms_um


def test_every_method_on_every_printer(tried):
    always = {"none", "minus true error", "flat", *closed_loop.MODEL_BASED}
    tuned = {f"{name}, tuned" for name in closed_loop.MODEL_BASED}
    by_printer = {}
    for row in tried.rows:
        assert row[:2] == ("part/layer01", 3000.0)
        by_printer.setdefault(row.printer, set()).add(row.method)
    # Nothing to tune where only friction differs, and that is off.
    assert by_printer == {
        "nominal": always,
        "frequency -20%": always | tuned,
        "friction x2": always,
    }


def test_without_friction_the_linear_inverse_is_best(tried):
    mine = rms(tried, "linear inverse")
    assert mine < 0.1 * rms(tried, "none")
    assert all(mine <= row.judged.rms_um for row in tried.rows if row.printer == "nominal")
    assert rms(tried, "linear inverse, tuned", "frequency -20%") < 0.3 * rms(
        tried, "linear inverse", "frequency -20%"
    )


def test_without_friction_there_is_nothing_to_lead_by(tried):
    assert rms(tried, "friction feedforward") == rms(tried, "none")
    assert rms(tried, "linear inverse + friction") == rms(tried, "linear inverse")


def test_where_only_friction_differs_its_methods_are_tuned(plan):
    options = Simulation()
    plants = cases.printers(options, ["nominal", "friction x2"])
    layout = closed_loop.Layout("part/layer01", 3000.0, 3)
    tried = closed_loop.run(plan, layout, options, plants, {})
    doubled = {row.method for row in tried.rows if row.printer == "friction x2"}
    tuned = {f"{name}, tuned" for name in closed_loop.FRICTION_BASED}
    assert {name for name in doubled if name.endswith(", tuned")} == tuned
    for name in closed_loop.FRICTION_BASED:
        assert rms(tried, name) < 0.6 * rms(tried, "none")
        on_doubled = (rms(tried, one, "friction x2") for one in (f"{name}, tuned", name, "none"))
        best, nominal, nothing = on_doubled
        assert best < nominal < nothing
    assert rms(tried, "linear inverse + friction") < 0.6 * rms(tried, "friction feedforward")
    assert rms(tried, "linear inverse + friction") < 0.3 * rms(tried, "linear inverse")


def test_shapers_calm_the_corners(tried):
    ringing = {r.method: r.judged.vibration_um for r in tried.rows if r.printer == "nominal"}
    assert ringing["ZV"] < 0.5 * ringing["none"]
    assert ringing["minus true error"] > ringing["none"]


def test_subtracting_the_true_error_makes_fast_motion_worse(tried):
    assert rms(tried, "minus true error") > rms(tried, "none")


def test_where_friction_is_off_its_factor_changes_nothing(tried):
    assert rms(tried, "none", "friction x2") == pytest.approx(rms(tried, "none"))


def test_commands_and_columns_are_those_of_the_nominal_printer(tried):
    for name, column in tried.columns.items():
        error = tried.driven.error_mm[:, column]
        expected = 1e3 * np.sqrt(np.mean(np.sum(error**2, axis=-1)))
        assert rms(tried, name) == pytest.approx(expected)
    flat = tried.commands["flat"].position_mm - tried.layer.reference.position_mm
    np.testing.assert_allclose(flat, 0.05, atol=1e-12)


def test_shaped_commands_stay_on_a_straight_line(tmp_path):
    layer = drive.make_layer(plan_of(tmp_path, "G1 X30 Y0 E1 F3000"), 2000.0, 100.0)
    command = baselines.shaped("ei")(layer, Simulation())
    assert np.abs(command.position_mm[:, 1]).max() < 1e-12
    np.testing.assert_allclose(command.position_mm[[0, -1], 0], [0.0, 30.0], atol=1e-9)
    speed = np.gradient(command.position_mm[:, 0], 1 / 2000.0)
    np.testing.assert_allclose(command.velocity_mm_s[:, 0], speed, atol=0.6)
    cruising = np.abs(layer.reference.velocity_mm_s[:, 0] - 50.0) < 1e-9
    middle = np.flatnonzero(cruising)[len(np.flatnonzero(cruising)) // 2]
    assert command.position_mm[middle, 0] == pytest.approx(layer.reference.position_mm[middle, 0])


def test_a_subtracted_error_has_the_opposite_sign(tmp_path):
    layer = drive.make_layer(plan_of(tmp_path, "G1 X10 Y0 E1 F3000"), 2000.0, 100.0)
    error = np.tile([0.1, -0.2], (layer.num_knots, 1))
    command = baselines.subtracted(layer, error)
    added = (command.position_mm - layer.reference.position_mm)[layer.at_knots]
    np.testing.assert_allclose(added, -error, atol=1e-12)
