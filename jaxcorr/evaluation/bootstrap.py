"""Confidence intervals of prediction metrics: a bootstrap over blocks of samples.

Neighbouring samples are alike, and so are traces of one layer that differ in a perturbation or a
speed only. So whole blocks are drawn: layers with all their traces, or pieces of them where layers
are few. Each metric follows from sums over blocks, so thousands of resamples cost one product of
matrices.

An interval is the figure plus and minus its standard error over the resamples times Student's t.
Percentiles cannot leave the range of the blocks, so with four of them they hold 87% at best.

Source: Hesterberg, "What Teachers Should Know About the Bootstrap", The American Statistician 69
(2015): the t interval with bootstrap standard error, widened against narrowness bias.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from scipy.special import stdtrit

from jaxcorr.metrics import Interval

NUM_RESAMPLES = 2_000
CONFIDENCE = 0.95
FEWEST_LAYERS = 3  # with fewer, blocks are pieces of layers
WANTED_BLOCKS = 40
SHORTEST_BLOCK_S = 1.0  # by then every ringing has died away
METRICS = ("mae_mm", "rmse_mm", "r2", "correlation")
ANYWHERE = Interval(-math.inf, math.inf)
FROM_ZERO = Interval(0.0, math.inf)
RANGE = {"mae_mm": FROM_ZERO, "rmse_mm": FROM_ZERO, "correlation": Interval(-1.0, 1.0)}
RANGE |= {"r2": Interval(-math.inf, 1.0)}

Values = Float[ndarray, "rows k"]


class Blocks(NamedTuple):
    """Which block each row belongs to; -1 where the row does not count."""

    of_row: Int[ndarray, " rows"]
    num_blocks: int
    method: str  # for people: what the blocks are


class Sums(NamedTuple):
    """Sufficient statistics of each block and axis; y truth, p prediction, both centred."""

    entries: Float[ndarray, "b k"]
    absolute: Float[ndarray, "b k"]
    square: Float[ndarray, "b k"]
    y: Float[ndarray, "b k"]
    yy: Float[ndarray, "b k"]
    p: Float[ndarray, "b k"]
    pp: Float[ndarray, "b k"]
    yp: Float[ndarray, "b k"]


def cut(
    first_row: Int[ndarray, " traces"],
    num_rows: Int[ndarray, " traces"],
    counts: Bool[ndarray, " rows"],
    layers: Sequence[str],
    rate_hz: float,
) -> Blocks:
    """Makes each layer a block, or cuts them into pieces where there are fewer than three.

    The traces of a layer are cut at the same shares of their length, and what lies side by side
    belongs to one block: it is the same stretch of the plan.

    Args:
        first_row, num_rows: where each trace lies.
        counts: rows that count.
        layers: of each trace; equal where traces are variants of one layer.
        rate_hz: of the rows.
    """
    spans: dict[str, list[tuple[int, int]]] = {}
    for layer, first, rows in zip(layers, first_row.tolist(), num_rows.tolist(), strict=True):
        spans.setdefault(layer, []).append((first, rows))
    is_whole = len(spans) >= FEWEST_LAYERS
    most = max(map(len, spans.values()), default=1)
    length = max(round(SHORTEST_BLOCK_S * rate_hz) * most, math.ceil(counts.sum() / WANTED_BLOCKS))
    of_row, made = np.full(len(counts), -1), 0
    for members in spans.values():
        pieces = 1 if is_whole else max(1, sum(rows for _, rows in members) // length)
        for first, rows in members:
            of_row[first : first + rows] = made + np.arange(rows) * pieces // max(rows, 1)
        made += pieces
    of_row[~counts] = -1
    whole, inside = ("whole layers", "layers") if most > 1 else ("whole traces", "traces")
    method = whole if is_whole else f"blocks of about {length} samples within {inside}"
    return Blocks(*_without_gaps(of_row), method)


def summarize(true: Values, predicted: Values, blocks: Blocks) -> Sums:
    """Sums of every block, from which each metric of any resample follows."""
    rows = blocks.of_row >= 0
    ids = blocks.of_row[rows]
    y, p = np.asarray(true[rows], np.float64), np.asarray(predicted[rows], np.float64)
    residual = p - y
    # Means cancel in every metric; taken off first, they cost no digits.
    y, p = y - y.mean(axis=0), p - p.mean(axis=0)
    products = (np.ones_like(y), np.abs(residual), residual**2, y, y * y, p, p * p, y * p)
    return Sums(*(_sum_by(ids, values, blocks.num_blocks) for values in products))


def weights(num_blocks: int, seed: int = 0, num_resamples: int = NUM_RESAMPLES) -> ndarray:
    """How often each block is drawn in each resample, (resamples, blocks)."""
    draws = np.full(num_blocks, 1.0 / num_blocks)
    return np.random.default_rng(seed).multinomial(num_blocks, draws, size=num_resamples)


def figures(sums: Sums, drawn: ndarray) -> dict[str, Float[ndarray, " resamples"]]:
    """Each metric of each resample, as `metrics.measure` defines it; NaN where undefined."""
    total = Sums(*(np.asarray(drawn, np.float64) @ field for field in sums))
    count = np.maximum(total.entries, 1.0)
    variance = np.sum(total.yy - total.y**2 / count, axis=1)
    spread = np.sum(total.pp - total.p**2 / count, axis=1)
    shared = np.sum(total.yp - total.y * total.p / count, axis=1)
    num_entries = total.entries.sum(axis=1)
    # What rounding leaves of a constant is no variance.
    tiny = 1e-12 * (np.sum(total.yy, axis=1) + 1e-300)
    flat = 1e-12 * (np.sum(total.pp, axis=1) + 1e-300)
    with np.errstate(divide="ignore", invalid="ignore"):
        r2 = np.where(variance > tiny, 1 - total.square.sum(axis=1) / variance, np.nan)
        correlation = np.where(
            (variance > tiny) & (spread > flat), shared / np.sqrt(variance * spread), np.nan
        )
    return {
        "mae_mm": total.absolute.sum(axis=1) / num_entries,
        "rmse_mm": np.sqrt(total.square.sum(axis=1) / num_entries),
        "r2": r2,
        "correlation": correlation,
    }


def interval(
    value: float,
    resampled: Float[ndarray, " resamples"],
    num_blocks: int,
    within: Interval = ANYWHERE,
) -> Interval | None:
    """The 95% interval of a figure from its resamples; None where it is undefined.

    With one block nothing is known of chance, so that is None too.

    Args:
        value: of the samples themselves.
        within: what the figure cannot leave.
    """
    if num_blocks < 2 or not (math.isfinite(value) and np.isfinite(resampled).all()):
        return None
    t = float(stdtrit(num_blocks - 1, (1 + CONFIDENCE) / 2))
    reach = t * math.sqrt(num_blocks / (num_blocks - 1)) * float(resampled.std())
    return Interval(max(value - reach, within.low), min(value + reach, within.high))


def intervals(sums: Sums, seed: int = 0) -> dict[str, Interval | None]:
    """95% intervals of each metric."""
    num_blocks = len(sums.entries)
    whole = figures(sums, np.ones((1, num_blocks)))
    resampled = figures(sums, weights(num_blocks, seed))
    return {
        name: interval(float(whole[name][0]), resampled[name], num_blocks, RANGE[name])
        for name in METRICS
    }


class Paired(NamedTuple):
    """Two models on the same blocks: a metric of a less that of b, or their ratio."""

    value: float | None
    interval: Interval | None


def compare(a: Sums, b: Sums, seed: int = 0) -> Mapping[str, Paired]:
    """Differences a - b of each metric, and the ratios `mae_ratio` and `rmse_ratio` of a to b.

    Both are resampled together, so what makes a block hard for both cancels.
    """
    num_blocks = len(a.entries)
    drawn = weights(num_blocks, seed)
    once = np.ones((1, num_blocks))
    (ra, rb), (wa, wb) = ([figures(s, d) for s in (a, b)] for d in (drawn, once))
    paired = {
        name: _paired(wa[name] - wb[name], ra[name] - rb[name], num_blocks) for name in METRICS
    }
    with np.errstate(divide="ignore", invalid="ignore"):
        for name in ("mae", "rmse"):
            key = f"{name}_mm"
            ratios = wa[key] / wb[key], ra[key] / rb[key]
            paired[f"{name}_ratio"] = _paired(*ratios, num_blocks, FROM_ZERO)
    return paired


def _paired(
    whole: ndarray, resampled: ndarray, num_blocks: int, within: Interval = ANYWHERE
) -> Paired:
    value = float(whole[0])
    bounds = interval(value, resampled, num_blocks, within)
    return Paired(value if math.isfinite(value) else None, bounds)


def _sum_by(ids: ndarray, values: ndarray, num_blocks: int) -> ndarray:
    columns = [np.bincount(ids, values[:, i], num_blocks) for i in range(values.shape[1])]
    return np.stack(columns, axis=1)


def _without_gaps(of_row: ndarray) -> tuple[ndarray, int]:
    """Blocks numbered again without those that no row belongs to."""
    used, numbered = np.unique(of_row[of_row >= 0], return_inverse=True)
    renumbered = np.full_like(of_row, -1)
    renumbered[of_row >= 0] = numbered
    return renumbered, len(used)
