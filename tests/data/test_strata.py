"""Labels: lined up with the targets, read from files or names, kept with the run."""

from pathlib import Path

import numpy as np
import pytest

from jaxcorr.data import strata, trace, windows
from jaxcorr.data.trace import Trace
from jaxcorr.errors import InputError
from jaxcorr.spec import Data

LENGTHS = (40, 30)


def data(horizon):
    return Data(traces=("none",), horizon=horizon)


def traces(**changes):
    """Traces whose columns count, so that a value names its sample; kinds are its last digit."""
    made = []
    for k, n in enumerate(LENGTHS):
        count = np.arange(n, dtype=float)
        fields = dict.fromkeys(("x_ref", "y_ref", "vx_ref", "vy_ref", "time"), count)
        fields |= {"error_x": count, "error_y": count, "feature_code": count % 10}
        fields |= {"friction_x": count, "friction_y": -count} | changes
        kept = {name: column for name, column in fields.items() if column is not None}
        made.append(Trace(Path(f"p/layer{k:02d}.mat"), "p", kept, {}))
    return made


@pytest.mark.parametrize("horizon", [0, 3, -3])
def test_labels_are_of_the_instant_of_the_target(horizon):
    made = traces()
    table = windows.tabulate(made, data(horizon))
    found = strata.of_traces(made, data(horizon), table)
    rows = np.ones(len(table.features), np.bool_)
    for first in table.first_row:
        rows[first : first + table.lead] = False
    # The target counts samples too, so label and target must name the same one.
    np.testing.assert_array_equal(found.feature[rows], table.targets[rows, 0] % 10)
    np.testing.assert_array_equal(found.friction_mm[rows], table.targets[rows] * [1, -1])


def test_what_a_trace_lacks_is_unknown():
    made = traces(feature_code=None, friction_y=None)
    found = strata.of_traces(made, data(0), windows.tabulate(made, data(0)))
    assert (found.feature == strata.UNKNOWN).all()
    assert np.isfinite(found.friction_mm[:, 0]).all()
    assert np.isnan(found.friction_mm[:, 1]).all()
    assert np.isnan(found.accel_mm_s2).all()


def test_a_lag_has_the_friction_of_the_error():
    made = traces()
    lags = data(0).model_copy(update={"targets": ("lag_y", "lag_x")})
    table = windows.tabulate(made, data(0))
    found, own = (strata.of_traces(made, named, table) for named in (lags, data(0)))
    assert np.isfinite(own.friction_mm).all()
    np.testing.assert_array_equal(found.friction_mm, own.friction_mm[:, ::-1])


@pytest.mark.parametrize(
    ("name", "plan", "expected"),
    [
        ("layer01_a300_v80_ender3v2", None, (300.0, 80.0)),
        ("layer01_v80.5_ender3v2", None, (np.nan, 80.5)),
        ("layer01_ender3v2", None, (np.nan, np.nan)),
        ("layer01_a300_ender3v2", {"accel_mm_s2": 500, "velocity_mm_s": np.nan}, (500.0, np.nan)),
        ("layer01_ender3v2", 7.0, (np.nan, np.nan)),
    ],
)
def test_sweep_points_come_from_params_or_else_the_name(name, plan, expected):
    item = Trace(Path(f"p/{name}.mat"), "p", {}, {} if plan is None else {"plan": plan})
    found = tuple(strata.sweep_value(item, key) for key in strata.SWEEP)
    np.testing.assert_array_equal(found, expected)


def test_labels_come_from_files_and_are_kept(tmp_path):
    paths = []
    for item in traces():
        paths.append(tmp_path / "data_simulation_p_all" / item.path.name)
        trace.write(paths[-1], item.fields, {"plan": {"accel_mm_s2": 900.0}})
    table = windows.tabulate(traces(), data(1))
    found = strata.read(paths, data(1), table)
    assert found.accel_mm_s2.tolist() == [900.0, 900.0]
    path = tmp_path / "test_labels.npz"
    strata.save(path, found)
    back = strata.load(path, table)
    for one, other in zip(back, found, strict=True):
        np.testing.assert_array_equal(one, other)
    with pytest.raises(
        InputError,
        match=r"feature: expected integers of shape \(70\), got int16 of shape \(68,\)\. Train",
    ):
        strata.load(path, windows.tabulate(traces(), data(0)))
    path.write_bytes(b"damaged")
    with pytest.raises(InputError, match=r"test_labels\.npz: expected labels of the run's test"):
        strata.load(path, table)
