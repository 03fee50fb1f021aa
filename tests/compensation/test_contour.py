"""Distances to a path in closed form, and where its corners are."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxcorr.compensation import contour
from jaxcorr.printer import gcode
from jaxcorr.printer.planner import plan_layer, sample_plan


def plan_of(tmp_path, *lines):
    path = tmp_path / "path.gcode"
    head = ["M83", "M204 P1000 T1000", "G92 E0", "G1 X0 Y0 Z0.2 F6000", ";LAYER_CHANGE"]
    path.write_text("\n".join([*head, *lines]) + "\n", encoding="utf-8")
    program = gcode.read(path)
    return plan_layer(program, program.num_layers - 1)


@pytest.fixture
def line(tmp_path):
    return plan_of(tmp_path, "G1 X50 Y0 E1 F3000")


@pytest.fixture
def corner(tmp_path):
    return plan_of(tmp_path, "G1 X20 Y0 E1 F3000", "G1 X20 Y20 E1")


def judged(plan, offset_fn, delay_s=0.0, rate_hz=500.0):
    time_s = np.arange(0, plan.total_s, 1 / rate_hz)
    points = sample_plan(plan, time_s - delay_s).position_mm[:, :2]
    return time_s, points, contour.deviation(plan, time_s, points + offset_fn(points))


def test_a_delay_along_a_line_is_no_contour_error(line):
    _, points, found = judged(line, lambda _: 0.0, delay_s=0.02)
    late = sample_plan(line, np.arange(len(points)) / 500.0).position_mm[:, :2] - points
    assert np.abs(late).max() > 0.9
    assert np.abs(found).max() < 1e-12


def test_beside_a_line_the_distance_is_the_offset(line):
    _, _, found = judged(line, lambda _: np.array([0.0, 0.07]))
    np.testing.assert_allclose(found, np.tile([0.0, 0.07], (len(found), 1)), atol=1e-12)


def test_beyond_the_end_it_is_the_way_past_the_end(line):
    end = contour.deviation(line, np.array([line.total_s]), np.array([[50.3, 0.4]]))
    np.testing.assert_allclose(end, [[0.3, 0.4]], atol=1e-12)


def test_a_circle_with_a_radial_offset(tmp_path):
    turns = np.linspace(0, 2 * np.pi, 721)[1:]
    lines = [f"G1 X{20 * np.sin(t):.9f} Y{20 - 20 * np.cos(t):.9f} E0.01 F2400" for t in turns]
    plan = plan_of(tmp_path, *lines)
    centre, offset_mm = np.array([0.0, 20.0]), 0.05

    def outwards(points):
        away = points - centre
        return offset_mm * away / np.linalg.norm(away, axis=1, keepdims=True)

    _, _, found = judged(plan, outwards)
    sagitta_mm = 20 * (1 - np.cos(np.pi / 720))
    size = np.linalg.norm(found, axis=1)
    # Past the first and last point of the ring there is only its end to measure from.
    assert np.abs(size - offset_mm).max() <= sagitta_mm + 1e-6


def test_cutting_a_corner_is_measured_to_the_nearer_leg(corner):
    at = contour.corner_times_s(corner)[0]
    inside = np.array([[20.0 - 0.03, 0.08]])
    found = contour.deviation(corner, np.array([at]), inside)
    np.testing.assert_allclose(found, [[-0.03, 0.0]], atol=1e-12)


def test_a_line_printed_long_before_is_not_the_path(tmp_path):
    plan = plan_of(tmp_path, "G1 X40 Y0 E1 F3000", "G1 X40 Y0.4 E0.1", "G1 X0 Y0.4 E1")
    when = plan.total_s - 0.2
    point = sample_plan(plan, np.array([when])).position_mm[:, :2] - [0.0, 0.3]
    found = contour.deviation(plan, np.array([when]), point)
    np.testing.assert_allclose(found, [[0.0, -0.3]], atol=1e-12)


@given(st.floats(-0.2, 0.2), st.floats(-0.2, 0.2))
def test_never_longer_than_the_error_at_the_same_time(tmp_path_factory, dx, dy):
    plan = plan_of(tmp_path_factory.getbasetemp(), "G1 X9 Y3 E1 F3000", "G1 X4 Y9 E1", "G1 X0 Y2")
    _, _, found = judged(plan, lambda _: np.array([dx, dy]), rate_hz=100.0)
    assert np.linalg.norm(found, axis=1).max() <= np.hypot(dx, dy) + 1e-9


def test_lanes_are_judged_alike(corner):
    time_s = np.arange(0, corner.total_s, 0.01)
    points = sample_plan(corner, time_s).position_mm[:, None, :2] + np.array([[0.1, 0.0], [0, 0.2]])
    both = contour.deviation(corner, time_s, points)
    for lane in range(2):
        alone = contour.deviation(corner, time_s, points[:, lane])
        np.testing.assert_array_equal(both[:, lane], alone)


def test_corners_are_turns_and_stops(tmp_path):
    plan = plan_of(
        tmp_path, "G1 X20 Y0 E1 F3000", "G1 X40 Y1 E1", "G1 X40 Y20 E1", "G4 P100", "G1 X40 Y40 E1"
    )
    ends = plan.start_s + plan.duration_s
    found = contour.corner_times_s(plan)
    # Not the turn of 3 degrees; the right angle, the stop for the dwell, and the end.
    np.testing.assert_allclose(found, [ends[1], ends[2], ends[-1]], atol=1e-9)
    assert len(contour.corner_times_s(plan, least_deg=2.0)) == 4


def test_a_layer_that_goes_nowhere_is_a_point(tmp_path):
    plan = plan_of(tmp_path, "G1 E1 F300")
    assert len(contour.corner_times_s(plan)) == 0
    found = contour.deviation(plan, np.zeros(1), np.array([[0.3, 0.4]]))
    np.testing.assert_allclose(found, [[0.3, 0.4]])
