"""The planner against times and speeds in closed form, its limits, and another planner."""

import contextlib
import dataclasses
import importlib.util
import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxcorr.errors import InputError
from jaxcorr.printer import gcode, planner
from jaxcorr.printer.gcode import ENDER3_V2, Limits, Program
from jaxcorr.printer.motion_limits import defaults_of
from jaxcorr.printer.planner import (
    PlanOptions,
    count_cuts,
    plan_layer,
    plan_program,
    sample_plan,
    sample_velocity_steps,
)

CORNER_5 = 25.0 * (np.sqrt(2.0) - 1.0) / 500.0  # mm, takes a corner of 90 degrees at 5 mm/s
NEWER = dataclasses.replace(ENDER3_V2, is_jerk_of_difference=True)
FREE = Limits((1e9,) * 4, (1e9,) * 4, 500.0, 500.0, 500.0, None, CORNER_5)


def make_program(
    points, feedrate=100.0, extrude=0.0, dwell=0.0, limits=FREE, layer=0, limits_index=0
) -> Program:
    """A program through points (N + 1, 2 or 3); the rest is one value, or one per move."""
    points = np.asarray(points, float)
    points = np.column_stack([points, np.zeros((len(points), 3 - points.shape[1]))])
    limits = limits if isinstance(limits, tuple) else (limits,)
    n = len(points) - 1
    column = lambda value, kind=float: np.broadcast_to(np.asarray(value, kind), n).copy()  # noqa: E731
    return Program(
        start_mm=points[:-1],
        end_mm=points[1:],
        extrude_mm=column(extrude),
        feedrate_mm_s=column(feedrate),
        dwell_s=column(dwell),
        layer=column(layer, np.int32),
        feature=column(0, np.uint8),
        line=np.arange(1, n + 1, dtype=np.int32),
        limits=limits,
        limits_index=column(limits_index, np.int32),
        layer_z_mm=np.arange(1, np.max(layer) + 2) * 0.2,
        slicer="test",
    )


SQUARE = [(0, 0), (20, 0), (20, 20), (0, 20), (0, 0)]


@pytest.mark.parametrize(
    ("points", "feedrate", "seconds"),
    [
        ([(0, 0), (100, 0)], 100.0, 1.200000),
        ([(0, 0), (10, 0)], 100.0, 0.282843),
        ([(0, 0), (50, 0), (50, 50)], 100.0, 1.380500),
        (SQUARE, 60.0, 1.755833),
    ],
)
def test_known_times(points, feedrate, seconds):
    plan = plan_program(make_program(points, feedrate))
    assert plan.total_s == pytest.approx(seconds, abs=1e-6)
    assert plan.total_s == pytest.approx(plan.duration_s.sum(), abs=1e-12)


def test_triangle_peaks_at_the_known_speed():
    plan = plan_program(make_program([(0, 0), (10, 0)]))
    assert plan.peak_velocity_mm_s == pytest.approx(70.711, abs=1e-3)


def test_corner_speed_of_the_reference_is_3_96_not_39_5():
    corner = make_program([(0, 0), (50, 0), (50, 50)])
    plan = plan_program(corner, PlanOptions(junction_deviation_mm=0.013))
    assert plan.exit_v[0] == pytest.approx(np.sqrt(500.0 * 0.013 * (1.0 + np.sqrt(2.0))))
    assert plan.exit_v[0] == pytest.approx(3.9612, rel=1e-4)
    plan = plan_program(corner, PlanOptions(square_corner_velocity_mm_s=3.9612))
    assert plan.exit_v[0] == pytest.approx(3.9612, abs=1e-9)


def test_straight_is_unlimited_and_reversal_has_the_minimum_speed():
    straight = plan_program(make_program([(0, 0), (50, 50), (100, 100)]))
    assert straight.exit_v[0] == pytest.approx(100.0)
    reversal = plan_program(make_program([(0, 0), (50, 0), (0, 0)]))
    assert reversal.exit_v[0] == pytest.approx(0.05)


def test_junction_acceleration_is_limited_along_the_turn():
    limits = dataclasses.replace(FREE, max_accel_mm_s2=(500.0, 100.0, 1e9, 1e9))
    plan = plan_program(make_program([(0, 0), (50, 0), (50, 50)], limits=limits))
    # The turn is (-1, 1)/sqrt(2), but the entered move along y has 100 mm/s2 already.
    assert plan.exit_v[0] == pytest.approx(5.0 * np.sqrt(100.0 / 500.0))
    plan = plan_program(make_program([(50, 50), (50, 0), (0, 0)], limits=limits))
    assert plan.exit_v[0] == pytest.approx(5.0 * np.sqrt(100.0 * np.sqrt(2.0) / 500.0))


def test_classic_jerk_holds_on_the_axis_that_jumps_most():
    corner = make_program([(0, 0), (50, 0), (50, 50)], limits=ENDER3_V2)
    assert plan_program(corner).exit_v[0] == pytest.approx(8.0)
    faster = plan_program(corner, PlanOptions(classic_jerk_mm_s=10.0))
    assert faster.exit_v[0] == pytest.approx(10.0)
    bend = make_program([(0, 0), (50, 0), (80, 40)], limits=ENDER3_V2)
    assert plan_program(bend).exit_v[0] == pytest.approx(8.0 / 0.8)
    # A retraction jumps x by the full speed and e by all of its own: 5 mm/s of jerk on e binds.
    retract = make_program([(0, 0), (50, 0), (50, 0)], extrude=[0.0, -1.0], limits=ENDER3_V2)
    assert plan_program(retract).exit_v[0] == pytest.approx(5.0)


def test_the_two_rules_of_classic_jerk_at_a_reversal():
    back = make_program([(0, 0), (50, 0), (0, 0)], limits=ENDER3_V2)
    plan = plan_program(back)
    assert plan.exit_v[0] == pytest.approx(8.0)
    assert plan.total_s == pytest.approx(1.36928, abs=1e-6)
    plan = plan_program(make_program([(0, 0), (50, 0), (0, 0)], limits=NEWER))
    assert plan.exit_v[0] == pytest.approx(4.0)
    assert plan.total_s == pytest.approx(1.38432, abs=1e-5)


@given(degrees=st.floats(0.0, 90.0), first=st.floats(10.0, 200.0), second=st.floats(10.0, 200.0))
@settings(deadline=None)
def test_both_rules_agree_up_to_90_degrees_at_one_speed(degrees, first, second):
    turn = np.radians(degrees)
    points = [(0, 0), (50, 0), (50 + 50 * np.cos(turn), 50 * np.sin(turn))]
    stock_v, newer_v = (
        plan_program(make_program(points, [first, first], limits=limits)).exit_v[0]
        for limits in (ENDER3_V2, NEWER)
    )
    assert stock_v == pytest.approx(newer_v)
    # Unequal speeds: the stock rule does not scale the entry, and is never the faster one but for
    # the speed that both moves may stop at anyway.
    stock_v, newer_v = (
        plan_program(make_program(points, [first, second], limits=limits)).exit_v[0]
        for limits in (ENDER3_V2, NEWER)
    )
    assert stock_v <= max(newer_v, 8.0 / max(abs(np.cos(turn)), abs(np.sin(turn)))) + 1e-9


def test_klippers_corner_and_velocity():
    klipper = dataclasses.replace(
        defaults_of("klipper"), print_accel_mm_s2=1000.0, travel_accel_mm_s2=1000.0
    )
    corner = make_program([(0, 0), (50, 0), (50, 50)], limits=klipper)
    assert plan_program(corner).exit_v[0] == pytest.approx(5.0)
    slow = dataclasses.replace(klipper, max_velocity_mm_s=60.0)
    plan = plan_program(make_program([(0, 0), (30, 40), (30, 40)], extrude=[0, 5], limits=slow))
    np.testing.assert_allclose(plan.peak_v[0], 60.0)  # along the path, whatever the axes
    assert plan.peak_v[1] > 60.0  # filament alone has no part in it
    cuts = count_cuts(make_program([(0, 0), (30, 40)], limits=slow), PlanOptions())
    assert cuts == (1, (0, 0, 0, 0), (0, 0, 0, 0), 0)


def test_a_minimum_cruise_ratio_keeps_a_short_move_from_its_full_peak():
    smooth = dataclasses.replace(
        defaults_of("klipper"), travel_accel_mm_s2=100.0, minimum_cruise_ratio=0.5
    )
    plan = plan_program(make_program([(0, 0), (100, 0)], limits=smooth))
    # Half the way is cruised: v2 = (a / 2) L, so 70.711 mm/s, and 3 L / (2 v) in all.
    assert plan.peak_v[0] == pytest.approx(np.sqrt(5000.0))
    assert plan.total_s == pytest.approx(150.0 / np.sqrt(5000.0))
    assert plan.cruise_s[0] * plan.peak_v[0] == pytest.approx(50.0)
    pieces = plan_program(make_program([(x, 0) for x in range(101)], limits=smooth))
    assert pieces.total_s == pytest.approx(plan.total_s)


def test_klippers_moves_of_a_zigzag_and_of_one_way():
    klipper = defaults_of("klipper")
    zigzag = [(4 * (i // 2 + i % 2), 4 * (i // 2)) for i in range(9)]
    plan = plan_program(make_program(zigzag, 300.0, limits=klipper))
    # From 5 to 5 mm/s over 4 mm: the way that half of 3000 mm/s2 takes to the crest and back.
    np.testing.assert_allclose(plan.peak_v[1:-1], np.sqrt(25.0 + 1500.0 * 4.0))
    # One way in unequal moves: those that speed up lead to its crest, those behind slow down.
    ends = np.cumsum([0.0, 3.0, 0.5, 9.0, 2.0, 1.0, 7.0, 0.1, 5.0])
    whole, parts = (
        plan_program(make_program([(x, 0) for x in points], 300.0, limits=klipper))
        for points in (ends[[0, -1]], ends)
    )
    assert parts.total_s == pytest.approx(whole.total_s)
    assert parts.peak_v.max() == pytest.approx(whole.peak_v[0])
    turned = plan_program(make_program([(x, 0) for x in -ends[::-1]], 300.0, limits=klipper))
    assert turned.total_s == pytest.approx(parts.total_s)


def test_klippers_corners_of_short_moves_and_of_filament():
    klipper = dataclasses.replace(defaults_of("klipper"), square_corner_velocity_mm_s=20.0)
    corner = [(0, 0), (10, 0), (10, 0.1), (20, 0.1)]
    plan = plan_program(make_program(corner, limits=klipper))
    # The arc ends by the middle of the short move: v2 = a L / 2 at 90 degrees.
    np.testing.assert_allclose(plan.exit_v[:2], np.sqrt(3000.0 * 0.1 / 2.0))
    straight = make_program([(0, 0), (20, 0), (40, 0)], extrude=[1.0, 2.0], limits=klipper)
    assert plan_program(straight).exit_v[0] == pytest.approx(1.0 / (0.1 - 0.05))
    lower = dataclasses.replace(klipper, square_corner_velocity_mm_s=7.0)
    for limits in ((klipper, lower), (lower, klipper)):
        turn = make_program([*corner[:2], (10, 10)], limits=limits, limits_index=[0, 1])
        assert plan_program(turn).exit_v[0] == pytest.approx(7.0)


def test_cuts_count_what_each_limit_slows():
    program = make_program(
        [(0, 0, 0), (50, 0, 0), (50, 50, 0), (50, 50, 9)], feedrate=600.0, limits=ENDER3_V2
    )
    cuts = count_cuts(program, PlanOptions())
    assert cuts.feedrate == (1, 1, 1, 0)
    assert cuts.accel == (0, 0, 1, 0)
    assert cuts.corner == 2
    in_two = dataclasses.replace(program, layer=np.array([0, 0, 1]))
    assert count_cuts(in_two, PlanOptions(), layer=0).feedrate == (1, 1, 0, 0)
    assert count_cuts(in_two, PlanOptions(), layer=1).corner == 0


def test_a_dwell_at_the_end_takes_its_time():
    program = dataclasses.replace(make_program([(0, 0), (100, 0)]), end_dwell_s=5.0)
    plan = plan_program(program)
    assert plan.total_s == pytest.approx(6.2)
    rest = sample_plan(plan, np.array([1.2, 3.0, 6.2]))
    np.testing.assert_allclose(rest.position_mm, [[100.0, 0.0, 0.0]] * 3)
    np.testing.assert_array_equal(rest.velocity_mm_s, 0.0)
    np.testing.assert_array_equal(rest.accel_mm_s2, 0.0)
    assert plan_layer(program, 0).total_s == pytest.approx(1.2)


def test_per_axis_limits_and_kinds_of_acceleration():
    limits = dataclasses.replace(
        ENDER3_V2, print_accel_mm_s2=400.0, travel_accel_mm_s2=300.0, retract_accel_mm_s2=200.0
    )
    program = make_program(
        [(0, 0, 0), (50, 0, 0), (90, 0, 0), (90, 0, 0), (90, 0, 9)],
        extrude=[2.0, 0.0, 5.0, 0.0],
        feedrate=80.0,
        limits=limits,
    )
    plan = plan_program(program)
    np.testing.assert_allclose(plan.accel_mm_s2, [400.0, 300.0, 200.0, 100.0])
    np.testing.assert_allclose(plan.peak_v, [80.0, 80.0, 25.0, 5.0])
    assert plan.peak_velocity_mm_s == 80.0
    diagonal = plan_program(make_program([(0, 0), (600, 600)], 900.0, limits=ENDER3_V2))
    assert diagonal.accel_mm_s2[0] == pytest.approx(500.0)
    assert diagonal.peak_v[0] == pytest.approx(np.sqrt(500.0 * np.sqrt(2.0) * 600.0))


def test_options_replace_acceleration_and_feedrate():
    program = make_program(
        [(0, 0), (100, 0), (100, 0)], extrude=[1.0, -3.0], feedrate=50.0, limits=ENDER3_V2
    )
    plan = plan_program(program, PlanOptions(accel_mm_s2=3000.0, velocity_mm_s=200.0))
    np.testing.assert_allclose(plan.accel_mm_s2, [3000.0, 500.0])
    np.testing.assert_allclose(plan.peak_v, [200.0, 25.0])


def test_dwell_is_a_full_stop_and_takes_its_time():
    program = make_program([(0, 0), (50, 0), (100, 0)], dwell=[0.0, 0.25])
    plan = plan_program(program)
    alone = plan_program(make_program([(0, 0), (50, 0)])).total_s
    assert plan.total_s == pytest.approx(2 * alone + 0.25)
    pause = sample_plan(plan, alone + np.array([0.0, 0.1, 0.2499]))
    np.testing.assert_array_equal(pause.position_mm, [[50.0, 0.0, 0.0]] * 3)
    np.testing.assert_array_equal(pause.velocity_mm_s, 0.0)
    np.testing.assert_array_equal(pause.accel_mm_s2, 0.0)


def test_layers_are_planned_alone_and_timed_within_the_whole():
    program = make_program(SQUARE, layer=[0, 0, 1, 1], feedrate=60.0)
    whole = plan_program(program)
    assert whole.layer_times_s(2).sum() == pytest.approx(whole.total_s)
    first = plan_layer(program, 0)
    assert first.num_moves == 2
    assert first.entry_v[0] == first.exit_v[-1] == 0.0
    with pytest.raises(InputError, match=r"layer 6: expected a layer from 1 to 2"):
        plan_layer(program, 5)


def test_refusals():
    with pytest.raises(InputError, match=r"expected one cornering scheme, got junction_dev.* and"):
        PlanOptions(junction_deviation_mm=0.01, classic_jerk_mm_s=8.0)
    with pytest.raises(InputError, match=r"expected accel_mm_s2 > 0, got -1"):
        PlanOptions(accel_mm_s2=-1.0)
    with pytest.raises(InputError, match=r"line 2: expected a feedrate above 0 mm/s, got 0"):
        plan_program(make_program(SQUARE, feedrate=[60.0, 0.0, 60.0, 60.0]))


def test_a_program_without_moves_takes_no_time():
    plan = plan_program(make_program([(0, 0)]))
    assert plan.total_s == 0.0
    assert plan.peak_velocity_mm_s == 0.0


@st.composite
def programs(draw) -> Program:
    """Up to 12 moves on a coarse grid: collinear, reversed, E-only and Z moves are all common."""
    cell = st.integers(0, 6).map(lambda i: i * 2.5)
    points = draw(
        st.lists(st.tuples(cell, cell, st.sampled_from([0.0, 0.2])), min_size=2, max_size=13)
    )
    per_move = lambda values: draw(  # noqa: E731
        st.lists(st.sampled_from(values), min_size=len(points) - 1, max_size=len(points) - 1)
    )
    return make_program(
        points,
        feedrate=per_move([20.0, 60.0, 300.0]),
        extrude=per_move([0.0, 0.3, -0.5]),
        dwell=per_move([0.0, 0.0, 0.0, 0.013]),
        limits=draw(st.sampled_from([ENDER3_V2, NEWER, FREE])),
    )


@given(programs())
@settings(max_examples=80, deadline=None)
def test_speeds_chain_and_no_limit_is_passed(program):
    plan, limits = plan_program(program), program.limits[0]
    assert plan.entry_v[0] == plan.exit_v[-1] == 0.0
    np.testing.assert_array_equal(plan.entry_v[1:], plan.exit_v[:-1])
    assert np.all(plan.peak_v <= program.feedrate_mm_s * (1 + 1e-12))
    for value in (plan.accel_s, plan.cruise_s, plan.decel_s):
        assert np.all(value >= 0.0)
    u = np.column_stack([plan.direction, program.extrude_mm / np.maximum(plan.length_mm, 1e-12)])
    assert np.all(np.abs(u) * plan.peak_v[:, None] <= np.array(limits.max_feedrate_mm_s) + 1e-9)
    accel_cap = np.array(limits.max_accel_mm_s2) * (1 + 1e-12)
    assert np.all(np.abs(u) * plan.accel_mm_s2[:, None] <= accel_cap)
    way = (plan.entry_v + plan.peak_v) / 2 * plan.accel_s + plan.peak_v * plan.cruise_s
    way += (plan.peak_v + plan.exit_v) / 2 * plan.decel_s
    np.testing.assert_allclose(way, plan.length_mm, rtol=1e-9, atol=1e-9)
    if limits.is_jerk_of_difference:
        jump = np.abs(np.diff(u, axis=0)) * plan.exit_v[:-1, None]
        assert np.all(jump <= np.array(limits.classic_jerk_mm_s) + 1e-9)


@given(programs())
@settings(max_examples=20, deadline=None)
def test_blocks_of_moves_are_planned_as_the_whole(program):
    program = dataclasses.replace(program, end_dwell_s=0.5)
    whole = plan_program(program)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planner, "BLOCK", 3)
        in_blocks, seconds = plan_program(program), planner.total_s(program)
    for name in ("entry_v", "peak_v", "accel_s", "cruise_s", "decel_s", "direction"):
        np.testing.assert_array_equal(getattr(in_blocks, name), getattr(whole, name))
    assert seconds == pytest.approx(whole.total_s, rel=1e-12)


@given(programs())
@settings(max_examples=40, deadline=None)
def test_samples_are_continuous_and_consistent(program):
    plan = plan_program(program)
    h = 1e-4
    time = np.arange(int(plan.total_s / h) + 2) * h
    at, before, after = (sample_plan(plan, time + shift) for shift in (0.0, -h / 2, h / 2))
    speed = np.linalg.norm(at.velocity_mm_s, axis=1)
    step = np.linalg.norm(np.diff(at.position_mm, axis=0), axis=1)
    assert np.all(step <= plan.peak_v.max() * h + 1e-9)
    # Away from a change of phase a central difference is the derivative, exactly for a parabola.
    same = np.all(before.accel_mm_s2 == after.accel_mm_s2, axis=1) & (before.move == after.move)
    derivative = (after.position_mm - before.position_mm) / h
    inner = same & (time > h) & (time < plan.total_s - h)
    np.testing.assert_allclose(derivative[inner], at.velocity_mm_s[inner], atol=1e-6)
    np.testing.assert_allclose(at.position_mm[0], program.start_mm[0], atol=1e-12)
    np.testing.assert_allclose(at.position_mm[-1], program.end_mm[-1], atol=1e-12)
    assert speed[-1] == 0.0


def test_velocity_steps_are_the_motion_without_its_accelerations():
    plan = plan_program(make_program(SQUARE, feedrate=60.0))
    h = 1e-5
    time = np.arange(int(plan.total_s / h) + 2) * h
    steps, way = sample_velocity_steps(plan, time)
    at = sample_plan(plan, time)
    ramps = np.cumsum(at.accel_mm_s2, axis=0) * h
    np.testing.assert_allclose(steps + ramps, at.velocity_mm_s, atol=0.02)
    np.testing.assert_allclose(np.cumsum(steps, axis=0) * h, way, atol=1e-3)
    assert len(np.unique(np.round(steps, 9), axis=0)) == 4


ORACLE_FILES = ("triangle", "bee", "cubhelix")


@pytest.mark.skipif(importlib.util.find_spec("pyGCodeDecode") is None, reason="dev only")
@pytest.mark.parametrize("name", ORACLE_FILES)
def test_agrees_with_pygcodedecode(name):
    """Same moves into both; left are its 0.414 for sqrt(2) - 1 and no limit above 162 degrees."""
    import pyGCodeDecode
    from pyGCodeDecode.gcode_interpreter import setup, simulation

    home = Path(pyGCodeDecode.__file__).parent
    machine = setup(presets_file=home / "data/default_printer_presets.yaml", printer="prusa_mini")
    machine.set_property({"firmware": "junction_deviation"})
    machine.set_initial_position((0.0, 0.0, 0.0, 0.0))
    with contextlib.redirect_stdout(io.StringIO()):
        other = simulation(
            home / f"examples/data/{name}.gcode", initial_machine_setup=machine, verbosity_level=0
        )
    plan = plan_program(program_of_states(other.states))
    seconds = other.blocklist[-1].get_segments()[-1].t_end
    assert plan.total_s == pytest.approx(seconds, rel=1e-3)


def program_of_states(states) -> Program:
    """The moves between pyGCodeDecode's states; its jerk is the speed at a corner of 90 degrees."""
    where = np.array([s.state_position.get_vec(withExtrusion=True) for s in states], float)
    moved = np.append(False, np.any(np.diff(where, axis=0) != 0.0, axis=1))
    rules = [(float(s.state_p_settings.p_acc), float(s.state_p_settings.jerk)) for s in states]
    known = sorted(set(rules))
    limits = tuple(
        Limits((1e9,) * 4, (1e9,) * 4, a, a, a, None, (2.0**0.5 - 1.0) * v**2 / a) for a, v in known
    )
    keep = np.flatnonzero(moved)
    return make_program(
        np.vstack([where[keep - 1, :3], where[keep[-1:], :3]]),
        feedrate=[states[i].state_p_settings.speed for i in keep],
        extrude=(where[keep, 3] - where[keep - 1, 3]),
        dwell=[states[i - 1].pause or 0.0 for i in keep],
        limits=limits,
        limits_index=[known.index(rules[i]) for i in keep],
    )


def test_reference_rows_are_the_plan_at_a_rate():
    plan = plan_program(gcode.parse("G1 X40 F6000\nG1 X40 Y30", "corner.gcode"))
    rows = planner.reference_rows(plan, 1000.0, 0.5)
    at = sample_plan(plan, np.arange(501) / 1000)
    np.testing.assert_array_equal(rows[:, :2], at.position_mm[:, :2])
    np.testing.assert_array_equal(rows[:, 2:], at.velocity_mm_s[:, :2])
    whole = planner.reference_rows(plan, 100.0)
    assert len(whole) == int(plan.total_s * 100) + 1
    assert whole[0].tolist() == [0.0, 0.0, 0.0, 0.0]
