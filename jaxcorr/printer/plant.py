"""The plant: two elastic axes with friction, which follow any command.

A command is positions and velocities at a steady rate, of the reference or of a corrected one, and
gradients pass through it.

Per axis, in mm, mm/s and s; u(t) motor side, v = u', x(t) head, e = x - u, w = x':

  e' = w - v        w' = -(k/m) e - (c/m)(w - v) - (1000 F_c/m) tanh(w/v_s)

With damping to ground (c/m)(w - v) becomes (c/m) w. Within a step of h = 1/rate, u is the cubic
Hermite through (u0, v0), (u1, v1), so that with s = t/h in [0, 1] and vbar = (u1 - u0)/h

  v(s) = v0 (1 - 4s + 3s^2) + v1 (3s^2 - 2s) + vbar (6s - 6s^2) = v0 + q1 s + q2 s^2
  q1 = -4 v0 - 2 v1 + 6 vbar,   q2 = 3 v0 + 3 v1 - 6 vbar

The linear part is exact: [e, w]+ = A [e, w] + B [v0, v1, vbar] + G f; A, B and G come from one
matrix exponential of [e, w, v, h v', h^2 v'', f]. Friction f is held over the step at the mean of
its two ends: f0 = tanh(w/v_s), w* the w after the step under f0, f1 = tanh(w*/v_s),
f = (f0 + f1)/2. At the start e = 0 and w = v(0). At 2000 Hz this is 0.09 um RMS (0.4 um at most)
from 32 kHz on a path of 300 corners, at 1000 Hz 0.46 um, at 8000 Hz 0.005 um, of 138 um.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float
from scipy.linalg import expm

from jaxcorr.printer_spec import Printer


class StepMatrices(NamedTuple):
    """One exact step, per axis. Axes: 2 = e, w; 3 = v0, v1, vbar; A axes of the printer."""

    a: ArrayLike  # (2, 2, A)
    b: ArrayLike  # (2, 3, A)
    g: ArrayLike  # (2, A), friction force included
    friction_velocity_mm_s: ArrayLike  # ()


class PlantState(NamedTuple):
    """State of the plant, shape (..., A), or of a whole run, (T, ..., A)."""

    error_mm: Array  # e, head minus motor
    velocity_mm_s: Array  # w, of the head


def discretize(printer: Printer, rate_hz: float) -> StepMatrices:
    """Turns the axes into one step of 1/rate_hz, in float64 on the host; A = 2, x and y."""
    steps = [_axis_step(printer, axis, rate_hz) for axis in (0, 1)]
    a, b, g = (np.stack(parts, axis=-1) for parts in zip(*steps, strict=True))
    return StepMatrices(a, b, g, np.float64(printer.friction_velocity_mm_s))


def mean_velocity(position_mm: ArrayLike, rate_hz: float) -> ArrayLike:
    """Mean velocity between neighbours along the first axis, (T, ...) to (T - 1, ...).

    Positions of 200 mm differ by less than float32 resolves: give float64 here (numpy on the host),
    or, for a command = reference + correction, add the two mean velocities instead.
    """
    return (position_mm[1:] - position_mm[:-1]) * rate_hz  # type: ignore[index]


def initial_state(velocity_mm_s: Array) -> PlantState:
    """The start: no error, and the head as fast as the motor, (..., A)."""
    return PlantState(jnp.zeros_like(velocity_mm_s), velocity_mm_s)


def plant_step(
    matrices: StepMatrices,
    state: PlantState,
    v0: Array,
    v1: Array,
    mean_v: Array,
    friction_scale: ArrayLike = 1.0,
) -> PlantState:
    """Advances the plant by one step; shapes (..., A), in the dtype of the state.

    Args:
        matrices: from `discretize`.
        state: at the start of the step.
        v0, v1: velocity of the command at the start and at the end, mm/s.
        mean_v: its mean velocity over the step, mm/s.
        friction_scale: 0 for a linear plant, 1 for friction as `discretize` was told.
    """
    e, w = state
    a, b, g, v_s = (jnp.asarray(matrix, w.dtype) for matrix in matrices)
    scale = jnp.asarray(friction_scale, w.dtype)
    f0 = jnp.tanh(w / v_s)
    e_held, w_held = (
        a[i, 0] * e
        + a[i, 1] * w
        + b[i, 0] * v0
        + b[i, 1] * v1
        + b[i, 2] * mean_v
        + g[i] * scale * f0
        for i in (0, 1)
    )
    change = scale * (jnp.tanh(w_held / v_s) - f0) / 2.0
    return PlantState(e_held + g[0] * change, w_held + g[1] * change)


@partial(jax.jit, static_argnames="every")
def respond(
    matrices: StepMatrices,
    state: PlantState,
    velocity_mm_s: Float[Array, "T *lanes A"],
    mean_v_mm_s: Float[Array, "T-1 *lanes A"],
    friction_scale: ArrayLike = 1.0,
    every: int = 1,
) -> tuple[PlantState, PlantState]:
    """Runs the plant along a command; lanes between time and axes are independent of each other.

    Args:
        matrices: from `discretize`.
        state: at the first sample, from `initial_state` or from the run before.
        velocity_mm_s: of the command at the plant's rate.
        mean_v_mm_s: between its samples, from `mean_velocity`.
        friction_scale: as in `plant_step`, broadcast over the lanes.
        every: keep each `every`-th sample; must divide T - 1.

    Returns:
        The states after samples every, 2 every, ... T - 1, each (T-1)/every long, and the last one.

    Raises:
        ValueError: `every` does not divide T - 1.
    """
    if (len(velocity_mm_s) - 1) % every:
        raise ValueError(f"every = {every} does not divide {len(velocity_mm_s) - 1} steps")

    def step(state, command):
        v0, v1, mean_v = command
        return plant_step(matrices, state, v0, v1, mean_v, friction_scale), None

    def block(state, commands):
        state, _ = jax.lax.scan(step, state, commands)
        return state, state

    commands = jax.tree.map(
        lambda x: x.reshape((len(x) // every, every, *x.shape[1:])),
        (velocity_mm_s[:-1], velocity_mm_s[1:], mean_v_mm_s),
    )
    last, states = jax.lax.scan(block, state, commands)
    return states, last


def track(
    printer: Printer,
    position_mm: Float[ArrayLike, "T *lanes A"],
    velocity_mm_s: Float[ArrayLike, "T *lanes A"],
    rate_hz: float,
) -> PlantState:
    """Follows a command from its first sample to its last; A = 2, x and y.

    Give positions in float64 on the host (see `mean_velocity`); the result has the dtype of the
    velocities as JAX takes them (float32 unless x64 is on).

    Returns:
        Error (actual minus command) and velocity of the head at every sample, (T, ..., A).
    """
    mean_v = mean_velocity(position_mm, rate_hz)
    velocity = jnp.asarray(velocity_mm_s)
    start = initial_state(velocity[0])
    matrices = discretize(printer, rate_hz)
    states, _ = respond(matrices, start, velocity, jnp.asarray(mean_v, velocity.dtype))
    return jax.tree.map(lambda first, rest: jnp.concatenate([first[None], rest]), start, states)


def _axis_step(
    printer: Printer, axis: int, rate_hz: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A (2, 2), B (2, 3) and G (2,) of one axis."""
    h, mass = 1.0 / rate_hz, printer.mass_kg[axis]
    k, c = printer.stiffness_n_m[axis] / mass, printer.damping_ns_m[axis] / mass
    rates = np.zeros((6, 6))  # of e, w, v, h v', h^2 v'', f
    rates[0, 1], rates[0, 2] = 1.0, -1.0
    rates[1, :2] = -k, -c
    rates[1, 2] = c if printer.damping == "relative" else 0.0
    rates[1, 5] = -1000.0 * printer.friction_n[axis] / mass
    rates[2, 3] = rates[3, 4] = 1.0 / h
    exact = expm(rates * h)[:2]
    shape = np.array([[1.0, 0.0, 0.0], [-4.0, -2.0, 6.0], [6.0, 6.0, -12.0]])  # v, q1, 2 q2
    return exact[:, :2], exact[:, 2:5] @ shape, exact[:, 5]
