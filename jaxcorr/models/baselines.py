"""Baselines that a network has to beat: zero, mean, linear regressions and the identified plant.

Each is fitted on the training traces and answers from the samples up to now, at the same horizon as
the network.

  zero            no correction
  mean            the mean training error of each axis
  linear_fir      ridge regression on the last 190 ms of the velocities, and a constant; at
                  100 Hz any response to them, faster ones are linear between some lags
  linear_smooth   ridge regression on smooth functions of velocity, see smooth_path.py; where each
                  target has a velocity of its own
  physics         the elastic axes with friction and stepper error of plant_path.py, by grey_box.py

The regressions go through normal equations, summed trace by trace, so memory does not grow with the
number of traces. Of several strengths of ridge `linear_fir` has the one that does best on the
validation traces.
"""

import functools
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32
from numpy import ndarray

from jaxcorr import files
from jaxcorr.data.windows import Samples
from jaxcorr.models import bulk, grey_box, plant_path, smooth_fit, smooth_path
from jaxcorr.models.grey_box import Identified
from jaxcorr.models.plant_path import Sample
from jaxcorr.models.smooth_fit import Sums
from jaxcorr.spec import Data, kinematics_of, own_positions, own_velocities

RIDGES = (1e-9, 1e-6, 1e-3)  # of a regressor's mean square
BLOCK = 20_000  # rows of regressors in memory at once
# A regression with hundreds of coefficients gains nothing from more rows than this.
MOST_ROWS = 400_000
LEARNED = ("mean_mm", "fir")
PLANT = tuple(f"plant_{name}" for name in grey_box.ARRAYS)  # as they are called in a file
SMOOTH = tuple(f"smooth_{name}" for name in smooth_path.ARRAYS)

Table = Float[ndarray, "_ _"]


class Fitted(NamedTuple):
    """Everything that the baselines learned. Axes: k targets, p regressors.

    Attributes:
        horizon: samples from the newest one to the predicted error.
        rate_hz: sampling rate.
        velocity: columns of the features that the regressors are made of.
        is_position: whether those columns have to be differentiated first.
        mean_mm: (k,).
        fir: (p, k), mm per unit of each regressor.
        smooth: as `smooth_path.blank` has it; None where a target has no velocity of its own.
        own: columns of the features that it follows.
        plant: of each axis; None where a target has no position and velocity of its own.
        motion: columns of the features that the plant follows, positions and then velocities.
    """

    horizon: int
    rate_hz: float
    velocity: tuple[int, ...]
    is_position: bool
    mean_mm: Float[ndarray, " k"]
    fir: Float[ndarray, "p k"]
    smooth: smooth_path.Path | None
    own: tuple[int, ...]
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
    return Fitted(
        horizon=data.horizon,
        rate_hz=data.sample_rate_hz,
        velocity=velocity,
        is_position=is_position,
        mean_mm=np.asarray(total / count),
        fir=regress(data, train, val),
        smooth=fit_smooth(data, train),
        own=own_velocities(data) or (),
        plant=identify(data, train),
        motion=_motion_columns(data),
    )


def fit_smooth(data: Data, train: Samples) -> smooth_path.Path | None:
    """The smooth path of each axis; None where a target has no velocity of its own."""
    own = own_velocities(data)
    return smooth_fit.fit(train, own, data.sample_rate_hz) if own else None


def identify(data: Data, train: Samples) -> Identified | None:
    """The plant of each axis; None where a target has no position and velocity of its own."""
    if not (motion := _motion_columns(data)):
        return None
    positions, velocities = np.split(np.array(motion), 2)
    pieces = grey_box.pieces_of(train, positions.tolist(), velocities.tolist(), data.horizon)
    return grey_box.identify(pieces, data.sample_rate_hz, kinematics_of(data))


def regress(data: Data, train: Samples, val: Samples) -> Float[ndarray, "p k"]:
    """Coefficients (mm per unit) of a ridge regression on the columns of `fir_design`.

    Args:
        data: as for `fit`.
        train: is fitted.
        val: judges the strengths of ridge; where it is empty, `train` does.
    """
    velocity, is_position = _velocity_columns(data)
    hats = smooth_fit.velocity_hats(data.sample_rate_hz)

    def sums(samples: Samples) -> Sums:
        speeds = (
            (_speeds(features, velocity, is_position, data.sample_rate_hz), targets)
            for features, targets in each_trace(samples)
        )
        return _sums(speeds, samples.lead, hats, step)

    count = int(train.num_rows.sum()) - train.lead * len(train.num_rows)
    step = max(1, -(-count // MOST_ROWS))
    return _solve(sums(train), sums(val if len(val.names) else train))


def apply_smooth(
    path: smooth_path.Path, rate_hz: float, velocities: Sequence[int], samples: Samples
) -> Float32[ndarray, "rows k"]:
    """Predicted errors (mm) of every row by a smooth path alone.

    Args:
        path: of `fit_smooth`.
        rate_hz: of the rows.
        velocities: column of the features of each axis.
        samples: a split.
    """
    begin = functools.partial(smooth_path.initialize, num_axes=len(velocities), rate_hz=rate_hz)
    how = functools.partial(_follow_smoothly, path, tuple(velocities))
    return bulk.run_side_by_side(how, begin, samples)


@functools.partial(jax.jit, static_argnums=1)
def _follow_smoothly(
    path: smooth_path.Path,
    velocities: tuple[int, ...],
    pending: Float[Array, "b p"],
    rows: Float[Array, "t b f"],
) -> tuple[Float[Array, "b p"], Float[Array, "t b k"]]:
    return smooth_path.advance(path, pending, rows[..., jnp.array(velocities)])


def predict(fitted: Fitted, samples: Samples) -> dict[str, Table]:
    """Predicted errors (mm) of every row by each baseline, from the rows before it and itself."""
    num_targets = len(fitted.mean_mm)
    names = ["zero", "mean", "linear_fir"]
    names += ["linear_smooth"] if fitted.smooth is not None else []
    names += ["physics"] if fitted.plant is not None else []
    found = {name: np.zeros((len(samples.features), num_targets)) for name in names}
    found["mean"] += fitted.mean_mm
    hats = smooth_fit.velocity_hats(fitted.rate_hz)
    for rows, (features, _) in zip(samples.spans(), each_trace(samples), strict=True):
        v = _speeds(features, fitted.velocity, fitted.is_position, fitted.rate_hz)
        found["linear_fir"][rows] = _apply(hats, fitted.fir, v)
    if fitted.smooth is not None:
        smooth = fitted.smooth, fitted.rate_hz, fitted.own
        found["linear_smooth"] += apply_smooth(*smooth, samples)
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
    """Keeps what was fitted in a run folder; the rest follows from the run's spec."""
    plant, smooth = grey_box.to_arrays(fitted.plant), smooth_path.to_arrays(fitted.smooth)
    arrays = [*plant.values(), *smooth.values()]
    learned = {name: getattr(fitted, name) for name in LEARNED}
    files.save_arrays(path, learned | dict(zip(PLANT + SMOOTH, arrays, strict=True)))


def load(path: Path, data: Data) -> Fitted:
    """What `save` kept.

    Args:
        data: of the run's spec.
    Raises:
        InputError: the file is missing or damaged, or holds other arrays than were fitted.
    """
    what, mend = "the run's fitted baselines", "Train the run again."
    (velocity, is_position), motion = _velocity_columns(data), _motion_columns(data)
    num_targets, num_hats = len(data.targets), len(smooth_fit.velocity_hats(data.sample_rate_hz))
    own, num_axes = own_velocities(data) or (), num_targets if motion else 0
    plant_arrays = grey_box.arrays_of(num_axes, kinematics_of(data) if motion else "cartesian")
    smooth_arrays = smooth_path.arrays_of(len(own), data.sample_rate_hz)
    wanted = {
        "mean_mm": files.Array("f", (num_targets,)),
        "fir": files.Array("f", (num_hats * len(velocity) + 1, num_targets)),
        **{f"plant_{name}": array for name, array in plant_arrays.items()},
        **{f"smooth_{name}": array for name, array in smooth_arrays.items()},
    }
    fields = files.load_arrays(path, wanted, what, mend)
    plant = grey_box.from_arrays({name: fields[f"plant_{name}"] for name in grey_box.ARRAYS})
    smooth = smooth_path.from_arrays(
        {name: fields[f"smooth_{name}"] for name in smooth_path.ARRAYS}
    )
    return Fitted(
        horizon=data.horizon,
        rate_hz=data.sample_rate_hz,
        velocity=velocity,
        is_position=is_position,
        **{name: fields[name] for name in LEARNED},
        smooth=smooth,
        own=own,
        plant=plant,
        motion=motion,
    )


def each_trace(samples: Samples) -> Iterator[tuple[Table, Table]]:
    """Features and targets of one trace after the other, in float64."""
    for span in samples.spans():
        yield (
            np.asarray(samples.features[span], np.float64),
            np.asarray(samples.targets[span], np.float64),
        )


def fir_design(speeds_mm_s: Table, hats: Float[ndarray, "hats lags"]) -> Table:
    """Each velocity through each hat, zero before the trace begins, and a one."""
    count = len(speeds_mm_s)
    columns = [np.convolve(speed, hat)[:count] for hat in hats for speed in speeds_mm_s.T]
    return np.column_stack([*columns, np.ones(count)])


def _sums(
    traces: Iterator[tuple[Table, Table]],
    lead: int,
    hats: Table,
    step: int,
) -> Sums:
    """Sums over all rows with a target, or over those of every `step`-th block."""
    gram, moment, power = 0.0, 0.0, 0.0
    blocks = ((speeds, targets, rows) for speeds, targets in traces for rows in _blocks(speeds))
    for speeds, targets, rows in itertools.islice(blocks, 0, None, step):
        keep = np.arange(rows.start, rows.stop) >= lead
        x, y = _look_back(hats, speeds, rows)[keep], targets[rows][keep]
        gram, moment, power = gram + x.T @ x, moment + x.T @ y, power + np.sum(y**2, axis=0)
    return Sums(np.asarray(gram), np.asarray(moment), np.asarray(power))


def _blocks(speeds: Table) -> Iterator[slice]:
    for start in range(0, len(speeds), BLOCK):
        yield slice(start, min(start + BLOCK, len(speeds)))


def _look_back(hats: Table, speeds: Table, rows: slice) -> Table:
    """Regressors of some rows of a trace, made with the rows before that they look back on."""
    begin = max(rows.start - hats.shape[1], 0)
    return fir_design(speeds[begin : rows.stop], hats)[rows.start - begin :]


def _apply(hats: Table, weights: Table, speeds: Table) -> Table:
    return np.concatenate([_look_back(hats, speeds, rows) @ weights for rows in _blocks(speeds)])


def _solve(train: Sums, judge: Sums) -> Table:
    """Ridge regression, with the ridge that judges best."""
    weights = smooth_fit.solve(train, RIDGES)
    return weights[np.argmin(smooth_fit.squares_left(weights, judge))]


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
