"""How operations of the model become operators of ONNX, beside what jax2onnx knows of itself.

Two primitives of ours stand for what JAX writes at length and ONNX in one operator: a whole LSTM
layer, and the last of a number of steps that only the run knows. A few of JAX's own get a form that
needs no sizes at run time, where jax2onnx's asks for them or has none. jax2onnx loads only here,
and only when a file is written. The module knows operations and no network.
"""

import functools
import importlib
import pkgutil
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.ad_checkpoint import checkpoint_name
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jaxtyping import Array, ArrayLike, Float
from numpy import ndarray

from jaxcorr.models import lstm
from jaxcorr.models.lstm import LayerCarry
from jaxcorr.models.plant_path import PERIODS_MM

LEAST_ANGLE = 1e-4  # over less, the mean of a sine is the sine in the middle
LEAST_STRENGTH = 1e-6  # of friction, so that what balances it has a size
TIME, DIRECTION = 0, 1  # axes: of steps everywhere, of directions in what an LSTM operator returns
# Of jax2onnx's plugins, those of what the model is written with. The others take 20 s to load, as
# they build models of other libraries for their own tests.
PLUGINS = (
    "jax.core",
    "jax.lax",
    "jax.nn",
    "jax.numpy",
    "flax.linen.dense",
    "flax.linen.layer_norm",
)

Lower = Callable[[Any, Any], bool]

_lstm = Primitive("jaxcorr_lstm")
_last = Primitive("jaxcorr_last")


@_lstm.def_abstract_eval
def _(inputs: Any, kernel: Any, bias: Any, recurrent: Any) -> ShapedArray:
    del kernel, bias
    return ShapedArray((*inputs.shape[:2], recurrent.shape[0]), inputs.dtype)


@_last.def_abstract_eval
def _(steps: Any) -> ShapedArray:
    return ShapedArray(steps.shape[1:], steps.dtype)


def lstm_layer(
    inputs: Float[Array, "t b d"],
    kernel: Float[ArrayLike, "d g"],
    bias: Float[ArrayLike, " g"],
    recurrent: Float[ArrayLike, "h g"],
    carry: LayerCarry,
) -> tuple[LayerCarry, Float[Array, "t b h"]]:
    """A `lstm.LayerFn` that becomes ONNX's LSTM; it can be traced and not be run.

    It starts from a zero state, and the carry comes back as it was: no window asks for it.
    """
    return carry, _lstm.bind(inputs, *map(jnp.asarray, (kernel, bias, recurrent)))


def lstm_step(
    inputs: Float[Array, "b d"],
    kernel: Float[ndarray, "d g"],
    bias: Float[ndarray, " g"],
    recurrent: Float[ndarray, "h g"],
    carry: LayerCarry,
) -> tuple[LayerCarry, Float[Array, "b h"]]:
    """A `lstm.LayerFn` of one step: a product for each gate, into which runtimes fuse what follows.

    ONNX's LSTM, made for sequences, takes onnxruntime a twentieth of a whole step longer.
    """
    c, h = carry
    read = jnp.concatenate([inputs, h], axis=1)
    gates = zip(np.split(np.concatenate([kernel, recurrent]), 4, 1), np.split(bias, 4), strict=True)
    c, h = lstm.update([read @ weights + offset for weights, offset in gates], c)
    return (c, h), h


def last(steps: Float[Array, "t ..."]) -> Float[Array, "..."]:
    """The last along the first axis; it can be traced and not be run."""
    return _last.bind(steps)


def _mean_deviation(
    sine_mm: Float[Array, "p A"],
    cosine_mm: Float[Array, "p A"],
    place_mm: Float[Array, "ends *samples A"],
) -> tuple[Array, Array]:
    """`plant_path.mean_deviation` with a sine for each period, all of them at once."""
    place_mm = checkpoint_name(place_mm, "place_mm")
    axes = tuple(range(1, place_mm.ndim))
    sine, cosine = (jnp.expand_dims(part, axes) for part in (sine_mm, cosine_mm))
    turn = (2.0 * np.pi / np.array(PERIODS_MM, np.float32)).reshape(-1, 1, *[1] * len(axes))
    middle, half = (place_mm[1:] + place_mm[:-1]) / 2.0, (place_mm[1:] - place_mm[:-1]) / 2.0
    # At an end it is the mean over no length.
    over = jnp.concatenate([half, jnp.zeros_like(place_mm)]) * turn
    over = jnp.maximum(jnp.abs(over), LEAST_ANGLE)
    angle = jnp.concatenate([middle, place_mm]) * turn + jnp.arctan2(cosine, sine)
    wave = jnp.sin(angle) * (jnp.sin(over) / over)
    total = jnp.sum(jnp.hypot(sine, cosine) * wave, axis=0)
    means, ends = jnp.split(total, [len(middle)])
    return means, ends[1:] - ends[:-1]


def _mean_friction(
    before: Array, change: Array, strength: Array, others: Array | None = None
) -> Array:
    """`plant_path.mean_friction` as what balances the change, and a share of what is above it."""
    value = jnp.tanh(before)
    if others is not None:
        change = change - value @ others
    strength = jnp.maximum(strength, LEAST_STRENGTH)
    balance = change / strength
    x = strength * (1.0 - value * value)
    return balance - (value - balance) / (jax.nn.soft_sign(x / 2.0) - x - 1.0)


# In place of jitted functions of the model, by their names: the same in fewer operators.
FORMS: dict[str, Callable[..., Any]] = {
    "mean_deviation": _mean_deviation,
    "mean_friction": _mean_friction,
}


@functools.cache
def register() -> None:
    """Makes jax2onnx know the operations that the model is written with."""
    from jax2onnx.plugins import plugin_system

    for name in PLUGINS:
        found = importlib.import_module(f"{plugin_system.__package__}.{name}")
        for module in pkgutil.iter_modules(getattr(found, "__path__", ())):
            importlib.import_module(f"{found.__name__}.{module.name}")
    plugin_system._already_imported_plugins = True  # or `to_onnx` loads the others
    forms: dict[str, Lower] = {
        _lstm.name: _lower_lstm,
        _last.name: _lower_last,
        "linen.dense": _lower_dense,
        "dot_general": _lower_product,
        "broadcast_in_dim": _lower_broadcast,
        "rem": _lower_remainder,
        "jax.numpy.sum": _lower_sum,
    }
    for name, lower in forms.items():
        _register(name, lower)


def _register(name: str, lower_fn: Lower) -> None:
    """Puts a form before jax2onnx's own, which remains for what the form leaves alone."""
    from jax2onnx.plugins import plugin_system

    known = plugin_system.PLUGIN_REGISTRY.get(name)
    base: Any = type(known) if known else plugin_system.PrimitiveLeafPlugin

    class Plugin(base):
        def lower(self, ctx: Any, eqn: Any) -> None:
            if not lower_fn(ctx, eqn):
                super().lower(ctx, eqn)

    plugin_system.register_primitive(jaxpr_primitive=name)(Plugin)


def _lower_lstm(ctx: Any, eqn: Any) -> bool:
    inputs, kernel, bias, recurrent = map(ctx.get_value_for_var, eqn.invars)
    first, second = (_constant(ctx, _by_gate(values).T[None]) for values in (kernel, recurrent))
    biases = _by_gate(bias)  # of inputs and of h: the model has one, so the other is zero
    third = _constant(ctx, np.concatenate([biases, np.zeros_like(biases)])[None])
    num_steps, *rest = eqn.outvars[0].aval.shape
    one_way = ShapedArray((num_steps, 1, *rest), eqn.outvars[0].aval.dtype)
    steps = _add(ctx, one_way, "LSTM", inputs, first, second, third, hidden_size=rest[-1])
    _bind(ctx, eqn.outvars[0], "Squeeze", steps, _integers(ctx, DIRECTION))
    return True


def _by_gate(values: Any) -> ndarray:
    """A layer's weights, gates from i, f, g, o (PyTorch, Flax) to i, o, f, g (ONNX: i, o, f, c)."""
    i, f, g, o = np.split(values.const_value.numpy(), 4, axis=-1)
    return np.concatenate([i, o, f, g], axis=-1)


def _lower_last(ctx: Any, eqn: Any) -> bool:
    index = _constant(ctx, np.array(-1, np.int64))
    _bind(ctx, eqn.outvars[0], "Gather", ctx.get_value_for_var(eqn.invars[0]), index, axis=TIME)
    return True


def _lower_dense(ctx: Any, eqn: Any) -> bool:
    inputs, kernel, bias = map(ctx.get_value_for_var, eqn.invars)
    if eqn.outvars[0].aval.ndim == 2:
        _bind(ctx, eqn.outvars[0], "Gemm", inputs, kernel, bias)
        return True
    product = _add(ctx, eqn.outvars[0].aval, "MatMul", inputs, kernel)
    _bind(ctx, eqn.outvars[0], "Add", product, bias)
    return True


def _lower_product(ctx: Any, eqn: Any) -> bool:
    """Rows times a matrix, however many axes the rows have."""
    (contracted, batched), rank = eqn.params["dimension_numbers"], eqn.invars[0].aval.ndim
    is_plain = contracted == ((rank - 1,), (0,)) and batched == ((), ())
    if not is_plain or eqn.invars[1].aval.ndim != 2:
        return False
    operator = "MatMul" if rank > 2 else "Gemm"
    _bind(ctx, eqn.outvars[0], operator, *map(ctx.get_value_for_var, eqn.invars))
    return True


def _lower_broadcast(ctx: Any, eqn: Any) -> bool:
    """New axes of length one."""
    shape, kept = eqn.params["shape"], eqn.params["broadcast_dimensions"]
    old = eqn.invars[0].aval.shape
    new = [axis for axis in range(len(shape)) if axis not in kept]
    if not old or tuple(shape[axis] for axis in kept) != old or any(shape[a] != 1 for a in new):
        return False
    value = ctx.get_value_for_var(eqn.invars[0])
    _bind(ctx, eqn.outvars[0], "Unsqueeze", value, _integers(ctx, *new))
    return True


def _lower_remainder(ctx: Any, eqn: Any) -> bool:
    values = map(ctx.get_value_for_var, eqn.invars)
    _bind(ctx, eqn.outvars[0], "Mod", *values, fmod=1)
    return True


def _lower_sum(ctx: Any, eqn: Any) -> bool:
    """Not of squares in one operator, whose shape onnxruntime's quantisers cannot find."""
    axes = eqn.params["axes"]
    if not axes or eqn.params["dtype"] is not None:
        return False
    value = ctx.get_value_for_var(eqn.invars[0])
    keeps = int(eqn.params["keepdims"])
    _bind(ctx, eqn.outvars[0], "ReduceSum", value, _integers(ctx, *axes), keepdims=keeps)
    return True


def _bind(ctx: Any, var: Any, operator: str, *inputs: Any, **attributes: Any) -> None:
    """Appends an operator whose one result is a variable of JAX's."""
    ctx.bind_value_for_var(var, _add(ctx, var.aval, operator, *inputs, **attributes))


def _add(ctx: Any, result: ShapedArray, operator: str, *inputs: Any, **attributes: Any) -> Any:
    """Appends an operator with one result of this type and shape."""
    names = [ctx.fresh_name("value")]
    value = getattr(ctx.builder, operator)(*inputs, **attributes, _outputs=names)
    return _describe(value, result)


def _describe(value: Any, result: ShapedArray) -> Any:
    import onnx_ir as ir

    value.type = ir.TensorType(ir.DataType.from_numpy(np.dtype(result.dtype)))
    value.shape = ir.Shape([n if isinstance(n, int) else str(n) for n in result.shape])
    return value


def _constant(ctx: Any, values: ndarray) -> Any:
    return ctx.builder.add_initializer_from_array(ctx.fresh_name("constant"), values)


def _integers(ctx: Any, *values: int) -> Any:
    return _constant(ctx, np.array(values, np.int64))
