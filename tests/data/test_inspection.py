"""What `inspect` says of a file, good or bad."""

import json
import math
import tracemalloc

import numpy as np
import pytest
import scipy.io
from toy import circle, write_circle

from jaxcorr.data import inspection, trace
from jaxcorr.errors import InputError, command


def test_a_circles_figures_are_known(tmp_path):
    write_circle(tmp_path / "data_simulation_boat_all" / "a.mat", 401)  # two turns
    (row,) = inspection.inspect([f"{tmp_path}/*/*.mat"], 100.0)
    assert row.problem is None
    assert (row.part, row.num_samples) == ("boat", 401)
    assert row.duration_s == pytest.approx(4.0)
    assert row.sample_rate_hz == pytest.approx(100.0)
    assert row.ranges_mm["x"] == row.ranges_mm["y"] == pytest.approx((80.0, 120.0))
    assert row.peak_speed_mm_s == pytest.approx(20 * math.pi)
    assert row.rms_um["x"] == pytest.approx(100 / math.sqrt(2), rel=2e-3)
    assert row.max_error_um == pytest.approx(100.0)


def test_a_bad_file_gets_its_line_and_stops_no_other(tmp_path):
    write_circle(tmp_path / "a.mat", error_x=np.where(np.arange(200) == 9, np.nan, 0.1))
    write_circle(tmp_path / "b.mat", error_x=None, error_y=None, vx_ref=None)
    (tmp_path / "c.mat").write_text("text")
    write_circle(tmp_path / "d.mat")
    nan, missing, text, good = inspection.inspect([str(tmp_path)], 100.0)
    assert "error_x: expected finite values" in nan.problem
    assert nan.rms_um["x"] == pytest.approx(100.0)
    assert "expected field 'vx_ref'" in missing.problem
    assert missing.rms_um["x"] is missing.max_error_um is missing.peak_speed_mm_s is None
    assert missing.ranges_mm["x"] is not None
    assert "expected a MATLAB file" in text.problem
    assert text.num_samples is None
    assert good.problem is None


def test_a_log_is_to_be_imported(tmp_path):
    log = tmp_path / "log.CSV"
    log.write_text("t,command,actual\n0,1,1\n")
    (row,) = inspection.inspect([str(log)], 100.0)
    assert row.problem.endswith(f"got a log, .CSV. Make traces of it with `{command('import')}`.")


@pytest.mark.parametrize(
    "changes",
    [
        {"time": None},
        {"time": np.full(200, np.nan)},
        {"time": np.r_[np.inf, circle()["time"][1:]]},
        {"time": circle()["time"][::-1]},
        dict.fromkeys(circle(), np.zeros(0)),
        {"error_x": np.full(200, np.nan)},
    ],
)
def test_any_row_can_be_written_as_json(tmp_path, changes):
    write_circle(tmp_path / "a.mat", **changes)
    (row,) = inspection.inspect([str(tmp_path)], 100.0)
    assert row.problem
    json.dumps(row._asdict(), allow_nan=False)


def test_axes_are_those_whose_errors_a_file_has(tmp_path):
    names = {"x": "joint_1", "y": "j2"}
    joints = {
        name.replace(a, names[a]): c for name, c in circle().items() for a in "xy" if a in name
    }
    trace.write(tmp_path / "joints.mat", joints | {"time": circle()["time"]}, {})
    write_circle(tmp_path / "one.mat", error_y=None, vy_ref=None)
    joints, one = inspection.inspect([str(tmp_path)], 100.0)
    assert joints.problem is one.problem is None
    assert list(joints.rms_um) == ["joint_1", "j2"]
    assert joints.peak_speed_mm_s == pytest.approx(20 * math.pi)
    assert list(one.ranges_mm) == ["x"]


def test_a_wide_files_memory_is_that_of_the_needed_columns_and_a_few(tmp_path):
    n = 50_000
    fields = circle(n) | {f"other_{k}": np.zeros(n) for k in range(20)}
    scipy.io.savemat(tmp_path / "a.mat", {trace.STRUCT: fields}, oned_as="column")
    inspection.inspect([str(tmp_path)], 100.0)  # imports
    tracemalloc.start()
    (row,) = inspection.inspect([str(tmp_path)], 100.0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert row.problem is None
    assert peak < (7 + 4) * 8 * n


@pytest.mark.parametrize("name", ["eror_x", "errorx", "deviation_x", "Error_x"])
def test_what_may_be_the_error_of_an_axis_without_one_is_named(tmp_path, name):
    write_circle(tmp_path / "a.mat", error_x=None, **{name: circle()["error_x"]})
    (row,) = inspection.inspect([str(tmp_path)], 100.0)
    assert row.problem is None
    (sentence,) = row.unclear
    assert sentence.startswith(f"x is left out: expected 'error_x', got '{name}'.")


def test_an_axis_that_has_no_error_is_nothing_to_name(tmp_path):
    z = {"z_ref": circle()["x_ref"], "vz_ref": circle()["vx_ref"], "friction_z": circle()["time"]}
    write_circle(tmp_path / "a.mat", **z)
    (row,) = inspection.inspect([str(tmp_path)], 100.0)
    assert row.unclear == ()


def test_a_position_of_another_name_is_asked_for(tmp_path):
    write_circle(tmp_path / "a.mat", x_ref=None, x_rev=circle()["x_ref"])
    (row,) = inspection.inspect([str(tmp_path)], 100.0)
    assert "expected field 'x_ref'" in row.problem
    assert "Did you mean 'x_rev'?" in row.problem


def test_no_file_is_refused():
    with pytest.raises(InputError, match="expected files that match '/nowhere'"):
        inspection.inspect(["/nowhere"], 100.0)
