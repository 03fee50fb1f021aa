"""Baselines that a network has to beat: zero, mean, linear regressions and the identified plant.

Each is fitted on the training traces and answers from the samples up to now, at the same horizon as
the network.

  zero            no correction
  mean            the mean training error of each axis
  linear_fir      ridge regression on the last 20 samples of the velocities, and a constant
  linear_binned   that, and for the last 4 samples: 16 bins of travel direction, 20 of speed, those
                  again while slowing down, and the direction's unit vector within each bin of
                  speed; edges as in linear_path.py, where a network may stand on this regression
  physics         the elastic axes with friction and stepper error of plant_path.py, by grey_box.py

The regressions go through normal equations, summed trace by trace, so memory does not grow with the
number of traces. Of several strengths of ridge the one that does best on the validation traces is
kept.
"""

import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32
from numpy import ndarray

from jaxcorr import files
from jaxcorr.data.windows import Samples
from jaxcorr.models import bulk, grey_box, plant_path
from jaxcorr.models.grey_box import Identified
from jaxcorr.models.linear_path import (
    NUM_BINNED_LAGS,
    NUM_SECTORS,
    REST_MM_S,
    SLOWING_MM_S,
    SPEED_EDGES_MM_S,
)
from jaxcorr.models.plant_path import Sample
from jaxcorr.spec import NUM_LAGS, Data, own_positions, own_velocities

RIDGES = (1e-9, 1e-6, 1e-3)  # of a regressor's mean square
BLOCK = 20_000  # rows of regressors in memory at once
# A regression with hundreds of coefficients gains nothing from more rows than this.
MOST_ROWS = 400_000
PLANT = tuple(f"plant_{name}" for name in grey_box.ARRAYS)  # as they are called in a file

Table = Float[ndarray, "_ _"]


class Fitted(NamedTuple):
    """Everything that the baselines learned. Axes: k targets, p regressors.

    Attributes:
        horizon: samples from the newest one to the predicted error.
        rate_hz: sampling rate.
        velocity: columns of the features that the regressors are made of.
        is_position: whether those columns have to be differentiated first.
        mean_mm: (k,).
        fir, binned: (p, k), mm per unit of each regressor.
        plant: of each axis; None where a target has no position and velocity of its own.
        motion: columns of the features that the plant follows, positions and then velocities.
    """

    horizon: int
    rate_hz: float
    velocity: tuple[int, ...]
    is_position: bool
    mean_mm: Float[ndarray, " k"]
    fir: Float[ndarray, "p k"]
    binned: Float[ndarray, "q k"]
    plant: Identified | None
    motion: tuple[int, ...]


def fit(data: Data, train: Samples, val: Samples) -> Fitted:
    """Fits all baselines on the training traces.

    Args:
        data: names of features and targets, horizon, sampling rate.
        train, val: tables of the two splits; an empty `val` is replaced by `train`.
    """
    velocity, is_position = _velocity_columns(data)

    total, count = 0.0, 0
    for _, targets in each_trace(train):
        total = total + targets[train.lead :].sum(axis=0)
        count += len(targets) - train.lead
    fir, binned = (regress(data, train, val, design) for design in (fir_design, binned_design))
    return Fitted(
        horizon=data.horizon,
        rate_hz=data.sample_rate_hz,
        velocity=velocity,
        is_position=is_position,
        mean_mm=np.asarray(total / count),
        fir=fir,
        binned=binned,
        plant=identify(data, train),
        motion=_motion_columns(data),
    )


def identify(data: Data, train: Samples) -> Identified | None:
    """The plant of each axis; None where a target has no position and velocity of its own."""
    if not (motion := _motion_columns(data)):
        return None
    positions, velocities = np.split(np.array(motion), 2)
    pieces = grey_box.pieces_of(train, positions.tolist(), velocities.tolist(), data.horizon)
    return grey_box.identify(pieces, data.sample_rate_hz)


def regress(
    data: Data, train: Samples, val: Samples, design: Callable[[Table], Table]
) -> Float[ndarray, "p k"]:
    """Coefficients (mm per unit) of a ridge regression on the columns that a design makes.

    Args:
        data: as for `fit`.
        train: is fitted.
        val: judges the strengths of ridge; where it is empty, `train` does.
    """
    velocity, is_position = _velocity_columns(data)

    def sums(samples: Samples) -> _Sums:
        speeds = (
            (_speeds(features, velocity, is_position, data.sample_rate_hz), targets)
            for features, targets in each_trace(samples)
        )
        return _sums(speeds, samples.lead, design, step)

    count = int(train.num_rows.sum()) - train.lead * len(train.num_rows)
    step = max(1, -(-count // MOST_ROWS))
    return _solve(sums(train), sums(val if len(val.names) else train))


def apply_binned(coefficients: Float[ndarray, "p k"], speeds_mm_s: Table) -> Table:
    """Predicted errors (mm) of one trace by a regression on `binned_design`."""
    return _apply(binned_design, coefficients, speeds_mm_s)


def predict(fitted: Fitted, samples: Samples) -> dict[str, Table]:
    """Predicted errors (mm) of every row by each baseline, from the rows before it and itself."""
    num_targets = len(fitted.mean_mm)
    names = ["zero", "mean", "linear_fir", "linear_binned"]
    names += ["physics"] if fitted.plant is not None else []
    found = {name: np.zeros((len(samples.features), num_targets)) for name in names}
    found["mean"] += fitted.mean_mm
    for rows, (features, _) in zip(samples.spans(), each_trace(samples), strict=True):
        v = _speeds(features, fitted.velocity, fitted.is_position, fitted.rate_hz)
        found["linear_fir"][rows] = _apply(fir_design, fitted.fir, v)
        found["linear_binned"][rows] = apply_binned(fitted.binned, v)
    if fitted.plant is not None:
        path = plant_path.from_axes(fitted.plant.axes, fitted.rate_hz)
        how = (path, fitted.horizon, fitted.rate_hz, fitted.motion)
        found["physics"] += apply_plant(*how, samples)
    return found


def apply_plant(
    path: plant_path.Path, horizon: int, rate_hz: float, motion: Sequence[int], samples: Samples
) -> Float32[ndarray, "rows k"]:
    """Predicted errors (mm) of every row by a plant alone.

    Args:
        path: of `plant_path.from_axes`.
        horizon: samples from a row to the error.
        rate_hz: of the rows.
        motion: columns of the axes' positions, then of their velocities.
        samples: a split.
    """
    num_axes = samples.targets.shape[1]

    def begin(num_streams: int) -> tuple[Array, Array, Array]:
        memory = plant_path.initialize(num_streams, num_axes, horizon)
        return memory, jnp.zeros((num_streams, 2 * num_axes)), jnp.zeros((num_streams, 1))

    how = functools.partial(_follow, path, rate_hz, horizon, tuple(motion))
    return bulk.run_side_by_side(how, begin, samples)


@functools.partial(jax.jit, static_argnums=(1, 2, 3))
def _follow(
    path: plant_path.Path,
    rate_hz: float,
    horizon: int,
    motion: tuple[int, ...],
    carry: tuple[Array, Array, Array],
    rows: Float[Array, "t b f"],
) -> tuple[tuple[Array, Array, Array], Float[Array, "t b k"]]:
    memory, last, is_started = carry
    moved = rows[..., jnp.array(motion)]
    command, before = (Sample(*jnp.split(each, 2, axis=-1)) for each in (moved, last))
    memory, errors = plant_path.follow(path, rate_hz, horizon, memory, command, before, is_started)
    return (memory, moved[-1], jnp.ones_like(is_started)), errors


def save(path: Path, fitted: Fitted) -> None:
    """Keeps the coefficients in a run folder."""
    fields = fitted._asdict()
    plant = grey_box.to_arrays(fields.pop("plant"))
    files.save_arrays(path, fields | dict(zip(PLANT, plant.values(), strict=True)))


def load(path: Path) -> Fitted:
    """What `save` kept.

    Raises:
        InputError: the file is missing or damaged.
    """
    what, mend = "the run's fitted baselines", "Train the run again."
    own = [name for name in Fitted._fields if name != "plant"]
    fields = files.load_arrays(path, [*own, *PLANT], what, mend)
    plant = grey_box.from_arrays({name: fields[f"plant_{name}"] for name in grey_box.ARRAYS})
    return Fitted(**{name: fields[name] for name in own}, plant=plant)._replace(
        horizon=int(fields["horizon"]),
        rate_hz=float(fields["rate_hz"]),
        velocity=tuple(map(int, fields["velocity"])),
        is_position=bool(fields["is_position"]),
        motion=tuple(map(int, fields["motion"])),
    )


def each_trace(samples: Samples) -> Iterator[tuple[Table, Table]]:
    """Features and targets of one trace after the other, in float64."""
    for span in samples.spans():
        yield (
            np.asarray(samples.features[span], np.float64),
            np.asarray(samples.targets[span], np.float64),
        )


def fir_design(speeds_mm_s: Table) -> Table:
    """The last NUM_LAGS samples of each velocity, zero before the trace begins, and a one."""
    return np.column_stack([_lagged(speeds_mm_s, NUM_LAGS), np.ones(len(speeds_mm_s))])


def binned_design(speeds_mm_s: Table) -> Table:
    """The regressors of `fir_design`, and direction and speed in bins."""
    first_two = speeds_mm_s[:, :2]
    speed = np.linalg.norm(first_two, axis=1)
    is_moving = speed >= REST_MM_S
    angle = np.arctan2(first_two[:, -1], first_two[:, 0])
    # Sectors are centred on the axes.
    turn = (angle + np.pi) / (2 * np.pi) * NUM_SECTORS
    sector = np.floor(turn + 0.5).astype(int) % NUM_SECTORS
    sectors = np.eye(NUM_SECTORS + 1)[np.where(is_moving, sector, NUM_SECTORS)]
    bands = np.eye(len(SPEED_EDGES_MM_S) + 1)[np.digitize(speed, SPEED_EDGES_MM_S)]
    slowing = np.diff(speed, prepend=0.0) < -SLOWING_MM_S
    unit = first_two / np.maximum(speed, REST_MM_S)[:, None]
    directed = (unit[:, :, None] * bands[:, None]).reshape(len(speed), -1)
    binned = np.column_stack([sectors, bands, bands * slowing[:, None], directed])
    return np.column_stack([fir_design(speeds_mm_s), _lagged(binned, NUM_BINNED_LAGS)])


class _Sums(NamedTuple):
    """Sufficient statistics of a regression: X'X, X'Y and the squares of Y."""

    gram: Float[ndarray, "p p"]
    moment: Float[ndarray, "p k"]
    power: Float[ndarray, " k"]


def _sums(
    traces: Iterator[tuple[Table, Table]],
    lead: int,
    design: Callable[[Table], Table],
    step: int,
) -> _Sums:
    """Sums over all rows with a target, or over those of every `step`-th block."""
    gram, moment, power = 0.0, 0.0, 0.0
    blocks = ((speeds, targets, rows) for speeds, targets in traces for rows in _blocks(speeds))
    for speeds, targets, rows in itertools.islice(blocks, 0, None, step):
        keep = np.arange(rows.start, rows.stop) >= lead
        x, y = _look_back(design, speeds, rows)[keep], targets[rows][keep]
        gram, moment, power = gram + x.T @ x, moment + x.T @ y, power + np.sum(y**2, axis=0)
    return _Sums(np.asarray(gram), np.asarray(moment), np.asarray(power))


def _blocks(speeds: Table) -> Iterator[slice]:
    for start in range(0, len(speeds), BLOCK):
        yield slice(start, min(start + BLOCK, len(speeds)))


def _look_back(design: Callable[[Table], Table], speeds: Table, rows: slice) -> Table:
    """Regressors of some rows of a trace, made with the rows before that they look back on."""
    begin = max(rows.start - NUM_LAGS, 0)
    return design(speeds[begin : rows.stop])[rows.start - begin :]


def _apply(design: Callable[[Table], Table], weights: Table, speeds: Table) -> Table:
    return np.concatenate([_look_back(design, speeds, rows) @ weights for rows in _blocks(speeds)])


def _solve(train: _Sums, judge: _Sums) -> Table:
    """Ridge regression in units of each regressor's size, with the ridge that judges best."""
    size = np.sqrt(np.diag(train.gram))
    scale = np.where(size > 0, 1 / np.where(size > 0, size, 1.0), 0.0)
    gram = train.gram * scale[:, None] * scale
    values, vectors = np.linalg.eigh(gram)
    moment = vectors.T @ (train.moment * scale[:, None])
    best, least = np.zeros_like(train.moment), np.inf
    for ridge in RIDGES:
        inverse = 1 / (np.maximum(values, 0.0) + ridge)
        weights = (vectors @ (inverse[:, None] * moment)) * scale[:, None]
        squares = np.sum(weights * (judge.gram @ weights - 2 * judge.moment), axis=0)
        left = float(np.sum(judge.power + squares))
        if left < least:
            best, least = weights, left
    return best


def _motion_columns(data: Data) -> tuple[int, ...]:
    """Each target's own position, then each one's velocity; none where one is missing."""
    positions, velocities = own_positions(data), own_velocities(data)
    return (*positions, *velocities) if positions and velocities else ()


def _velocity_columns(data: Data) -> tuple[tuple[int, ...], bool]:
    """The velocities among the features; all of them, to be differentiated, where there is none."""
    if own := own_velocities(data):
        return own, False
    found = [i for i, name in enumerate(data.features) if name.startswith("v")]
    return (tuple(found), False) if found else (tuple(range(len(data.features))), True)


def _speeds(features: Table, columns: Sequence[int], is_position: bool, rate_hz: float) -> Table:
    chosen = features[:, list(columns)]
    return np.diff(chosen, axis=0, prepend=chosen[:1]) * rate_hz if is_position else chosen


def _lagged(values: Table, num_lags: int) -> Table:
    """A row's values, those of the row before, and so on, side by side; zero before the first."""
    padded = np.concatenate([np.zeros((num_lags - 1, values.shape[1])), values])
    return np.column_stack([padded[num_lags - 1 - k : len(padded) - k] for k in range(num_lags)])
