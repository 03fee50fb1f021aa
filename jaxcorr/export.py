"""ONNX for elsewhere: the one-step model with explicit carry, checked before it gets its name.

Normalisation is inside the file. It knows the model and a set of samples to check against; onnx and
its runtime are loaded only here.
"""

import logging
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float32
from numpy import ndarray

from jaxcorr import model, predict
from jaxcorr.errors import InputError
from jaxcorr.model import Weights
from jaxcorr.runs import Run
from jaxcorr.spec import Spec
from jaxcorr.windows import Samples

TOLERANCE_MM = 1e-5
OPSET = 18  # LayerNorm and LSTM parts are plain operators here; older runtimes read it


class Exported(NamedTuple):
    """A checked file: how far it is from the predictor, over how many samples."""

    path: Path
    worst_mm: float
    num_samples: int
    opset: int
    versions: dict[str, str]


def carry_names(num_layers: int) -> list[str]:
    """Names of the state's tensors, in the order of a flattened `Carry`."""
    layers = [f"{kind}_{i}" for i in range(num_layers) for kind in ("c", "h")]
    return [*layers, "previous_sample", "is_started"]


def step_onnx(run: Run, spec: Spec, weights: Weights, samples: Samples) -> Exported:
    """Writes `export/step.onnx`: (sample, state...) -> (error, next state...), batch 1, raw units.

    Args:
        run: gets the file, and gives its id to the file's metadata.
        samples: traces on which the file must agree with the model to 1e-5 mm.
    Raises:
        InputError: it does not agree, there is nothing to check it on, or the disk refuses it; no
            file is left.
    """
    if not len(samples.features):
        raise InputError(
            f"{run.path}: expected test traces to check the export on, got none. Give some with "
            "--traces, or train with data.split.test > 0."
        )
    proto = _convert(spec, weights)
    _describe(proto, run, spec)
    return _check_then_name(proto, run.export / "step.onnx", spec, weights, samples)


def _convert(spec: Spec, weights: Weights) -> Any:
    import jax2onnx

    # It warns of its own shape inference; the file is checked against the predictor below.
    logging.getLogger("onnx_ir").setLevel(logging.ERROR)
    carry = model.carry_for(spec, 1)
    leaves, structure = jax.tree.flatten(carry)
    frozen = jax.tree.map(np.asarray, weights)

    def step(sample: Array, *state: Array) -> tuple[Array, ...]:
        after, error = model.step(spec, frozen, jax.tree.unflatten(structure, state), sample)
        return (error, *jax.tree.leaves(after))

    names = carry_names(spec.model.num_layers)
    shapes = [jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for leaf in leaves]
    sample = jax.ShapeDtypeStruct((1, len(spec.data.features)), np.float32)
    return jax2onnx.to_onnx(
        step,
        [sample, *shapes],
        model_name="jaxcorr_step",
        opset=OPSET,
        input_names=["sample", *names],
        output_names=["error", *(f"next_{name}" for name in names)],
    )


def _describe(proto: Any, run: Run, spec: Spec) -> None:
    """Writes what the tensors mean into the file's metadata."""
    facts = {
        "run": run.id,
        "features": ", ".join(spec.data.features),
        "targets": ", ".join(spec.data.targets),
        "units": "positions mm, velocities mm/s, errors mm",
        "sign": "error = actual - reference",
        "horizon_samples": str(spec.data.horizon),
        "sample_rate_hz": f"{spec.data.sample_rate_hz:g}",
        "initial_state": "all zeros",
    }
    for key, value in facts.items():
        entry = proto.metadata_props.add()
        entry.key, entry.value = key, value


def _check_then_name(
    proto: Any, path: Path, spec: Spec, weights: Weights, samples: Samples
) -> Exported:
    import onnx
    import onnxruntime

    onnx.checker.check_model(proto)
    partial = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(proto.SerializeToString())
        session = onnxruntime.InferenceSession(str(partial), providers=["CPUExecutionProvider"])
        expected = predict.stream(spec, weights, samples)
        worst = float(np.max(np.abs(run_step(session, samples) - expected)))
        if not worst <= TOLERANCE_MM:
            raise InputError(
                f"{path}: expected agreement with the predictor to {TOLERANCE_MM:g} mm, got "
                f"{worst:.3g} mm. No file was written; report this with the run's spec."
            )
        partial.replace(path)
    except OSError as error:
        raise InputError(
            f"{path}: expected to write the file, got '{error.strerror}'. Make room, or mend the "
            "permissions."
        ) from None
    finally:
        if path.parent.is_dir():
            partial.unlink(missing_ok=True)
    versions = {"onnx": onnx.__version__, "onnxruntime": onnxruntime.__version__}
    return Exported(path, worst, len(expected), proto.opset_import[0].version, versions)


def run_step(session: Any, samples: Samples) -> Float32[ndarray, "rows k"]:
    """Streams every trace through an onnxruntime session of the one-step model."""
    inputs = session.get_inputs()
    state_names = [item.name for item in inputs[1:]]
    errors = []
    for first, rows in zip(samples.first_row, samples.num_rows, strict=True):
        state = [np.zeros(item.shape, np.float32) for item in inputs[1:]]
        for sample in samples.features[first : first + rows]:
            feed = dict(zip(state_names, state, strict=True)) | {"sample": sample[None]}
            error, *state = session.run(None, feed)
            errors.append(error[0])
    return np.stack(errors)
