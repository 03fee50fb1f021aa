"""Grey-box identification: an output-error fit of the elastic axes to traces, with intervals.

The plant of plant_path.py runs along the command of each piece of a trace, and its numbers are
those whose lag is nearest to the measured one in least squares (Levenberg and Marquardt, with
JAX's derivatives through the plant). Several first guesses of the frequency are refined on a few
short pieces each, without the stepper's deviation, and the best one of each axis on all. Axes are
independent of each other; those of a CoreXY are in the search, and then share friction and stepper.

The 95% intervals are those of a sandwich estimator over blocks of a second, so that residuals may
depend on their neighbours; they hold what chance does to the numbers, and nothing of what the plant
cannot say.

Source: Ljung, "System Identification", 1999, chapters 7 and 16; blocks as in Cameron and Miller,
"Cluster-Robust Inference", 2015.
"""

import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpy import ndarray

from jaxcorr import files, progress
from jaxcorr.data.windows import Samples
from jaxcorr.identify.levenberg_marquardt import descend
from jaxcorr.models import plant_path
from jaxcorr.models.plant_path import PERIODS_MM, Axes, Numbers, Sample, State, Steps
from jaxcorr.printer_spec import Kinematics

PIECE_S, MOST_PIECES = 6.0, 30
SEARCH_PIECE_S, SEARCH_PIECES = 2.0, 8  # for each start
SETTLE_S = 0.3  # until a piece has forgotten how its first sample came about
BLOCK_S = 1.0
START_SHARES = (0.06, 0.12, 0.2, 0.3, 0.45)  # of the sampling rate, frequencies to begin with
SEARCH_ITERATIONS, ITERATIONS = 10, 20
LEAST_TOLD = 1e-12  # of a direction, by the one that the traces tell most of
NORMAL_95 = 1.96
MOST_UNEXPLAINED = 0.5  # of an error's variance, by a plant that is of use

RESONANCE = ("frequency_hz", "damping_ratio")
# The numbers of an axis are in the order of Axes, those of each period one after the other.
NUM_SEARCHED = 6  # the stepper's part is found from there, and at last the other motor's friction
NUM_CARTESIAN = NUM_SEARCHED + 2 * len(PERIODS_MM)
NUM_NUMBERS = {"cartesian": NUM_CARTESIAN, "corexy": NUM_CARTESIAN + 1}
# Frequency, damping and the friction's speed are above zero and fitted by their logarithms.
IS_LOG = np.isin(np.arange(NUM_CARTESIAN + 1), (0, 1, 3))
FRICTION = 2  # its place
# Friction pushes against the motion; the bounds of logarithms are far from what a machine has, and
# at one of them the traces do not tell the number.
LOWEST = (0.1, 1e-3, 0.0, 0.01)
HIGHEST = (np.inf, 10.0, np.inf, 300.0)
MOST_SHARE = 1.0  # of the sampling rate, for the frequency
BEGIN = (np.nan, 0.2, 0.03, 3.0)


class Piece(NamedTuple):
    """A stretch of a trace, or L of them. Axes: T samples, A axes of the printer."""

    position_mm: Float[Any, "T *L A"]
    velocity_mm_s: Float[Any, "T *L A"]
    error_mm: Float[Any, "T *L A"]  # actual - command; NaN where it is not known


class _Table(NamedTuple):
    """Pieces side by side. Axes: T samples, L pieces, K groups of axes that are fitted by
    themselves, A axes of each, n steps a sample."""

    steps: Steps  # (n + 1, T, L, K, A) and (T, L, K, A), from the sample before
    error_mm: Float[Any, "T L K A"]


class Identified(NamedTuple):
    """What was found, per axis.

    Attributes:
        axes: the numbers, in float64.
        low, high: ends of their 95% intervals; infinite where the traces tell nothing.
        is_at_bound: whether each number ended at a bound.
        rms_mm: (A,) what is not explained.
        unexplained: (A,) its share of the error's variance.
        num_samples: that the fit went over, per axis.
    """

    axes: Axes
    low: Axes
    high: Axes
    is_at_bound: Axes
    rms_mm: Float[ndarray, " A"]
    unexplained: Float[ndarray, " A"]
    num_samples: int


def identify(
    traces: Iterable[Piece], rate_hz: float, kinematics: Kinematics = "cartesian"
) -> Identified:
    """Fits the plant to traces.

    Args:
        traces: commands and errors, each at a steady rate.
        rate_hz: of them all.
        kinematics: a CoreXY has two axes, x and y.
    """
    pieces = _cut(traces, PIECE_S * rate_hz, MOST_PIECES)
    num_axes, num_numbers = pieces[0].error_mm.shape[1], NUM_NUMBERS[kinematics]
    num_groups = 1 if kinematics == "corexy" else num_axes
    with jax.enable_x64(True), jax.default_device(jax.local_devices(backend="cpu")[0]):
        few = _table(_cut(pieces, SEARCH_PIECE_S * rate_hz, SEARCH_PIECES), rate_hz, num_axes)
        searched = _descend(_starts(rate_hz, num_axes), few, rate_hz, SEARCH_ITERATIONS)
        best = np.argmin(searched.cost.sum(axis=2), axis=0)[None, :, None]
        begin = np.zeros((1, num_axes, num_numbers))
        begin[..., :NUM_SEARCHED] = np.take_along_axis(searched.numbers, best, axis=0)
        if kinematics == "corexy":
            begin[..., FRICTION] /= 2.0
            begin[..., -1] = begin[..., FRICTION]
        table = _table(pieces, rate_hz, num_groups)
        fit = _descend(begin.reshape(1, num_groups, -1), table, rate_hz, ITERATIONS)
    found, costs, scores, hessian = (part[0] for part in fit)
    lowest, highest = _bounds(rate_hz, found.shape[-1], num_axes // num_groups)
    is_at_bound = (found <= lowest) | (found >= highest)
    deviation = np.stack(
        [_deviate(*each) for each in zip(scores, hessian, is_at_bound, strict=True)]
    )
    found, deviation, is_at_bound = (
        part.reshape(num_axes, -1) for part in (found, deviation, is_at_bound)
    )
    costs, error = costs.ravel(), table.error_mm.reshape(-1, num_axes)
    count, power = np.sum(np.isfinite(error), axis=0), np.nanvar(error, axis=0)
    return Identified(
        axes=_as_axes(found),
        low=_as_axes(found - NORMAL_95 * deviation),
        high=_as_axes(found + NORMAL_95 * deviation),
        is_at_bound=_name(is_at_bound.T),
        rms_mm=np.sqrt(costs / count),
        unexplained=costs / count / np.maximum(power, np.finfo(float).tiny),
        num_samples=int(count.min()),
    )


def is_fit(found: Identified) -> bool:
    """Whether the plant explains most of each axis's error, and the traces tell its resonance."""
    return bool(np.all(found.unexplained < MOST_UNEXPLAINED)) and not untold(found)


def untold(found: Identified) -> list[str]:
    """What of a resonance the traces do not tell: numbers at a bound, or an interval reaches it.

    Of a servo that lags behind its command, damping cannot be told from none.
    """
    lowest = dict(zip(RESONANCE, LOWEST, strict=False))  # its first ones
    return [
        name
        for name in RESONANCE
        if np.any(getattr(found.is_at_bound, name))
        # An infinite interval is one that could not be found.
        or np.any(np.isfinite(low := getattr(found.low, name)) & (low <= lowest[name]))
    ]


def pieces_of(
    samples: Samples, positions: Sequence[int], velocities: Sequence[int], horizon: int
) -> list[Piece]:
    """Traces of a table, spread over it and no more than a fit takes, errors at their commands.

    Args:
        samples: a split.
        positions, velocities: columns of the features, by axis.
        horizon: samples from a row to its target.
    """
    chosen = np.linspace(0, len(samples.names) - 1, min(MOST_PIECES, len(samples.names)))
    spans, found = samples.spans(), []
    for trace in np.unique(chosen.round().astype(int)):
        rows = spans[trace]
        features = samples.features[rows]
        error = np.full(samples.targets[rows].shape, np.nan)
        known = samples.targets[rows][samples.lead :]
        begin = max(horizon, 0)
        error[begin : begin + len(known)] = known[: len(error) - begin]
        found.append(Piece(features[:, list(positions)], features[:, list(velocities)], error))
    return found


ARRAYS = ("axes", "low", "high", "is_at_bound", "rms_mm", "unexplained", "num_samples")


def arrays_of(num_axes: int, kinematics: Kinematics) -> dict[str, files.Array]:
    """What `to_arrays` gives for so many axes, none for nothing."""
    numbers, per_axis = (NUM_NUMBERS[kinematics], num_axes), (num_axes,)
    return {
        "axes": files.Array("f", numbers),
        "low": files.Array("n", numbers),
        "high": files.Array("n", numbers),
        "is_at_bound": files.Array("b" if num_axes else "f", numbers),
        "rms_mm": files.Array("f", per_axis),
        "unexplained": files.Array("f", per_axis),
        "num_samples": files.Array("i") if num_axes else files.Array("f", (0,)),
    }


def to_arrays(found: Identified | None) -> dict[str, ndarray]:
    """As ARRAYS, to be kept in a file; those of no axes for nothing."""
    if found is None:
        empty = {name: np.zeros((NUM_CARTESIAN, 0)) for name in ARRAYS[:4]}
        return empty | {name: np.zeros(0) for name in ARRAYS[4:]}
    stacked = {name: np.vstack(jax.tree.leaves(getattr(found, name))) for name in ARRAYS[:4]}
    return stacked | {name: np.asarray(getattr(found, name)) for name in ARRAYS[4:]}


def from_arrays(kept: Mapping[str, ndarray]) -> Identified | None:
    """What `to_arrays` made them of."""
    if not kept["axes"].size:
        return None
    return Identified(
        **{name: _name(kept[name]) for name in ARRAYS[:4]},
        rms_mm=kept["rms_mm"],
        unexplained=kept["unexplained"],
        num_samples=int(kept["num_samples"]),
    )


def _cut(traces: Iterable[Piece], length: float, most: int) -> list[Piece]:
    """At most so many pieces of a length, spread over those that are long enough to say much."""
    rows = max(round(length), 1)
    pieces = [
        Piece(*(column[begin : begin + rows] for column in trace))
        for trace in traces
        for begin in range(0, len(trace.error_mm), rows)
    ]
    longest = max(len(piece.error_mm) for piece in pieces)
    whole = [piece for piece in pieces if len(piece.error_mm) >= longest / 2]
    places = np.linspace(0, len(whole) - 1, min(most, len(whole))).round().astype(int)
    return [whole[place] for place in places]


def _table(pieces: Sequence[Piece], rate_hz: float, num_groups: int) -> _Table:
    """Pieces side by side, all but the first sample; errors that do not count are NaN."""
    length = max(len(piece.error_mm) for piece in pieces)
    settle = min(round(SETTLE_S * rate_hz), length // 4)
    position, velocity, error = (
        np.stack([_extend(piece[i], length, mode) for piece in pieces], axis=1)
        for i, mode in enumerate(("edge", "edge", "nan"))
    )
    error[:settle] = np.nan
    command = Sample(jnp.asarray(position), jnp.asarray(velocity))
    table = _Table(_interpolate(command, rate_hz), error[1:])
    return jax.tree.map(
        lambda column: np.asarray(column).reshape(*column.shape[:-1], num_groups, -1), table
    )


_interpolate = jax.jit(plant_path.interpolate_all, static_argnums=1)


def _extend(column: ndarray, length: int, mode: str) -> ndarray:
    missing = ((0, length - len(column)), (0, 0))
    if mode == "nan":
        return np.pad(column.astype(np.float64), missing, constant_values=np.nan)
    return np.pad(column.astype(np.float64), missing, mode="edge")


def _starts(rate_hz: float, num_axes: int) -> Float[ndarray, "S A p"]:
    values = np.zeros((len(START_SHARES), num_axes, NUM_SEARCHED))
    values[..., : len(BEGIN)] = BEGIN
    values[..., 0] = rate_hz * np.array(START_SHARES)[:, None]
    is_log = IS_LOG[:NUM_SEARCHED]
    values[..., is_log] = np.log(values[..., is_log])
    return values


def _bounds(
    rate_hz: float, count: int, num_axes: int
) -> tuple[Float[ndarray, " P"], Float[ndarray, " P"]]:
    """Of so many numbers of a group of axes."""
    lowest, highest = np.full(len(IS_LOG), -np.inf), np.full(len(IS_LOG), np.inf)
    lowest[: len(LOWEST)], highest[: len(HIGHEST)] = LOWEST, HIGHEST
    lowest[NUM_CARTESIAN:] = LOWEST[FRICTION]
    highest[0] = MOST_SHARE * rate_hz
    lowest[IS_LOG], highest[IS_LOG] = np.log(lowest[IS_LOG]), np.log(highest[IS_LOG])
    low, high = (np.tile(bound[: count // num_axes], num_axes) for bound in (lowest, highest))
    return low, high


def _as_axes(numbers: Float[ndarray, "A P"]) -> Axes:
    """From the numbers as they are fitted."""
    is_log = IS_LOG[: numbers.shape[-1]]
    values = np.where(is_log, np.exp(np.clip(numbers, -700.0, 700.0)), numbers)
    return _name(values.T)


def _name(values: Numbers) -> Axes:
    """An axis's numbers, a row each, to fields."""
    half = len(PERIODS_MM)
    sine, cosine = (values[at : at + half] for at in (NUM_SEARCHED, NUM_SEARCHED + half))
    frequency, damping, friction, velocity, viscous, offset = values[:NUM_SEARCHED]
    other = values[NUM_CARTESIAN] if len(values) > NUM_CARTESIAN else None
    return Axes(frequency, damping, friction, velocity, viscous, offset, sine, cosine, other)


def _residual(numbers: Float[Array, " P"], table: _Table, rate_hz: float) -> Float[Array, "T A"]:
    """Of a group of axes along one piece: model less measurement, zero where there is none."""
    values = numbers.reshape(table.error_mm.shape[1], -1).T
    values = jnp.pad(values, ((0, max(NUM_CARTESIAN - len(values), 0)), (0, 0)))
    values = jnp.where(IS_LOG[: len(values), None], jnp.exp(values), values)
    path = plant_path.discretize(_name(values), rate_hz, plant_path.count_steps(rate_hz))
    driven = jnp.moveaxis(plant_path.drive(path, table.steps), 2, 0)

    # Loops in a loop are compiled in half of the time of one with the steps side by side.
    def advance(state: State, driven: Array) -> tuple[State, None]:
        return plant_path.advance(path, state, driven[None]), None

    def sample(state: State, driven: Array) -> tuple[State, Array]:
        state, _ = jax.lax.scan(advance, state, driven)
        return state, state.lag_mm[0]

    begin = table.steps.velocity_mm_s[0, 0][None]
    begun = State(jnp.zeros_like(begin), begin)
    _, lag = jax.lax.scan(sample, begun, driven)
    lag, error = lag + path["offset_mm"], table.error_mm
    return jnp.where(jnp.isfinite(error), lag - jnp.nan_to_num(error), 0.0)


class _Sums(NamedTuple):
    """Of lanes or of starts, n of them: squares, and half of Gauss and Newton's derivatives."""

    cost: Float[ndarray, "n K A"]
    hessian: Float[ndarray, "n K P P"]
    scores: Float[ndarray, "n K B P"]


@functools.partial(jax.jit, static_argnames="rate_hz")
def _evaluate(
    numbers: Float[Array, "L K P"], table: _Table, rate_hz: float
) -> tuple[Float[Array, "L K A"], Float[Array, "L K P P"], Float[Array, "L K B P"]]:
    """The fields of `_Sums`, of each lane with numbers of its own."""
    length = min(max(round(BLOCK_S * rate_hz), 1), len(table.error_mm))

    def twice(numbers: Array, table: _Table) -> tuple[Array, Array]:
        left = _residual(numbers, table, rate_hz)
        return left, left  # to be differentiated, and for itself

    def one(numbers: Array, table: _Table) -> tuple[Array, Array, Array]:
        slopes, left = jax.jacfwd(twice, has_aux=True)(numbers, table)
        products = jnp.sum(left[..., None] * slopes, axis=1)
        products = jnp.pad(products, ((0, -len(left) % length), (0, 0)))
        scores = products.reshape(-1, length, len(numbers)).sum(axis=1)
        slopes = slopes.reshape(-1, len(numbers))
        return jnp.sum(left**2, axis=0), slopes.T @ slopes, scores

    return jax.vmap(jax.vmap(one, (0, -2)), (0, -3))(numbers, table)


class _Fit(NamedTuple):
    """Where each of S starts ended."""

    numbers: Float[ndarray, "S K P"]
    cost: Float[ndarray, "S K A"]
    scores: Float[ndarray, "S K B P"]
    hessian: Float[ndarray, "S K P P"]


def _descend(
    numbers: Float[ndarray, "S K P"], table: _Table, rate_hz: float, iterations: int
) -> _Fit:
    """Levenberg and Marquardt's steps, of each start and group for itself; numbers that are left
    out are zero."""
    bounds = _bounds(rate_hz, numbers.shape[-1], table.error_mm.shape[-1])

    def look(numbers: ndarray) -> tuple[ndarray, ...]:
        cost, hessian, scores = _total(numbers, table, rate_hz)
        return cost.sum(axis=2), scores.sum(axis=2), hessian, cost, scores

    counted = progress.count(range(iterations), "")
    numbers, (_, _, hessian, cost, scores) = descend(look, numbers, bounds, counted)
    return _Fit(numbers, cost, scores, hessian)


def _total(numbers: Float[ndarray, "S K P"], table: _Table, rate_hz: float) -> _Sums:
    """Sums over all pieces for each start."""
    num_starts, num_pieces = len(numbers), table.error_mm.shape[1]
    start, piece = np.divmod(np.arange(num_starts * num_pieces), num_pieces)
    wide = jax.tree.map(lambda column: column[..., piece, :, :], table)
    found = [np.asarray(part) for part in _evaluate(numbers[start], wide, rate_hz)]
    cost, hessian, scores = (
        part.reshape(num_starts, num_pieces, *part.shape[1:]) for part in found
    )
    blocks = np.moveaxis(scores, 1, 2).reshape(num_starts, cost.shape[2], -1, numbers.shape[-1])
    return _Sums(cost.sum(axis=1), hessian.sum(axis=1), blocks)


def _deviate(
    scores: Float[ndarray, "B P"], hessian: Float[ndarray, "P P"], is_held: ndarray
) -> Float[ndarray, " P"]:
    """Standard deviations from the blocks; infinite where the traces tell nothing."""
    size = np.sqrt(np.diagonal(hessian))
    is_free = (size > 0) & ~is_held
    found = np.full(len(size), np.inf)
    if not is_free.any():
        return found
    scale = 1.0 / size[is_free]
    values, vectors = np.linalg.eigh(hessian[np.ix_(is_free, is_free)] * np.outer(scale, scale))
    if values[0] < LEAST_TOLD:
        return found
    inverse = (vectors / values) @ vectors.T
    blocks = scores[np.any(scores != 0.0, axis=1)][:, is_free] * scale
    spread = inverse @ (blocks.T @ blocks) @ inverse * len(blocks) / max(len(blocks) - 1, 1)
    found[is_free] = np.sqrt(np.diagonal(spread)) * scale
    return found
