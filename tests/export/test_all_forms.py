"""The export folder: every form as good as the predictor, described, or no new folder at all."""

import hashlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import toy
from onnx import helper
from onnxruntime.quantization import quantize_dynamic
from onnxruntime.quantization.shape_inference import quant_pre_process
from onnxruntime.transformers import float16

from jaxcorr.data import octave
from jaxcorr.errors import InputError
from jaxcorr.export import all_forms, c_code
from jaxcorr.export import onnx as export_onnx
from jaxcorr.models import bulk
from jaxcorr.training import restore
from jaxcorr.training.run_folder import Run
from jaxcorr.units import SIGN

FILES = {
    "step.onnx",
    "window.onnx",
    "step.stablehlo",
    "unroll.stablehlo",
    "weights.mat",
    "stream_csv.c",
    "step.h",
    "step.c",
    "model_card.md",
}
# Runs where jaxcorr cannot be imported; prints the errors of the samples that it is given.
WITHOUT_JAXCORR = """
import sys
from pathlib import Path
sys.modules["jaxcorr"] = None
import jax, numpy as np
from jax import export
step = export.deserialize(bytearray(open(sys.argv[1] + "/step.stablehlo", "rb").read()))
state = [np.zeros((1, *item.shape[1:]), np.float32) for item in step.in_avals[1:]]
call = jax.jit(step.call)
for sample in np.load(sys.argv[2]):
    error, *state = call(sample[None], *state)
    print(*np.asarray(error)[0].tolist())
"""


@pytest.fixture(scope="module")
def loaded(trained):
    return restore.load_weights(trained.run)


@pytest.fixture(scope="module")
def made(loaded, trained, tmp_path_factory):
    """An exported copy of the toy run, under a name from a stranger, and what the export says."""
    run = Run(tmp_path_factory.mktemp("runs") / toy.NASTY)
    shutil.copytree(trained.run.path, run.path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export_onnx, "NUM_TIMED", 20)
        return run, all_forms.export(run, loaded, trained.data.test)


@pytest.fixture
def quick(monkeypatch):
    """Exports only the one file that is made fastest."""
    real = all_forms.forms

    def only_onnx(*arguments):
        return {"step.onnx": real(*arguments)["step.onnx"]}

    monkeypatch.setattr(all_forms, "forms", only_onnx)
    monkeypatch.setattr(export_onnx, "NUM_TIMED", 20)


def test_every_file_is_there_signed_and_checked(made, trained):
    run, manifest = made
    assert {path.name for path in run.export.iterdir()} == FILES | {"manifest.json"}
    assert json.loads((run.export / "manifest.json").read_text()) == manifest
    assert set(manifest["files"]) == FILES
    assert (manifest["num_samples"], manifest["num_traces"]) == (300, 1)
    for name, entry in manifest["files"].items():
        content = (run.export / name).read_bytes()
        assert entry["sha256"] == hashlib.sha256(content).hexdigest()
        assert entry["num_bytes"] == len(content)
    checked = {"step.onnx", "window.onnx", "step.stablehlo", "unroll.stablehlo"}
    checked |= {"step.c"} if c_code.find_compiler() else set()
    checked |= {"weights.mat"} if octave.find() else set()
    window = trained.spec.data.window
    for name in FILES - {"model_card.md"}:
        entry = manifest["files"][name]
        assert (entry["worst_mm"] is not None) == (name in checked)
        if name in checked:
            assert entry["worst_mm"] <= entry["tolerance_mm"]
            assert entry["num_samples"] == (301 - window if name == "window.onnx" else 300)
    assert not [path for path in run.path.iterdir() if path.name.startswith(".export")]


def test_worst_difference_is_measured(made, loaded, trained):
    run, manifest = made
    errors = export_onnx.stream_step(run.export / "step.onnx", trained.data.test)
    expected = bulk.stream(loaded.spec, loaded.weights, trained.data.test)
    worst_mm = np.abs(errors - expected).max()
    assert manifest["files"]["step.onnx"]["worst_mm"] == pytest.approx(worst_mm)
    assert np.std(expected) > 1e-2


def test_onnx_tensors_are_named_and_explained(made):
    run, manifest = made
    step, window = (onnx.load(run.export / name) for name in ("step.onnx", "window.onnx"))
    state = ["c_0", "h_0", "c_1", "h_1", "previous_sample", "is_started"]
    assert [item.name for item in step.graph.input] == ["sample", *state]
    assert [item.name for item in step.graph.output] == ["error", *(f"next_{n}" for n in state)]
    assert [item.name for item in window.graph.input] == ["samples"]
    sizes = [d.dim_param or d.dim_value for d in window.graph.input[0].type.tensor_type.shape.dim]
    assert sizes == ["batch", "window", 4]
    for proto, num_lstms in ((step, 0), (window, 2)):
        facts = {entry.key: entry.value for entry in proto.metadata_props}
        assert facts["run"] == run.id
        assert facts["features"] == "x_ref, y_ref, vx_ref, vy_ref"
        assert facts["feature_units"] == "mm, mm, mm/s, mm/s"
        assert facts["sign"] == SIGN
        assert facts["sample_rate_hz"] == "100"
        assert facts["horizon_samples"] == "0"
        operators = [node.op_type for node in proto.graph.node]
        assert not set(operators) & {"Loop", "Scan", "If"}
        assert "LayerNormalization" in operators
        assert operators.count("LSTM") == num_lstms
        assert proto.opset_import[0].version == manifest["opset"]
        assert helper.find_min_ir_version_for(proto.opset_import) <= proto.ir_version


@pytest.mark.parametrize(("batch", "window"), [(3, 7), (1, 1), (2, 33)])
def test_window_takes_any_batch_and_length(made, loaded, trained, batch, window):
    run, _ = made
    spec = loaded.spec.model_copy(
        update={"data": loaded.spec.data.model_copy(update={"window": window})}
    )
    rows = np.arange(batch)[:, None] * 5 + np.arange(window)
    blocks = trained.data.test.features[rows]
    session = export_onnx.load(run.export / "window.onnx")
    (errors,) = session.run(None, {"samples": blocks})
    expected = bulk.from_windows(spec, loaded.weights, trained.data.test)[rows[:, -1]]
    np.testing.assert_allclose(errors, expected, rtol=0, atol=all_forms.TOLERANCE_MM)


def test_stablehlo_needs_no_jaxcorr(made, loaded, trained, tmp_path):
    run, manifest = made
    rows = trained.data.test.features[:20]
    np.save(tmp_path / "rows.npy", rows)
    arguments = [sys.executable, "-c", WITHOUT_JAXCORR, run.export, tmp_path / "rows.npy"]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    errors = np.array([line.split() for line in done.stdout.splitlines()], float)
    expected = bulk.stream(loaded.spec, loaded.weights, trained.data.test)[:20]
    np.testing.assert_allclose(errors, expected, rtol=0, atol=all_forms.TOLERANCE_MM)
    assert manifest["platforms"] == ["cpu", "cuda"]


def test_a_form_that_fails_leaves_the_old_export_whole(made, loaded, trained, monkeypatch):
    run, _ = made
    before = {path.name: path.read_bytes() for path in run.export.iterdir()}
    real = export_onnx.network.step
    monkeypatch.setattr(
        export_onnx.network,
        "step",
        lambda spec, weights, carry, sample, *layer: real(
            spec, weights, carry, 1.01 * sample, *layer
        ),
    )
    with pytest.raises(InputError, match=r"step.onnx: expected agreement .* Nothing was exported"):
        all_forms.export(run, loaded, trained.data.test)
    assert {path.name: path.read_bytes() for path in run.export.iterdir()} == before
    assert not list(run.path.glob(".export*"))


def test_errors_that_are_not_numbers_fail_too(tmp_path, loaded, trained, monkeypatch):
    shutil.copytree(trained.run.path, tmp_path / "run")
    nothing = np.full_like(trained.data.test.targets, np.nan)
    real = all_forms.forms("run", loaded.spec, loaded.weights)["step.onnx"]
    broken = {"step.onnx": real._replace(run_fn=lambda *_: nothing)}
    monkeypatch.setattr(all_forms, "forms", lambda *_: broken)
    with pytest.raises(InputError, match="got nan mm"):
        all_forms.export(Run(tmp_path / "run"), loaded, trained.data.test)
    assert not (tmp_path / "run" / "export").exists()


def test_a_form_may_be_checked_on_the_beginnings_of_all_traces_alone(trained, tmp_path):
    given = trained.data.test._replace(
        features=np.arange(14, dtype=np.float32)[:, None],
        targets=np.zeros((14, 1), np.float32),
        first_row=np.array([0, 2, 10]),
        num_rows=np.array([2, 8, 4]),
    )
    begun = [0, 1, 2, 3, 4, 10, 11, 12]

    def run_fn(_, samples):
        assert (samples.first_row.tolist(), samples.num_rows.tolist()) == ([0, 2, 5], [2, 3, 3])
        assert samples.features[:, 0].tolist() == begun
        return samples.features

    form = all_forms.Form(lambda _: None, run_fn, "here", most_samples=9)
    expected = np.where(np.isin(np.arange(14), begun), np.arange(14), 1e9)[:, None]
    found = all_forms._check(tmp_path, form, given, expected.astype(np.float32))
    assert (found["worst_mm"], found["num_samples"]) == (0, 8)


def test_too_short_traces_are_refused(tmp_path, loaded, trained):
    test = trained.data.test
    none = test._replace(features=test.features[:0], num_rows=test.num_rows[:0])
    short = test._replace(num_rows=test.num_rows * 0 + 19)
    for samples, got in ((none, "got none"), (short, "got only traces of up to 19")):
        with pytest.raises(InputError, match=rf"test traces of at least 20 samples .* {got}"):
            all_forms.export(Run(tmp_path), loaded, samples)
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_checked_here_says_so(loaded, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda _: None)
    forms = all_forms.forms("run", loaded.spec, loaded.weights)
    assert forms["step.c"].checked_with == "not compiled here: no C compiler"
    assert forms["weights.mat"].checked_with == "not run here: no GNU Octave, or no matlab/"
    for name in ("step.c", "weights.mat"):
        assert forms[name].run_fn is None
        assert forms[name].time_fn is None


def test_a_run_that_cannot_be_written_is_one_line(tmp_path, loaded, trained):
    (tmp_path / "run").write_text("a file in the way")
    with pytest.raises(InputError, match=r"export: expected to write the export, got 'Not a dir"):
        all_forms.export(Run(tmp_path / "run"), loaded, trained.data.test)


def refusal(done):
    """The line that says why, behind those of the phases until then."""
    code, out, err = done
    *phases, said = err.splitlines()
    assert (code, out) == (2, "")
    assert all(re.match(r" *[0-9]+ s  ", line) for line in phases)
    return said


@pytest.mark.parametrize("name", ["test.npz", "resolved.json", "stats.json", "checkpoints"])
def test_missing_and_altered_files_are_named(run, trained, tmp_path, name):
    folder = tmp_path / "run"
    shutil.copytree(trained.run.path, folder)
    (folder / name).rename(tmp_path / "away")
    said = refusal(run("export", folder))
    assert name in said or "expected one run" in said
    if name.endswith(("npz", "json")):
        content = (tmp_path / "away").read_bytes()
        (folder / name).write_bytes(content[: len(content) // 2])
        assert f"{folder}/{name}" in refusal(run("export", folder))
    assert not (folder / "export").exists()


@pytest.mark.usefixtures("quick")
def test_command_finds_runs_and_prints_a_table_or_json(run, trained, tmp_path):
    folder = tmp_path / "elsewhere"
    shutil.copytree(trained.run.path, folder / trained.run.id)
    code, out, _ = run("export", "latest", "--runs", folder, "--json")
    assert code == 0
    found = json.loads(out)
    assert found["run"] == trained.run.id
    assert found["files"]["step.onnx"]["worst_mm"] <= 1e-5
    code, out, _ = run(
        "export", trained.run.id, "--runs", folder, "--traces", *[trained.spec.data.traces[0]]
    )
    assert code == 0
    assert "compared with the predictor over samples of 6 traces" in out
    assert re.search(r"step.onnx +[0-9]+ +1,800 ", out)
    code, _, err = run("export", "nothing", "--runs", folder)
    assert code == 2
    assert "expected one run, got none" in err


@pytest.mark.parametrize("name", ["step.onnx", "window.onnx"])
def test_onnxruntimes_tools_take_the_files(made, tmp_path, name):
    """Dynamic quantisation, its preparation, and conversion to float16."""
    path = made[0].export / name
    ready, small = (str(tmp_path / file) for file in ("ready.onnx", "small.onnx"))
    quant_pre_process(path, ready)
    quantize_dynamic(ready, small)
    half = float16.convert_float_to_float16(onnx.load(path), keep_io_types=True)
    onnx.save(half, tmp_path / "half.onnx")
    for file in (ready, small, str(tmp_path / "half.onnx")):
        errors = run_onnx(file)
        np.testing.assert_allclose(errors, run_onnx(str(path)), rtol=0, atol=0.02)
        assert np.isfinite(errors).all()


def run_onnx(path):
    session = export_onnx.load(Path(path))
    rng = np.random.default_rng(0)
    sizes = {"batch": 2, "window": 30}
    shapes = {
        item.name: [sizes.get(size, size) for size in item.shape] for item in session.get_inputs()
    }
    draw = {name: rng.uniform(0, 1, shape).astype(np.float32) for name, shape in shapes.items()}
    return session.run(["error"], draw)[0]


def test_every_tensor_and_operator_has_a_name(made):
    for name in ("step.onnx", "window.onnx"):
        graph = onnx.load(made[0].export / name).graph
        assert all(output for node in graph.node for output in node.output)
        names = [node.name for node in graph.node]
        assert all(names)
        assert len(set(names)) == len(names)
