"""An elastic axis with friction and stepper error, advanced exactly from sample to sample.

Each axis is a mass on a spring, as in printer/plant.py, in the numbers that a measurement can tell:
frequency w / 2 pi, damping ratio z, friction F in mm of spring (force by stiffness), its speed v_s,
viscous friction tau against the frame, and the stepper's deviation d by position. With the command
r (velocity v), the head's lag e behind it and the head's velocity u:

  e' = u - v
  u' = w^2 (d - e) + 2 z w (v + d' - u) - w^2 tau u - w^2 F tanh(u / v_s)
  d = sum over p of S_p sin(2 pi r / p) + C_p cos(2 pi r / p)

The linear part is stepped exactly, in steps of a fraction of a sample. Held over such a step are
the mean of d + (2 z / w) d', exact for a steady speed, so that full steps above the sampling rate
cancel as they do in the machine, and the mean of the friction, which a Padé approximation of the
exponential gives without stiffness: near rest friction reverses within a millisecond.

Between two samples r is what their positions and velocities tell. A planner changes speed at a
steady rate, or at once at a corner, all axes at the same instant; a correction is a smooth curve.
So the velocity is a ramp from the first to the last one, about an instant that the distances of all
axes agree on, as long as it has room; what they do not agree on is a cubic. How much of a distance
tells of a corner, and how much of a curve, the samples before show: a curve is never idle.

Source: the friction step is an exponential Rosenbrock step (Hochbruck and Ostermann, 2010) with
1 / (1 + x + x^2 / 2) for exp(-x), which damps the fastest decays too.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.ad_checkpoint import checkpoint_name
from jaxtyping import Array, Float

from jaxcorr.printer_spec import Kinematics

# Of a stepper: four full steps of 0.2 mm, and what repeats twice, four and eight times in them.
PERIODS_MM = (0.8, 0.4, 0.2, 0.1)
STEP_RATE_HZ = 1000.0  # at 500 Hz a fifth more of the error is left, at 2 kHz no less
MOST_AHEAD_S = 0.5  # what rings has died away; the rest is steady motion
# Speeds that distances and velocities differ by in a sample, and by which a curve's are known.
ROUNDING_MM_S = 1.0
CURVE_WEIGHT = 256.0  # less is better along plain commands, and far worse along solved ones
MOST_SHIFT = 0.49  # of a sample, of a change of speed from the middle
COREXY = np.array([[1.0, 1.0], [1.0, -1.0]])  # the motors' a and b by x and y, see printer/plant.py
NUM_RECALLED = 2  # samples before, whose differences tell of a curve

Path = dict[str, Any]
Numbers = Array | np.ndarray


class Axes(NamedTuple):
    """The numbers of A axes; p periods of PERIODS_MM.

    On a CoreXY the friction's speed and the stepper's part are of a and b, and an axis's own motor
    is a for x and b for y.
    """

    frequency_hz: Float[Numbers, " A"]  # undamped
    damping_ratio: Float[Numbers, " A"]  # of head against motor
    friction_mm: Float[Numbers, " A"]  # force by stiffness
    friction_velocity_mm_s: Float[Numbers, " A"]
    viscous_s: Float[Numbers, " A"]  # lag of a steady motion by its speed
    offset_mm: Float[Numbers, " A"]  # of the error, whatever the motion
    sine_mm: Float[Numbers, "p A"]
    cosine_mm: Float[Numbers, "p A"]
    other_friction_mm: Float[Numbers, " A"] | None = None  # of the other motor, on a CoreXY


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
        transition (2, 2, A) of lag and velocity; command (2, 3, A), per velocity at the start and
        at the end of a step (mm/s) and distance (mm); force (2, A), per mm of motor deviation;
        friction (2, A), of full friction, on a CoreXY (2, 2, A), of each motor's; slope (A,), mm of
        deviation per mm of its change over a step; share (n + 1,) of the sample at the ends of the
        steps; and fields of the axes.
    """
    step_rate_hz = rate_hz * num_steps
    w = 2.0 * jnp.pi * jnp.asarray(axes.frequency_hz)
    relative, viscous = 2.0 * axes.damping_ratio * w, w**2 * axes.viscous_s
    zero, one = jnp.zeros_like(w), jnp.ones_like(w)
    rates = jnp.stack(  # of lag, u, v, h v', h^2 v'' and force, h a step
        [
            jnp.stack([zero, one, -one, zero, zero, zero]),
            jnp.stack([-(w**2), -relative - viscous, relative, zero, zero, w**2]),
            jnp.stack([zero, zero, zero, one * step_rate_hz, zero, zero]),
            jnp.stack([zero, zero, zero, zero, one * step_rate_hz, zero]),
            *jnp.zeros((2, 6, *w.shape), w.dtype),
        ]
    )
    exact = jax.vmap(jax.scipy.linalg.expm, -1, -1)(rates / step_rate_hz)
    # v, h v' and h^2 v'' at the start of a step, per v0, v1 and distance: its cubic Hermite.
    shapes = np.array([[1.0, 0.0, 0.0], [-4.0, -2.0, 6.0], [6.0, 6.0, -12.0]])
    shapes = jnp.asarray(shapes * [1.0, 1.0, step_rate_hz], w.dtype)
    force, friction_mm = exact[:2, 5], jnp.asarray(axes.friction_mm)
    if axes.other_friction_mm is None:
        friction = force * friction_mm
    else:  # a row for each motor
        (x, y), (other_x, other_y) = friction_mm, axes.other_friction_mm
        friction = force[:, None] * jnp.array([[x, other_y], [other_x, -y]])
    return {
        "transition": exact[:2, :2],
        "command": jnp.einsum("ija,jc->ica", exact[:2, 2:5], shapes),
        "force": force,
        "friction": friction,
        "slope": 2.0 * axes.damping_ratio / w * step_rate_hz,
        "share": jnp.linspace(0.0, 1.0, num_steps + 1, dtype=w.dtype),
        "friction_velocity_mm_s": jnp.asarray(axes.friction_velocity_mm_s),
        "offset_mm": jnp.asarray(axes.offset_mm),
        "sine_mm": jnp.asarray(axes.sine_mm),
        "cosine_mm": jnp.asarray(axes.cosine_mm),
    }


def count_ahead(horizon: int, rate_hz: float) -> int:
    """Samples that are looked ahead."""
    return min(max(horizon, 0), round(MOST_AHEAD_S * rate_hz))


def from_axes(axes: Axes, rate_hz: float) -> Path:
    """The path of identified axes, as a model has it: float32, with as few steps as it needs."""
    with jax.enable_x64(True), jax.default_device(jax.local_devices(backend="cpu")[0]):
        wide = jax.tree.map(lambda field: np.asarray(field, np.float64), axes)
        made = discretize(wide, rate_hz, count_steps(rate_hz))
    return {name: np.asarray(field, np.float32) for name, field in made.items()}


def blank(num_axes: int, rate_hz: float, kinematics: Kinematics = "cartesian") -> Path:
    """A path that predicts zero, in the shape of every other."""
    periods = len(PERIODS_MM)
    shapes = {
        "transition": (2, 2),
        "command": (2, 3),
        "force": (2,),
        "friction": (2, num_axes) if kinematics == "corexy" else (2,),
        "slope": (),
        "friction_velocity_mm_s": (),
        "offset_mm": (),
        "sine_mm": (periods,),
        "cosine_mm": (periods,),
    }
    path = {name: np.zeros((*shape, num_axes), np.float32) for name, shape in shapes.items()}
    path["friction_velocity_mm_s"] += 1.0
    return path | {"share": np.linspace(0.0, 1.0, count_steps(rate_hz) + 1, dtype=np.float32)}


class State(NamedTuple):
    """Of b streams of A axes at a sample."""

    lag_mm: Float[Array, "b A"]
    velocity_mm_s: Float[Array, "b A"]


class Sample(NamedTuple):
    """The command at an instant."""

    position_mm: Float[Array, "b A"]
    velocity_mm_s: Float[Array, "b A"]


class Steps(NamedTuple):
    """The command at the ends of n steps from one sample to the next."""

    start_mm: Float[Array, "*samples A"]  # of the first step
    distance_mm: Float[Array, "ends *samples A"]  # from there
    velocity_mm_s: Float[Array, "ends *samples A"]


def interpolate(
    before: Sample,
    now: Sample,
    difference_mm_s: Float[Array, "*samples A"],
    curve: Float[Array, "*samples 1"],
    share: Float[Numbers, " ends"],
    rate_hz: float,
) -> Steps:
    """The command between samples.

    Args:
        before, now: both ends.
        difference_mm_s: of `differ`.
        curve: square (mm2/s2) of the differences that a curve was seen to have before.
        share: of the sample at the ends of its steps.
        rate_hz: of the samples.
    """
    change = checkpoint_name(now.velocity_mm_s - before.velocity_mm_s, "change_mm_s")
    agreed = jnp.sum(difference_mm_s * change, axis=-1, keepdims=True)
    evidence = jnp.sum(change**2, axis=-1, keepdims=True) + ROUNDING_MM_S**2 + CURVE_WEIGHT * curve
    shift = jnp.clip(agreed / evidence, -MOST_SHIFT, MOST_SHIFT)  # earlier, in samples
    left = difference_mm_s - shift * change
    width = 1.0 - 2.0 * jnp.abs(shift)
    begin = jnp.maximum(-2.0 * shift, 0.0)
    share = jnp.asarray(share).reshape(-1, *[1] * change.ndim)
    ramp = jnp.clip((share - begin) / width, 0.0, 1.0)
    gone = width * ramp**2 / 2.0 + jnp.maximum(share - begin - width, 0.0)
    bump, passed = 6.0 * share * (1.0 - share), share**2 * (3.0 - 2.0 * share)
    velocity = before.velocity_mm_s + change * ramp + left * bump
    distance = (before.velocity_mm_s * share + change * gone + left * passed) / rate_hz
    return Steps(before.position_mm, distance, velocity)


def interpolate_all(command: Sample, rate_hz: float) -> Steps:
    """The command from each of T samples of L streams, (T, L, A), to the next one."""
    before = jax.tree.map(lambda column: column[0], command)
    start = jnp.zeros((before.position_mm.shape[0], NUM_RECALLED), before.position_mm.dtype)
    share = jnp.linspace(0.0, 1.0, count_steps(rate_hz) + 1, dtype=start.dtype)
    steps, _ = _interpolate_on(share, rate_hz, command, before, start, start[:, :1])
    return Steps(steps.start_mm[1:], steps.distance_mm[:, 1:], steps.velocity_mm_s[:, 1:])


def sample_before(
    samples: Float[Array, "*t b f"], before: Float[Array, "b f"]
) -> Float[Array, "*t b f"]:
    """The sample before each of t samples, or one; `before` is the one before the first."""
    if samples.ndim == before.ndim:
        return before
    first = jnp.expand_dims(before, 0)
    if samples.shape[0] == 1:
        return first
    # lax's: an export may not know t, and jax2onnx takes numpy's result for as long as `first`.
    return jax.lax.concatenate([first, samples[:-1]], 0)


def differ(before: Sample, now: Sample, rate_hz: float) -> Float[Array, "*samples A"]:
    """By how much the mean velocity (mm/s) between samples is more than the mean of both ends'."""
    mean = checkpoint_name(now.position_mm - before.position_mm, "moved_mm") * rate_hz
    return mean - (before.velocity_mm_s + now.velocity_mm_s) / 2.0


def drive(path: Path, steps: Steps) -> Float[Array, "n 2 *samples A"]:
    """What the command adds to lag and velocity in each step.

    The state has no part in it, so that all samples of a trace are done at once.
    """
    moved, velocity = steps.distance_mm, steps.velocity_mm_s
    command = jnp.stack([velocity[:-1], velocity[1:], moved[1:] - moved[:-1]])
    # The remainder first: a turn is lost in float32 after some thousand radians.
    place = jnp.fmod(steps.start_mm, PERIODS_MM[0]) + moved
    place = _turn(place) if (is_turned := is_corexy(path)) else place
    mean, change = mean_deviation(path["sine_mm"], path["cosine_mm"], place)
    if is_turned:
        mean, change = _turn(mean) / 2.0, _turn(change) / 2.0
    deviation = (mean + path["slope"] * change)[:, None]
    force = jnp.expand_dims(jnp.asarray(path["force"]), tuple(range(1, place.ndim - 1)))
    return jnp.einsum("icA,cn...A->ni...A", path["command"], command) + force * deviation


def advance(path: Path, state: State, driven: Float[Array, "n 2 *samples A"]) -> State:
    """The state one sample later, from what `drive` found: the linear part of each step exactly,
    then the friction's mean over the step."""
    transition, friction = jnp.asarray(path["transition"]), jnp.asarray(path["friction"])
    v_s = path["friction_velocity_mm_s"]
    if is_turned := is_corexy(path):
        pulls = _turn(friction[1])
        own = jnp.sum(pulls * np.eye(2), axis=0)
        others = pulls * np.array([[0.0, 1.0], [1.0, 0.0]])
    else:
        own, others = friction[1], None
    lag, u = state
    for step in range(driven.shape[0]):
        lag_free, u_free = (
            transition[i, 0] * lag + transition[i, 1] * u + driven[step, i] for i in (0, 1)
        )
        if is_turned:
            before, change = _turn(u), _turn(u_free - u)
            rubbed = mean_friction(before / v_s, change / v_s, own / v_s, others / v_s)
            lag, u = lag_free - rubbed @ friction[0], u_free - rubbed @ friction[1]
        else:
            rubbed = mean_friction(u / v_s, (u_free - u) / v_s, friction[1] / v_s)
            lag, u = lag_free - friction[0] * rubbed, u_free - friction[1] * rubbed
    return State(lag, u)


def initialize(num_streams: int, num_axes: int, horizon: int) -> Float[Array, "b p"]:
    """What a stream remembers: its state, what tells of a curve, and the lags not yet told."""
    return jnp.zeros((num_streams, (2 + max(-horizon, 0)) * num_axes + NUM_RECALLED))


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
    num_axes, num_kept = before.position_mm.shape[-1], 2 * before.position_mm.shape[-1]
    state = State(memory[:, :num_axes], memory[:, num_axes:num_kept])
    recalled, waiting = jnp.split(memory[:, num_kept:], [NUM_RECALLED], axis=1)
    steps, recalled = _interpolate_on(path["share"], rate_hz, command, before, recalled, is_started)
    driven = jnp.moveaxis(drive(path, steps), 2, 0)

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
    lags = look_ahead(path, rate_hz, states, command, horizon) if horizon > 0 else states.lag_mm
    if horizon < 0:
        waiting = waiting.reshape(-1, -horizon, num_axes).swapaxes(0, 1)
        # lax's, since an export may not know t, see sample_before.
        told, count = jax.lax.concatenate([waiting, lags], 0), command.position_mm.shape[0]
        waiting = jax.lax.slice_in_dim(told, count, None).swapaxes(0, 1)
        waiting = waiting.reshape(-1, -horizon * num_axes)
        lags = jax.lax.slice_in_dim(told, 0, count)
    memory = jnp.concatenate([*state, recalled, waiting], axis=1)
    return memory, lags + path["offset_mm"]


def _interpolate_on(
    share: Float[Numbers, " ends"],
    rate_hz: float,
    command: Sample,
    before: Sample,
    recalled: Float[Array, "b r"],
    is_started: Float[Array, "b 1"],
) -> tuple[Steps, Float[Array, "b r"]]:
    """The command up to each of t samples of streams, and what is recalled after them."""
    earlier = Sample(*map(sample_before, command, before))
    difference = differ(earlier, command, rate_hz)
    size = jnp.sum(difference**2, axis=-1)
    count = size.shape[0]
    first = jnp.where(is_started.T > 0, size[:1], 0.0)
    size = first if count == 1 else jax.lax.concatenate([first, size[1:]], 0)
    known = jax.lax.concatenate([recalled.T, size], 0)
    curve = jnp.minimum(known[:count], known[1 : count + 1])
    steps = interpolate(earlier, command, difference, curve[..., None], share, rate_hz)
    return steps, known[-NUM_RECALLED:].T


def look_ahead(
    path: Path, rate_hz: float, states: State, command: Sample, horizon: int
) -> Float[Array, "t b A"]:
    """Lags after some more samples at each sample's speed."""

    # Where the stepper stands is all that matters, and keeps its digits.
    now = command._replace(position_mm=jnp.fmod(command.position_mm, PERIODS_MM[0]))
    speed, none = now.velocity_mm_s, jnp.zeros_like(now.velocity_mm_s)
    steady = interpolate(now, now, none, none[..., :1], path["share"], rate_hz)

    def body(carry: tuple[State, Array], _: None) -> tuple[tuple[State, Array], None]:
        state, place = carry
        driven = drive(path, steady._replace(start_mm=place))
        return (advance(path, state, driven), place + speed / rate_hz), None

    samples = count_ahead(horizon, rate_hz)
    carry = (states, now.position_mm)
    (state, _), _ = jax.lax.scan(body, carry, length=samples, unroll=samples == 1)
    return state.lag_mm


def is_corexy(path: Path) -> bool:
    """Whether friction and stepper are those of the motors of a CoreXY."""
    return path["friction"].ndim == 3


def _turn(xy: Array) -> Array:
    """From x and y to the motors of a CoreXY, or back to twice x and y."""
    return xy @ jnp.asarray(COREXY, xy.dtype)


@jax.jit
def mean_deviation(
    sine_mm: Float[Numbers, "p A"], cosine_mm: Float[Numbers, "p A"], place_mm: Array
) -> tuple[Array, Array]:
    """Mean of d over each step and its change, from the places of the ends of steps."""
    turn = 2.0 * np.pi / PERIODS_MM[0]
    middle = turn * (place_mm[1:] + place_mm[:-1]) / 2.0
    half = turn * (place_mm[1:] - place_mm[:-1]) / 2.0
    sine, cosine = jnp.sin(middle), jnp.cos(middle)
    rise, fall = jnp.sin(half), jnp.cos(half)
    is_short = jnp.abs(half) < 1e-3
    divisor = jnp.where(is_short, 1.0, half)
    mean = jnp.where(is_short, 1.0 - half**2 / 6.0, rise / divisor)  # of the sine, by its middle
    total = change = jnp.zeros_like(middle)
    for s, c in zip(jnp.asarray(sine_mm), jnp.asarray(cosine_mm), strict=True):
        total += mean * (s * sine + c * cosine)
        change += 2.0 * rise * (s * cosine - c * sine)
        # Half the period has twice the angle.
        mean = mean * fall
        rise, fall = 2.0 * rise * fall, 1.0 - 2.0 * rise**2
        sine, cosine = 2.0 * sine * cosine, 1.0 - 2.0 * sine**2
    return total, change


@jax.jit
def mean_friction(
    before: Array, change: Array, strength: Array, others: Array | None = None
) -> Array:
    """Mean over a step of tanh(u / v_s), by its line at the start of the step.

    Args:
        before: u / v_s at the start.
        change: what u / v_s would gain without friction.
        strength: what it loses to full friction.
        others: what it loses to that of each other motor, a row for each.
    """
    value = jnp.tanh(before)
    if others is not None:
        change = change - value @ others
    slope = 1.0 - value**2
    x = strength * slope
    return (value * (1.0 + x / 2.0) + change * slope * (1.0 + x) / 2.0) / (1.0 + x + x**2 / 2.0)
