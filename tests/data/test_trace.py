"""Trace files: every MATLAB version in, what is wrong with one named, and back out."""

import contextlib
import re

import h5py
import numpy as np
import pytest
import scipy.io
from hypothesis import given, settings
from hypothesis import strategies as st
from toy import RATE_HZ, circle, write_circle

from jaxcorr.data import trace, trace_checks
from jaxcorr.errors import InputError

NEEDED = ("time", *trace.fields_of("xy"))
TEXT = b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(512, b" ")


def write_v73(path, columns, **attributes):
    """As MATLAB does: its own 512 bytes, then HDF5 with columns in reverse dimension order."""
    with h5py.File(path, "w", userblock_size=512) as file:
        group = file.create_group(trace.STRUCT)
        for name, column in columns.items():
            group[name] = np.atleast_2d(column)
            for key, value in attributes.get(name, {}).items():
                group[name].attrs[key] = value
        group["params/mass_kg"] = np.array([[0.35]])
        group["params/name"] = np.array([[ord(c)] for c in "boat"], np.uint16)
        group["params/name"].attrs["MATLAB_class"] = np.bytes_("char")
    with path.open("r+b") as file:
        file.write(TEXT)
    return path


def write_v5(path, columns):
    struct = {name: np.reshape(column, (-1, 1)) for name, column in columns.items()}
    scipy.io.savemat(path, {trace.STRUCT: struct})
    return path


def refusal(path, names=None):
    """The one line that reading and checking this file gives."""
    with pytest.raises(InputError) as caught:
        trace_checks.check(trace.read(path, names), RATE_HZ)
    text = str(caught.value)
    assert text.startswith(f"{path}: ")
    assert "\n" not in text
    return text.removeprefix(f"{path}: ")


def write_v7(path, columns):
    trace.write(path, columns, {})
    return path


@pytest.mark.parametrize("write", [write_v5, write_v7, write_v73])
def test_every_version_reads_as_the_same_columns(tmp_path, write):
    found = trace.read(write(tmp_path / "layer.mat", circle()))
    trace_checks.check(found, RATE_HZ)
    for name, column in circle().items():
        np.testing.assert_array_equal(found.fields[name], column)
    assert found.num_samples == 200
    assert found.sample_rate_hz == pytest.approx(RATE_HZ)
    np.testing.assert_array_equal(found.columns(("y_ref", "x_ref"))[:, 1], circle()["x_ref"])


def test_write_then_read_gives_back_columns_and_nested_settings(tmp_path):
    settings_ = {"seed": 3, "slicer": "ours", "plant": {"mass_kg": [0.35, 0.45], "off": {}}}
    columns = circle() | {"is_travel": np.arange(200) % 2 == 0, "layer_num": np.full(200, 7)}
    path = tmp_path / "new" / "layer.mat"
    trace.write(path, columns, settings_)
    assert [p.name for p in path.parent.iterdir()] == ["layer.mat"]
    found = trace.read(path)
    for name, column in columns.items():
        np.testing.assert_array_equal(found.fields[name], column)
    assert found.params["seed"] == 3
    assert found.params["slicer"] == "ours"
    np.testing.assert_array_equal(found.params["plant"]["mass_kg"], [0.35, 0.45])
    raw = scipy.io.loadmat(path)[trace.STRUCT][0, 0]
    assert raw["x_ref"].shape == (200, 1)
    assert scipy.io.loadmat(path, mat_dtype=True)[trace.STRUCT][0, 0]["is_travel"].dtype == bool


@pytest.mark.parametrize("write", [write_v5, write_v73])
def test_without_a_command_the_reference_is_it(tmp_path, write):
    names = ("x_cmd", "vy_cmd", "lag_x", "lag_y")
    plain = trace.read(write(tmp_path / "plain.mat", circle()), names)
    np.testing.assert_array_equal(plain.fields["x_cmd"], circle()["x_ref"])
    np.testing.assert_array_equal(plain.fields["vy_cmd"], circle()["vy_ref"])
    np.testing.assert_array_equal(plain.fields["lag_x"], circle()["error_x"])
    assert "x_cmd" not in trace.read(plain.path).fields
    moved = circle() | {"x_cmd": circle()["x_ref"] + 0.25}
    read = trace.read(write(tmp_path / "moved.mat", moved), names)
    np.testing.assert_allclose(read.fields["lag_x"], circle()["error_x"] - 0.25, atol=1e-12)
    np.testing.assert_array_equal(read.fields["lag_y"], circle()["error_y"])
    np.testing.assert_array_equal(read.fields["x_cmd"], moved["x_cmd"])


def test_a_lag_that_nothing_gives_is_missing(tmp_path):
    columns = {name: c for name, c in circle().items() if name != "error_x"}
    found = trace.read(write_v5(tmp_path / "a.mat", columns), ("lag_x", "lag_y", "time"))
    assert "lag_y" in found.fields
    with pytest.raises(InputError, match=r"expected field 'lag_x' in simulation_data"):
        trace_checks.check(found, RATE_HZ, ("lag_x",))


def test_a_failed_write_leaves_nothing(tmp_path):
    with pytest.raises(TypeError):
        trace.write(tmp_path / "layer.mat", circle(), {"bad": object()})
    assert list(tmp_path.iterdir()) == []


def test_settings_of_v73_files_are_numbers_and_texts(tmp_path):
    params = trace.read(write_v73(tmp_path / "a.mat", circle())).params
    assert params == {"mass_kg": 0.35, "name": "boat"}


@pytest.mark.parametrize("write", [write_v5, write_v73])
def test_what_is_no_column_is_left_alone(tmp_path, write):
    extra = {"layer_num": np.float64(4), "is_travel": np.ones(200, np.uint8)}
    path = write(tmp_path / "a.mat", circle() | extra)
    found = trace.read(path)
    np.testing.assert_array_equal(found.fields["layer_num"], np.full(200, 4.0))
    only = trace.read(path, ("time", "x_ref"))
    assert set(only.fields) == {"time", "x_ref"}


def test_a_matrix_beside_the_columns_does_no_harm(tmp_path):
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, {trace.STRUCT: circle() | {"inertia": np.eye(3), "note": "text"}})
    found = trace.read(path)
    trace_checks.check(found, RATE_HZ)
    assert set(found.fields) == set(circle())


CHANGES = {
    "missing": ({"vx_ref": None}, "expected field 'vx_ref' in simulation_data, got only error_x,"),
    "nan": (
        {"error_x": np.where(np.arange(200) % 90 == 12, np.nan, 0.1)},
        r"error_x: expected finite values, got 3 NaN \(first at sample 13\)\. Mend",
    ),
    "inf": (
        {"x_ref": np.where(np.arange(200) == 7, np.inf, 1.0)},
        r"x_ref: expected finite values, got 1 non-finite \(first at sample 8\)\. Mend",
    ),
    "unequal": (
        {"error_y": np.zeros(199)},
        r"error_y: expected 200 samples as in time, got 199\. Write",
    ),
    "longer": ({"x_ref": np.zeros(201)}, r"x_ref: expected 200 samples as in time, got 201\. Wr"),
    "scalar error": ({"error_x": 0.0}, r"error_x: expected 200 samples as in time, got 1\. Write"),
    "standing time": (
        {"time": np.r_[0:1:0.01, 0.99:1.99:0.01][:200]},
        r"time: expected increasing values, got 0\.99 s after 0\.99 s at sample 101\. Sort",
    ),
    "falling time": (
        {"time": np.arange(200)[::-1] / RATE_HZ},
        r"time: expected increasing values, got 1\.98 s after 1\.99 s at sample 2\. Sort",
    ),
    "rate": (
        {"time": np.arange(200) / 50.0},
        r"time: expected 100 Hz \+-1%, got 50 Hz in the median and 50 Hz in the mean\. "
        r"Resample the trace, or set data\.sample_rate_hz",
    ),
    "rate by 2%": (
        {"time": np.arange(200) / 102.0},
        r"time: expected 100 Hz \+-1%, got 102 Hz in the median and 102 Hz in the mean\. Resample",
    ),
    "gap": (
        {"time": np.arange(200) / RATE_HZ + 0.01 * (np.arange(200) > 120)},
        r"time: expected steps of 10 ms, got 20 ms before sample 122\. Cut the trace at the gap",
    ),
    "micrometres": (
        {"x_ref": 1e3 * circle()["x_ref"]},
        r"x_ref: expected at most 2000 mm, got 120000 at sample 1 .*\. Convert the file to mm",
    ),
    "error in micrometres": (
        {"error_x": 1e3 * circle()["error_x"]},
        r"error_x: expected at most 10 mm, got 12\.5\d+ at sample 5 .*\. Convert the file to mm",
    ),
    "mm/min": (
        {name: 60 * circle()[name] for name in ("vx_ref", "vy_ref")},
        r"vx_ref: expected at most 2000 mm/s, got -20\d\d.* at sample 19 .*\. Convert the file",
    ),
    "slow mm/min": (
        {name: 25 * circle()[name] for name in ("vx_ref", "vy_ref")},
        "x_ref, y_ref: expected the path that vx_ref and vy_ref drive, 3.98e[+]03 mm, got 159 mm",
    ),
    "metres": (
        {name: circle()[name] / 1e3 for name in ("x_ref", "y_ref", "vx_ref", "vy_ref")},
        r"vx_ref, vy_ref: expected a peak of at least 1 mm/s, got 0\.0628\. Convert the file to mm",
    ),
    "sign": (
        {"x_act": circle()["x_ref"] - circle()["error_x"]},
        r"error_x: expected x_act - x_ref, -0\.1 mm at sample 51, got 0\.1 mm\. Change the sign of",
    ),
    "positions in metres": (
        {name: circle()[name] / 1e3 for name in ("x_ref", "y_ref")},
        r"x_ref, y_ref: expected the path that vx_ref and vy_ref drive, 159 mm, got 0\.159 mm",
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_bad_column_is_named_with_what_to_do(tmp_path, name):
    changes, message = CHANGES[name]
    path = write_circle(tmp_path / "layer03.mat", **changes)
    found = refusal(path)
    assert re.match(message, found), found


def test_time_stamps_rounded_to_a_millisecond_are_fine(tmp_path):
    rounded = np.round(np.arange(200) / 100.4, 3)
    trace_checks.check(trace.read(write_circle(tmp_path / "a.mat", time=rounded)), RATE_HZ)


def test_a_printer_at_rest_is_a_trace(tmp_path):
    rest = {name: np.zeros(200) for name in NEEDED if name != "time"}
    trace_checks.check(trace.read(write_circle(tmp_path / "a.mat", **rest)), RATE_HZ)


@pytest.mark.parametrize("num_samples", [0, 1])
def test_too_few_samples_are_refused(tmp_path, num_samples):
    path = write_circle(tmp_path / "a.mat", num_samples)
    assert refusal(path).startswith(f"time: expected at least 2 samples, got {num_samples}. Drop")


def test_an_empty_array_of_v73_is_empty(tmp_path):
    columns = circle() | {"error_x": np.array([0, 0], np.uint64)}
    path = write_v73(tmp_path / "a.mat", columns, error_x={"MATLAB_empty": 1})
    assert refusal(path).startswith("error_x: expected 200 samples as in time, got 0.")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected a MATLAB file of version 5, 7 or 7.3, got an empty file. Save it"),
        (b"time,x_ref\n0,1\n", "expected a MATLAB file .*, got other content .15 bytes.. Save it"),
        (b"\x89PNG\r\n", "expected a MATLAB file"),
        (TEXT, "expected a MATLAB file"),
    ],
)
def test_other_files_under_the_name_are_refused(tmp_path, content, message):
    path = tmp_path / "a.mat"
    path.write_bytes(content)
    assert re.match(message, refusal(path))


def test_missing_files_folders_and_other_variables_are_refused(tmp_path):
    assert refusal(tmp_path / "a.mat").startswith("expected a readable .mat file, got 'No such")
    scipy.io.savemat(tmp_path / "b.mat", {"data": np.eye(2), "more": 1})
    assert refusal(tmp_path / "b.mat").startswith(
        "expected one struct 'simulation_data', got data 2x2 double"
    )
    scipy.io.savemat(tmp_path / "c.mat", {trace.STRUCT: np.array([(1,), (2,)], [("time", float)])})
    assert "got simulation_data 1x2 struct. Save the trace" in refusal(tmp_path / "c.mat")
    with h5py.File(tmp_path / "d.mat", "w") as file:
        file["data"] = 1.0
    assert "got data double. Save the trace as that struct," in refusal(tmp_path / "d.mat")
    scipy.io.savemat(tmp_path / "e.mat", {trace.STRUCT: {"note": "text"}})
    assert refusal(tmp_path / "e.mat").startswith("expected field 'time' and columns such as x_ref")


FILES = {
    "v5": lambda path: write_v5(path, circle(20)),
    "v7": lambda path: write_v7(path, circle(20)),
    "v7.3": lambda path: write_v73(path, circle(20)),
}


@pytest.mark.parametrize("version", FILES)
@settings(max_examples=30, deadline=None)
@given(share=st.floats(0, 0.99))
def test_a_file_cut_short_is_refused_and_never_crashes(tmp_path_factory, version, share):
    path = tmp_path_factory.mktemp("cut") / "a.mat"
    whole = FILES[version](path).read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    assert "expected" in refusal(path)


# Compressed files alone: scipy's parser itself can crash on a bent file of version 5.
@settings(max_examples=60, deadline=None)
@given(places=st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), min_size=1, max_size=5))
def test_a_file_with_changed_bytes_is_read_or_refused(tmp_path_factory, places):
    path = tmp_path_factory.mktemp("bent") / "a.mat"
    content = bytearray(FILES["v7"](path).read_bytes())
    for share, value in places:
        content[int(share * len(content))] = value
    path.write_bytes(content)
    with contextlib.suppress(InputError):  # and nothing else may come out
        trace_checks.check(trace.read(path), RATE_HZ)


def test_find_takes_files_folders_and_patterns_each_once_in_order(tmp_path):
    paths = [write_circle(tmp_path / part / f"l{i}.mat", 3) for part in "ab" for i in (1, 2)]
    (tmp_path / "a" / "notes.txt").touch()
    (tmp_path / "b" / ".half_written.mat").touch()
    assert trace.find([f"{tmp_path}/*/*.mat"]) == paths
    assert trace.find([f"{tmp_path}/**/*.mat"]) == paths
    assert trace.find([str(tmp_path / "b"), f"{tmp_path}/*"]) == paths[2:] + paths[:2]
    assert trace.find([str(paths[3])]) == [paths[3]]


def test_a_pattern_without_a_match_is_named(tmp_path):
    paths = [write_circle(tmp_path / "l1.mat", 3)]
    with pytest.raises(InputError, match=r"expected files that match '/nowhere/\*\.mat', got none"):
        trace.find([str(paths[0]), "/nowhere/*.mat"])


@pytest.mark.parametrize(
    ("folder", "part"),
    [
        ("data_simulation_3dbenchy_sampled5", "3dbenchy"),
        ("data_simulation_boat_all", "boat"),
        ("data_simulation_my_part_layers1_7", "my_part"),
        ("data_simulation_boat_layer12", "boat"),
        ("data_simulation_boat", "boat"),
        ("external_v73", "external_v73"),
    ],
)
def test_the_folder_names_the_part(tmp_path, folder, part):
    assert trace.part_of(tmp_path / folder / "layer01.mat") == part
