"""`compensate` and `compensate-suite` end to end on a toy run, and their refusals."""

import csv
import json
import re
import shutil

import numpy as np
import pytest
import scipy.io
from matplotlib.image import imread

from jaxcorr.compensation import cases, closed_loop
from jaxcorr.printer import drive, gcode
from jaxcorr.training.run_folder import Run

GCODE = """M83
M204 P2000 T2000
G92 E0
G1 X0 Y0 Z0.2 F6000
;LAYER_CHANGE
G1 X12 Y0 E1 F4800
G1 X12 Y9 E1
G1 X0 Y9 E1
;LAYER_CHANGE
G1 Z0.4
G1 X9 Y0 E1
"""

REFERENCE = ("--printer", "reference")  # the toy's traces are foreign


@pytest.fixture
def part(tmp_path):
    path = tmp_path / "square.gcode"
    path.write_text(GCODE, encoding="utf-8")
    return path


@pytest.fixture
def done(trained, tmp_path):
    return shutil.copytree(trained.run.path, tmp_path / "toy-run")


def test_prints_and_writes_before_and_after(run, done, part, tmp_path):
    out = tmp_path / "out"
    arguments = ["--layers", "1", "--accel-mm-s2", 1000, "--accel-mm-s2", 3000, "--out", out]
    code, text, err = run("compensate", done, part, *REFERENCE, *arguments, "--pieces", "--plot")
    assert code == 0, err
    assert len(text.splitlines()) <= 25
    first, second, *_ = text.splitlines()
    assert first.startswith("contour error ")
    assert first.endswith("1 layer, 1000 mm/s2, on the simulated printer reference")
    assert "3000 mm/s2" in second
    assert "all layers, 1000 mm/s2" in text
    lines = err.splitlines()
    assert [line.split("s  ")[1] for line in lines[:2]] == [
        "loading toy-run", "finding commands, driving them",
    ]  # fmt: skip
    assert "1 of 2: square_layer01_a1000, " in lines[2]
    assert lines[3].endswith(" left")
    assert "never worse than nothing" in text
    assert text.index("contour um") < text.index("RMS um")
    assert re.search(r"^constant offset of friction: \d+% \(1000 mm/s2\), ", text, re.MULTILINE)
    result = json.loads((out / "results.json").read_text())
    methods = {row["method"] for row in result["layers"]}
    assert methods >= {"none", "network, solved", "network, streamed", "ZV", "plant, solved"}
    assert methods >= {"friction feedforward", "linear inverse + friction"}
    assert [one["accel_mm_s2"] for one in result["friction_offset"]] == [1000.0, 3000.0]
    slow, fast = (one["share"] for one in result["friction_offset"])
    assert 1.0 > slow > fast > 0.0
    assert {row["note"] for row in result["layers"] if "solved" in row["method"]} != {""}
    best = min(result["all"], key=lambda row: row["rms_um"])
    assert best["method"] in ("plant, solved", "plant, knots at 200 Hz")
    assert {row["accel_mm_s2"] for row in result["all"]} == {1000.0, 3000.0}
    assert not list(out.glob(".*"))
    _check_commands(out / "square_layer01_a1000")
    assert imread(out / "square_layer01_a1000.png").std() > 0.05


def _check_commands(stem):
    """The three files say the same, and correction = command - reference."""
    struct = scipy.io.loadmat(stem.with_name(stem.name + ".mat"), simplify_cells=True)["commands"]
    arrays = np.load(stem.with_name(stem.name + ".npz"))
    with stem.with_name(stem.name + ".csv").open(encoding="utf-8") as file:
        head, *rows = csv.reader(file)
    assert head[:3] == ["time_s", "x_ref_mm", "y_ref_mm"]
    table = np.array(rows, float)
    names = ["time", "x_ref", "y_ref", "vx_ref", "vy_ref", "x_cmd", "y_cmd", "vx_cmd", "vy_cmd"]
    for i, name in enumerate(names):
        np.testing.assert_array_equal(struct[name], arrays[name])
        np.testing.assert_allclose(table[:, i], arrays[name], atol=1e-6)
    assert np.allclose(np.diff(arrays["time"]), 1e-3)
    assert np.abs(arrays["x_cmd"] - arrays["x_ref"]).max() > 1e-3
    assert struct["rate_hz"] == 1000.0
    assert "command = reference + correction" in struct["sign"]


def test_json(run, done, part):
    code, text, _ = run("compensate", done, part, *REFERENCE, "--layers", "2", "--json")
    assert code == 0
    result = json.loads(text)
    assert {"layers", "all", "model", "goals", "friction_offset", "passed_over"} == result.keys()
    assert [one["method"] for one in result["model"]] == ["none", "network, solved"]
    assert result["layers"][0]["accel_mm_s2"] is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--layers", "9"], "expected numbers from 1 to 2, got 9"),
        (["--layers", "some"], "expected 'sampled:N'"),
        (["--layers", "1", "--plot"], "expected --out FOLDER, got none"),
        (["--layers", "1", "--accel-mm-s2", "-5"], "expected accel_mm_s2 > 0, got -5"),
    ],
)
def test_bad_input_is_one_line(run, done, part, arguments, message):
    code, text, err = run("compensate", done, part, *REFERENCE, *arguments)
    assert (code, text) == (2, "")
    assert message in err
    assert len(err.strip().splitlines()) == 1


def test_bad_part_run_and_printer(run, done):
    for arguments, message in (
        (["compensate", done, "nothing.gcode", *REFERENCE], "expected a G-code file or one of"),
        (["compensate", "no-such-run", "boat"], "no-such-run"),
        (["compensate-suite", done, *REFERENCE], "expected held-out layers of 3dbenchy"),
        (["compensate", done, "boat"], "a printer to judge on, got neither"),
    ):
        code, text, err = run(*arguments)
        assert (code, text, len(err.strip().splitlines())) == (2, "", 1)
        assert message in err


def test_suite_on_held_out_layers(run, done, tmp_path):
    """The toy run's split is made to name a bundled part's layer."""
    path = done / "resolved.json"
    content = json.loads(path.read_text())
    held = "data_simulation_standard_trajectory_all/layer01_a500_p50_ender3v2"
    content["split"]["test"] = [held, held.replace("_p50", "")]
    path.write_text(json.dumps(content))
    assert cases.held_out_layers(Run(done)) == {"standard_trajectory": [1]}
    options = ["--accel-mm-s2", 3000, "--variant", "frequency -20%", "--no-bound", *REFERENCE]
    options += ["--out", tmp_path / "suite"]
    code, text, err = run("compensate-suite", done, *options)
    assert code == 0, err
    assert "no more than MZV tuned to nominal" in text
    assert len(text.splitlines()) <= 25
    assert text.splitlines()[0].startswith("contour error ")
    assert re.search(r"^frequency -20% +\d+\.\d / \d+\.\d \(-?\d+%\)$", text, re.MULTILINE)
    result = json.loads((tmp_path / "suite" / "results.json").read_text())
    assert {row["printer"] for row in result["all"]} == {"nominal", "frequency -20%"}
    code, _, err = run("compensate-suite", done, "--variant", "tiny", *REFERENCE)
    assert code == 2
    assert "got 'tiny'" in err


def test_runs_that_cannot_compensate(run, done, part):
    path = done / "resolved.json"
    given = json.loads(path.read_text())
    for changes, message in (
        ({"sample_rate_hz": 300.0}, "a run at a rate that divides 2000 Hz, got 300 Hz"),
        ({"horizon": 1}, "horizon 0"),
    ):
        content = {**given, "spec": {**given["spec"], "data": given["spec"]["data"] | changes}}
        path.write_text(json.dumps(content))
        code, text, err = run("compensate", done, part, *REFERENCE, "--layers", "1")
        assert (code, text) == (2, "")
        assert message in err.strip().splitlines()[-1]


def test_columns_end_with_the_plan(trained, part):
    case = cases.of_part(trained.run, str(part), "1", [None], gcode.read(part))[0]
    layer = drive.make_layer(case.plan, 2000.0, 100.0)
    table = closed_loop.command_columns(layer, layer.reference)
    assert table["time"][0] == 0.0
    assert 0 <= case.plan.total_s - table["time"][-1] < 1e-3
    np.testing.assert_array_equal(table["x_cmd"], table["x_ref"])
