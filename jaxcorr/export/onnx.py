"""The model as ONNX files: `step.onnx` with explicit state, `window.onnx` from a zero state.

jax2onnx converts the model's own `step` and `unroll`, so what the model does is described nowhere
else; how its operations become operators is `onnx_operators`'. Both files take any batch, and
`window.onnx` any number of samples.
"""

import collections
import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float32
from numpy import ndarray

from jaxcorr.data.windows import Samples
from jaxcorr.export import onnx_operators, parameters, products
from jaxcorr.export.parameters import Facts
from jaxcorr.models import bulk, network
from jaxcorr.models.network import Carry, Weights
from jaxcorr.spec import Spec
from jaxcorr.units import MOST, SIGN

OPSET = 18  # has LayerNormalization; runtimes from 2023 on read it
IR_VERSION = 9  # as old as the operators allow, for older runtimes
WINDOW_BATCH = 512
NUM_TIMED = 1000  # calls of a step
WINDOWS_TIMED = 100  # of some milliseconds each

Shape = tuple[str | int, ...]


def carry_names(num_layers: int, has_path: bool) -> list[str]:
    """Names of the state's tensors, in the order of a flattened `Carry`."""
    layers = [f"{kind}_{i}" for i in range(num_layers) for kind in ("c", "h")]
    return [*layers, "previous_sample", "is_started", *(["path"] if has_path else [])]


def write_step(path: Path, spec: Spec, weights: Weights, facts: Facts) -> None:
    """Writes (sample (batch, features), state...) -> (error (batch, targets), next state...)."""
    leaves, structure = jax.tree.flatten(network.carry_for(spec, 1))
    frozen = jax.tree.map(np.asarray, weights)
    # A smooth path is one product already, and its memory a long row, which is only moved.
    prepare = None if spec.model.path == "smooth" else fold_preparation(spec, frozen)

    def step(sample: Array, *state: Array) -> tuple[Array, ...]:
        carry = jax.tree.unflatten(structure, state)
        after, errors = network.step(spec, frozen, carry, sample, onnx_operators.lstm_step, prepare)
        after, errors = network.pass_over_bad(sample, carry, after, errors)
        return (errors, *jax.tree.leaves(after))

    names = carry_names(spec.model.num_layers, network.has_path(spec))
    inputs: dict[str, Shape] = {"sample": ("batch", len(facts.features))}
    inputs |= {name: ("batch", leaf.shape[1]) for name, leaf in zip(names, leaves, strict=True)}
    outputs = ["error", *(f"next_{name}" for name in names)]
    _write(path, step, inputs, outputs, _labels(facts) | {"initial_state": "all zeros"})


def fold_preparation(spec: Spec, weights: Weights) -> network.PrepareFn:
    """The model's preparation of one sample, of these weights, in few operators."""
    one = network.carry_for(spec, 1)
    leaves, structure = jax.tree.flatten((one.path, one.previous, one.is_started))

    def prepare(sample: Array, *state: Array) -> network.Prepared:
        path, previous, is_started = jax.tree.unflatten(structure, state)
        carry = one._replace(path=path, previous=previous, is_started=is_started)
        return network.prepare(spec, weights, carry, sample)

    sizes = [leaf.shape[1] for leaf in (one.previous, *leaves)]
    folded = products.fold(prepare, sizes, onnx_operators.FORMS)

    def prepare_folded(_: Spec, __: Weights, carry: Carry, sample: Array) -> network.Prepared:
        state = jax.tree.leaves((carry.path, carry.previous, carry.is_started))
        return folded(sample, *state)

    return prepare_folded


def write_window(path: Path, spec: Spec, weights: Weights, facts: Facts) -> None:
    """Writes samples (batch, window, features) -> error (batch, targets) at the last sample."""
    frozen = jax.tree.map(np.asarray, weights)

    one = network.carry_for(spec, 1)

    def window(samples: Array) -> Array:
        carry = jax.tree.map(lambda leaf: jnp.zeros((samples.shape[0], leaf.shape[1])), one)
        steps = jnp.swapaxes(samples, 0, 1)
        after, errors = network.unroll(spec, frozen, carry, steps, onnx_operators.lstm_layer)
        newest = onnx_operators.last(errors)
        return network.pass_over_bad(steps, carry, after, newest)[1]

    notes = {"window_samples": str(facts.window), "initial_state": "zero before each window"}
    inputs: dict[str, Shape] = {"samples": ("batch", "window", len(facts.features))}
    _write(path, window, inputs, ["error"], _labels(facts) | notes)


def _write(
    path: Path,
    model_fn: Callable[..., Any],
    inputs: dict[str, Shape],
    outputs: Sequence[str],
    labels: dict[str, str],
) -> None:
    """Converts a function of float32 arrays and writes it, with what its tensors mean."""
    import jax2onnx
    import onnx

    onnx_operators.register()
    logging.getLogger("onnx_ir").setLevel(logging.ERROR)  # it warns of shapes that it leaves open
    proto = jax2onnx.to_onnx(
        model_fn,
        list(inputs.values()),
        model_name=f"jaxcorr_{path.stem}",
        opset=OPSET,
        input_names=list(inputs),
        output_names=outputs,
        normalization_mode="prefer_native",
    )
    proto.ir_version = IR_VERSION
    proto.producer_name = "jaxcorr"
    _join_products(proto.graph)
    _drop_unused(proto.graph)
    _name_outputs(proto.graph)
    onnx.helper.set_model_props(proto, labels)
    onnx.checker.check_model(proto, full_check=True)
    path.write_bytes(proto.SerializeToString())


def _join_products(graph: Any) -> None:
    """Makes one operator of a product of rows with a matrix and what follows: anything that is
    affine in it with constants, or a sum with something else."""
    from onnx import numpy_helper

    values = {one.name: numpy_helper.to_array(one) for one in graph.initializer}
    for node in graph.node:  # constants in the shape of rows
        if node.op_type == "Unsqueeze" and {*node.input} <= values.keys():
            constant, axes = (values[name] for name in node.input)
            values[node.output[0]] = np.expand_dims(constant, tuple(axes))
    gemms = {node.output[0]: node for node in graph.node if node.op_type == "Gemm"}
    uses = collections.Counter(name for node in graph.node for name in node.input)
    uses.update(output.name for output in graph.output)
    joined = []
    for node in graph.node:
        for name in [name for name in node.input if name in gemms and uses[name] == 1]:
            before = gemms[name]
            others = [other for other in node.input if other != name]
            given = [values.get(other) for other in before.input[1:]]
            made = _follow(node.op_type, given, [values.get(other) for other in others])
            if made is not None:
                names = [f"{node.output[0]}_matrix", f"{node.output[0]}_offset"]
                values |= zip(names, made, strict=True)
                graph.initializer.extend(map(numpy_helper.from_array, made, names))
            elif node.op_type == "Add" and len(before.input) == 2:
                names = [before.input[1], *others]
            else:
                continue
            node.op_type = "Gemm"
            node.input[:] = [before.input[0], *names]
            gemms[node.output[0]] = node
            joined.append(before)
            break
    for node in joined:
        graph.node.remove(node)


def _follow(
    operator: str, product: list[ndarray | None], constants: list[ndarray | None]
) -> list[Float32[ndarray, "_ n"]] | None:
    """Matrix and offset of a product and of what an operator with constants makes of it; None where
    something is no constant, or the operator is not affine."""
    known = [one for one in (*product, *constants) if one is not None and one.ndim <= 2]
    if len(known) < len(product) + len(constants) or not constants:
        return None
    (matrix, *bias), (first, *rest) = known[: len(product)], known[len(product) :]
    matrix, offset = matrix.astype(np.float64), sum(bias, np.zeros((1, matrix.shape[1])))
    match operator:
        case "Gemm":
            matrix, offset = matrix @ first, offset @ first + sum(rest)
        case "Mul":
            matrix, offset = matrix * first, offset * first
        case "Add":
            offset = offset + first
        case _:
            return None
    return [matrix.astype(np.float32), offset.astype(np.float32)]


def _name_outputs(graph: Any) -> None:
    """Names what nobody reads: tools that go by names take two without for a cycle."""
    for node in graph.node:
        node.output[:] = [name or f"{node.name}_unused_{i}" for i, name in enumerate(node.output)]


def _drop_unused(graph: Any) -> None:
    """Takes out what no node reads; a runtime would warn of each."""
    used, nodes = {output.name for output in graph.output}, []
    for node in reversed(graph.node):
        if used & {*node.output}:
            used.update(node.input, *map(_names_read, _subgraphs(node)))
            nodes.append(node)
    kept = [one for one in graph.initializer if one.name in used]
    del graph.initializer[:], graph.node[:]
    graph.initializer.extend(kept)
    graph.node.extend(reversed(nodes))
    for node in graph.node:
        for inner in _subgraphs(node):
            _drop_unused(inner)


def _names_read(graph: Any) -> set[str]:
    """What nodes of a graph and of the graphs inside it read, and what it gives out."""
    names = {name for node in graph.node for name in node.input}
    names |= {output.name for output in graph.output}
    inner = [one for node in graph.node for one in _subgraphs(node)]
    return names.union(*map(_names_read, inner))


def _subgraphs(node: Any) -> list[Any]:
    return [one.g for one in node.attribute if one.HasField("g")]


def load(path: Path, saves_memory: bool = True) -> Any:
    """An onnxruntime session on one thread.

    Args:
        saves_memory: as onnxruntime does if not told otherwise, which costs a step a tenth.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.enable_mem_reuse = options.enable_cpu_mem_arena = saves_memory
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def _labels(facts: Facts) -> dict[str, str]:
    return {
        "run": facts.run,
        "features": ", ".join(facts.features),
        "feature_units": ", ".join(facts.feature_units),
        "targets": ", ".join(facts.targets),
        "target_units": ", ".join(facts.target_units),
        "sign": SIGN,
        "horizon_samples": str(facts.horizon),
        "sample_rate_hz": f"{facts.sample_rate_hz:g}",
        "precision": "float32 only: half precision or 8 bits hold no position to a micrometre",
        "bad_samples": f"not finite, or beyond {MOST:g}: NaN comes out, the state is kept",
    }


class Stream:
    """Printers side by side, streamed through `step.onnx` in onnxruntime.

    The runtime reads and writes arrays that stay where they are, which saves it 9 us a step: two
    sets of the state, of which one is read while the other is written.
    """

    def __init__(self, path: Path, num_streams: int = 1):
        self._session = load(path, saves_memory=False)
        (sample, *state), (error, *after) = self._session.get_inputs(), self._session.get_outputs()
        self._sample, self._error = (
            np.zeros((num_streams, item.shape[1]), np.float32) for item in (sample, error)
        )
        self._states = [
            [np.zeros((num_streams, item.shape[1]), np.float32) for item in state] for _ in range(2)
        ]
        self._bindings = []
        for read, written in (self._states, self._states[::-1]):
            binding = self._session.io_binding()
            for item, values in zip((sample, *state), (self._sample, *read), strict=True):
                _bind(binding.bind_input, item.name, values)
            for item, values in zip((error, *after), (self._error, *written), strict=True):
                _bind(binding.bind_output, item.name, values)
            self._bindings.append(binding)

    def step(self, samples: Float32[ndarray, "b f"]) -> Float32[ndarray, "b k"]:
        """The predicted errors (mm) at the newest sample of each stream."""
        self._sample[:] = samples
        self._session.run_with_iobinding(self._bindings[0])
        self._bindings.reverse()
        return self._error.copy()

    def reset(self) -> None:
        """Back to before the first sample."""
        for values in (*self._states[0], *self._states[1]):
            values[:] = 0.0


def _bind(bind_fn: Callable[..., None], name: str, values: Float32[ndarray, "..."]) -> None:
    bind_fn(name, "cpu", 0, np.float32, values.shape, values.ctypes.data)


def time_step(path: Path, samples: Samples) -> float:
    """Microseconds of a step of one stream, the median."""
    stream = Stream(path)
    return _median_us(stream.step, samples.features[:, None], NUM_TIMED)


def time_window(path: Path, samples: Samples, window: int) -> float:
    """Microseconds of one window, the median."""
    session = load(path)
    last = np.flatnonzero(bulk.has_window(samples, window))[:WINDOWS_TIMED]
    windows = samples.features[last[:, None] + np.arange(1 - window, 1)]

    def call(block: Float32[ndarray, "_ w f"]) -> object:
        return session.run(None, {"samples": block})

    return _median_us(call, windows[:, None], WINDOWS_TIMED)


def _median_us(
    call: Callable[[ndarray], object], blocks: Float32[ndarray, "n ..."], num_calls: int
) -> float:
    elapsed_ns = []
    for i in range(num_calls):
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
    session = load(path)
    errors = np.full_like(samples.targets, np.nan)
    rows = np.flatnonzero(bulk.has_window(samples, window))
    for begin in range(0, len(rows), WINDOW_BATCH):
        last = rows[begin : begin + WINDOW_BATCH]
        block = samples.features[last[:, None] + np.arange(1 - window, 1)]
        errors[last] = session.run(None, {"samples": block})[0]
    return errors
