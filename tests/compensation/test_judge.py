"""What the judge says of motions whose errors are known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from planned import plan_of

from jaxcorr.compensation import judge
from jaxcorr.printer import drive
from jaxcorr.printer.planner import sample_plan
from jaxcorr.printer_spec import Printer

RATE_HZ = 2000.0


@pytest.fixture
def corner(tmp_path):
    return drive.make_layer(
        plan_of(tmp_path, "G1 X20 Y0 E1 F3000", "G1 X20 Y20 E1", "G4 P300", "G1 X0 Y20 E1"),
        RATE_HZ,
        100.0,
    )


def judged(layer, error_fn, command_mm=(0.0, 0.0)):
    """Judges one command that errs by `error_fn(time)` -> (n, 2) mm."""
    kept = (layer.time_s >= 0) & (layer.time_s <= layer.plan.total_s)
    time_s, reference = layer.time_s[kept][::2], layer.reference.position_mm[kept][::2]
    driven = drive.Driven(time_s, reference, (reference + error_fn(time_s))[:, None])
    moved = layer.reference.position_mm + np.asarray(command_mm)
    command = layer.reference._replace(position_mm=moved)
    return judge.judge_layer(layer, driven, [command], (15.0, 35.0))[0]


def test_no_error(corner):
    found = judged(corner, lambda time: np.zeros((len(time), 2)))
    assert found[1:6] == pytest.approx((0,) * 5, abs=1e-9)
    assert found.vibration_um == pytest.approx(0, abs=1e-9)
    assert found.num_samples == pytest.approx(corner.plan.total_s * judge.JUDGE_RATE_HZ, abs=1.5)


def test_a_constant_offset(corner):
    found = judged(corner, lambda time: np.tile([0.03, 0.04], (len(time), 1)), (0.0, -0.2))
    assert (found.rms_um, found.mean_um, found.max_um) == pytest.approx((50, 50, 50))
    # Beside each leg one component lies along the path.
    assert 30 < found.contour_um < 40 + 1
    assert found.contour_max_um == pytest.approx(50)  # past the corner both count
    assert found.vibration_um == pytest.approx(0, abs=1e-6)
    assert found.correction_um == pytest.approx(200)


def test_mean_and_rms_of_unequal_errors(corner):
    def error(time):
        return np.where((time < time[-1] / 2)[:, None], [0.1, 0.0], [0.0, 0.0])

    found = judged(corner, error)
    assert found.rms_um == pytest.approx(100 / np.sqrt(2), rel=2e-3)
    assert found.mean_um == pytest.approx(50, rel=2e-3)


def test_ringing_is_the_rms_of_what_swings_after_corners(corner):
    def swing(time, frequency_hz=24.0):
        return np.stack([0.1 * np.sin(2 * np.pi * frequency_hz * time), 0 * time], axis=1)

    inside = judged(corner, swing)
    assert inside.vibration_um == pytest.approx(100 / np.sqrt(2), rel=0.05)
    for frequency_hz in (4.0, 90.0):
        outside = judged(corner, lambda time, f=frequency_hz: swing(time, f))
        assert outside.vibration_um < 0.15 * inside.vibration_um
        assert outside.rms_um == pytest.approx(inside.rms_um, rel=0.05)


@pytest.mark.parametrize(
    ("printer", "band_hz"),
    [
        (Printer.model_validate({}), (15.0, 35.0)),  # 24.06 and 21.22 Hz
        (Printer.model_validate({"printer": "ender3_v2"}), (28.0, 68.0)),  # 47.25 and 39.9 Hz
    ],
)
def test_the_band_follows_the_resonances(printer, band_hz):
    assert judge.band_hz(printer) == band_hz


def test_the_band_holds_second_modes_and_ends_below_half_the_rate():
    second = {"second_frequency_hz": (72.0, 60.0), "second_share": (0.2, 0.0)}
    assert judge.band_hz(Printer.model_validate(second)) == (15.0, 104.0)
    stiff = Printer.model_validate({"stiffness_n_m": (4e6, 4e6)})
    low, high = judge.band_hz(stiff)
    assert 0 < low < high < judge.JUDGE_RATE_HZ / 2


def test_ringing_counts_only_after_corners(corner):
    times = judge.corner_times_s(corner.plan)
    before = times[0] - 0.08

    def burst(time):
        size = 0.1 * np.exp(-(((time - before) / 0.02) ** 2))
        return np.stack([size * np.sin(2 * np.pi * 24 * time), 0 * time], axis=1)

    found = judged(corner, burst)
    assert found.rms_um > 5
    assert found.vibration_um < 0.5


def test_after_corners(corner):
    corners = judge.corner_times_s(corner.plan)
    time_s = corners[0] + np.array([-0.001, 0.02, 0.03, 0.149, 0.151])
    found = judge.after_corners(corner.plan, time_s)
    assert found.tolist() == [False, False, True, True, False]
    assert not judge.after_corners(corner.plan, np.array([0.05])).any()


def test_pooled_layers_are_judged_as_one():
    short = judge.Judged(1000, 10.0, 40.0, 30.0, 20.0, 90.0, 100, 8.0, 120.0)
    long = judge.Judged(3000, 20.0, 30.0, 50.0, 40.0, 70.0, 0, 0.0, 100.0)
    both = judge.pool([short, long])
    assert both.num_samples == 4000
    assert both.rms_um == pytest.approx(np.sqrt((30**2 + 3 * 50**2) / 4))
    assert both.mean_um == pytest.approx(35.0)
    assert (both.max_um, both.contour_max_um, both.correction_um) == (90.0, 40.0, 120.0)
    assert (both.num_vibration, both.vibration_um) == (100, 8.0)
    assert judge.pool([short]) == pytest.approx(short)


def test_pooling_layers_that_never_turn():
    still = judge.Judged(1000, 10.0, 40.0, 30.0, 20.0, 90.0, 0, 0.0, 0.0)
    assert judge.pool([still, still]).vibration_um == 0.0


@pytest.fixture
def line(tmp_path):
    return plan_of(tmp_path, "G1 X50 Y0 E1 F3000")


@pytest.fixture
def turn(tmp_path):
    return plan_of(tmp_path, "G1 X20 Y0 E1 F3000", "G1 X20 Y20 E1")


def deviation_of(plan, offset_fn, delay_s=0.0, rate_hz=500.0):
    time_s = np.arange(0, plan.total_s, 1 / rate_hz)
    points = sample_plan(plan, time_s - delay_s).position_mm[:, :2]
    return time_s, points, judge.deviation(plan, time_s, points + offset_fn(points))


def test_a_delay_along_a_line_is_no_contour_error(line):
    _, points, found = deviation_of(line, lambda _: 0.0, delay_s=0.02)
    late = sample_plan(line, np.arange(len(points)) / 500.0).position_mm[:, :2] - points
    assert np.abs(late).max() > 0.9
    assert np.abs(found).max() < 1e-12


def test_beside_a_line_the_distance_is_the_offset(line):
    _, _, found = deviation_of(line, lambda _: np.array([0.0, 0.07]))
    np.testing.assert_allclose(found, np.tile([0.0, 0.07], (len(found), 1)), atol=1e-12)


def test_beyond_the_end_it_is_the_way_past_the_end(line):
    end = judge.deviation(line, np.array([line.total_s]), np.array([[50.3, 0.4]]))
    np.testing.assert_allclose(end, [[0.3, 0.4]], atol=1e-12)


def test_a_circle_with_a_radial_offset(tmp_path):
    turns = np.linspace(0, 2 * np.pi, 721)[1:]
    lines = [f"G1 X{20 * np.sin(t):.9f} Y{20 - 20 * np.cos(t):.9f} E0.01 F2400" for t in turns]
    plan = plan_of(tmp_path, *lines)
    centre, offset_mm = np.array([0.0, 20.0]), 0.05

    def outwards(points):
        away = points - centre
        return offset_mm * away / np.linalg.norm(away, axis=1, keepdims=True)

    _, _, found = deviation_of(plan, outwards)
    sagitta_mm = 20 * (1 - np.cos(np.pi / 720))
    size = np.linalg.norm(found, axis=1)
    # Past the first and last point of the ring there is only its end to measure from.
    assert np.abs(size - offset_mm).max() <= sagitta_mm + 1e-6


def test_cutting_a_corner_is_measured_to_the_nearer_leg(turn):
    at = judge.corner_times_s(turn)[0]
    inside = np.array([[20.0 - 0.03, 0.08]])
    found = judge.deviation(turn, np.array([at]), inside)
    np.testing.assert_allclose(found, [[-0.03, 0.0]], atol=1e-12)


def test_a_line_printed_long_before_is_not_the_path(tmp_path):
    plan = plan_of(tmp_path, "G1 X40 Y0 E1 F3000", "G1 X40 Y0.4 E0.1", "G1 X0 Y0.4 E1")
    when = plan.total_s - 0.2
    point = sample_plan(plan, np.array([when])).position_mm[:, :2] - [0.0, 0.3]
    found = judge.deviation(plan, np.array([when]), point)
    np.testing.assert_allclose(found, [[0.0, -0.3]], atol=1e-12)


@given(st.floats(-0.2, 0.2), st.floats(-0.2, 0.2))
def test_never_longer_than_the_error_at_the_same_time(tmp_path_factory, dx, dy):
    plan = plan_of(tmp_path_factory.getbasetemp(), "G1 X9 Y3 E1 F3000", "G1 X4 Y9 E1", "G1 X0 Y2")
    _, _, found = deviation_of(plan, lambda _: np.array([dx, dy]), rate_hz=100.0)
    assert np.linalg.norm(found, axis=1).max() <= np.hypot(dx, dy) + 1e-9


def test_commands_are_judged_alike(turn):
    time_s = np.arange(0, turn.total_s, 0.01)
    points = sample_plan(turn, time_s).position_mm[:, None, :2] + np.array([[0.1, 0.0], [0, 0.2]])
    both = judge.deviation(turn, time_s, points)
    for i in range(2):
        alone = judge.deviation(turn, time_s, points[:, i])
        np.testing.assert_array_equal(both[:, i], alone)


def test_corners_are_turns_and_stops(tmp_path):
    plan = plan_of(
        tmp_path, "G1 X20 Y0 E1 F3000", "G1 X40 Y1 E1", "G1 X40 Y20 E1", "G4 P100", "G1 X40 Y40 E1"
    )
    ends = plan.start_s + plan.duration_s
    found = judge.corner_times_s(plan)
    # Not the turn of 3 degrees; the right angle, the stop for the dwell, and the end.
    np.testing.assert_allclose(found, [ends[1], ends[2], ends[-1]], atol=1e-9)
    assert len(judge.corner_times_s(plan, least_deg=2.0)) == 4


def test_a_layer_that_goes_nowhere_is_a_point(tmp_path):
    plan = plan_of(tmp_path, "G1 E1 F300")
    assert len(judge.corner_times_s(plan)) == 0
    found = judge.deviation(plan, np.zeros(1), np.array([[0.3, 0.4]]))
    np.testing.assert_allclose(found, [[0.3, 0.4]])
