"""`step.onnx` with explicit carry, and `window.onnx` from a zero state, both for any batch.

Written operator by operator around ONNX's own LSTM: a converted scan becomes a Loop, which takes
five times as long, and a converted single step half as long again. The module knows the arithmetic
of the network and no run folder.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from jaxcorr.data.windows import Samples
from jaxcorr.deploy import onnx_graph, onnx_path, parameters
from jaxcorr.deploy.onnx_graph import Graph
from jaxcorr.deploy.parameters import Facts, Plain, Recurrent
from jaxcorr.models import bulk
from jaxcorr.spec import Model, Spec

WINDOW_BATCH = 512
NUM_TIMED = 1000  # calls
TIME = 0  # the axis of steps inside the graphs: (t, b, ...)


class State(NamedTuple):
    """Names of one layer's c and h, (b, h), before and after a step."""

    c: str
    h: str


def carry_names(num_layers: int, has_path: bool) -> list[str]:
    """Names of the state's tensors, in the order of a flattened `Carry`."""
    layers = [f"{kind}_{i}" for i in range(num_layers) for kind in ("c", "h")]
    return [*layers, "previous_sample", "is_started", *(["pending"] if has_path else [])]


def write_step(path: Path, spec: Spec, plain: Plain, facts: Facts) -> None:
    """Writes (sample (batch, features), state...) -> (error (batch, targets), next state...)."""
    graph, axis = Graph(), TIME
    is_fresh = graph.add("Equal", "is_started", graph.constant(0.0))
    # The first sample's difference is to itself, so it is zero.
    before = graph.add("Where", is_fresh, "sample", "previous_sample")
    now, before = (
        graph.add("Unsqueeze", name, graph.integers(axis)) for name in ("sample", before)
    )
    x = _encode(graph, plain, derive_inputs(graph, spec.model, now, before, len(facts.features)))
    for i, layer in enumerate(plain.layers):
        x = _step_layer(graph, layer, x, State(f"c_{i}", f"h_{i}"))
    path_error = onnx_path.step(graph, plain.path) if plain.path else None
    _decode(graph, plain, f"next_h_{len(plain.layers) - 1}", path_error)
    graph.add("Identity", "sample", name="next_previous_sample")
    nothing = graph.add("Mul", "is_started", graph.constant(0.0))
    graph.add("Add", nothing, graph.constant(1.0), name="next_is_started")
    widths = _carry_widths(plain, facts)
    sample: onnx_graph.Shapes = {"sample": ["batch", len(facts.features)]}
    error: onnx_graph.Shapes = {"error": ["batch", len(facts.targets)]}
    state: onnx_graph.Shapes = {name: ["batch", width] for name, width in widths.items()}
    after = {f"next_{name}": shape for name, shape in state.items()}
    graph.save(path, sample | state, error | after, facts, initial_state="all zeros")


def write_window(path: Path, spec: Spec, plain: Plain, facts: Facts) -> None:
    """Writes samples (batch, window, features) -> error (batch, targets) at the last sample."""
    graph, axis = Graph(), TIME
    samples = graph.add("Transpose", "samples", perm=[1, 0, 2])
    first, others = graph.cut(samples, 0, 1, axis), graph.cut(samples, 0, -1, axis)
    before = graph.add("Concat", first, others, axis=axis)
    x = _encode(
        graph, plain, derive_inputs(graph, spec.model, samples, before, len(facts.features))
    )
    for layer in plain.layers[:-1]:
        x = _run_layer(graph, layer, x)
    path_error = onnx_path.window(graph, plain.path, samples) if plain.path else None
    _decode(graph, plain, _finish_layer(graph, plain.layers[-1], x), path_error)
    graph.save(
        path,
        {"samples": ["batch", "window", len(facts.features)]},
        {"error": ["batch", len(facts.targets)]},
        facts,
        window_samples=str(facts.window),
        initial_state="zero before each window",
    )


def derive_inputs(
    graph: Graph, options: Model, samples: str, before: str, num_features: int
) -> str:
    """`model.derive_inputs` on (t, b, f); `before` holds the sample before each sample."""
    half = num_features // 2
    positions = graph.cut(samples, 0, half, axis=2)
    phases = [
        name for period in options.phase_periods_mm for name in _phase(graph, positions, period)
    ]
    if options.inputs == "raw":
        return graph.add("Concat", samples, *phases, axis=2)
    velocities = graph.cut(samples, half, num_features, axis=2)
    return graph.add("Concat", velocities, graph.add("Sub", samples, before), *phases, axis=2)


def _phase(graph: Graph, positions: str, period_mm: float) -> tuple[str, str]:
    # Unlike jax's, this remainder has the sign of the position: at most a whole turn apart.
    remainder = graph.add("Mod", positions, graph.constant(period_mm), fmod=1)
    angle = graph.add("Mul", remainder, graph.constant(2 * np.pi / period_mm))
    return graph.add("Sin", angle), graph.add("Cos", angle)


def _encode(graph: Graph, plain: Plain, inputs: str) -> str:
    """From derived inputs in raw units to what the LSTM sees."""
    centred = graph.add("Sub", inputs, graph.constant(plain.inputs.mean))
    scaled = graph.add("Div", centred, graph.constant(plain.inputs.std))
    product = graph.add("MatMul", scaled, graph.constant(plain.encoder.kernel))
    projected = graph.add("Add", product, graph.constant(plain.encoder.bias))
    scale, shift = map(graph.constant, (plain.norm_scale, plain.norm_bias))
    epsilon = parameters.NORM_EPSILON
    normed = graph.add("LayerNormalization", projected, scale, shift, axis=-1, epsilon=epsilon)
    return graph.add("Relu", normed)


def _step_layer(graph: Graph, layer: Recurrent, x: str, state: State) -> str:
    """One step of a layer; writes next_c_* and next_h_*, returns h as (1, b, h)."""
    axis = graph.integers(TIME)
    h, c = (graph.add("Unsqueeze", name, axis) for name in (state.h, state.c))
    _, after_h, after_c = graph.add_several(
        *("LSTM", x, *_lstm(graph, layer), "", h, c),
        names=("", f"after_{state.h}", f"after_{state.c}"),
        hidden_size=layer.size,
    )
    graph.add("Squeeze", after_h, axis, name=f"next_{state.h}")
    graph.add("Squeeze", after_c, axis, name=f"next_{state.c}")
    return after_h


def _run_layer(graph: Graph, layer: Recurrent, x: str) -> str:
    """A layer from zero; returns h of every step, (t, b, h)."""
    every_step = graph.add("LSTM", x, *_lstm(graph, layer), hidden_size=layer.size)
    return graph.add("Squeeze", every_step, graph.integers(1))


def _finish_layer(graph: Graph, layer: Recurrent, x: str) -> str:
    """A layer from zero; returns h of the last step, (b, h)."""
    weights = _lstm(graph, layer)
    _, last = graph.add_several("LSTM", x, *weights, names=("", "last"), hidden_size=layer.size)
    return graph.add("Squeeze", last, graph.integers(TIME))


def _decode(graph: Graph, plain: Plain, hidden: str, path_error: str | None) -> None:
    """From the last layer's h, (b, h), to `error` in mm; a linear path's comes on top."""
    outputs = graph.add("Gemm", hidden, *map(graph.constant, plain.head))
    spread = graph.add("Mul", outputs, graph.constant(plain.targets.std))
    mean = graph.constant(plain.targets.mean)
    if path_error is not None:
        mean = graph.add("Add", path_error, mean)
    graph.add("Add", spread, mean, name="error")


def _lstm(graph: Graph, layer: Recurrent) -> tuple[str, str, str]:
    """A layer's weights as ONNX has them: one direction, gates by rows, two biases in one."""
    inputs, recurrent, bias = map(_reorder, layer)
    biases = np.concatenate([bias, np.zeros_like(bias)])
    rows = (inputs.T, recurrent.T, biases)
    first, second, third = (graph.constant(values[None]) for values in rows)
    return first, second, third


def _reorder(values: ndarray) -> ndarray:
    """Gates from i, f, g, o (PyTorch, Flax) to i, o, f, g (ONNX: i, o, f, c)."""
    i, f, g, o = np.split(values, 4, axis=-1)
    return np.concatenate([i, o, f, g], axis=-1)


def _carry_widths(plain: Plain, facts: Facts) -> dict[str, int]:
    """Name -> values for each stream."""
    layers = [layer.size for layer in plain.layers for _ in range(2)]
    pending = [plain.path.num_pending] if plain.path else []
    names = carry_names(len(plain.layers), bool(pending))
    return dict(zip(names, [*layers, len(facts.features), 1, *pending], strict=True))


class Stream:
    """Printers side by side, streamed through `step.onnx` in onnxruntime."""

    def __init__(self, path: Path, num_streams: int = 1):
        self._session = onnx_graph.load(path)
        inputs = self._session.get_inputs()
        self._names = [item.name for item in inputs]
        self._start = [np.zeros((num_streams, item.shape[1]), np.float32) for item in inputs[1:]]
        self.reset()

    def step(self, samples: Float32[ndarray, "b f"]) -> Float32[ndarray, "b k"]:
        """The predicted errors (mm) at the newest sample of each stream."""
        inputs = zip(self._names, [samples, *self._state], strict=True)
        outputs: list[Any] = list(self._session.run(None, dict(inputs)))
        self._state = outputs[1:]
        return outputs[0]

    def reset(self) -> None:
        """Back to before the first sample."""
        self._state = self._start


def time_step(path: Path, samples: Samples) -> float:
    """Microseconds of a step of one stream, the median."""
    stream = Stream(path)
    return _median_us(stream.step, samples.features[:NUM_TIMED, None])


def time_window(path: Path, samples: Samples, window: int) -> float:
    """Microseconds of one window, the median."""
    session = onnx_graph.load(path)
    last = np.flatnonzero(bulk.has_window(samples, window))[:NUM_TIMED]
    windows = samples.features[last[:, None] + np.arange(1 - window, 1)]
    return _median_us(lambda block: session.run(None, {"samples": block}), windows[:, None])


def _median_us(call: Callable[[ndarray], object], blocks: Float32[ndarray, "n ..."]) -> float:
    elapsed_ns = []
    for i in range(NUM_TIMED):
        block = blocks[i % len(blocks)]
        began = time.perf_counter_ns()
        call(block)
        elapsed_ns.append(time.perf_counter_ns() - began)
    return float(np.median(elapsed_ns)) / 1e3


def stream_step(path: Path, samples: Samples) -> Float32[ndarray, "rows k"]:
    """Streams every trace through the file, sample by sample, all traces side by side."""
    block = parameters.side_by_side(samples)
    stream = Stream(path, block.shape[1])
    return parameters.end_to_end(samples, np.stack([stream.step(row) for row in block]))


def run_windows(path: Path, samples: Samples, window: int) -> Float32[ndarray, "rows k"]:
    """The file's errors at every row that ends a window of its trace; NaN at the others."""
    session = onnx_graph.load(path)
    errors = np.full_like(samples.targets, np.nan)
    rows = np.flatnonzero(bulk.has_window(samples, window))
    for begin in range(0, len(rows), WINDOW_BATCH):
        last = rows[begin : begin + WINDOW_BATCH]
        block = samples.features[last[:, None] + np.arange(1 - window, 1)]
        errors[last] = session.run(None, {"samples": block})[0]
    return errors
