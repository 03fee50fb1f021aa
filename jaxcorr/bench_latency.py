"""Latency of one prediction in every way there is to make it, in one process.

Ways take turns (A B A B), so that a busy machine slows all of them alike. Weights are fresh: time
does not depend on their values. The module measures; it prints nothing.
"""

import contextlib
import tempfile
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np
from numpy import ndarray

from jaxcorr import bench, export, latency, model, stream, torch_reference
from jaxcorr.dataset import Dataset
from jaxcorr.latency import Call
from jaxcorr.model import Weights
from jaxcorr.runs import Run
from jaxcorr.scales import fit_scales
from jaxcorr.spec import Spec
from jaxcorr.windows import Samples

ROUNDS = 4
NUM_SAMPLES = 500
WARM_UP = 100  # calls at least, so that every window is full
PACED = {100: 10, 1000: 4}  # Hz -> the part of the calls that is timed at this rate
# PyTorch and onnxruntime take up to twenty times as long; a tenth of the calls shows their p99.
RIVAL_SHARE = 10
MEMORY_BYTES = 256 * 2**20  # far beyond any cache


def measure(spec: Spec, size: str, num_calls: int, with_torch: bool = True) -> dict[str, Any]:
    """Latency figures of one size of network, one sample at a time, one printer.

    Args:
        spec: of it count data and model; size replaces its hidden size and layers.
        size: of `bench.SIZES`.
        num_calls: back to back of the predictor; the other ways get fewer.
    Returns:
        parameters, `ways` (name -> figures of `latency.measure`), `ratios` (name -> p50 in
        predictor's p50) and `floor` (see `memory_floor`).
    """
    sized = bench.resize(spec, size)
    samples = make_samples(len(spec.data.features), len(spec.data.targets))
    data = Dataset(train=samples, val=samples, test=samples, paths={})
    scales = fit_scales(sized, data.train)
    network = model.initialize(sized, len(scales.inputs.mean), jax.random.key(sized.train.seed))
    weights = Weights(network, scales.inputs, scales.targets)
    with tempfile.TemporaryDirectory() as folder:
        made = export.step_onnx(Run(Path(folder)), sized, weights, samples)
        calls = {
            "predictor": stream.Predictor(sized, weights).step,
            "functional": functional_call(sized, weights),
            "onnxruntime": onnx_call(made.path),
        }
    if with_torch:
        reference = bench.change(sized, bench.REFERENCE)
        calls["torch_eager"] = torch_reference.WindowPredictor(reference, False).step
        calls["torch_script"] = torch_reference.WindowPredictor(reference, True).step
    with torch_reference.one_thread() if with_torch else contextlib.nullcontext():
        ways = _take_turns(calls, samples.features.tolist(), num_calls)
    ratios = {
        name: found["p50_us"] / ways["predictor"]["p50_us"]
        for name, found in ways.items()
        if name in calls and name != "predictor"
    }
    num_parameters = model.count_parameters(network)
    return {
        "model": size,
        "parameters": num_parameters,
        "ways": ways,
        "ratios": ratios,
        "floor": memory_floor(4 * num_parameters),
    }


def _take_turns(calls: dict[str, Call], rows: list[list[float]], num_calls: int) -> dict[str, Any]:
    """Every way back to back in turns, then the predictor paced."""
    counts = {
        name: num_calls if name == "predictor" else num_calls // RIVAL_SHARE for name in calls
    }
    for name, call in calls.items():
        latency.time_calls(call, rows, max(WARM_UP, counts[name] // 10))
    turns: dict[str, list[ndarray]] = {name: [] for name in calls}
    for _ in range(ROUNDS):
        for name, call in calls.items():
            turns[name].append(latency.time_calls(call, rows, max(1, counts[name] // ROUNDS)))
    ways = {name: latency.summarize(np.concatenate(elapsed)) for name, elapsed in turns.items()}
    for rate_hz, share in PACED.items():
        paced = latency.time_calls(calls["predictor"], rows, max(1, num_calls // share), rate_hz)
        ways[f"predictor_{rate_hz}_hz"] = latency.summarize(paced)
    return ways


def functional_call(spec: Spec, weights: Weights) -> Call:
    """The jitted functional step, its carry kept as a tree."""
    step_fn = stream.make_step(spec)
    carry = model.carry_for(spec, 1)

    def call(*sample: float) -> list[float]:
        nonlocal carry
        row: Any = np.array([sample], np.float32)
        carry, errors = step_fn(weights, carry, row)
        return np.asarray(errors)[0].tolist()

    return call


def onnx_call(path: Path) -> Call:
    """The exported step in onnxruntime on one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [item.name for item in session.get_inputs()]
    state = [np.zeros(item.shape, np.float32) for item in session.get_inputs()[1:]]

    def call(*sample: float) -> list[float]:
        nonlocal state
        inputs = [np.array([sample], np.float32), *state]
        outputs: list[Any] = list(session.run(None, dict(zip(names, inputs, strict=True))))
        state = outputs[1:]
        return outputs[0][0].tolist()

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


def make_samples(num_features: int, num_targets: int) -> Samples:
    """A smooth path to time calls on: sines, as wide as a print bed."""
    phase = np.linspace(0, 20, NUM_SAMPLES)[:, None]
    features = 50 * np.sin(phase * (1 + np.arange(num_features)))
    targets = 0.1 * np.cos(phase * (1 + np.arange(num_targets)))
    return Samples(
        features=features.astype(np.float32),
        targets=targets.astype(np.float32),
        first_row=np.zeros(1, np.int64),
        num_rows=np.array([NUM_SAMPLES]),
        lead=0,
        names=("path",),
        parts=("path",),
    )
