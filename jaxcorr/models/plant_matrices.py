"""One sample of the plant path as products with matrices: few operators, for ONNX.

A runtime of operators takes as long over one number as over a hundred. So `plant_path.follow` is
said here in other words, for one sample: all that is linear, in the command and its products and in
the steppers' sines, is a product with a matrix of constants, made in float64; only friction goes
from step to step. Of an axis with the velocity v (in units of the friction's), which would gain k c
in a step without friction and lose k to full friction, `plant_path` takes the mean friction

  r = a tanh(v) + (1 - a) c,   1 / a = x + 2 / (x + 2),   x = k (1 - tanh(v)^2)

so that v becomes v + k (c - r) = v - g, and every later v and c is linear in the loss

  g = k (tanh(v) - c) / (x + 1 - softsign(x / 2))

On a CoreXY v and c are a motor's, and c has lost what the other motor's tanh(v) pulls.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, Float64
from numpy import ndarray
from numpy.typing import ArrayLike

from jaxcorr.models import plant_path
from jaxcorr.models.network import Carry, Variables
from jaxcorr.models.plant_path import (
    CURVE_WEIGHT,
    MOST_SHIFT,
    NUM_RECALLED,
    PERIODS_MM,
    ROUNDING_MM_S,
    Sample,
    State,
)
from jaxcorr.spec import Spec, own_positions, own_velocities

LEAST_STRENGTH = 1e-6  # k of an axis without friction: c is a gain over it
LEAST_ANGLE = 1e-6  # over less, the mean of a sine is the sine in the middle
SATURATED = 30.0  # its tanh is one
TURNS = 2.0 * np.pi / np.array(PERIODS_MM)


class Plant(NamedTuple):
    """A path of A axes, E ends of steps, in float64, and its columns among F features."""

    path: Variables
    rate_hz: float
    num_features: int
    positions: list[int]
    velocities: list[int]

    @property
    def ends(self) -> int:
        """E: one more than steps."""
        return len(self.path["share"])

    @property
    def axes(self) -> int:
        """A."""
        return len(self.positions)

    @property
    def turn(self) -> Float64[ndarray, "A A"]:
        """To the motors: a row for each axis."""
        return plant_path.COREXY if plant_path.is_corexy(self.path) else np.eye(self.axes)

    @property
    def friction(self) -> Float64[ndarray, "2 A A"]:
        """Of lag and velocity: what full friction of each motor, a row, takes in a step."""
        given = self.path["friction"]
        return given if given.ndim == 3 else given[:, None] * np.eye(self.axes)

    @property
    def pulls(self) -> Float64[ndarray, "A A"]:
        """That of the motors' velocities, in units of the friction's."""
        return self.friction[1] @ self.turn / self.path["friction_velocity_mm_s"]

    @property
    def strength(self) -> Float64[ndarray, " A"]:
        """k: what full friction takes of its own motor's."""
        return np.maximum(np.diagonal(self.pulls), LEAST_STRENGTH)

    @property
    def others(self) -> Float64[ndarray, "A A"]:
        """What full friction of each motor, a row, takes of the other's c."""
        return (self.pulls - np.diag(np.diagonal(self.pulls))) / self.strength


def follow(
    spec: Spec, path: Variables, carry: Carry, sample: Float[Array, "b f"]
) -> tuple[Float[Array, "b p"], Float[Array, "b k"]]:
    """What `network.follow_path` says of one sample with a plant path, to float32's rounding."""
    plant, horizon = _read(spec, path), spec.data.horizon
    axes, features = plant.axes, plant.num_features
    assert carry.path is not None, "only a model with a path has one to follow"
    parts = jnp.split(carry.path, 2 * axes + np.arange(NUM_RECALLED + 1), axis=1)
    state, older, newer, waiting = parts
    # At the very first sample all differences are to itself.
    before = jnp.where(carry.is_started > 0, carry.previous, sample)
    change = sample - before
    shift, size = _find_shift(plant, before, change, jnp.minimum(older, newer))
    # The remainder first: a turn is lost in float32 after some thousand radians.
    wrapped = jnp.fmod(before, np.float32(PERIODS_MM[0]))
    terms = [before, wrapped, change, shift * change, *_find_ramp(plant, change, shift), state]
    ahead = _rub(plant, _find_free_motion(plant, jnp.concatenate(terms, axis=1)))
    last = _pick(ahead.shape[1], range(ahead.shape[1])[-2 * axes :])
    moved = jnp.concatenate([ahead @ last, newer, size], axis=1)
    # A stream begins without lag, and with the head as fast as the command.
    begun = sample @ _pick(features, [None] * axes + plant.velocities + [None] * NUM_RECALLED)
    memory = jnp.where(carry.is_started > 0, moved, begun)
    lag = memory @ _pick(memory.shape[1], range(axes))
    if horizon > 0:
        now = State(lag, memory[:, axes : 2 * axes])
        command = Sample(
            *(sample @ _pick(features, of) for of in (plant.positions, plant.velocities))
        )
        now, command = jax.tree.map(lambda part: jnp.expand_dims(part, 0), (now, command))
        lag = plant_path.look_ahead(path, plant.rate_hz, now, command, horizon)[0]
    if horizon < 0:
        told = jnp.concatenate([waiting, lag], axis=1)
        lag, waiting = told[:, :axes], told[:, axes:]
        memory = jnp.concatenate([memory, waiting], axis=1)
    return memory, lag + path["offset_mm"]


def _read(spec: Spec, path: Variables) -> Plant:
    positions, velocities = own_positions(spec.data), own_velocities(spec.data)
    assert positions is not None, "a spec with this path has positions"
    assert velocities is not None, "a spec with this path has velocities"
    wide = {name: np.asarray(field, np.float64) for name, field in path.items()}
    num_features = len(spec.data.features)
    return Plant(wide, spec.data.sample_rate_hz, num_features, list(positions), list(velocities))


def _find_shift(
    plant: Plant, before: Array, change: Array, curve: Float[Array, "b 1"]
) -> tuple[Float[Array, "b 1"], Float[Array, "b 1"]]:
    """The shift of a change of speed, in samples, and the square that tells of a curve later."""

    def factors(row: ndarray) -> ndarray:
        before, change = np.split(row, 2)
        gained, more = change[plant.velocities], _differ(plant, before, change)
        return np.concatenate([gained, more, more, gained, gained, more])

    matrix = _matrix(factors, 2 * plant.num_features)
    first, second = np.split(matrix, 2, axis=1)
    both = jnp.concatenate([before, change], axis=1)
    products = (both @ first) * (both @ second)
    over_axes = np.repeat(np.eye(3, dtype=np.float32), plant.axes, axis=0)
    squares, agreed, mores = (products @ over_axes[:, i : i + 1] for i in range(3))
    least = curve @ _float32([[CURVE_WEIGHT]]) + _float32([ROUNDING_MM_S**2])
    return jnp.clip(agreed / (squares + least), -MOST_SHIFT, MOST_SHIFT), mores


def _differ(plant: Plant, before: ndarray, change: ndarray) -> Float64[ndarray, " A"]:
    """As `plant_path.differ`."""
    mean = change[plant.positions] * plant.rate_hz
    return mean - before[plant.velocities] - change[plant.velocities] / 2.0


def _find_ramp(
    plant: Plant, change: Array, shift: Float[Array, "b 1"]
) -> tuple[Float[Array, "b EA"], Float[Array, "b EA"], Float[Array, "b EA"]]:
    """By end and axis: the change of velocity by then, that times the share of the sample since it
    began, and all of it times the share since it was over."""
    # Twice the shift, of an earlier change and of a later one.
    sides = jax.nn.relu(shift @ _float32([[2.0, -2.0]]))
    share = np.repeat(plant.path["share"], plant.axes)
    none, ones = np.zeros_like(share), np.ones_like(share)
    width = sides @ _float32([[-1.0], [-1.0]]) + _float32([1.0])
    since = jax.nn.relu(sides @ _float32([none, -ones]) + _float32(share))
    since = jnp.minimum(since, width)
    after = jax.nn.relu(sides @ _float32([ones, none]) + _float32(share - 1.0))
    change = change @ _pick(plant.num_features, plant.velocities * plant.ends)
    ramp = change * (since / width)
    return ramp, ramp * since, change * after


def _find_free_motion(plant: Plant, terms: Float[Array, "b t"]) -> Float[Array, "b a"]:
    """What lies ahead, see `_play`, if no velocity is lost."""
    ends, axes, size = plant.ends, plant.axes, terms.shape[1]
    amplitude = np.hypot(plant.path["sine_mm"], plant.path["cosine_mm"])
    phase = np.arctan2(plant.path["cosine_mm"], plant.path["sine_mm"])

    def angles(row: ndarray) -> ndarray:
        """Of each period, at the middles of steps and at ends; and half of what is passed there."""
        place = row.reshape(ends, axes) @ plant.turn
        half = np.diff(place, axis=0) / 2.0
        parts = place[:-1] + half, place, half, np.zeros_like(place)
        return (TURNS[:, None] * np.concatenate(parts)[:, None]).ravel()

    def driven(row: ndarray) -> ndarray:
        place, velocity, state = _steps(plant, row)
        command = np.stack([velocity[:-1], velocity[1:], np.diff(place, axis=0)])
        return _play(plant, state, np.einsum("icA,cnA->niA", plant.path["command"], command))

    def shaken(row: ndarray) -> ndarray:
        """By the mean of the steppers' deviation over each step, and by its change."""
        wave = np.sum(amplitude * row.reshape(-1, *amplitude.shape), axis=1)
        wave = wave @ np.linalg.inv(plant.turn)
        deviation = wave[: ends - 1] + plant.path["slope"] * np.diff(wave[ends - 1 :], axis=0)
        return _play(plant, np.zeros((2, axes)), plant.path["force"] * deviation[:, None])

    place = terms @ _matrix(lambda row: _steps(plant, row)[0].ravel(), size)
    at, over = np.split(_matrix(angles, ends * axes), 2, axis=1)
    half = jnp.clip(jnp.abs(place @ over), LEAST_ANGLE)
    wave = jnp.sin(place @ at + _float32(np.tile(phase.ravel(), 2 * ends - 1)))
    wave = wave * (jnp.sin(half) / half)
    return wave @ _matrix(shaken, wave.shape[1]) + terms @ _matrix(driven, size)


def _steps(
    plant: Plant, terms: Float64[ndarray, " t"]
) -> tuple[Float64[ndarray, "E A"], Float64[ndarray, "E A"], Float64[ndarray, "2 A"]]:
    """Positions and velocities at the ends, as in `plant_path.interpolate`, and the state."""
    ends, axes = plant.ends, plant.axes
    sizes = [plant.num_features] * 4 + [ends * axes] * 3
    before, wrapped, change, shifted, *by_end, state = np.split(terms, np.cumsum(sizes))
    ramp, since, after = (part.reshape(ends, axes) for part in by_end)
    left = _differ(plant, before, change) - shifted[plant.velocities]
    start, share = before[plant.velocities], plant.path["share"][:, None]
    velocity = start + ramp + left * 6.0 * share * (1.0 - share)
    distance = start * share + since / 2.0 + after + left * share**2 * (3.0 - 2.0 * share)
    place = wrapped[plant.positions] + distance / plant.rate_hz
    return place, velocity, state.reshape(2, axes)


def _play(
    plant: Plant,
    state: Float64[ndarray, "2 A"],
    driven: Float64[ndarray, "n 2 A"],
    rubbed: Float64[ndarray, "n 2 A"] | None = None,
) -> Float64[ndarray, " a"]:
    """What lies ahead: v and c of each step, and the state after the last one.

    Args:
        driven: what the command adds to lag and velocity in each step.
        rubbed: g of each step, and tanh(v) where motors pull each other; None for none.
    """
    (lag, u), ahead = state, []
    unit, strength = plant.path["friction_velocity_mm_s"], plant.strength
    rubbed = np.zeros_like(driven) if rubbed is None else rubbed
    for given, (loss, value) in zip(driven, rubbed, strict=True):
        lag_free, u_free = (
            row[0] * lag + row[1] * u + given[i] for i, row in enumerate(plant.path["transition"])
        )
        gain = (u_free - u) @ plant.turn / unit / strength
        ahead += [u @ plant.turn / unit, gain]
        mean = gain - value @ plant.others + loss / strength
        lag, u = lag_free - mean @ plant.friction[0], u_free - mean @ plant.friction[1]
    return np.concatenate([*ahead, lag, u])


def _rub(plant: Plant, ahead: Float[Array, "b a"]) -> Float[Array, "b a"]:
    """What lies ahead, once each step has taken its loss from all that comes after it."""
    axes, steps, size = plant.axes, plant.ends - 1, ahead.shape[1]
    k, none = plant.strength, np.zeros((axes, 1))
    # A first column is always one, so that a constant is a row of a matrix and no operator; first,
    # so that a product that is nearly as large is taken from it before anything is rounded.
    one = _float32([SATURATED] + [0.0] * axes)
    soft = _float32(np.block([[0.0, k / 2.0], [none, np.diag(-k / 2.0)]]))  # x / 2 of tanh(v)^2
    under = _float32(np.block([[1.0, -k - 1.0], [none, np.diag(k)]]))  # -x - 1
    mixed = _float32(np.block([[1.0, none.T], [none, np.eye(axes) + plant.others]]))

    def spread(row: ndarray, step: int) -> ndarray:
        """What a step's ratio and values add to all that lies ahead."""
        rubbed = np.zeros((steps, 2, axes))
        ratio, value = row.reshape(2, -1)
        rubbed[step] = -k * ratio[1:], value[1:]
        return _play(plant, np.zeros((2, axes)), np.zeros_like(rubbed), rubbed)

    for step in range(steps):
        columns = list(range(2 * axes * step, 2 * axes * (step + 1)))
        value = jnp.tanh(ahead @ _pick(size, [None, *columns[:axes]]) + one)
        over = value @ mixed if plant.others.any() else value
        over = over + ahead @ -_pick(size, [None, *columns[axes:]])
        square = value * value
        ratio = over / (jax.nn.soft_sign(square @ soft) + square @ under)
        by_ratio, by_value = np.split(
            _matrix(lambda row, step=step: spread(row, step), 2 * axes + 2), 2
        )
        ahead = ahead + ratio @ by_ratio
        if plant.others.any():
            ahead = ahead + value @ by_value
    return ahead


def _matrix(function: Callable[[ndarray], ndarray], size: int) -> Float32[ndarray, "size to"]:
    """Of a linear function of a row: what it makes of each row of the identity."""
    return _float32([function(row) for row in np.eye(size)])


def _float32(values: ArrayLike) -> Float32[ndarray, "..."]:
    return np.asarray(values, np.float32)


def _pick(size: int, columns: Sequence[int | None]) -> Float32[ndarray, "size to"]:
    """The matrix that picks columns of a row; None is zero."""
    identity = np.eye(size + 1, dtype=np.float32)
    return identity[:size, [size if column is None else column for column in columns]]
