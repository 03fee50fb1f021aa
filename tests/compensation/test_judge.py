"""What the judge says of motions whose errors are known."""

import numpy as np
import pytest
from test_contour import plan_of

from jaxcorr.compensation import judge
from jaxcorr.printer import drive

RATE_HZ = 2000.0


@pytest.fixture
def corner(tmp_path):
    return drive.make_layer(
        plan_of(tmp_path, "G1 X20 Y0 E1 F3000", "G1 X20 Y20 E1", "G4 P300", "G1 X0 Y20 E1"), RATE_HZ
    )


def judged(layer, error_fn, command_mm=(0.0, 0.0)):
    """Judges one lane that errs by `error_fn(time)` -> (n, 2) mm."""
    kept = (layer.time_s >= 0) & (layer.time_s <= layer.plan.total_s)
    time_s, reference = layer.time_s[kept][::2], layer.reference.position_mm[kept][::2]
    driven = drive.Driven(time_s, reference, (reference + error_fn(time_s))[:, None])
    moved = layer.reference.position_mm + np.asarray(command_mm)
    command = layer.reference._replace(position_mm=moved)
    return judge.judge(layer, driven, [command])[0]


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


def test_ringing_counts_only_after_corners(corner):
    times = judge.contour.corner_times_s(corner.plan)
    before = times[0] - 0.08

    def burst(time):
        size = 0.1 * np.exp(-(((time - before) / 0.02) ** 2))
        return np.stack([size * np.sin(2 * np.pi * 24 * time), 0 * time], axis=1)

    found = judged(corner, burst)
    assert found.rms_um > 5
    assert found.vibration_um < 0.5


def test_after_corners(corner):
    corners = judge.contour.corner_times_s(corner.plan)
    time_s = corners[0] + np.array([-0.001, 0.02, 0.03, 0.149, 0.151])
    found = judge.after_corners(corner.plan, time_s)
    assert found.tolist() == [False, False, True, True, False]
    assert not judge.after_corners(corner.plan, np.array([0.05])).any()


def test_pooled_layers_are_judged_as_one():
    short = judge.Judged(1000, 30.0, 20.0, 90.0, 10.0, 40.0, 100, 8.0, 120.0)
    long = judge.Judged(3000, 50.0, 40.0, 70.0, 20.0, 30.0, 0, 0.0, 100.0)
    both = judge.pool([short, long])
    assert both.num_samples == 4000
    assert both.rms_um == pytest.approx(np.sqrt((30**2 + 3 * 50**2) / 4))
    assert both.mean_um == pytest.approx(35.0)
    assert (both.max_um, both.contour_max_um, both.correction_um) == (90.0, 40.0, 120.0)
    assert (both.num_vibration, both.vibration_um) == (100, 8.0)
    assert judge.pool([short]) == pytest.approx(short)


def test_pooling_layers_that_never_turn():
    still = judge.Judged(1000, 30.0, 20.0, 90.0, 10.0, 40.0, 0, 0.0, 0.0)
    assert judge.pool([still, still]).vibration_um == 0.0
