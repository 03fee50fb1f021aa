"""The benchmark of large data: its layers are traces, and its process measures itself."""

import json

import numpy as np
import oscillator
import pytest
import tomli_w
from typer.testing import CliRunner

from jaxcorr.bench import data_size
from jaxcorr.cli import app
from jaxcorr.data import dataset, trace
from jaxcorr.spec import Data

NEEDED = ("x_ref", "y_ref", "vx_ref", "vy_ref", "error_x", "error_y", "time")
US = ("load_us", "begin_us", "train_us", "batch_us", "validate_us")


@pytest.fixture
def toy_file(tmp_path):
    """Without positions no plant is identified, which takes 10 s in each process."""
    path = tmp_path / "toy.toml"
    sections = {"data": {"features": ["vx_ref", "vy_ref"]}, "model": {"inputs": "raw"}}
    path.write_text(tomli_w.dumps(oscillator.make_table("none", **sections)))
    return path


def test_made_layers_are_traces_of_a_simulators_size(tmp_path):
    pattern = data_size.write_layers(tmp_path, 11, 300, 100.0)
    paths = trace.find([pattern])
    assert len({trace.name_of(path) for path in paths}) == 11
    assert len({path.stat().st_ino for path in paths}) == data_size.NUM_DIFFERENT
    assert len(trace.read(paths[10]).fields) == data_size.NUM_COLUMNS
    found = dataset.load_all(Data(traces=(pattern,)), [pattern])
    assert found.num_rows.tolist() == [300] * 11


def test_a_made_layer_moves_as_it_says_and_errs_as_a_spring():
    rate_hz = 1e4
    columns = data_size.make_columns(np.random.default_rng(3), 20_000, rate_hz)
    assert set(NEEDED) < set(columns)
    for axis, natural_hz in data_size.NATURAL_HZ.items():
        speed = np.gradient(columns[f"{axis}_ref"]) * rate_hz
        np.testing.assert_allclose(columns[f"v{axis}_ref"][1:-1], speed[1:-1], atol=1e-3)
        accel = np.gradient(speed[1:-1]) * rate_hz
        error = -accel / (2 * np.pi * natural_hz) ** 2
        np.testing.assert_allclose(columns[f"error_{axis}"][2:-2], error[1:-1], atol=1e-6)


def test_a_set_is_measured_in_a_process_of_its_own_that_leaves_nothing(
    toy_file, tmp_path, monkeypatch
):
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr("tempfile.tempdir", None)
    held = np.ones(2**27)  # 1 GiB, which the other process does not have
    arguments = ["bench", "data", "--spec", str(toy_file), "--layers", "9", "--samples", "120"]
    done = CliRunner().invoke(app.app, [*arguments, "--seconds", "0.05", "--json"])
    assert done.exit_code == 0, done.output
    (found,) = json.loads(done.stdout)["sets"]
    assert (found["layers"], found["samples"]) == (9, 9 * 120)
    assert all(found[key] > 0 for key in (*US, "targets_per_s", "begin_s"))
    assert found["begin_us"] == pytest.approx(1e6 * found["begin_s"] / (9 * 120))
    assert found["train_us"] == pytest.approx(1e6 / found["targets_per_s"])
    assert 150 < found["peak_mib"] < held.nbytes / 2**20
    assert list((tmp_path / "tmp").iterdir()) == []


def test_the_table_has_a_row_for_each_set(monkeypatch, toy_file):
    keys = {key: 1.5 for key in (*US, "begin_s", "targets_per_s")}
    monkeypatch.setattr(
        data_size,
        "measure",
        lambda *given: (
            keys | {"layers": given[2], "samples": given[2] * given[3], "peak_mib": 1234.4}
        ),
    )
    sizes = ["--layers", "40", "--layers", "2000"]
    done = CliRunner().invoke(app.app, ["bench", "data", "--spec", str(toy_file), *sizes])
    rows = [line.split() for line in done.stdout.splitlines()]
    for start in (["40", "200,000"], ["2,000", "10,000,000"]):
        assert [row[-1] for row in rows if row[:2] == start] == ["1,234"]
