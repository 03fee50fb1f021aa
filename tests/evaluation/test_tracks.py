"""Predictions stand at the instant to which their error belongs, in memory and in files."""

import errno
import shutil
import subprocess
from pathlib import Path

import numpy as np
import oscillator
import pytest
import scipy.io

from jaxcorr import files
from jaxcorr.data import windows
from jaxcorr.data.trace import Trace
from jaxcorr.errors import InputError
from jaxcorr.evaluation import tracks

RATE_HZ = 100.0


def make_trace(name, num_samples):
    """A trace whose every column tells the sample: position i, error_x i/1000, error_y -i/1000."""
    i = np.arange(num_samples, dtype=np.float64)
    columns = {"x_ref": i, "y_ref": 2 * i, "vx_ref": 3 * i, "vy_ref": 4 * i}
    return Trace(Path(name), "part", {**columns, "error_x": i / 1000, "error_y": -i / 1000}, {})


def tabulate(horizon, lengths=(40, 7)):
    """Spec and samples of numbered traces, and predictions that are right."""
    spec = oscillator.make_spec(data={"horizon": horizon})
    traces = [make_trace(f"folder/layer{k}.mat", n) for k, n in enumerate(lengths)]
    samples = windows.tabulate(traces, spec.data)
    return spec, samples, samples.targets.copy()


@pytest.mark.parametrize("horizon", [-6, -1, 0, 1, 6])
def test_rows_are_the_instants_of_their_errors(horizon):
    spec, samples, predicted = tabulate(horizon)
    for track, n in zip(tracks.align(samples, predicted, spec), (40, 7), strict=True):
        instants = np.arange(max(horizon, 0), n + min(horizon, 0))
        assert np.allclose(track.time_s * RATE_HZ, instants)
        assert np.allclose(1000 * track.true_mm, np.c_[instants, -instants], atol=1e-4)
        assert np.array_equal(track.predicted_mm, track.true_mm)
        is_held = instants < n - max(horizon, 0)
        for name, factor in (("x_ref", 1), ("y_ref", 2), ("vx_ref", 3), ("vy_ref", 4)):
            assert np.array_equal(track.features[name][is_held], factor * instants[is_held])
            assert np.isnan(track.features[name][~is_held]).all()


def test_speed_comes_from_velocities_or_else_from_positions():
    spec, samples, predicted = tabulate(0)
    (track, _) = tracks.align(samples, predicted, spec)
    assert np.allclose(track.speed_mm_s, 5 * np.arange(40))
    positions = {name: track.features[name] for name in ("x_ref", "y_ref")}
    still = track._replace(features=positions)
    assert np.allclose(still.speed_mm_s, np.sqrt(5) * RATE_HZ)
    assert track._replace(features={"x_ref": positions["x_ref"]}).speed_mm_s is None
    assert track._replace(features={}).position_mm is None


def test_axes_are_named_by_their_targets():
    spec, samples, predicted = tabulate(0)
    track = tracks.align(samples, predicted, spec)[0]
    assert track.axes == ["x", "y"]
    assert track._replace(targets=("friction_x", "error_z")).axes == ["friction_x", "z"]
    assert track._replace(targets=("lag_y", "lag_x")).axes == ["y", "x"]


def test_a_command_stands_where_the_reference_would():
    spec, samples, predicted = tabulate(0)
    track = tracks.align(samples, predicted, spec)[0]
    commands = {name.replace("_ref", "_cmd"): column for name, column in track.features.items()}
    told = track._replace(features=commands)
    np.testing.assert_array_equal(told.position_mm, track.position_mm)
    np.testing.assert_array_equal(told.speed_mm_s, track.speed_mm_s)
    assert (track.path, told.path) == ("reference", "command")


def test_files_hold_what_was_aligned(tmp_path):
    spec, samples, predicted = tabulate(3)
    predicted += np.float32(0.25)
    written = tracks.save(tmp_path / "new" / "folder", samples, predicted, spec, "run-7")
    assert [path.name for path in written] == [
        f"folder-layer{k}.{ending}" for k in (0, 1) for ending in ("mat", "npz")
    ]
    assert sorted((tmp_path / "new" / "folder").iterdir()) == sorted(written)
    track = tracks.align(samples, predicted, spec)[0]
    mat = scipy.io.loadmat(written[0], simplify_cells=True)["predictions"]
    npz = np.load(written[1])
    assert set(mat) == set(npz.files)
    assert list(npz.files)[:2] == ["time", "x_ref"]
    for found in (mat, npz):
        assert np.array_equal(found["time"], track.time_s)
        assert np.array_equal(found["y_ref"], track.features["y_ref"], equal_nan=True)
        assert np.array_equal(found["error_y"], track.true_mm[:, 1])
        assert np.allclose(found["predicted_error_x"] - found["error_x"], 0.25, atol=1e-6)
        assert str(found["run"]) == "run-7"
        assert str(found["trace"]) == "folder/layer0"
        assert (float(found["horizon"]), float(found["sample_rate_hz"])) == (3.0, RATE_HZ)
        assert str(found["sign"]).startswith("error = actual - reference")


@pytest.mark.skipif(not shutil.which("octave-cli"), reason="needs GNU Octave")
def test_octave_reads_columns(tmp_path):
    spec, samples, predicted = tabulate(-1, (30,))
    path = tracks.save(tmp_path, samples, predicted, spec, "a run")[0]
    code = (
        f"p = getfield(load('{path}'), 'predictions');"
        "printf('%d %d %g %g %s %d', size(p.time), max(p.time),"
        " max(abs(p.error_x - p.predicted_error_x)), p.run, ischar(p.sign))"
    )
    done = subprocess.run(
        ["octave-cli", "--norc", "--eval", code], capture_output=True, text=True, check=True
    )
    assert done.stdout == "29 1 0.28 0 a run 1"


def test_no_name_of_a_trace_leads_out_of_the_folder_or_to_another_file(tmp_path):
    spec, samples, predicted = tabulate(0, (5,) * 6)
    names = ("../up", "/x", "/x", "my part/layer 1", "a\\b:c", "...")
    folder = tmp_path / "in"
    written = tracks.save(folder, samples._replace(names=names), predicted, spec)
    assert len(set(written)) == 12
    assert {path.parent for path in written} == {folder}
    assert folder / "my part-layer 1.mat" in written
    assert list(tmp_path.iterdir()) == [folder]


def test_a_full_disk_is_one_line_and_leaves_no_half_file(tmp_path, monkeypatch):
    spec, samples, predicted = tabulate(0, (5,))

    def fill(_file, **_arrays):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tracks.np, "savez_compressed", fill)
    with pytest.raises(InputError, match=r"expected to write .* got 'No space left on device'"):
        tracks.save(tmp_path, samples, predicted, spec)
    assert [path.suffix for path in tmp_path.iterdir()] == [".mat"]


def test_a_file_in_place_of_the_folder_is_one_line(tmp_path):
    files.write_text(tmp_path / "taken", "")
    spec, samples, predicted = tabulate(0, (5,))
    with pytest.raises(InputError, match="taken: expected to write predictions there"):
        tracks.save(tmp_path / "taken", samples, predicted, spec)
