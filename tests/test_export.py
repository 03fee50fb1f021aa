"""The ONNX file: the predictor's numbers, named and described, or no file at all."""

import numpy as np
import onnx
import onnxruntime
import pytest

from jaxcorr import export, model, predict, stream
from jaxcorr.errors import InputError
from jaxcorr.runs import Run


@pytest.fixture(scope="module")
def loaded(trained):
    return stream.load_weights(trained.run)


@pytest.fixture(scope="module")
def made(loaded, trained, tmp_path_factory):
    run = Run(tmp_path_factory.mktemp("toy-run"))
    return export.step_onnx(run, loaded.spec, loaded.weights, trained.data.test)


def test_agrees_with_the_predictor_over_a_whole_trace(made, loaded, trained):
    session = onnxruntime.InferenceSession(str(made.path), providers=["CPUExecutionProvider"])
    predictor = stream.Predictor(loaded.spec, loaded.weights)
    errors = export.run_step(session, trained.data.test)
    expected = [predictor.step(*row) for row in trained.data.test.features.tolist()]
    np.testing.assert_allclose(errors, expected, atol=1e-5)
    worst = np.abs(errors - predict.stream(loaded.spec, loaded.weights, trained.data.test)).max()
    assert made.worst_mm == pytest.approx(worst)
    assert made.num_samples == len(expected) == 300
    assert made.path.name == "step.onnx"


def test_tensors_are_named_and_explained(made):
    proto = onnx.load(made.path)
    state = ["c_0", "h_0", "c_1", "h_1", "previous_sample", "is_started"]
    assert [item.name for item in proto.graph.input] == ["sample", *state]
    assert [item.name for item in proto.graph.output] == ["error", *(f"next_{n}" for n in state)]
    facts = {entry.key: entry.value for entry in proto.metadata_props}
    assert facts["run"] == made.path.parent.parent.name
    assert facts["features"] == "x_ref, y_ref, vx_ref, vy_ref"
    assert facts["sign"] == "error = actual - reference"
    assert facts["sample_rate_hz"] == "100"
    assert facts["horizon_samples"] == "0"


def test_one_step_needs_no_loop(made):
    proto = onnx.load(made.path)
    operators = {node.op_type for node in proto.graph.node}
    assert not operators & {"Loop", "Scan", "If"}
    assert "MatMul" in operators or "Gemm" in operators
    assert proto.opset_import[0].version == made.opset == export.OPSET


@pytest.mark.parametrize("off_by", [1e-3, np.nan])
def test_a_failed_check_leaves_no_file(tmp_path, loaded, trained, monkeypatch, off_by):
    real = model.step

    def wrong(*arguments):
        carry, errors = real(*arguments)
        return carry, errors + off_by

    monkeypatch.setattr(model, "step", wrong)
    with pytest.raises(InputError, match=r"expected agreement .* No file was written"):
        export.step_onnx(Run(tmp_path), loaded.spec, loaded.weights, trained.data.test)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_without_samples_to_check_on_there_is_no_export(tmp_path, loaded, trained):
    empty = trained.data.test._replace(features=np.zeros((0, 4), np.float32))
    with pytest.raises(InputError, match="expected test traces to check the export on"):
        export.step_onnx(Run(tmp_path), loaded.spec, loaded.weights, empty)
    assert not list(tmp_path.iterdir())


def test_a_folder_in_the_way_is_one_line(tmp_path, loaded, trained):
    (tmp_path / "export").write_text("in the way")
    with pytest.raises(InputError, match=r"step.onnx: expected to write the file, got 'File exi"):
        export.step_onnx(Run(tmp_path), loaded.spec, loaded.weights, trained.data.test)
