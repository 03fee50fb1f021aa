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

A second mode moves beside the main one. Each follows the motor with a lag of its own, with the same
mass, and the head's motion is the sum of both by their shares c, which may be negative, and of what
is left to 1, which follows the motor stiffly. A force at the head moves every mode its own way:
friction pulls at mode i with the sign of c_i, so that it can only take energy away. The state is
that of the head and of the second mode, [e, w, e2, w2].

On a CoreXY belts and motors pull along a = x + y and b = x - y, so that a force of a belt pulls
both axes, and belts that differ couple them. Friction is tanh of the speeds of a and b.
"""

import operator
from collections.abc import Sequence
from functools import partial, reduce
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float
from scipy.linalg import expm

from jaxcorr.printer_spec import Printer

# A CoreXY's a and b are x and y times this, plus y and x.
COREXY_SIGNS = np.array([1.0, -1.0])


class StepMatrices(NamedTuple):
    """One exact step, per axis. Axes: S = e, w, and e2, w2 with a second mode; A axes of the
    printer; C = 1, or 2 on a CoreXY: first what an axis has itself, then what the other one has.
    """

    a: ArrayLike  # (S, C S, A)
    b: ArrayLike  # (S, 3 C, A), by v0, v1, vbar
    g: ArrayLike  # (S, C, A), by the friction of motors, its force included
    friction_velocity_mm_s: ArrayLike  # ()


class PlantState(NamedTuple):
    """State of the plant, shape (..., A), or of a whole run, (T, ..., A)."""

    error_mm: Array  # e, head minus motor
    velocity_mm_s: Array  # w, of the head
    second: tuple[Array, ...] = ()  # e2 and w2 of a second mode


def discretize(printer: Printer, rate_hz: float) -> StepMatrices:
    """Turns the axes into one step of 1/rate_hz, in float64 on the host; A = 2, x and y."""
    groups = ((0,), (1,)) if printer.kinematics == "cartesian" else ((0, 1),)
    steps = [step for group in groups for step in _steps(printer, group, rate_hz)]
    a, b, g = (np.stack(parts, axis=-1) for parts in zip(*steps, strict=True))
    return StepMatrices(a, b, g, np.float64(printer.friction_velocity_mm_s))


def stack(each: Sequence[StepMatrices], num_lanes_after: int = 0) -> StepMatrices:
    """Matrices of several printers as lanes before the axes, with so many lanes of each after."""
    places = tuple(range(-2, -2 - num_lanes_after, -1))
    along = -2 - num_lanes_after

    def join(name: str) -> np.ndarray:
        arrays = [np.asarray(getattr(one, name)) for one in each]
        return np.stack([np.expand_dims(one, places) for one in arrays], axis=along)

    velocities = np.array([one.friction_velocity_mm_s for one in each])
    return StepMatrices(
        join("a"), join("b"), join("g"), velocities.reshape(-1, *[1] * (num_lanes_after + 1))
    )


def to_motors(printer: Printer, xy: Any) -> Any:
    """Positions or velocities of the motors, from those of x and y, (..., 2)."""
    return xy if printer.kinematics == "cartesian" else xy * COREXY_SIGNS + xy[..., ::-1]


def from_motors(printer: Printer, motors: Any) -> Any:
    """What `to_motors` made them of."""
    return motors if printer.kinematics == "cartesian" else to_motors(printer, motors) / 2.0


def friction_stretch_mm(printer: Printer) -> Float[np.ndarray, "2 motors"]:
    """How far the full friction of each motor pulls x and y back, at a steady speed."""
    pulls, force = np.array(printer.pulls), 1000.0 * np.array(printer.friction_n)
    main = np.linalg.inv(pulls) * (force / np.array(printer.stiffness_n_m))
    stretch = np.array(printer.main_share)[:, None] * main
    for axis, share in enumerate(printer.second_share):
        if share:
            stiffness = printer.mass_kg[axis] * (2 * np.pi * printer.second_frequency_hz[axis]) ** 2
            stretch[axis] += abs(share) * pulls[:, axis] * force / stiffness
    return stretch


def mean_velocity(position_mm: ArrayLike, rate_hz: float) -> ArrayLike:
    """Mean velocity between neighbours along the first axis, (T, ...) to (T - 1, ...).

    Positions of 200 mm differ by less than float32 resolves: give float64 here (numpy on the host),
    or, for a command = reference + correction, add the two mean velocities instead.
    """
    return (position_mm[1:] - position_mm[:-1]) * rate_hz  # type: ignore[index]


def initial_state(matrices: StepMatrices, velocity_mm_s: Array) -> PlantState:
    """The start: no error, and the head as fast as the motor, (..., A)."""
    rest = jnp.zeros_like(velocity_mm_s)
    has_second = len(matrices.a) > 2  # type: ignore[arg-type]
    return PlantState(rest, velocity_mm_s, (rest, velocity_mm_s) if has_second else ())


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
    own = [state.error_mm, state.velocity_mm_s, *state.second]
    a, b, g, v_s = (jnp.asarray(matrix, own[0].dtype) for matrix in matrices)
    scale = jnp.asarray(friction_scale, own[0].dtype)
    is_coupled = a.shape[1] > a.shape[0]

    def seen(parts: list[Array]) -> list[Array]:
        """Parts of an axis, then of the other one, where they are coupled."""
        return [*parts, *(part[..., ::-1] for part in parts)] if is_coupled else parts

    def rub(w: Array) -> Array:
        speed = w * jnp.asarray(COREXY_SIGNS, w.dtype) + w[..., ::-1] if is_coupled else w
        return jnp.tanh(speed / v_s)

    f0 = rub(own[1])
    parts, rubbed = [*seen(own), *seen([v0, v1, mean_v])], seen([f0])
    held = []
    for i in range(len(own)):
        products = [gain * part for gain, part in zip([*a[i], *b[i]], parts, strict=True)]
        products += [gain * scale * part for gain, part in zip(g[i], rubbed, strict=True)]
        held.append(reduce(operator.add, products))
    change = seen([scale * (rub(held[1]) - f0) / 2.0])
    e, w, *second = (
        reduce(operator.add, [one, *(gain * part for gain, part in zip(g[i], change, strict=True))])
        for i, one in enumerate(held)
    )
    return PlantState(e, w, tuple(second))


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
    matrices = discretize(printer, rate_hz)
    start = initial_state(matrices, velocity[0])
    states, _ = respond(matrices, start, velocity, jnp.asarray(mean_v, velocity.dtype))
    return jax.tree.map(lambda first, rest: jnp.concatenate([first[None], rest]), start, states)


def _steps(
    printer: Printer, group: Sequence[int], rate_hz: float
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Of each axis of a group that belts couple: (S, C S), (S, 3 C) and (S, C), C axes in it."""
    rates, head = _rates(printer, group, rate_hz)
    exact = head @ expm(rates * (1.0 / rate_hz)) @ np.linalg.inv(head)
    size, count = 4 if printer.has_second_mode else 2, len(group)
    shape = np.array([[1.0, 0.0, 0.0], [-4.0, -2.0, 6.0], [6.0, 6.0, -12.0]])  # v, q1, 2 q2
    found = []
    for place in range(count):
        rows = exact[place * size : (place + 1) * size]
        states, commands, friction = np.split(rows, [count * size, count * (size + 3)], axis=1)
        order = [place, *(other for other in range(count) if other != place)]
        a = [states[:, one * size : (one + 1) * size] for one in order]
        b = [commands[:, 3 * one : 3 * one + 3] @ shape for one in order]
        found.append((np.hstack(a), np.hstack(b), friction[:, order]))
    return found


def _rates(printer: Printer, group: Sequence[int], rate_hz: float) -> tuple[np.ndarray, np.ndarray]:
    """Rates of what `_steps` advances, and what turns a state into the head's.

    Rows are e1, w1 and e2, w2 of each axis's modes, then v, h v' and h^2 v'' of each axis, then
    each motor's friction.
    """
    size, count = 4 if printer.has_second_mode else 2, len(group)
    commands, friction = count * size, count * (size + 3)
    rates = np.zeros((count * (size + 4),) * 2)
    head = np.eye(len(rates))
    pulls, is_relative = np.array(printer.pulls), printer.damping == "relative"
    for i, axis in enumerate(group):
        at, v, mass = i * size, commands + 3 * i, printer.mass_kg[axis]
        main, second = printer.main_share[axis], printer.second_share[axis]
        rates[at : at + size : 2, v] = -1.0
        rates[at, at + 1] = 1.0
        for j, motor in enumerate(group):
            k, c = printer.stiffness_n_m[motor] / mass, printer.damping_ns_m[motor] / mass
            for other, turned in enumerate(group):
                pull = pulls[motor, axis] * pulls[motor, turned]
                rates[at + 1, other * size] -= pull * k
                rates[at + 1, other * size + 1] -= pull * c
                rates[at + 1, commands + 3 * other] += pull * c * is_relative
            rates[at + 1, friction + j] -= (
                1000.0 * pulls[motor, axis] * printer.friction_n[motor] / mass
            )
        rates[v, v + 1] = rates[v + 1, v + 2] = 1.0 / (1.0 / rate_hz)
        head[at, at] = head[at + 1, at + 1] = main
        head[at + 1, v] = printer.stiff_share[axis]
        if size == 4:
            w = 2.0 * np.pi * printer.second_frequency_hz[axis]
            damping = 2.0 * printer.second_damping_ratio[axis] * w
            rates[at + 2, at + 3] = 1.0
            rates[at + 3, at + 2 : at + 4] = -(w**2), -damping
            rates[at + 3, v] = damping * is_relative
            rates[at + 3, friction:] = np.sign(second) * rates[at + 1, friction:]
            head[at, at + 2] = head[at + 1, at + 3] = second
    return rates, head
