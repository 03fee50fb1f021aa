"""Simulated layers: sources that add up, columns that agree, and numbers that repeat."""

import dataclasses

import numpy as np
import pytest

from jaxcorr.data.parts import find_part
from jaxcorr.printer import correction_curve, gcode
from jaxcorr.printer.planner import PlanOptions, plan_layer
from jaxcorr.printer.simulate import make_jobs, rms_by_source, simulate_jobs
from jaxcorr.printer_spec import SOURCES, Simulation

DEFAULT = Simulation()
QUIET = Simulation(sources_off=("jitter", "floor"))
FIELDS = [
    "time",
    "x_ref",
    "y_ref",
    "z_ref",
    "x_act",
    "y_act",
    "z_act",
    "vx_ref",
    "vy_ref",
    "vz_ref",
    "v_mag_ref",
    "ax_ref",
    "ay_ref",
    "az_ref",
    "a_mag_ref",
    "jx_ref",
    "jy_ref",
    "jz_ref",
    "jerk_mag",
    "error_x",
    "error_y",
    "error_magnitude",
    "error_direction",
    "is_extruding",
    "is_travel",
    "layer_num",
    "feature_code",
] + [f"{source}_{axis}" for source in SOURCES for axis in "xy"]


@pytest.fixture(scope="module")
def standard():
    return gcode.read(find_part("standard_trajectory")[0])


@pytest.fixture(scope="module")
def three_layers():
    lines = ["G90", "M83", "G1 X40 Y40 Z0.2 F6000"]
    for layer in range(3):
        x, y = 20 + 5 * layer, 10 + 3 * layer
        lines += [
            ";LAYER_CHANGE",
            f"G1 Z{0.2 * (layer + 1):g} F600",
            "G1 X40 Y40 F6000",
            "G1 E-2 F1500",
            f"G1 X{40 + x} Y40 E1 F3600",
            f"G1 X{40 + x} Y{40 + y} E1",
            f"G1 X40 Y{40 + y} E1",
            "G1 X40 Y40 E1",
        ]
    return gcode.parse("\n".join(lines), "three.gcode")


def only(program, options=DEFAULT, layers=(1,), part="p"):
    made = simulate_jobs(program, make_jobs(options, layers), options, part)
    return [result.fields for result in made]


def test_standard_trajectory_has_the_rms_of_the_reference(standard):
    rms = rms_by_source(only(standard)[0])
    assert 126.0 < rms["total"] < 154.0
    dynamics = np.hypot(rms["junction_deviation"], rms["resonance"])
    assert 20.0 < dynamics < 60.0
    assert rms["microstep"] < 10.0
    assert rms["floor"] == pytest.approx(2.0 * np.sqrt(2.0), rel=0.15)
    assert 0.0 < rms["jitter"] < 0.5


def test_every_field_is_there_and_columns_agree(standard):
    f = only(standard)[0]
    assert list(f) == FIELDS
    n = len(f["time"])
    assert all(column.shape == (n,) and np.all(np.isfinite(column)) for column in f.values())
    np.testing.assert_allclose(f["time"], np.arange(n) / 100.0, atol=1e-12)
    total = plan_layer(standard, 0).total_s
    assert 0.0 <= total - f["time"][-1] < 0.01
    for axis in "xy":
        np.testing.assert_allclose(
            f[f"error_{axis}"], f[f"{axis}_act"] - f[f"{axis}_ref"], atol=1e-12
        )
        parts = sum(f[f"{source}_{axis}"] for source in SOURCES)
        np.testing.assert_allclose(parts, f[f"error_{axis}"], atol=1e-15)
    np.testing.assert_array_equal(f["z_act"], f["z_ref"])
    direction = np.stack([np.cos(f["error_direction"]), np.sin(f["error_direction"])])
    error = np.stack([f["error_x"], f["error_y"]])
    np.testing.assert_allclose(direction * f["error_magnitude"], error, atol=1e-12)
    np.testing.assert_allclose(f["jx_ref"][1:], np.diff(f["ax_ref"]) * 100.0, atol=1e-9)
    assert f["jx_ref"][0] == f["jy_ref"][0] == 0.0
    assert f["a_mag_ref"].max() == pytest.approx(500.0)
    assert f["v_mag_ref"].max() <= 100.0 + 1e-9
    assert f["is_extruding"].any()
    assert f["is_travel"].any()
    assert not np.any(f["is_extruding"] & f["is_travel"])


def test_retraction_neither_extrudes_nor_travels(three_layers):
    f = only(three_layers)[0]
    still = (f["v_mag_ref"] == 0.0) & (f["time"] > 0.05) & (f["time"] < f["time"][-1])
    assert still.any()
    assert not np.any((f["is_extruding"] | f["is_travel"])[still])


def test_each_sample_has_the_kind_of_the_move_under_way(standard, three_layers):
    for program, is_still in ((standard, False), (three_layers, True)):
        f = only(program)[0]
        kinds = np.array(gcode.FEATURES)[f["feature_code"].astype(int)]
        assert set(kinds[f["is_travel"]]) == (set() if is_still else {"travel"})
        resting = ~f["is_travel"] & ~f["is_extruding"]
        assert set(kinds[resting]) == ({"retraction"} if is_still else set())
        assert not {"travel", "retraction"} & set(kinds[f["is_extruding"]])


@pytest.mark.parametrize("off", SOURCES)
def test_a_source_that_is_off_contributes_nothing(standard, off):
    options = Simulation(sources_off=(off,))
    rms, full = rms_by_source(only(standard, options)[0]), rms_by_source(only(standard)[0])
    assert rms[off] == 0.0
    assert all(rms[source] > 0.0 for source in options.sources)
    earlier = SOURCES[: SOURCES.index(off)]
    for source in earlier:
        assert rms[source] == full[source]


def test_nothing_on_means_no_error(standard):
    f = only(standard, Simulation(sources_off=SOURCES))[0]
    assert rms_by_source(f) == dict.fromkeys(("total", *SOURCES), 0.0)
    np.testing.assert_array_equal(f["x_act"], f["x_ref"])


def test_velocity_steps_ring_and_their_rest_follows_the_acceleration():
    """One straight move: no junction, so all of it is the ramps, -a/w^2 while they last."""
    line = gcode.parse(";LAYER_CHANGE\nG1 X200 E5 F12000\n", "line.gcode")
    options = Simulation(sources_off=SOURCES[2:])
    f = only(line, options)[0]
    np.testing.assert_array_equal(f["junction_deviation_x"], 0.0)
    settled = f["error_x"][(f["time"] > 0.35) & (f["time"] < 0.39)]
    np.testing.assert_allclose(settled, -0.021875, atol=5e-4)


def test_random_numbers_belong_to_seed_part_and_layer_alone(three_layers):
    together = only(three_layers, layers=[1, 2, 3])
    alone = only(three_layers, layers=[2])[0]
    for name in FIELDS:
        np.testing.assert_array_equal(together[1][name], alone[name])
    floor = alone["floor_x"]
    for other in (
        only(three_layers, Simulation(seed=1), [2])[0],
        only(three_layers, layers=[2], part="q")[0],
        only(three_layers, layers=[3])[0],
    ):
        n = min(len(floor), len(other["floor_x"]))
        assert abs(np.corrcoef(floor[:n], other["floor_x"][:n])[0, 1]) < 0.5
    assert alone["layer_num"][0] == 2.0
    np.testing.assert_array_equal(only(three_layers, QUIET)[0]["jitter_x"], 0.0)


def test_quiet_traces_are_converged_in_the_step(standard):
    fine = QUIET.model_copy(update={"plant_rate_hz": 8000.0})
    difference = only(standard, fine)[0]["error_x"] - only(standard, QUIET)[0]["error_x"]
    assert np.sqrt(np.mean(difference**2)) < 5e-4


def test_sweep_gives_every_point_of_every_layer(three_layers):
    options = Simulation(accel_mm_s2=(200.0, 2000.0), velocity_mm_s=(50.0, 150.0))
    results = list(simulate_jobs(three_layers, make_jobs(options, [1, 3]), options))
    points = [(r.job.layer, r.job.plan.accel_mm_s2, r.job.plan.velocity_mm_s) for r in results]
    assert len(set(points)) == 8
    assert points[0] == (1, 200.0, 50.0)
    assert points[-1] == (3, 2000.0, 150.0)
    assert results[3].fields["a_mag_ref"].max() == pytest.approx(2000.0)
    assert results[0].params["plan"]["accel_mm_s2"] == 200.0
    assert np.isnan(results[0].params["plan"]["classic_jerk_mm_s"])


def test_options_reach_the_plant(standard):
    options = QUIET.model_copy(update={"stiffness_n_m": (4000.0, 8000.0)})
    rms, stock = only(standard, options)[0], only(standard, QUIET)[0]
    assert np.std(rms["friction_x"]) > 1.8 * np.std(stock["friction_x"])
    np.testing.assert_array_equal(rms["friction_y"], stock["friction_y"])


def test_a_probe_moves_the_command_and_the_sources_add_up_to_what_is_left(three_layers):
    options = Simulation(probe_um=(50.0, 100.0))
    results = list(simulate_jobs(three_layers, make_jobs(options, [1, 2]), options, "p"))
    assert [(r.job.layer, r.job.probe_um) for r in results[:4]] == [
        (1, 0),
        (1, 50),
        (1, 100),
        (2, 0),
    ]
    plain, small, large = (result.fields for result in results[:3])
    assert list(plain) == FIELDS
    assert list(small) == [*FIELDS, "x_cmd", "y_cmd", "vx_cmd", "vy_cmd"]
    assert results[1].params["probe_um"] == 50.0
    for f, rms_mm in ((small, 0.05), (large, 0.1)):
        for axis in "xy":
            np.testing.assert_array_equal(f[f"{axis}_ref"], plain[f"{axis}_ref"])
            moved = f[f"{axis}_cmd"] - f[f"{axis}_ref"]
            assert moved[0] == 0.0
            assert np.sqrt(np.mean(moved**2)) == pytest.approx(rms_mm, rel=0.4)
            sped = f[f"v{axis}_cmd"] - f[f"v{axis}_ref"]
            np.testing.assert_allclose(sped[1:-1], (moved[2:] - moved[:-2]) * 50.0, atol=1e-9)
            lag = sum(f[f"{source}_{axis}"] for source in SOURCES)
            np.testing.assert_allclose(f[f"error_{axis}"], moved + lag, atol=1e-12)
            np.testing.assert_allclose(
                f[f"{axis}_act"] - f[f"{axis}_ref"], f[f"error_{axis}"], atol=1e-12
            )
    assert small["x_cmd"][50] - small["x_ref"][50] != large["x_cmd"][50] - large["x_ref"][50]
    np.testing.assert_array_equal(plain["error_x"], only(three_layers)[0]["error_x"])


def test_a_probes_knots_may_be_further_apart_than_samples(three_layers):
    options = Simulation(sources_off=SOURCES, probe_um=(80.0,))
    apart = options.model_copy(update={"knot_rate_hz": 25.0})
    results = list(simulate_jobs(three_layers, make_jobs(apart, [1]), apart))
    assert results[0].params["knot_rate_hz"] == 25.0
    f, num_knots = results[1].fields, -(-(len(results[1].fields["time"]) - 1) // 4) + 1
    moved = np.stack([f[f"{axis}_cmd"] - f[f"{axis}_ref"] for axis in "xy"], axis=1)
    sped = np.stack([f[f"v{axis}_cmd"] - f[f"v{axis}_ref"] for axis in "xy"], axis=1)
    knots = np.zeros((num_knots, 2))
    knots[: len(moved[::4])] = moved[::4]
    position, velocity = correction_curve.curve(knots, 25.0, 4)
    sure = 4 * (num_knots - 3)  # a slope needs the knots on either side
    np.testing.assert_allclose(moved[:sure], position[:sure], atol=1e-12)
    np.testing.assert_allclose(sped[:sure], velocity[:sure], atol=1e-9)


def test_without_sources_the_head_is_where_a_probed_command_is(three_layers):
    options = Simulation(sources_off=SOURCES, probe_um=(80.0,))
    f = only(three_layers, options)[1]
    np.testing.assert_allclose(f["x_act"], f["x_cmd"], atol=1e-12)
    assert rms_by_source(f)["total"] > 50.0


def test_a_sweep_takes_the_place_of_the_plans_own_values():
    plan = PlanOptions(accel_mm_s2=900.0, classic_jerk_mm_s=8.0)
    assert [job.plan for job in make_jobs(DEFAULT, [1], plan)] == [plan]
    swept = make_jobs(Simulation(accel_mm_s2=(400.0,)), [1], plan)
    assert [job.plan for job in swept] == [dataclasses.replace(plan, accel_mm_s2=400.0)]


def test_a_diagonal_turns_one_motor_of_a_corexy():
    """Along x = y the motor of x - y stands still: neither friction nor microsteps of its own."""
    program = gcode.parse("M83\nG1 X0 Y0 F6000\nG1 X20 Y20 E1\n", "p")
    options = Simulation(kinematics="corexy", mass_kg=(0.4, 0.4), floor_um=0.0)
    made = next(simulate_jobs(program, make_jobs(options, [1]), options)).fields
    np.testing.assert_allclose(made["error_x"], made["error_y"], atol=1e-12)
    assert np.abs(made["microstep_x"]).max() > 1e-3 < np.abs(made["jitter_x"] * 1e6).max()
    assert made["friction_x"].min() < -0.04  # half of F / k of the motor that turns


def test_layers_carry_what_was_printed_before(three_layers):
    """A batch of layers, each with a mass of its own; alone it is the same."""
    options = QUIET.model_copy(update={"bed_axis": "y", "filament_density_g_cm3": 5000.0})
    made = list(simulate_jobs(three_layers, make_jobs(options, [1, 3]), options))
    masses = [one.params["plant"]["y"]["mass_kg"] for one in made]
    grams = 2.405 * 5.0 * three_layers.filament_before_mm(2)
    assert masses == [0.45, pytest.approx(0.45 + grams / 1000, rel=1e-3)]
    heavy = options.model_copy(update={"mass_kg": (0.35, masses[1]), "bed_axis": None})
    alone = next(simulate_jobs(three_layers, make_jobs(heavy, [3]), heavy)).fields
    np.testing.assert_allclose(made[1].fields["error_y"], alone["error_y"], atol=1e-12)
