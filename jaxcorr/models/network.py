"""The recurrent error model: encoder, LSTM stack, linear head, run sample by sample or unrolled.

`ErrorModel` works on normalised numbers; `step` and `unroll` at the end are the outside contract,
raw millimetres in and millimetres out. The module knows nothing of data files, training or runs.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Key

from jaxcorr.metrics import PathName
from jaxcorr.models import lstm, normalize, plant_path, smooth_path
from jaxcorr.models.normalize import Scale
from jaxcorr.models.plant_path import Sample
from jaxcorr.spec import Model, Spec, kinematics_of, own_positions, own_velocities
from jaxcorr.units import MOST

# A GPU would round the operands of a product to ten bits: what was evaluated there would not be
# what streams on a CPU, and a path would be off by micrometres.
jax.config.update("jax_default_matmul_precision", "float32")

Variables = dict[str, Any]
PrepareFn = Callable[..., "Prepared"]  # as `prepare`
PATH = "path"


class Carry(NamedTuple):
    """Everything that a stream remembers between samples, for b streams.

    Attributes:
        layers: (c, h) of each LSTM layer, Flax order.
        previous: the sample before, raw units; the kinematic inputs are differences to it.
        is_started: 0 before the first sample, 1 after it.
        path: what the path beside the network remembers; None where there is none.
    """

    layers: tuple[lstm.LayerCarry, ...]
    previous: Float[Array, "b f"]
    is_started: Float[Array, "b 1"]
    path: Float[Array, "b p"] | None = None


class Weights(NamedTuple):
    """A trained model: network parameters and the scales that belong to them.

    A spec with a path has it under PATH among the parameters; no optimizer sees it, and the
    network's errors, which `targets` scales, come on top of the path's. No prediction is beyond
    `limit_mm` of its target.
    """

    network: Variables
    inputs: Scale
    targets: Scale
    limit_mm: Float[Any, " k"]


def initialize_carry(
    hidden_size: int, num_layers: int, num_features: int, num_streams: int
) -> Carry:
    """The carry before the first sample: all zeros, in arrays of its own that may be donated."""
    shape = (num_streams, hidden_size)
    return Carry(
        layers=tuple((jnp.zeros(shape), jnp.zeros(shape)) for _ in range(num_layers)),
        previous=jnp.zeros((num_streams, num_features)),
        is_started=jnp.zeros((num_streams, 1)),
    )


def derive_inputs(
    options: Model,
    samples: Float[ArrayLike, "*t b f"],
    previous: Float[ArrayLike, "b f"],
    is_started: Float[ArrayLike, "b 1"],
) -> Float[Array, "*t b d"]:
    """What the encoder sees, before normalisation, in raw units.

    `raw` passes the samples on. `kinematic` drops the absolute position, which does not carry over
    from part to part: second half of the features (velocities), and the difference of every
    feature to the sample before, zero at the first sample of a stream. Each of phase_periods_mm
    adds sine and cosine of the positions at that period: a stepper's error repeats with its steps.

    Args:
        samples: t samples of b streams, or one: positions first, then as many velocities.
        previous: the sample before the first one; counted only where is_started is 1.
    """
    samples, previous, is_started = map(jnp.asarray, (samples, previous, is_started))
    half = samples.shape[-1] // 2
    positions, velocities = samples[..., :half], samples[..., half:]
    periods = options.phase_periods_mm
    phases = [_phases(positions, periods)] if periods else []
    if options.inputs == "raw":
        return jnp.concatenate([samples, *phases], axis=-1)
    # At the very first sample the difference is to itself, so it is zero.
    previous = jnp.where(is_started > 0, previous, samples if samples.ndim == 2 else samples[0])
    differences = samples - plant_path.sample_before(samples, previous)
    return jnp.concatenate([velocities, differences, *phases], axis=-1)


class LSTMLayer(nn.Module):
    """One LSTM layer; the input projection of all steps is one matmul outside the recurrence.

    With a layer_fn, that function has the whole layer to itself.
    """

    hidden_size: int
    dtype: Any
    layer_fn: lstm.LayerFn | None = None

    @nn.compact
    def __call__(
        self, inputs: Float[Array, "*t b d"], carry: lstm.LayerCarry, is_training: bool
    ) -> tuple[lstm.LayerCarry, Float[Array, "*t b h"]]:
        if self.layer_fn is not None:
            weights = self.variables["params"]
            kernel, bias = weights["input"]["kernel"], weights["input"]["bias"]
            return self.layer_fn(inputs, kernel, bias, weights["recurrent_kernel"], carry)
        projected = nn.Dense(
            4 * self.hidden_size, dtype=self.dtype, bias_init=_forget_bias, name="input"
        )(inputs)
        kernel = self.param(
            "recurrent_kernel", _orthogonal_gates, (self.hidden_size, 4 * self.hidden_size)
        )
        run = lstm.scan_reverse if is_training else lstm.scan
        # The predictor's weights are numpy constants, hence asarray.
        return run(self.dtype, projected.astype(jnp.float32), jnp.asarray(kernel), carry)


class ErrorModel(nn.Module):
    """Dense -> LayerNorm -> ReLU -> Dropout -> LSTM layers -> Dense, on normalised numbers."""

    hidden_size: int
    num_layers: int
    encoder_size: int
    num_targets: int
    dropout: float
    dtype: Any = jnp.float32
    layer_fn: lstm.LayerFn | None = None

    @nn.compact
    def __call__(
        self,
        layers: tuple[lstm.LayerCarry, ...],
        inputs: Float[Array, "*t b d"],
        dropout_keys: Key[Array, " b"] | None = None,
    ) -> tuple[tuple[lstm.LayerCarry, ...], Float[Array, "*t b k"]]:
        """Runs t steps of b sequences, or one; returns the carry after it and all outputs.

        Keys, one for each sequence, mean training.
        """
        x = nn.Dense(self.encoder_size, dtype=self.dtype, name="encoder")(inputs)
        x = nn.LayerNorm(name="norm")(x.astype(jnp.float32))
        x = nn.relu(x)
        if dropout_keys is not None:
            x = drop_out(x, self.dropout, dropout_keys)
        after = []
        for i, carry in enumerate(layers):
            layer = LSTMLayer(self.hidden_size, self.dtype, self.layer_fn, name=f"lstm_{i}")
            carry, x = layer(x, carry, dropout_keys is not None)
            after.append(carry)
        return tuple(after), nn.Dense(self.num_targets, name="head")(x)


def from_spec(spec: Spec) -> ErrorModel:
    """The network that a spec describes, in the precision that it trains in."""
    return ErrorModel(
        hidden_size=spec.model.hidden_size,
        num_layers=spec.model.num_layers,
        encoder_size=spec.model.encoder_size,
        num_targets=len(spec.data.targets),
        dropout=spec.model.dropout,
        dtype=jnp.bfloat16 if spec.train.precision == "bfloat16" else jnp.float32,
    )


def carry_for(spec: Spec, num_streams: int) -> Carry:
    """The carry of a spec's model before the first sample of `num_streams` streams."""
    carry = initialize_carry(
        spec.model.hidden_size, spec.model.num_layers, len(spec.data.features), num_streams
    )
    num_targets = len(spec.data.targets)
    match spec.model.path:
        case "plant":
            memory = plant_path.initialize(num_streams, num_targets, spec.data.horizon)
        case "smooth":
            memory = smooth_path.initialize(num_streams, num_targets, spec.data.sample_rate_hz)
        case _:
            memory = None
    return carry._replace(path=memory)


def has_path(spec: Spec) -> bool:
    """Whether something that was fitted first runs beside the network."""
    return spec.model.path != "none"


def used_path(spec: Spec, variables: Variables) -> PathName:
    """What runs beside a run's network: none too where the plant was left out.

    Args:
        variables: the network's, or of a path alone.
    """
    if spec.model.path == "plant" and not np.any(variables[PATH]["force"]):
        return "none"
    return spec.model.path


def blank_path(spec: Spec) -> Variables:
    """What a spec's path adds to the parameters, predicting zero; nothing without a path."""
    num_targets = len(spec.data.targets)
    match spec.model.path:
        case "plant":
            kinematics = kinematics_of(spec.data)
            return {PATH: plant_path.blank(num_targets, spec.data.sample_rate_hz, kinematics)}
        case "smooth":
            return {PATH: smooth_path.blank(num_targets, spec.data.sample_rate_hz)}
        case _:
            return {}


def count_inputs(spec: Spec) -> int:
    """Columns of `derive_inputs`."""
    num_features = len(spec.data.features)
    half = num_features // 2
    num_phases = 2 * half * len(spec.model.phase_periods_mm)
    is_raw = spec.model.inputs == "raw"
    return num_features + num_phases + (0 if is_raw else num_features - half)


@functools.partial(jax.jit, static_argnums=(0, 1))
def initialize(spec: Spec, num_inputs: int, key: Array) -> Variables:
    """Fresh network parameters, for `num_inputs` encoder inputs.

    Beside a path the head begins at zero: what the path cannot say is yet to be learned.
    """
    carry = carry_for(spec, 1)
    variables = from_spec(spec).init(key, carry.layers, jnp.zeros((1, 1, num_inputs)))
    network = dict(variables["params"])
    if has_path(spec):
        network["head"] = jax.tree.map(jnp.zeros_like, network["head"])
    return network


def count_parameters(network: Variables) -> int:
    """Number of trainable values."""
    return sum(leaf.size for leaf in jax.tree.leaves(network))


def run_network(
    network_model: ErrorModel,
    network: Variables,
    layers: tuple[lstm.LayerCarry, ...],
    inputs: Float[Array, "*t b d"],
    dropout_keys: Key[Array, " b"] | None = None,
) -> tuple[tuple[lstm.LayerCarry, ...], Float[Array, "*t b k"]]:
    """Applies the network to normalised inputs; dropout keys, one a sequence, mean training."""
    result: Any = network_model.apply({"params": network}, layers, inputs, dropout_keys)
    return result


def drop_out(x: Float[Array, "t b e"], rate: float, keys: Key[Array, " b"]) -> Array:
    """Zeroes values at this rate and scales the others up, each sequence by its own key.

    Source: Srivastava et al., "Dropout", 2014.
    """
    if not rate:
        return x
    shape = (x.shape[0], x.shape[2])
    kept = jax.vmap(lambda key: jax.random.bernoulli(key, 1 - rate, shape), out_axes=1)(keys)
    return jnp.where(kept, x / (1 - rate), 0.0)


def unroll(
    spec: Spec,
    weights: Weights,
    carry: Carry,
    samples: Float[Array, "*t b f"],
    layer_fn: lstm.LayerFn | None = None,
    prepare_fn: PrepareFn | None = None,
) -> tuple[Carry, Float[Array, "*t b k"]]:
    """Predicted errors (mm) for t raw samples of b streams, or one, and the carry after them.

    Equal to t calls of `step`, in values and in gradients. In float32, whatever precision the
    training computes in: every deployed form has the same numbers.

    Args:
        layer_fn: runs each LSTM layer in place of `lstm.scan`, where a file format has an operator
            of its own for it.
        prepare_fn: in place of `prepare`.
    """
    inputs, memory, said = (prepare_fn or prepare)(spec, weights, carry, samples)
    network_model = from_spec(spec).clone(dtype=jnp.float32, layer_fn=layer_fn)
    layers, outputs = run_network(network_model, weights.network, carry.layers, inputs)
    errors = normalize.invert(weights.targets, outputs)
    errors = errors if said is None else errors + said
    # One, in the shape that the carry has.
    is_started = jnp.clip(carry.is_started, 1.0)
    errors = jnp.minimum(jnp.maximum(errors, -weights.limit_mm), weights.limit_mm)
    newest = samples if samples.ndim == 2 else samples[-1]
    return Carry(layers, newest, is_started, memory), errors


class Prepared(NamedTuple):
    """What samples say before the network runs."""

    inputs: Float[Array, "*t b d"]  # of the network, normalised
    memory: Float[Array, "b p"] | None  # of the path, after them
    said: Float[Array, "*t b k"] | None  # by the path, of the errors (mm)


def prepare(
    spec: Spec, weights: Weights, carry: Carry, samples: Float[Array, "*t b f"]
) -> Prepared:
    """The network's inputs, and what the path says."""
    inputs = derive_inputs(spec.model, samples, carry.previous, carry.is_started)
    memory = said = None
    if carry.path is not None:
        memory, said = follow_path(spec, weights.network[PATH], carry, samples)
    return Prepared(normalize.apply(weights.inputs, inputs), memory, said)


def follow_path(
    spec: Spec, path: Variables, carry: Carry, samples: Float[Array, "*t b f"]
) -> tuple[Float[Array, "b p"], Float[Array, "*t b k"]]:
    """What the path remembers afterwards, and its share of the errors."""
    if samples.ndim == 2:
        memory, errors = follow_path(spec, path, carry, jnp.expand_dims(samples, 0))
        return memory, errors[0]
    data, memory = spec.data, carry.path
    assert memory is not None, "only a model with a path has one to follow"
    velocities = jnp.array(own_velocities(data))
    if spec.model.path == "smooth":
        return smooth_path.advance(path, memory, samples[..., velocities])
    positions = jnp.array(own_positions(data))
    command, before = (
        Sample(rows[..., positions], rows[..., velocities]) for rows in (samples, carry.previous)
    )
    return plant_path.follow(
        path, data.sample_rate_hz, data.horizon, memory, command, before, carry.is_started
    )


def step(
    spec: Spec,
    weights: Weights,
    carry: Carry,
    sample: Float[Array, "b f"],
    layer_fn: lstm.LayerFn | None = None,
    prepare_fn: PrepareFn | None = None,
) -> tuple[Carry, Float[Array, "b k"]]:
    """Predicted error (mm) at the newest raw sample of b streams, and the carry after it."""
    return unroll(spec, weights, carry, sample, layer_fn, prepare_fn)


def pass_over_bad(
    samples: Float[Array, "*t b f"], before: Carry, after: Carry, errors: Float[Array, "*e b k"]
) -> tuple[Carry, Float[Array, "*e b k"]]:
    """What a file that refuses nothing does of bad samples: NaN instead of errors, the old carry.

    Bad is one with a value that is not finite, or sizes beyond `units.MOST` in sum; of a block, the
    whole stream is. The sum is one operator of ONNX, and no larger value passes it.
    """
    # As a product, which runtimes are quicker at than at a sum.
    is_good = jnp.abs(samples) @ jnp.ones((samples.shape[-1], 1)) < MOST
    if samples.ndim > 2:  # as a sum, whose shape onnxruntime's tools can infer
        axes = tuple(range(samples.ndim - 2))
        num_bad = jnp.sum(1.0 - is_good.astype(samples.dtype), axes, keepdims=True)
        is_good = num_bad.reshape(-1, 1) < 0.5
    # All of the carry in one choice, which in ONNX is dearer than to join and split.
    leaves, structure = jax.tree.flatten(after)
    new, old = (jnp.concatenate(jax.tree.leaves(carry), axis=1) for carry in (after, before))
    ends = np.cumsum([leaf.shape[1] for leaf in leaves])[:-1]
    kept = jnp.split(jnp.where(is_good, new, old), ends, axis=1)
    return jax.tree.unflatten(structure, kept), jnp.where(is_good, errors, jnp.nan)


def _phases(
    positions: Float[Array, "*t b p"], periods_mm: tuple[float, ...]
) -> Float[Array, "*t b q"]:
    """Sines of the positions at each period, then cosines, a quarter ahead."""
    count = positions.shape[-1]
    period = np.repeat(np.array(periods_mm, np.float32), 2 * count)
    quarter = np.tile(np.repeat(np.array([0.0, np.pi / 2], np.float32), count), len(periods_mm))
    # The remainder first: a turn is lost in float32 after some thousand radians. It has the sign of
    # the position, which is all the same to sine and cosine.
    turned = jnp.fmod(jnp.concatenate([positions] * 2 * len(periods_mm), axis=-1), period)
    return jnp.sin(np.float32(2 * np.pi) / period * turned + quarter)


def _forget_bias(key: Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> Array:
    """Zero, but 1 for the forget gate: a fresh layer remembers (Jozefowicz et al., 2015)."""
    del key
    size = shape[0] // 4
    return jnp.zeros(shape, dtype).at[size : 2 * size].set(1.0)


def _orthogonal_gates(key: Array, shape: tuple[int, int], dtype: Any = jnp.float32) -> Array:
    """An orthogonal square per gate, each a product of random reflections (Stewart, 1980).

    Not by QR: jaxlib 0.10 runs its factorisations on the pool that they then wait for, and two at
    once on a machine of two cores wait for ever.
    """

    def reflect(square: Array, normal: Array) -> tuple[Array, None]:
        return square - 2 * jnp.outer(square @ normal, normal) / (normal @ normal), None

    normals = jnp.triu(jax.random.normal(key, (4, shape[0], shape[0]), dtype))
    start = jnp.eye(shape[0], dtype=dtype)
    squares = jax.vmap(lambda rows: jax.lax.scan(reflect, start, rows)[0])(normals)
    return jnp.concatenate(list(squares), axis=1)
