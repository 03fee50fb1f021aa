"""What a split spans: closed forms, and nothing counted across traces."""

import json

import numpy as np
import pytest

from jaxcorr.data import trace
from jaxcorr.data.trace import Axis
from jaxcorr.errors import InputError
from jaxcorr.models import ranges

FEATURES = ("x_ref", "y_ref", "vx_ref", "vy_ref")
RATE_HZ = 100.0


def moving(num, x0, accel):
    """x under constant acceleration from rest, y at rest at 7 mm."""
    t = np.arange(num)[:, None] / RATE_HZ
    zero = np.zeros_like(t)
    return np.hstack([x0 + accel * t**2 / 2, zero + 7.0, accel * t, zero])


def measure(*traces):
    first = np.cumsum([0, *map(len, traces)])[:-1]
    return ranges.measure_ranges(FEATURES, np.concatenate(traces), first, RATE_HZ)


def test_constant_acceleration_is_found_and_fully_explained():
    found = measure(moving(51, 10.0, 400.0))
    np.testing.assert_allclose(found.low, (10, 7, 0, 0))
    np.testing.assert_allclose(found.high, (10 + 400 * 0.5**2 / 2, 7, 200, 0))
    np.testing.assert_allclose(found.accel_mm_s2, (400, 0), atol=1e-9)
    # Half the sum of both speeds times the period is exact under constant acceleration.
    np.testing.assert_allclose(found.jump_mm, (0, 0), atol=1e-12)


def test_an_unexplained_way_is_its_own_size():
    trace = moving(20, 0.0, 0.0)
    trace[10:, 0] += 0.25
    np.testing.assert_allclose(measure(trace).jump_mm, (0.25, 0))


def test_nothing_is_counted_across_traces():
    near, far = moving(20, 0.0, 100.0), moving(20, 150.0, 100.0)
    assert measure(near, far).jump_mm[0] < 1e-9
    assert measure(np.concatenate([near, far])).jump_mm[0] > 100


def test_axes_need_position_and_velocity():
    assert trace.find_axes(FEATURES) == (Axis("x", 0, 2), Axis("y", 1, 3))
    assert trace.find_axes(("j_1_ref", "vj_1_ref")) == (Axis("j_1", 0, 1),)
    assert trace.find_axes(("vx_ref", "y_ref", "vy_ref", "x_act")) == (Axis("y", 1, 2),)
    commands = ("x_cmd", "y_cmd", "vx_cmd", "vy_cmd")
    assert trace.find_axes(commands) == trace.find_axes(FEATURES)


def test_ranges_survive_a_file(tmp_path):
    found, path = measure(moving(30, 5.0, 300.0)), tmp_path / "stats.json"
    path.write_text(json.dumps({"features": [], "ranges": found._asdict()}))
    assert ranges.read_ranges(path, FEATURES) == found


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"low": [0, 0, 0]}, "expected 4 values of ranges.low, got 3"),
        ({"high": [0, 0, 0, float("inf")]}, r"expected 'ranges\..*high.*' to be a finite number"),
        ({"jump_mm": 3}, r"expected 'ranges\..*jump_mm' to be a valid (tuple|array), got 3"),
        ({"accel_mm_s2": ["a"]}, r"expected 'ranges\..*accel_mm_s2.0' to be a valid number"),
    ],
)
def test_altered_ranges_are_refused(tmp_path, change, said):
    path = tmp_path / "stats.json"
    path.write_text(json.dumps({"ranges": measure(moving(30, 5.0, 300.0))._asdict() | change}))
    with pytest.raises(InputError, match=rf"stats\.json: {said}"):
        ranges.read_ranges(path, FEATURES)
