"""Measures of a driven layer: contour error, tracking error, vibration and size of the correction.

Lengths are micrometres, over both axes together, at the rate of the judged samples:

  contour, contour_max   distance to the path as a curve (`deviation`), what a printed line shows:
                     RMS and largest
  rms, mean, max     length of the error (actual less reference at the same instant); RMS over the
                     instants of the squared length
  vibration          RMS of the error's band about the printer's resonances (`band_hz`; Butterworth
                     of second order, forward and back) from 25 to 150 ms after a corner or a stop,
                     less where the next one comes sooner: what still swings once the corner itself
                     is passed
  correction         largest length of command less reference
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray
from scipy.signal import butter, sosfiltfilt

from jaxcorr.compensation.baselines import natural
from jaxcorr.printer.drive import JUDGE_RATE_HZ, Command, Driven, Layer
from jaxcorr.printer.planner import Plan
from jaxcorr.printer_spec import Printer

# Times the lowest and the highest resonance: all that are 20% lower to 10% higher, and more.
AROUND = (0.7, 1.45)
AFTER_CORNER_S = (0.025, 0.150)
UM = 1000.0
# No compensation, input shapers included, moves the head further along the path than this.
WITHIN_S = 0.05
# Below this a path is a curve cut into moves, above it a corner that starts the axes swinging.
CORNER_DEG = 30.0
CHUNK = 2048  # points whose candidates fit into the cache
TINY_MM = 1e-9


class Judged(NamedTuple):
    """What a method made of one layer, or of several; lengths in um."""

    num_samples: int
    contour_um: float
    contour_max_um: float
    rms_um: float
    mean_um: float
    max_um: float
    num_vibration: int
    vibration_um: float
    correction_um: float


def judge_layer(
    layer: Layer, driven: Driven, commands: Sequence[Command], within_hz: tuple[float, float]
) -> list[Judged]:
    """Judges each command that drove a layer, during its plan.

    Args:
        within_hz: the band of vibration, see `band_hz`.
    """
    driven = driven.until(layer.plan.total_s)
    aside = deviation(layer.plan, driven.time_s, driven.actual_mm)
    error, off_path = (np.linalg.norm(x, axis=-1) for x in (driven.error_mm, aside))
    rings = after_corners(layer.plan, driven.time_s)
    swing = band(driven.error_mm, JUDGE_RATE_HZ, within_hz)[rings] if rings.any() else None
    return [
        Judged(
            num_samples=len(error),
            contour_um=UM * _rms(off_path[:, i]),
            contour_max_um=UM * float(off_path[:, i].max()),
            rms_um=UM * _rms(error[:, i]),
            mean_um=UM * float(error[:, i].mean()),
            max_um=UM * float(error[:, i].max()),
            num_vibration=int(rings.sum()),
            vibration_um=0.0 if swing is None else UM * _rms(np.linalg.norm(swing[:, i], axis=-1)),
            correction_um=UM * largest_correction(layer, command),
        )
        for i, command in enumerate(commands)
    ]


def pool(layers: Sequence[Judged]) -> Judged:
    """Several layers as if they were one; each counts by its number of samples."""
    samples = np.array([one.num_samples for one in layers])
    ringing = np.array([one.num_vibration for one in layers])

    def mean(name: str, power: int, weights: ndarray) -> float:
        values = np.array([getattr(one, name) for one in layers]) ** power
        return float((weights @ values / max(weights.sum(), 1)) ** (1 / power))

    return Judged(
        num_samples=int(samples.sum()),
        contour_um=mean("contour_um", 2, samples),
        contour_max_um=max(one.contour_max_um for one in layers),
        rms_um=mean("rms_um", 2, samples),
        mean_um=mean("mean_um", 1, samples),
        max_um=max(one.max_um for one in layers),
        num_vibration=int(ringing.sum()),
        vibration_um=mean("vibration_um", 2, ringing),
        correction_um=max(one.correction_um for one in layers),
    )


def largest_correction(layer: Layer, command: Command) -> float:
    """Largest distance in mm between command and reference."""
    return float(np.hypot(*(command.position_mm - layer.reference.position_mm).T).max())


def after_corners(plan: Plan, time_s: Float[ndarray, " n"]) -> Bool[ndarray, " n"]:
    """True for the instants that AFTER_CORNER_S gives to the corner before them."""
    corners = corner_times_s(plan)
    if not len(corners):
        return np.zeros(len(time_s), np.bool_)
    before = np.searchsorted(corners, time_s, side="right") - 1
    since = np.where(before >= 0, time_s - corners[before], np.inf)
    return (since >= AFTER_CORNER_S[0]) & (since <= AFTER_CORNER_S[1])


def band_hz(printer: Printer) -> tuple[float, float]:
    """The band that holds a printer's resonances as they shift, in whole Hz below Nyquist's."""
    modes = [natural(printer, axis)[0] for axis in (0, 1)]
    seconds = zip(printer.second_frequency_hz, printer.second_share, strict=True)
    modes += [frequency_hz for frequency_hz, share in seconds if share]
    low, high = round(AROUND[0] * min(modes)), round(AROUND[1] * max(modes))
    most = round(0.45 * JUDGE_RATE_HZ)
    return float(min(max(low, 1), most // 2)), float(min(max(high, 3), most))


def band(
    values: Float[ndarray, "n *more"], rate_hz: float, within_hz: tuple[float, float]
) -> Float[ndarray, "n *more"]:
    """The part of signals within a band, without a shift in time."""
    filters = butter(2, within_hz, "bandpass", fs=rate_hz, output="sos")
    padding = min(len(values) - 1, round(rate_hz / within_hz[0] * 3))
    return np.asarray(sosfiltfilt(filters, values, axis=0, padlen=padding))


def deviation(
    plan: Plan, time_s: Float[ndarray, " n"], points_mm: Float[ndarray, "n *more 2"]
) -> Float[ndarray, "n *more 2"]:
    """From the nearest point of the path to each point, in mm; its length is the contour error.

    Args:
        plan: whose moves are the path.
        time_s: when the points are, from the start of the plan, increasing.
        points_mm: any number of points at each instant.
    """
    starts, ways, begin_s, end_s = _segments(plan)
    first = np.searchsorted(end_s, time_s - WITHIN_S, side="left")
    last = np.searchsorted(begin_s, time_s + WITHIN_S, side="right") - 1
    first = np.minimum(first, len(starts) - 1)
    last = np.maximum(last, first)
    flat = points_mm.reshape(len(points_mm), -1, 2)
    nearest = np.empty_like(flat)
    for begin in range(0, len(flat), CHUNK):
        rows = slice(begin, begin + CHUNK)
        nearest[rows] = _nearest(starts, ways, first[rows], last[rows], flat[rows])
    return nearest.reshape(points_mm.shape)


def corner_times_s(plan: Plan, least_deg: float = CORNER_DEG) -> Float[ndarray, " corners"]:
    """When the path turns by at least so much or comes to a stop; moves without a path count not.

    The end of the plan is a stop.
    """
    moving = np.flatnonzero(np.linalg.norm(plan.direction[:, :2], axis=1) > TINY_MM)
    if not len(moving):
        return np.zeros(0)
    u = plan.direction[moving, :2]
    u = u / np.linalg.norm(u, axis=1, keepdims=True)
    end_s = (plan.start_s + plan.duration_s)[moving]
    turns = np.sum(u[1:] * u[:-1], axis=1) <= np.cos(np.radians(least_deg)) + 1e-12
    stops = plan.exit_v[moving[:-1]] == 0.0
    return np.append(end_s[:-1][turns | stops], end_s[-1])


def _rms(values: ndarray) -> float:
    return float(np.sqrt(np.mean(values**2)))


def _segments(plan: Plan) -> tuple[ndarray, ndarray, ndarray, ndarray]:
    """Starts (m, 2), ways (m, 2), and times of begin and end of the moves in the plane.

    Where nothing moves in the plane, the path is one point.
    """
    ways = (plan.end_mm - plan.start_mm)[:, :2]
    moving = np.flatnonzero(np.hypot(*ways.T) > TINY_MM)
    moving = moving if len(moving) else np.arange(1)
    end_s = (plan.start_s + plan.duration_s)[moving]
    return plan.start_mm[moving, :2], ways[moving], plan.start_s[moving], end_s


def _nearest(
    starts: ndarray, ways: ndarray, first: ndarray, last: ndarray, points: ndarray
) -> ndarray:
    """The shortest way from each point's candidates, moves first to last, to the point."""
    best = np.full(points.shape[:-1], np.inf)
    shortest = np.zeros_like(points)
    for k in range(int((last - first).max()) + 1):
        move = np.minimum(first + k, last)
        way = ways[move][:, None]
        rest = points - starts[move][:, None]
        length2 = np.maximum(np.sum(way**2, axis=-1), TINY_MM**2)
        along = np.clip(np.sum(rest * way, axis=-1) / length2, 0.0, 1.0)
        rest -= along[..., None] * way
        distance2 = np.sum(rest**2, axis=-1)
        closer = distance2 < best
        best = np.where(closer, distance2, best)
        shortest = np.where(closer[..., None], rest, shortest)
    return shortest
