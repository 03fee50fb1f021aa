"""One LSTM layer's recurrence over time, written for speed: a scan, with all else outside of it.

Input projections come in ready-made, and the weight gradient is one matmul over all steps instead
of a sum kept inside the backward scan (a fifth more targets/s on two CPU cores at 96 units). The
module knows one layer's recurrence; encoders, stacks and parameters are `network.py`'s.

Source: Hochreiter and Schmidhuber, "Long Short-Term Memory", 1997, with the forget gate of Gers et
al., 2000. Gate order i, f, g, o, as in PyTorch and Flax.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

LayerCarry = tuple[Float[Array, "b h"], Float[Array, "b h"]]
# (inputs (t, b, d), input kernel (d, g), bias (g,), recurrent kernel (h, g), carry) to what `scan`
# returns: a whole layer.
LayerFn = Callable[..., tuple[LayerCarry, Array]]


def cell(gates: Float[Array, "b g"], c: Float[Array, "b h"]) -> LayerCarry:
    """One LSTM update from the summed gate inputs; returns (c, h)."""
    return update(jnp.split(gates, 4, axis=-1), c)


def update(gates: Sequence[Float[Array, "b h"]], c: Float[Array, "b h"]) -> LayerCarry:
    """`cell` where each gate's inputs stand by themselves."""
    i, f, g, o = _activate(gates)
    c = f * c + i * g
    return c, o * jnp.tanh(c)


def scan(
    dtype: DTypeLike,
    projected: Float[Array, "*t b g"],
    kernel: Float[Array, "h g"],
    carry: LayerCarry,
) -> tuple[LayerCarry, Float[Array, "*t b h"]]:
    """Runs a layer of h units over t steps of b sequences, or one; differentiable in any mode.

    The axis g holds the four gates of h values each.

    Args:
        dtype: of the recurrent matmul's operands; it accumulates in float32, and the state is
            float32 always.
        projected: the layer's input times its input kernel, plus bias.
        kernel: recurrent kernel.
        carry: (c, h) before the first step.
    Returns:
        (c, h) after the last step, and h of every step.
    """

    kernel = kernel.astype(dtype)

    def body(carry: LayerCarry, z: Float[Array, "b g"]) -> tuple[LayerCarry, Float[Array, "b h"]]:
        c, h = cell(z + _matmul(carry[1], kernel), carry[0])
        return (c, h), h

    if projected.ndim == 2:  # streaming: no loop to compile, and none in an export
        return body(carry, projected)
    return jax.lax.scan(body, carry, projected)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def scan_reverse(
    dtype: DTypeLike,
    projected: Float[Array, "t b g"],
    kernel: Float[Array, "h g"],
    carry: LayerCarry,
) -> tuple[LayerCarry, Float[Array, "t b h"]]:
    """The same values as `scan` and the same gradients, faster, in reverse mode only."""
    return scan(dtype, projected, kernel, carry)


def _forward(
    dtype: DTypeLike,
    projected: Float[Array, "t b g"],
    kernel: Float[Array, "h g"],
    carry: LayerCarry,
) -> tuple[tuple[LayerCarry, Array], tuple[Any, ...]]:
    kernel = kernel.astype(dtype)

    def body(carry: LayerCarry, z: Array) -> tuple[LayerCarry, tuple[Any, ...]]:
        i, f, g, o = _activate(jnp.split(z + _matmul(carry[1], kernel), 4, axis=-1))
        c = f * carry[0] + i * g
        h = o * jnp.tanh(c)
        # Each in an array of its own: joining them in the loop costs more than the arithmetic. And
        # tanh(c) is not kept: to find it again is quicker than to write and read it.
        return (c, h), (h, c, (i, f, g, o))

    last, (hs, cs, gates) = jax.lax.scan(body, carry, projected)
    return (last, hs), (hs, cs, gates, kernel, *carry)


def _backward(
    dtype: DTypeLike, residuals: tuple[Any, ...], cotangents: tuple[LayerCarry, Array]
) -> tuple[Array, Array, LayerCarry]:
    hs, cs, gates, kernel, c0, h0 = residuals
    last, dhs = cotangents
    previous_c = jnp.concatenate([c0[None], cs[:-1]])
    previous_h = jnp.concatenate([h0[None], hs[:-1]])
    transposed = kernel.T

    def body(carry: LayerCarry, inputs: tuple[Any, ...]) -> tuple[LayerCarry, Array]:
        dc, dh = carry
        dh_out, c_before, c, (i, f, g, o) = inputs
        tanh_c = jnp.tanh(c)
        dh = dh + dh_out
        dc = dc + dh * o * (1 - tanh_c * tanh_c)
        parts = (
            dc * g * i * (1 - i),
            dc * c_before * f * (1 - f),
            dc * i * (1 - g * g),
            dh * tanh_c * o * (1 - o),
        )
        dz = jnp.concatenate(parts, axis=-1)
        return (dc * f, _matmul(dz, transposed)), dz

    first, dz = jax.lax.scan(body, last, (dhs, previous_c, cs, gates), reverse=True)
    steps = dz.shape[0] * dz.shape[1]
    flat_h, flat_z = previous_h.reshape(steps, -1), dz.reshape(steps, -1)
    return dz, _matmul(flat_h.T, flat_z.astype(dtype)), first


scan_reverse.defvjp(_forward, _backward)


def _activate(gates: Sequence[Float[Array, "*b h"]]) -> tuple[Array, Array, Array, Array]:
    i, f, g, o = gates
    return jax.nn.sigmoid(i), jax.nn.sigmoid(f), jnp.tanh(g), jax.nn.sigmoid(o)


def _matmul(x: Float[Array, "b k"], kernel: Float[Array, "k n"]) -> Float[Array, "b n"]:
    """x times kernel in the kernel's dtype, accumulated and returned in x's (float32)."""
    return jnp.matmul(x.astype(kernel.dtype), kernel, preferred_element_type=x.dtype)
