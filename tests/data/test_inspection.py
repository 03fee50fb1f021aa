"""What `inspect` says of a file, good or bad."""

import json
import math

import numpy as np
import pytest
from toy import circle, write_circle

from jaxcorr.data import inspection
from jaxcorr.errors import InputError


def test_a_circles_figures_are_known(tmp_path):
    write_circle(tmp_path / "data_simulation_boat_all" / "a.mat", 401)  # two turns
    (row,) = inspection.inspect([f"{tmp_path}/*/*.mat"], 100.0)
    assert row.problem is None
    assert (row.part, row.num_samples) == ("boat", 401)
    assert row.duration_s == pytest.approx(4.0)
    assert row.sample_rate_hz == pytest.approx(100.0)
    assert row.x_range_mm == row.y_range_mm == pytest.approx((80.0, 120.0))
    assert row.peak_speed_mm_s == pytest.approx(20 * math.pi)
    assert row.rms_x_um == pytest.approx(100 / math.sqrt(2), rel=2e-3)
    assert row.max_error_um == pytest.approx(100.0)


def test_a_bad_file_gets_its_line_and_stops_no_other(tmp_path):
    write_circle(tmp_path / "a.mat", error_x=np.where(np.arange(200) == 9, np.nan, 0.1))
    write_circle(tmp_path / "b.mat", error_x=None, vx_ref=None)
    (tmp_path / "c.mat").write_text("text")
    write_circle(tmp_path / "d.mat")
    nan, missing, text, good = inspection.inspect([str(tmp_path)], 100.0)
    assert "error_x: expected finite values" in nan.problem
    assert nan.rms_x_um == pytest.approx(100.0)
    assert "expected field 'vx_ref'" in missing.problem
    assert missing.rms_x_um is missing.max_error_um is missing.peak_speed_mm_s is None
    assert missing.x_range_mm is not None
    assert "expected a MATLAB file" in text.problem
    assert text.num_samples is None
    assert good.problem is None


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


def test_no_file_is_refused():
    with pytest.raises(InputError, match="expected files that match '/nowhere'"):
        inspection.inspect(["/nowhere"], 100.0)
