"""An elastic axis with friction and stepper error, advanced exactly from sample to sample.

Each axis is a mass on a spring, as in printer/plant.py, in the numbers that a measurement can tell:
frequency w / 2 pi, damping ratio z, friction F in mm of spring (force by stiffness), its speed v_s,
viscous friction tau against the frame, and the stepper's deviation d by position. With the command
r (velocity v), the head's lag e behind it and the head's velocity u:

  e' = u - v
  u' = w^2 (d - e) + 2 z w (v + d' - u) - w^2 tau u - w^2 F tanh(u / v_s)
  d = sum over p of S_p sin(2 pi r / p) + C_p cos(2 pi r / p)

Between two samples r is the cubic Hermite through positions and velocities; this part is linear and
stepped exactly, in steps of a fraction of a sample. Held over such a step are the mean of
d + (2 z / w) d', exact for a steady speed, so that full steps above the sampling rate cancel as
they do in the machine, and the mean of the friction, which a Padé approximation of the exponential
gives without stiffness: near rest friction reverses within a millisecond. Of 12 default traces this
is, at 500 Hz, 1.0 um RMS from a step of 4 kHz, at 800 Hz 0.4, at 1000 Hz 0.2, of 100.

Source: the friction step is an exponential Rosenbrock step (Hochbruck and Ostermann, 2010) with
1 / (1 + x + x^2 / 2) for exp(-x), which damps the fastest decays too.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxcorr.models import linear_path

# Of a stepper: four full steps of 0.2 mm, and what repeats twice, four and eight times in them.
PERIODS_MM = (0.8, 0.4, 0.2, 0.1)
STEP_RATE_HZ = 800.0
MOST_SAMPLES_AHEAD = 50  # what rings has died away; the rest is steady motion

Path = dict[str, Any]
Numbers = Array | np.ndarray


class Axes(NamedTuple):
    """The numbers of A axes; p periods of PERIODS_MM."""

    frequency_hz: Float[Numbers, " A"]  # undamped
    damping_ratio: Float[Numbers, " A"]  # of head against motor
    friction_mm: Float[Numbers, " A"]  # force by stiffness
    friction_velocity_mm_s: Float[Numbers, " A"]
    viscous_s: Float[Numbers, " A"]  # lag of a steady motion by its speed
    offset_mm: Float[Numbers, " A"]  # of the error, whatever the motion
    sine_mm: Float[Numbers, "p A"]
    cosine_mm: Float[Numbers, "p A"]


def count_steps(rate_hz: float) -> int:
    """Steps of the plant in a sample at this rate."""
    return max(1, int(np.ceil(STEP_RATE_HZ / rate_hz - 1e-9)))


def discretize(axes: Axes, rate_hz: float, num_steps: int) -> Path:
    """What `advance` needs, differentiable in the axes, in their dtype.

    Args:
        axes: the plant.
        rate_hz: of the samples.
        num_steps: n, of equal length, in a sample.
    Returns:
        transition (2, 2, A) of lag and velocity; command (n, 2, 3, A), per v0, v1 (mm/s) and
        distance (mm) of the sample; force (2, A), per mm of motor deviation; friction (2, A), of
        full friction; slope (A,), mm of deviation per mm of its change over a step; and fields of
        the axes.
    """
    sample_s = 1.0 / rate_hz
    w = 2.0 * jnp.pi * jnp.asarray(axes.frequency_hz)
    relative, viscous = 2.0 * axes.damping_ratio * w, w**2 * axes.viscous_s
    zero, one = jnp.zeros_like(w), jnp.ones_like(w)
    rates = jnp.stack(  # of lag, u, v, h v', h^2 v'' and force, h a sample
        [
            jnp.stack([zero, one, -one, zero, zero, zero]),
            jnp.stack([-(w**2), -relative - viscous, relative, zero, zero, w**2]),
            jnp.stack([zero, zero, zero, one * rate_hz, zero, zero]),
            jnp.stack([zero, zero, zero, zero, one * rate_hz, zero]),
            *jnp.zeros((2, 6, *w.shape), w.dtype),
        ]
    )
    exact = jax.vmap(jax.scipy.linalg.expm, -1, -1)(rates * (sample_s / num_steps))
    shapes = jnp.asarray(_velocity_shapes(num_steps, rate_hz), w.dtype)
    force = exact[:2, 5]
    return {
        "transition": exact[:2, :2],
        "command": jnp.einsum("ija,njc->nica", exact[:2, 2:5], shapes),
        "force": force,
        "friction": force * axes.friction_mm,
        "slope": 2.0 * axes.damping_ratio / w * (rate_hz * num_steps),
        "friction_velocity_mm_s": jnp.asarray(axes.friction_velocity_mm_s),
        "offset_mm": jnp.asarray(axes.offset_mm),
        "sine_mm": jnp.asarray(axes.sine_mm),
        "cosine_mm": jnp.asarray(axes.cosine_mm),
    }


def from_axes(axes: Axes, rate_hz: float) -> Path:
    """The path of identified axes, as a model has it: float32, with as few steps as it needs."""
    with jax.enable_x64(True), jax.default_device(jax.local_devices(backend="cpu")[0]):
        wide = Axes(*(np.asarray(field, np.float64) for field in axes))
        made = discretize(wide, rate_hz, count_steps(rate_hz))
    return {name: np.asarray(field, np.float32) for name, field in made.items()}


def blank(num_axes: int, rate_hz: float) -> Path:
    """A path that predicts zero, in the shape of every other."""
    steps, periods = count_steps(rate_hz), len(PERIODS_MM)
    shapes = {
        "transition": (2, 2),
        "command": (steps, 2, 3),
        "force": (2,),
        "friction": (2,),
        "slope": (),
        "friction_velocity_mm_s": (),
        "offset_mm": (),
        "sine_mm": (periods,),
        "cosine_mm": (periods,),
    }
    path = {name: np.zeros((*shape, num_axes), np.float32) for name, shape in shapes.items()}
    path["friction_velocity_mm_s"] += 1.0
    return path


class State(NamedTuple):
    """Of b streams of A axes at a sample."""

    lag_mm: Float[Array, "b A"]
    velocity_mm_s: Float[Array, "b A"]


class Sample(NamedTuple):
    """The command at an instant."""

    position_mm: Float[Array, "b A"]
    velocity_mm_s: Float[Array, "b A"]


def drive(
    path: Path, rate_hz: float, before: Sample, now: Sample
) -> Float[Array, "n 2 *samples A"]:
    """What the command adds to lag and velocity in each step from `before` to `now`.

    The state has no part in it, so that all samples of a trace are done at once.
    """
    distance = now.position_mm - before.position_mm
    command = jnp.stack([before.velocity_mm_s, now.velocity_mm_s, distance])
    per_command = jnp.asarray(path["command"])
    places = jnp.asarray(place_shapes(len(per_command), rate_hz), command.dtype)
    # The remainder first: a turn is lost in float32 after some thousand radians.
    start = jnp.mod(before.position_mm, PERIODS_MM[0])
    moved = jnp.tensordot(places, command, 1)
    middle, half = start + (moved[1:] + moved[:-1]) / 2.0, (moved[1:] - moved[:-1]) / 2.0
    deviation = _mean_deviation(path, middle, half)[:, None]
    force = jnp.expand_dims(jnp.asarray(path["force"]), tuple(range(1, distance.ndim)))
    return jnp.einsum("nijA,j...A->ni...A", per_command, command) + force * deviation


def advance(path: Path, state: State, driven: Float[Array, "n 2 *samples A"]) -> State:
    """The state one sample later, from what `drive` found: the linear part of each step exactly,
    then the friction's mean over the step."""
    transition, friction = jnp.asarray(path["transition"]), jnp.asarray(path["friction"])
    v_s = path["friction_velocity_mm_s"]
    lag, u = state
    for step in range(driven.shape[0]):
        lag_free, u_free = (
            transition[i, 0] * lag + transition[i, 1] * u + driven[step, i] for i in (0, 1)
        )
        rubbed = _mean_friction(u / v_s, (u_free - u) / v_s, friction[1] / v_s)
        lag, u = lag_free - friction[0] * rubbed, u_free - friction[1] * rubbed
    return State(lag, u)


def initialize(num_streams: int, num_axes: int, horizon: int) -> Float[Array, "b p"]:
    """What a stream remembers: its state, and the lags that are not yet told."""
    return jnp.zeros((num_streams, (2 + max(-horizon, 0)) * num_axes))


def follow(
    path: Path,
    rate_hz: float,
    horizon: int,
    memory: Float[Array, "b p"],
    command: Sample,
    before: Sample,
    is_started: Float[Array, "b 1"],
) -> tuple[Float[Array, "b p"], Float[Array, "t b A"]]:
    """Predicted errors (mm) at t samples of b streams, and what is remembered after them.

    A stream begins without lag, and with the head as fast as the command.

    Args:
        path: of `discretize`.
        rate_hz: of the samples.
        horizon: samples from the newest one to the error: those to come are taken to go on at the
            newest speed.
        memory: of `initialize`, or of the call before.
        command: t samples.
        before: the sample before them; counted only where is_started is 1.
    """
    num_axes = before.position_mm.shape[-1]
    state = State(memory[:, :num_axes], memory[:, num_axes : 2 * num_axes])
    earlier = Sample(*map(linear_path.sample_before, command, before))
    driven = jnp.moveaxis(drive(path, rate_hz, earlier, command), 2, 0)

    def body(carry: tuple[State, Array], given: tuple[Array, Array]) -> tuple[Any, State]:
        state, is_started = carry
        driven, velocity = given
        moved = advance(path, state, driven)
        begun = State(jnp.zeros_like(velocity), velocity)
        after = jax.tree.map(lambda a, b: jnp.where(is_started > 0, a, b), moved, begun)
        return (after, jnp.maximum(is_started, 1.0)), after

    carry = (state, is_started)
    if command.position_mm.shape[0] == 1:  # streaming: no loop to compile, and none in an export
        (state, _), only = body(carry, (driven[0], command.velocity_mm_s[0]))
        states = State(*(jnp.expand_dims(part, 0) for part in only))
    else:
        (state, _), states = jax.lax.scan(body, carry, (driven, command.velocity_mm_s))
    lags = _look_ahead(path, rate_hz, states, command, horizon) if horizon > 0 else states.lag_mm
    memory = jnp.concatenate([state.lag_mm, state.velocity_mm_s, memory[:, 2 * num_axes :]], axis=1)
    if horizon < 0:
        waiting = memory[:, 2 * num_axes :].reshape(-1, -horizon, num_axes).swapaxes(0, 1)
        # lax's, since an export may not know t, see linear_path.sample_before.
        told, steps = jax.lax.concatenate([waiting, lags], 0), command.position_mm.shape[0]
        waiting = jax.lax.slice_in_dim(told, steps, None).swapaxes(0, 1)
        waiting = waiting.reshape(-1, -horizon * num_axes)
        memory = jnp.concatenate([memory[:, : 2 * num_axes], waiting], axis=1)
        lags = jax.lax.slice_in_dim(told, 0, steps)
    return memory, lags + path["offset_mm"]


def _look_ahead(
    path: Path, rate_hz: float, states: State, command: Sample, horizon: int
) -> Float[Array, "t b A"]:
    """Lags after some more samples at each sample's speed."""

    # Where the stepper stands is all that matters, and keeps its digits.
    now = command._replace(position_mm=jnp.mod(command.position_mm, PERIODS_MM[0]))
    far = command.velocity_mm_s / rate_hz

    def body(carry: tuple[State, Sample], _: None) -> tuple[tuple[State, Sample], None]:
        state, now = carry
        then = now._replace(position_mm=now.position_mm + far)
        return (advance(path, state, drive(path, rate_hz, now, then)), then), None

    samples = min(horizon, MOST_SAMPLES_AHEAD)
    (state, _), _ = jax.lax.scan(body, (states, now), length=samples, unroll=samples == 1)
    return state.lag_mm


def _mean_deviation(path: Path, middle_mm: Array, half_mm: Array) -> Array:
    """Mean over a step of d + (2 z / w) d', from the middle of the step and half its length."""
    turn = 2.0 * np.pi / PERIODS_MM[0]
    sine, cosine = jnp.sin(turn * middle_mm), jnp.cos(turn * middle_mm)
    half = turn * half_mm
    rise, fall = jnp.sin(half), jnp.cos(half)
    is_short = jnp.abs(half) < 1e-3
    divisor = jnp.where(is_short, 1.0, half)
    mean = jnp.where(is_short, 1.0 - half**2 / 6.0, rise / divisor)  # of the sine, by its middle
    total = jnp.zeros_like(middle_mm)
    for s, c in zip(jnp.asarray(path["sine_mm"]), jnp.asarray(path["cosine_mm"]), strict=True):
        total += mean * (s * sine + c * cosine)
        total += path["slope"] * 2.0 * rise * (s * cosine - c * sine)
        # Half the period has twice the angle.
        mean = mean * fall
        rise, fall = 2.0 * rise * fall, 1.0 - 2.0 * rise**2
        sine, cosine = 2.0 * sine * cosine, 1.0 - 2.0 * sine**2
    return total


def _mean_friction(before: Array, change: Array, strength: Array) -> Array:
    """Mean over a step of tanh(u / v_s), by its line at the start of the step.

    Args:
        before: u / v_s at the start.
        change: what u / v_s would gain without friction.
        strength: what it loses to full friction.
    """
    value = jnp.tanh(before)
    slope = 1.0 - value**2
    x = strength * slope
    return (value * (1.0 + x / 2.0) + change * slope * (1.0 + x) / 2.0) / (1.0 + x + x**2 / 2.0)


def _velocity_shapes(num_steps: int, rate_hz: float) -> np.ndarray:
    """v, h v' and h^2 v'' at the start of each step, (n, 3, 3), per v0, v1 and distance."""
    s = np.arange(num_steps)[:, None] / num_steps
    zero, one = np.zeros_like(s), np.ones_like(s)
    rows = [
        np.hstack([1.0 - 4.0 * s + 3.0 * s**2, 3.0 * s**2 - 2.0 * s, 6.0 * s - 6.0 * s**2]),
        np.hstack([6.0 * s - 4.0, 6.0 * s - 2.0, 6.0 - 12.0 * s]),
        np.hstack([6.0 * one, 6.0 * one, zero - 12.0]),
    ]
    return np.stack(rows, axis=1) * [1.0, 1.0, rate_hz]


def place_shapes(num_steps: int, rate_hz: float) -> np.ndarray:
    """Distance from the sample before to the ends of steps, (n + 1, 3), per v0, v1, distance."""
    s = np.arange(num_steps + 1) / num_steps
    from_v0, from_v1 = s - 2.0 * s**2 + s**3, s**3 - s**2
    return np.stack([from_v0 / rate_hz, from_v1 / rate_hz, 3.0 * s**2 - 2.0 * s**3], axis=1)
