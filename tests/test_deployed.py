"""The stream contract on everything that is deployed, over the same traces, against `unroll`.

One trace comes first and third, the third time with another end: so all forms are asked whether
they start afresh and whether later samples change earlier errors.
"""

import os
from typing import NamedTuple

import elastic
import jax
import jax.numpy as jnp
import numpy as np
import onnx
import oscillator
import pytest

from jaxcorr import Predictor
from jaxcorr.data.windows import Samples
from jaxcorr.export import all_forms, parameters, stablehlo
from jaxcorr.export import onnx as onnx_export
from jaxcorr.models import bulk, plant_path
from jaxcorr.models import network as model
from jaxcorr.models.network import Weights
from jaxcorr.models.normalize import Scale
from jaxcorr.models.ranges import measure_ranges
from jaxcorr.spec import Data, kinematics_of
from jaxcorr.training.restore import Loaded

WINDOW = 20
LENGTHS = (60, 33)
CHANGED = 40  # the sample from which on the third trace differs from the first
FORMS = (
    "predictor",
    "step.onnx",
    "window.onnx",
    "step.stablehlo",
    "unroll.stablehlo",
    "weights.mat",
    "step.c",
)
XYZ = {
    "features": ["x_ref", "y_ref", "z_ref", "vx_ref", "vy_ref", "vz_ref"],
    "targets": ["error_x", "error_y", "error_z"],
    "horizon": 2,
}
JOINT = {"features": ["j1_ref", "vj1_ref"], "targets": ["error_j1"]}
FEW_STEPS = {"sample_rate_hz": 500.0}  # 2 of the plant in a sample, not 10, are soon compiled
SPECS = {
    "xyz": {
        "data": XYZ,
        "model": {"num_layers": 3, "hidden_size": 7, "phase_periods_mm": [0.2, 0.8]},
    },
    "smooth": {"model": {"num_layers": 1, "hidden_size": 5, "path": "smooth"}},
    "plant": {"model": {"num_layers": 1, "hidden_size": 5, "path": "plant"}},
    "plant of a CoreXY, ahead": {
        "data": {"horizon": 2, "kinematics": "corexy"} | FEW_STEPS,
        "model": {"num_layers": 1, "hidden_size": 5, "path": "plant"},
    },
    "raw, plant of one joint, behind": {
        "data": JOINT | {"horizon": -3} | FEW_STEPS,
        "model": {"num_layers": 1, "inputs": "raw", "hidden_size": 5, "path": "plant"},
    },
}


class Case(NamedTuple):
    spec: object
    weights: Weights
    samples: Samples
    folder: object


@pytest.fixture(scope="module", params=SPECS)
def case(request, tmp_path_factory):
    """Random weights, three traces, and all files."""
    spec = oscillator.make_spec(**SPECS[request.param])
    samples = make_samples(spec.data)
    weights = draw_weights(spec)
    case = limit(Case(spec, weights, samples, tmp_path_factory.mktemp("forms")))
    for name, form in all_forms.forms("a-run", spec, case.weights).items():
        form.write_fn(case.folder / name)
    return case


def make_samples(data: Data) -> Samples:
    """Slow random paths across the bed, with the velocities that belong to them."""
    rng, num_axes = np.random.default_rng(3), len(data.features) // 2
    first, second = (walk(rng, rows, num_axes, data.sample_rate_hz) for rows in LENGTHS)
    third = first.copy()
    third[CHANGED:] += 0.5
    features = np.concatenate([first, second, third])
    num_rows = np.array([len(first), len(second), len(third)])
    return Samples(
        features=features,
        targets=np.zeros((len(features), len(data.targets)), np.float32),
        first_row=np.cumsum(num_rows) - num_rows,
        num_rows=num_rows,
        lead=0,
        names=("a", "b", "c"),
        parts=("p",) * 3,
    )


def walk(rng, rows: int, axes: int, rate_hz: float) -> np.ndarray:
    speed = np.cumsum(rng.normal(0, 5, (rows, axes)), axis=0)
    position = 100 + np.cumsum(speed, axis=0) / rate_hz
    return np.concatenate([position, speed], axis=1).astype(np.float32)


def draw_weights(spec) -> Weights:
    """Random parameters, biases and scales too, so that none can be forgotten."""
    rng = np.random.default_rng(4)
    blank = np.zeros((1, 1, len(spec.data.features)), np.float32)
    num_inputs = model.derive_inputs(spec.model, blank, blank[0], blank[0, :, :1]).shape[-1]
    shapes = jax.eval_shape(lambda: model.initialize(spec, num_inputs, jax.random.key(0)))
    shapes |= model.blank_path(spec)
    network = jax.tree.map(lambda leaf: rng.normal(0, 0.4, leaf.shape).astype(np.float32), shapes)
    if spec.model.path == "plant":  # a printer, or the numbers would run away
        network[model.PATH] = draw_plant(rng, spec)
    if spec.model.path == "smooth":
        network[model.PATH] = draw_smooth(rng, network[model.PATH])
    inputs = Scale(rng.normal(0, 20, num_inputs), rng.uniform(5, 20, num_inputs))
    targets = Scale(*(rng.uniform(0.05, 0.1, (2, len(spec.data.targets)))))
    limit_mm = np.full(len(spec.data.targets), 1e6, np.float32)  # none, but a number in C too
    return Weights(network, *(Scale(*map(np.float32, s)) for s in (inputs, targets)), limit_mm)


def draw_smooth(rng, path):
    """Responses to up to 150 mm/s, some of it beyond what counts; no later share is forgotten."""
    return path | {
        "response": path["response"] * np.float32(0.02),
        "most_mm_s": np.linspace(60, 90, path["most_mm_s"].size, dtype=np.float32),
        "scale_mm_s": rng.uniform(0.5, 40, path["scale_mm_s"].shape).astype(np.float32),
        "knots_mm_s": np.linspace(0, 80, path["knots_mm_s"].size, dtype=np.float32),
        "rest_mm_s": np.full(1, 0.5, np.float32),
    }


def limit(case: Case) -> Case:
    """So close that some errors are beyond it."""
    free = np.abs(expected_of(case, "step.onnx"))
    close = np.quantile(free, 0.97, axis=0).astype(np.float32)
    return case._replace(weights=case.weights._replace(limit_mm=close))


def draw_plant(rng, spec):
    """A printer's axes, with all that an identification may find."""
    is_corexy = kinematics_of(spec.data) == "corexy"
    printer = elastic.axes_of(elastic.COREXY if is_corexy else elastic.PLANT)
    periods = rng.normal(0, 0.02, (2, *printer.sine_mm.shape))
    axes = printer._replace(
        viscous_s=np.array([1e-3, -2e-4]),
        offset_mm=np.array([0.02, -0.03]),
        sine_mm=periods[0],
        cosine_mm=periods[1],
    )
    axes = jax.tree.map(lambda values: values[..., : len(spec.data.targets)], axes)
    return plant_path.from_axes(axes, spec.data.sample_rate_hz)


@pytest.mark.parametrize("name", ["step.onnx", "window.onnx"])
def test_no_constant_of_onnx_is_without_use(case, name, capfd):
    onnx_export.load(case.folder / name)
    assert not capfd.readouterr().err, "onnxruntime warns of each"


def test_a_step_with_the_plant_has_few_operators(case):
    # onnxruntime takes 0.3 us for each; 911 when the plant's own steps were converted.
    if case.spec.model.path == "plant" and case.spec.data.horizon <= 0:
        assert len(onnx.load(case.folder / "step.onnx").graph.node) < 185


@pytest.fixture(params=FORMS)
def errors(request, case, cache={}):  # noqa: B006 - each form runs once
    """What a deployed form makes of the three traces; rows without an error are NaN."""
    key = (case.folder, request.param)
    if key not in cache:
        cache[key] = run(request.param, case)
    return request.param, cache[key]


def run(name: str, case: Case) -> np.ndarray:
    if name == "predictor":
        return run_predictor(case)
    form = all_forms.forms("a-run", case.spec, case.weights)[name]
    if form.run_fn is None and os.environ.get("CI") != "true":
        pytest.skip(form.checked_with)
    assert form.run_fn is not None, form.checked_with
    return form.run_fn(case.folder / name, case.samples)


def run_predictor(case: Case) -> np.ndarray:
    names, samples = case.spec.data.features, case.samples
    spanned = measure_ranges(
        names, samples.features, samples.first_row, case.spec.data.sample_rate_hz
    )
    predictor = Predictor(Loaded(case.spec, case.weights, spanned))
    found = []
    for first, rows in zip(case.samples.first_row, case.samples.num_rows, strict=True):
        predictor.reset()
        trace = case.samples.features[first : first + rows].tolist()
        found += [predictor.step(*sample) for sample in trace]
    return np.array(found)


def expected_of(case: Case, name: str) -> np.ndarray:
    """The model's own errors: of whole traces, or of every window."""
    samples = case.samples
    if name != "window.onnx":
        errors = unroll(case, parameters.side_by_side(samples))
        return parameters.end_to_end(samples, errors)
    expected = np.full_like(samples.targets, np.nan)
    last = np.flatnonzero(bulk.has_window(samples, WINDOW))
    windows = samples.features[last[:, None] + np.arange(1 - WINDOW, 1)]
    expected[last] = unroll(case, windows.swapaxes(0, 1))[-1]
    return expected


def unroll(case: Case, block: np.ndarray) -> np.ndarray:
    carry = model.carry_for(case.spec, block.shape[1])
    unroll_fn = jax.jit(model.unroll, static_argnums=0)
    return np.asarray(unroll_fn(case.spec, case.weights, carry, jnp.asarray(block))[1])


def test_equals_unroll_from_the_first_sample_of_each_trace_on(case, errors):
    name, found = errors
    expected = expected_of(case, name)
    tolerance = all_forms.MATLAB_TOLERANCE_MM if name == "weights.mat" else all_forms.TOLERANCE_MM
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance)
    assert np.nanstd(expected) > 1e-2
    assert (np.abs(expected) == case.weights.limit_mm).any()


@pytest.fixture(scope="module")
def streams(case):
    return (
        onnx_export.Stream(case.folder / "step.onnx"),
        stablehlo.Stream(case.folder / "step.stablehlo"),
    )


@pytest.mark.parametrize("bad", [np.nan, np.inf, -1e7])
def test_a_bad_sample_gives_nan_and_leaves_the_state(case, streams, bad):
    block = np.array(case.samples.features[:4, None], np.float32)
    block[2, 0, -1] = bad
    for stream in streams:
        stream.reset()
        first, second, none, _ = [stream.step(sample) for sample in block]
        assert np.isnan(none).all()
        stream.reset()
        fine = [stream.step(sample) for sample in block[[0, 1, 3]]]
        np.testing.assert_array_equal(fine[:2], [first, second])
        stream.reset()
        assert np.isfinite([stream.step(sample) for sample in block][3]).all()
        stream.reset()
        np.testing.assert_array_equal([stream.step(s) for s in block][3], fine[2])
    window = np.repeat(block[:1], WINDOW, axis=0).swapaxes(0, 1)
    window[0, 1, 0] = bad
    session = onnx_export.load(case.folder / "window.onnx")
    assert np.isnan(session.run(None, {"samples": window})[0]).all()


def test_later_samples_and_other_traces_change_nothing_before(case, errors):
    name, found = errors
    first, _, third = np.split(found, case.samples.first_row[1:])
    # Not to the last bit: in some forms the traces run side by side in vectors.
    np.testing.assert_allclose(first[:CHANGED], third[:CHANGED], rtol=0, atol=3e-7)
    assert (np.abs(first[CHANGED:] - third[CHANGED:]) > 1e-6).any(axis=1).all(), name
