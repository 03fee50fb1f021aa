"""Fits the smooth path: ridge regressions, each judged on training traces that it did not see.

A response to a regressor is piecewise linear between a few lags in milliseconds, so the number of
coefficients is the same at any sampling rate. Training traces are dealt to folds in the order of
their top speed; each fold is predicted from the others, and the ridge that leaves the least is
kept. So are, axis by axis, the spacing of the lags, the number of tanh, and ramps of the speed and
their spacing: beginning with the fewest coefficients, each step to more is taken only where it
leaves less of the folds together and of the fastest ones too. A printer's corners have the same
speeds in every layer, but a servo is asked for speeds that it has not run at.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy.linalg
from jaxtyping import Float
from numpy import ndarray

from jaxcorr.data.windows import Samples
from jaxcorr.models import smooth_path
from jaxcorr.models.smooth_path import NUM_KNOTS, NUM_RAMPS, NUM_REGRESSORS, NUM_RINGING, Path
from jaxcorr.spec import PATH_MEMORY_MS, count_path_lags

# Lags at which a response bends: of velocity, of its tanh, and of direction and ramps.
VELOCITY_MS = (0, 1, 2, 3, 5, 7, 10, 14, 20, 25, *range(30, 91, 10), *range(100, 191, 10))
BEND_MS = (0, 5, 10, 20, 30, 40, 60, 80, 120, 160)
RAMP_MS = (0, 10, 20)
SCALES = (0.003, 0.01, 0.035, 0.12)  # of the top speed; a wider one looks like the velocity itself
REST = 0.004  # of the top speed
MOST_FASTER = 2.0  # of an axis's own top speed; further on nothing says that an error is linear
# Speeds that people ask for, in a decade: knots between them would blur what belongs to one.
ROUND_SPEEDS = (1.0, 1.2, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0)
RIDGES = tuple(10.0**power for power in range(-8, -1))  # of a regressor's mean square
FEW_ROWS = 10.0
NUM_FOLDS = 6
NUM_FASTEST = 2  # folds
BLOCK = 20_000  # rows of regressors in memory at once
MOST_ROWS = 400_000  # some hundred coefficients gain nothing from more

Table = Float[ndarray, "_ _"]


class Richness(NamedTuple):
    """How many coefficients the path of an axis has."""

    lag_spacing: int  # 1: bends at all lags; 2: at every other
    scales: tuple[int, ...]  # of SCALES
    ramp_spacing: int  # 1: ramps between all knots; 2: between every other; 0: no ramps


LEANEST = Richness(2, (1,), 0)
STEPS: tuple[dict[str, Any], ...] = (
    {"lag_spacing": 1},
    {"scales": (0, 2)},
    {"scales": (0, 1, 2, 3)},
    {"ramp_spacing": 2},
    {"ramp_spacing": 1},
)


class Sums(NamedTuple):
    """Sufficient statistics of a regression: X'X, X'y and y'y, for k targets."""

    gram: Float[ndarray, "*n p p"]
    moment: Float[ndarray, "*n p k"]
    power: Float[ndarray, "*n k"]


class Block(NamedTuple):
    """Rows of a training trace that are left out together; those before `skip` have no target."""

    velocities: Float[ndarray, "n A"]
    targets: Float[ndarray, "n A"]
    skip: int
    top_speed: float


def fit(train: Samples, velocities: Sequence[int], rate_hz: float) -> Path:
    """The path of a training split.

    Args:
        train: its samples.
        velocities: column of the features of each target's own velocity.
        rate_hz: sampling rate.
    """
    num_lags = count_path_lags(rate_hz)
    blocks = _cut(train, list(velocities), num_lags)
    path = smooth_path.blank(len(velocities), rate_hz) | _scales(blocks)
    kernels = _kernels(rate_hz)
    order = np.argsort([block.top_speed for block in blocks], kind="stable")
    folds = [
        [_sums(path, kernels, blocks[i]) for i in fold]
        for fold in np.array_split(order, NUM_FOLDS)
        if len(fold)
    ]
    for axis in range(len(velocities)):
        summed = [_total(_stack([one[axis] for one in fold])) for fold in folds]
        coefficients = _choose(_stack(summed), kernels, np.diff(path["knots_mm_s"]))
        path["offset_mm"][axis] = coefficients[0]
        path["response"][..., axis] = _expand(kernels, coefficients[1:])
    return path


def solve(
    sums: Sums, ridges: Sequence[float], num_own: int | None = None
) -> Float[ndarray, "r p k"]:
    """Ridge regression in units of each regressor's size, with each of these ridges.

    Args:
        sums: of the regression, the first column a one.
        ridges: of a regressor's mean square.
        num_own: only the first so many count by their own size, and all others as if they were one
            in every row, and FEW_ROWS more had nothing: what a few rows say shrinks.
    """
    gram, size = sums.gram, np.sqrt(np.diag(sums.gram))
    if num_own is not None:
        size[num_own:] = size[0]
        gram = gram + np.diag(np.where(np.arange(len(size)) < num_own, 0.0, FEW_ROWS))
    scale = np.where(size > 0, 1 / np.where(size > 0, size, 1.0), 0.0)
    values, vectors = np.linalg.eigh(gram * scale[:, None] * scale)
    moment = vectors.T @ (sums.moment * scale[:, None])
    inverse = 1 / (np.maximum(values, 0.0) + np.array(ridges)[:, None])
    return (vectors @ (inverse[..., None] * moment)) * scale[:, None]


def squares_left(weights: Float[ndarray, "r p k"], sums: Sums) -> Float[ndarray, " r"]:
    """The squared error that each set of weights leaves, of all targets."""
    left = sums.power + np.sum(weights * (sums.gram @ weights - 2 * sums.moment), axis=-2)
    return np.sum(left, axis=-1)


def _cut(train: Samples, columns: list[int], num_lags: int) -> list[Block]:
    """Traces, or where they are few, blocks of them, enough to be left out in turn."""
    total = len(train.features) - train.lead * len(train.num_rows)
    is_few = len(train.num_rows) < NUM_FOLDS
    most = max(1, min(BLOCK, -(-total // NUM_FOLDS)) if is_few else BLOCK)
    blocks = []
    for span in train.spans():
        velocities = np.asarray(train.features[span][:, columns], np.float64)
        targets = np.asarray(train.targets[span], np.float64)
        speed = np.linalg.norm(velocities, axis=1)
        rows = np.arange(train.lead, len(targets))
        for part in np.array_split(rows, -(-len(rows) // most)) if len(rows) else ():
            begin = max(part[0] - num_lags + 1, 0)  # with what it looks back on
            kept = slice(begin, part[-1] + 1)
            top = float(np.max(speed[part] if is_few else speed))
            blocks.append(Block(velocities[kept], targets[kept], int(part[0] - begin), top))
    return blocks[:: max(1, -(-total // MOST_ROWS))]


def _scales(blocks: Sequence[Block]) -> Path:
    """Scales and knots that suit the speeds of the training."""
    own = np.max([np.max(np.abs(block.velocities), axis=0) for block in blocks], axis=0)
    top = max(block.top_speed for block in blocks) or 1.0
    decades = np.power(10.0, np.arange(-3, 1) + np.floor(np.log10(top)))
    speeds = np.sort(np.outer(decades, ROUND_SPEEDS).ravel())
    # A hair more, since a top speed is often round itself.
    knots = np.concatenate([[0.0], speeds[speeds <= 1.001 * top][1 - NUM_KNOTS :]])
    own = np.where(own > 0, own, 1.0)
    return {
        "most_mm_s": (MOST_FASTER * own).astype(np.float32),
        "scale_mm_s": np.outer(SCALES, own).astype(np.float32),
        "knots_mm_s": knots.astype(np.float32),
        "rest_mm_s": np.array([REST * top], np.float32),
    }


def velocity_hats(rate_hz: float) -> Float[ndarray, "hats lags"]:
    """Responses that rise and fall linearly between the lags of VELOCITY_MS; at 100 Hz each is one
    sample."""
    return _hats(VELOCITY_MS, rate_hz)


def _hats(lags_ms: Sequence[int], rate_hz: float) -> Float[ndarray, "hats lags"]:
    assert lags_ms[-1] <= PATH_MEMORY_MS
    knots = np.unique(np.round(np.array(lags_ms) * rate_hz / 1e3))
    reach = np.arange(int(knots[-1]) + 1)
    return np.stack([np.interp(reach, knots, unit) for unit in np.eye(len(knots))])


def _kernels(rate_hz: float) -> list[Float[ndarray, "knots lags"]]:
    """For each regressor the responses that its own is made of: hats between lags."""
    velocity, bend, ramp = (_hats(lags, rate_hz) for lags in (VELOCITY_MS, BEND_MS, RAMP_MS))
    return [velocity, *[bend] * (NUM_RINGING - 1), *[ramp] * (NUM_REGRESSORS - NUM_RINGING)]


def _sums(path: Path, kernels: list[Table], block: Block) -> list[Sums]:
    """Of each axis; columns are a one, then each regressor through each of its hats."""
    regressors = smooth_path.derive_regressors(path, block.velocities, np)
    count, kept, found = len(block.targets), slice(block.skip, None), []
    for axis in range(block.targets.shape[1]):
        columns = [np.ones(count)]
        for regressor, hats in zip(regressors[:, axis].T, kernels, strict=True):
            columns += [np.convolve(regressor, hat)[:count] for hat in hats]
        x, y = np.column_stack(columns)[kept], block.targets[kept, axis, None]
        found.append(Sums(x.T @ x, x.T @ y, np.sum(y**2, axis=0)))
    return found


def _choose(
    folds: Sums, kernels: list[Table], widths: Float[ndarray, " ramps"]
) -> Float[ndarray, " p"]:
    """Coefficients of an axis, with the ridge and as many as the folds ask for.

    Args:
        folds: stacked, slowest first.
        widths: of the ramps, mm/s.
    """
    chosen, best = LEANEST, None
    for step in ({}, *STEPS):
        richer = chosen._replace(**step)
        parts = _parts(kernels, widths, richer)
        num_own = sum(part.shape[1] for part in parts[: 1 + NUM_RINGING])
        spread = np.asarray(scipy.linalg.block_diag(*parts))
        judged = _judge(_through(folds, spread), num_own)
        is_less = best is None or (
            judged.left < best.left and judged.left_fastest < best.left_fastest
        )
        if is_less:
            chosen, best = richer, judged._replace(weights=spread @ judged.weights)
    assert best is not None
    return best.weights


def _parts(kernels: list[Table], widths: Float[ndarray, " ramps"], rich: Richness) -> list[Table]:
    """What fewer coefficients are in terms of all: of the one, each regressor, and both ramps."""
    lags = []
    for hats in kernels[: NUM_RINGING + 1]:
        knots = np.argmax(hats, axis=1)
        kept = knots[sorted({*range(0, len(knots), rich.lag_spacing), len(knots) - 1})]
        lags.append(np.stack([np.interp(knots, kept, unit) for unit in np.eye(len(kept))], axis=1))
    for scale in set(range(NUM_RINGING - 1)) - set(rich.scales):
        lags[1 + scale] = lags[1 + scale][:, :0]
    ramps = np.zeros((NUM_RAMPS, -(-NUM_RAMPS // max(rich.ramp_spacing, 1))))
    ramps[np.arange(NUM_RAMPS), np.arange(NUM_RAMPS) // max(rich.ramp_spacing, 1)] = widths
    # A long ramp is its short ones, each by its share of the way.
    ramps = np.kron(ramps / ramps.sum(axis=0), np.eye(len(kernels[-1])))
    parts = [np.ones((1, 1)), *lags, ramps, ramps]
    if not rich.ramp_spacing:
        parts[1 + NUM_RINGING :] = [part[:, :0] for part in parts[1 + NUM_RINGING :]]
    return parts


class _Judged(NamedTuple):
    weights: Float[ndarray, " p"]
    left: float  # of all folds, each predicted from the others
    left_fastest: float  # of the fastest, predicted from all slower ones


def _judge(folds: Sums, num_own: int) -> _Judged:
    """The ridge that leaves the least of folds, and how it does on the fastest ones."""
    total = _total(folds)
    count = len(folds.power)

    def left_of(out: slice, ridges: Sequence[float]) -> ndarray:
        held = _total(Sums(*(part[out] for part in folds)))
        rest = Sums(*(a - b for a, b in zip(total, held, strict=True)))
        return squares_left(solve(rest, ridges, num_own), held)

    left = np.sum([left_of(slice(i, i + 1), RIDGES) for i in range(count)], axis=0)
    best = int(np.argmin(left))
    fastest = left_of(slice(max(1, count - NUM_FASTEST), None), RIDGES[best : best + 1])
    weights = solve(total, RIDGES[best : best + 1], num_own)[0, :, 0]
    return _Judged(weights, float(left[best]), float(fastest[0]))


def _stack(sums: Sequence[Sums]) -> Sums:
    return Sums(*map(np.stack, zip(*sums, strict=True)))


def _total(folds: Sums) -> Sums:
    return Sums(*(np.sum(part, axis=0) for part in folds))


def _through(folds: Sums, spread: Float[ndarray, "p q"]) -> Sums:
    """Of a regression with q coefficients, which these make p."""
    return Sums(spread.T @ folds.gram @ spread, spread.T @ folds.moment, folds.power)


def _expand(kernels: list[Table], coefficients: Float[ndarray, " p"]) -> Table:
    """Response of each regressor at each lag."""
    num_lags = max(hats.shape[1] for hats in kernels)
    response, begin = np.zeros((len(kernels), num_lags)), 0
    for row, hats in zip(response, kernels, strict=True):
        row[: hats.shape[1]] = coefficients[begin : begin + len(hats)] @ hats
        begin += len(hats)
    return response
