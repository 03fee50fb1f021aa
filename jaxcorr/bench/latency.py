"""Latency of one prediction in every way there is to make it, in one process.

Ways take turns (A B A B), so that a busy machine slows all of them alike. Weights are fresh: time
does not depend on their values. Those of a plant beside the network are an ordinary printer's: an
export would leave out what is zero.
"""

import contextlib
import ctypes
import time
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float
from numpy import ndarray

from jaxcorr import files
from jaxcorr.bench import latency_parts, torch_reference, training
from jaxcorr.data.windows import Samples
from jaxcorr.deploy import timing
from jaxcorr.deploy.predictor import Predictor
from jaxcorr.deploy.timing import Call
from jaxcorr.export import c_code, onnx, parameters
from jaxcorr.models import network as model
from jaxcorr.models import plant_path, ranges
from jaxcorr.models.network import Variables, Weights
from jaxcorr.models.ranges import Ranges
from jaxcorr.models.scales import fit_scales
from jaxcorr.spec import Spec, kinematics_of
from jaxcorr.training import restore

ROUNDS = 4
NUM_SAMPLES = 500
WARM_UP = 100  # calls at least, so that every window is full
PACED = {100: 20, 1000: 5}  # Hz -> one in so many of the calls is made at this rate
# PyTorch and onnxruntime take up to twenty times as long; a tenth of the calls shows their p99.
RIVAL_SHARE = 10
MEMORY_BYTES = 256 * 2**20  # far beyond any cache
# -fassociative-math and its kin would change results; these change only speed.
C_FLAGS = ("-std=c99", "-O3", "-march=native", "-shared", "-fPIC")


class Ready(NamedTuple):
    """A network of one size, to be timed: fresh weights, and a path to time them on."""

    spec: Spec
    weights: Weights
    samples: Samples
    ranges: Ranges
    predictor: Predictor


def prepare(spec: Spec, size: str | None) -> Ready:
    """A spec's network, in one of `spec.SIZES` or its own, with its predictor and all checks."""
    sized = training.resize(spec, size) if size is not None else spec
    rate_hz = spec.data.sample_rate_hz
    samples = make_samples(len(spec.data.features), len(spec.data.targets), rate_hz)
    scales = fit_scales(sized, samples)
    network = model.initialize(sized, len(scales.inputs.mean), jax.random.key(sized.train.seed))
    network |= _path_of_a_printer(sized)
    weights = Weights(network, *scales)
    spanned = ranges.measure_ranges(
        spec.data.features, samples.features, samples.first_row, rate_hz
    )
    predictor = Predictor(restore.Loaded(sized, weights, ranges=spanned))
    return Ready(sized, weights, samples, spanned, predictor)


def _path_of_a_printer(spec: Spec) -> Variables:
    if spec.model.path != "plant":
        return model.blank_path(spec)
    one = np.ones(len(spec.data.targets))
    wave = np.full((len(plant_path.PERIODS_MM), len(one)), 0.002)
    other = 0.02 * one if kinematics_of(spec.data) == "corexy" else None
    axes = plant_path.Axes(
        frequency_hz=22.0 * one,
        damping_ratio=0.05 * one,
        friction_mm=0.1 * one,
        friction_velocity_mm_s=3.0 * one,
        viscous_s=0.001 * one,
        offset_mm=0.001 * one,
        sine_mm=wave,
        cosine_mm=wave,
        other_friction_mm=other,
    )
    return {model.PATH: plant_path.from_axes(axes, spec.data.sample_rate_hz)}


def measure(spec: Spec, size: str, num_calls: int, with_torch: bool = True) -> dict[str, Any]:
    """Latency figures of one size of network, one sample at a time, one printer.

    Args:
        spec: of it count data and model; size replaces its hidden size and layers.
        size: of `spec.SIZES`.
        num_calls: back to back of the predictor; the other ways get fewer.
    Returns:
        parameters, `ways` (name -> figures of `latency.measure`), `ratios` (name -> p50 in
        predictor's p50), `parts` (see `bench_parts`) and `floor` (see `memory_floor`).
    """
    ready = prepare(spec, size)
    with files.scratch_folder() as folder:
        calls = {"predictor": ready.predictor.step, **other_calls(ready, folder)}
        if with_torch:
            reference = training.change(ready.spec, training.REFERENCE)
            calls["torch_eager"] = torch_reference.WindowPredictor(reference, False).step
            calls["torch_script"] = torch_reference.WindowPredictor(reference, True).step
        with torch_reference.one_thread() if with_torch else contextlib.nullcontext():
            ways = _take_turns(calls, ready, num_calls)
    ratios = {
        name: found["p50_us"] / ways["predictor"]["p50_us"]
        for name, found in ways.items()
        if name in calls and name != "predictor"
    }
    num_parameters = model.count_parameters(ready.weights.network)
    return {
        "model": size,
        "parameters": num_parameters,
        "ways": ways,
        "ratios": ratios,
        "parts": latency_parts.measure(*ready),
        "floor": memory_floor(4 * num_parameters),
    }


def endure(spec: Spec, num_steps: int) -> dict[str, Any]:
    """Streams many samples through a spec's network with fresh weights (see `bench_parts`)."""
    data = spec.data
    path = lissajous(num_steps, len(data.features), data.sample_rate_hz)
    ready = prepare(spec, None)
    samples = path_samples(path, len(data.targets))
    began = time.perf_counter()
    found = latency_parts.endure(spec, ready.weights, samples, ready.predictor)
    return found | {"seconds": time.perf_counter() - began}


def other_calls(ready: Ready, folder: Path) -> dict[str, Call]:
    """The functional step, and the exported ones; C only where there is a compiler."""
    spec, weights = ready.spec, ready.weights
    plain, facts = parameters.plain(spec, weights), parameters.facts("benchmark", spec)
    onnx.write_step(folder / "step.onnx", spec, weights, facts)
    calls = {
        "functional": functional_call(spec, weights),
        "onnxruntime": onnx_call(folder / "step.onnx"),
    }
    compiler = c_code.find_compiler()
    if compiler is not None:
        c_code.write_step(folder / "step.c", spec.model, plain, facts)
        c_code.build(compiler, folder / "step.c", folder / "step.so", C_FLAGS)
        calls["c_step"] = c_call(folder / "step.so", spec)
    return calls


def _take_turns(calls: dict[str, Call], ready: Ready, num_calls: int) -> dict[str, Any]:
    """Every way back to back in turns, then the predictor paced, as it is and warmed up."""
    rows, restart_fn = ready.samples.features.tolist(), ready.predictor.reset
    counts = {
        name: num_calls if name == "predictor" else num_calls // RIVAL_SHARE for name in calls
    }
    for name, call in calls.items():
        timing.time_calls(call, rows, max(WARM_UP, counts[name] // 10), restart_fn)
    turns: dict[str, list[ndarray]] = {name: [] for name in calls}
    for _ in range(ROUNDS):
        for name, call in calls.items():
            num_turn = max(1, counts[name] // ROUNDS)
            turns[name].append(timing.time_calls(call, rows, num_turn, restart_fn))
    ways = {name: timing.summarize(np.concatenate(elapsed)) for name, elapsed in turns.items()}
    for rate_hz, share in PACED.items():
        for kind, warm_fn in (("", None), ("_warm", ready.predictor.warm)):
            paced = timing.pace(
                calls["predictor"], rows, max(1, num_calls // share), rate_hz, warm_fn, restart_fn
            )
            ways[f"predictor_{rate_hz}_hz{kind}"] = timing.summarize(paced.latency_us)
    return ways


def functional_call(spec: Spec, weights: Weights) -> Call:
    """The jitted functional step, its carry kept as a tree."""
    step_fn = restore.make_step(spec)
    carry = model.carry_for(spec, 1)

    def call(*sample: float) -> list[float]:
        nonlocal carry
        row: Any = np.array([sample], np.float32)
        carry, errors = step_fn(weights, carry, row)
        return np.asarray(errors)[0].tolist()

    return call


def onnx_call(path: Path) -> Call:
    """The exported step in onnxruntime on one thread."""
    printer = onnx.Stream(path)
    return lambda *sample: printer.step(np.array([sample], np.float32))[0].tolist()


def c_call(library: Path, spec: Spec) -> Call:
    """The generated C step, called in this process."""
    loaded = ctypes.CDLL(str(library))
    # Its struct holds what our carry holds; twice that leaves room for how a compiler lays it out.
    num_kept = sum(leaf.size for leaf in jax.tree.leaves(model.carry_for(spec, 1)))
    state = (ctypes.c_float * (2 * num_kept))()
    sample = (ctypes.c_float * len(spec.data.features))()
    error = (ctypes.c_float * len(spec.data.targets))()
    step, arguments = loaded.jaxcorr_step, (state, sample, error)
    loaded.jaxcorr_reset(state)

    def call(*values: float) -> list[float]:
        sample[:] = values
        step(*arguments)
        return list(error)

    return call


def memory_floor(num_bytes: int) -> dict[str, float]:
    """Microseconds that reading the parameters alone takes, from memory and from cache.

    No step can be faster than its weights arrive. Bandwidth is that of a copy by one core, reads
    and writes counted, of 256 MiB (memory) and of an array as large as the parameters (cache).
    """
    memory = copy_bandwidth(MEMORY_BYTES, repeats=3)
    cached = copy_bandwidth(num_bytes, repeats=200)
    return {
        "parameter_bytes": num_bytes,
        "memory_gb_s": memory / 1e9,
        "cache_gb_s": cached / 1e9,
        "from_memory_us": 1e6 * num_bytes / memory,
        "from_cache_us": 1e6 * num_bytes / cached,
    }


def copy_bandwidth(num_bytes: int, repeats: int) -> float:
    """Bytes read and written per second, the best of some copies of an array."""
    source = np.ones(num_bytes, np.uint8)
    target = np.zeros_like(source)
    best_s = np.inf
    for _ in range(repeats + 1):
        began = time.perf_counter()
        np.copyto(target, source)
        best_s = min(best_s, time.perf_counter() - began)
    return 2 * num_bytes / best_s


def make_samples(num_features: int, num_targets: int, rate_hz: float) -> Samples:
    """A smooth path to time calls on: sines as wide as a print bed, and their velocities."""
    return path_samples(lissajous(NUM_SAMPLES, num_features, rate_hz), num_targets)


def lissajous(num_samples: int, num_features: int, rate_hz: float) -> Float[ndarray, "n f"]:
    """A figure that does not repeat: half of the features positions, half their velocities."""
    axis = np.arange(num_features) % max(num_features // 2, 1)
    turns = 2.0 * np.sqrt(1.0 + axis)  # radians a second, in no ratio
    angle = turns * np.arange(num_samples)[:, None] / rate_hz
    is_velocity = np.arange(num_features) >= num_features // 2
    return np.where(is_velocity, 50.0 * turns * np.cos(angle), 50.0 * np.sin(angle))


def path_samples(features: Float[ndarray, "n f"], num_targets: int) -> Samples:
    """One trace of these features; its targets are some wave."""
    wave = 0.1 * np.cos(np.arange(len(features))[:, None] * (1 + np.arange(num_targets)) / 25)
    return Samples(
        features=features.astype(np.float32),
        targets=wave.astype(np.float32),
        first_row=np.zeros(1, np.int64),
        num_rows=np.array([len(features)]),
        lead=0,
        names=("path",),
        parts=("path",),
    )
