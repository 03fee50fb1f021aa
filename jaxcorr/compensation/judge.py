"""Judges what heads did along a planned layer: tracking, the printed line, what still rings.

Lengths are micrometres, over both axes together, at the rate of the judged samples:

  rms, mean, max     length of the error (actual less reference at the same instant); RMS over the
                     instants of the squared length
  contour, contour_max   distance to the path as a curve (see contour.py): RMS and largest
  vibration          RMS of the error's band of 15 to 35 Hz (Butterworth of second order, forward
                     and back) from 25 to 150 ms after a corner or a stop, less where the next one
                     comes sooner: what still swings once the corner itself is passed. The band
                     holds both axes' resonances from -20% to +10% and more
  correction         largest length of command less reference

The module knows arrays of positions and a plan; it knows no plant and no method.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray
from scipy.signal import butter, sosfiltfilt

from jaxcorr.compensation import contour
from jaxcorr.printer.drive import JUDGE_RATE_HZ, Command, Driven, Layer
from jaxcorr.printer.planner import Plan

VIBRATION_HZ = (15.0, 35.0)
AFTER_CORNER_S = (0.025, 0.150)
UM = 1000.0


class Judged(NamedTuple):
    """What a method made of one layer, or of several; lengths in um."""

    num_samples: int
    rms_um: float
    mean_um: float
    max_um: float
    contour_um: float
    contour_max_um: float
    num_vibration: int
    vibration_um: float
    correction_um: float


def judge(layer: Layer, driven: Driven, commands: Sequence[Command]) -> list[Judged]:
    """Judges every lane of a driven layer during its plan; `commands` are those that drove it."""
    driven = driven.until(layer.plan.total_s)
    deviation = contour.deviation(layer.plan, driven.time_s, driven.actual_mm)
    error, off_path = (np.linalg.norm(x, axis=-1) for x in (driven.error_mm, deviation))
    rings = after_corners(layer.plan, driven.time_s)
    swing = band(driven.error_mm, JUDGE_RATE_HZ)[rings] if rings.any() else None
    return [
        Judged(
            num_samples=len(error),
            rms_um=UM * _rms(error[:, i]),
            mean_um=UM * float(error[:, i].mean()),
            max_um=UM * float(error[:, i].max()),
            contour_um=UM * _rms(off_path[:, i]),
            contour_max_um=UM * float(off_path[:, i].max()),
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
        rms_um=mean("rms_um", 2, samples),
        mean_um=mean("mean_um", 1, samples),
        max_um=max(one.max_um for one in layers),
        contour_um=mean("contour_um", 2, samples),
        contour_max_um=max(one.contour_max_um for one in layers),
        num_vibration=int(ringing.sum()),
        vibration_um=mean("vibration_um", 2, ringing),
        correction_um=max(one.correction_um for one in layers),
    )


def largest_correction(layer: Layer, command: Command) -> float:
    """Largest distance in mm between command and reference."""
    return float(np.hypot(*(command.position_mm - layer.reference.position_mm).T).max())


def after_corners(plan: Plan, time_s: Float[ndarray, " n"]) -> Bool[ndarray, " n"]:
    """True for the instants that AFTER_CORNER_S gives to the corner before them."""
    corners = contour.corner_times_s(plan)
    if not len(corners):
        return np.zeros(len(time_s), np.bool_)
    before = np.searchsorted(corners, time_s, side="right") - 1
    since = np.where(before >= 0, time_s - corners[before], np.inf)
    return (since >= AFTER_CORNER_S[0]) & (since <= AFTER_CORNER_S[1])


def band(values: Float[ndarray, "n *lanes"], rate_hz: float) -> Float[ndarray, "n *lanes"]:
    """The part of signals within VIBRATION_HZ, without a shift in time."""
    filters = butter(2, VIBRATION_HZ, "bandpass", fs=rate_hz, output="sos")
    padding = min(len(values) - 1, round(rate_hz / VIBRATION_HZ[0] * 3))
    return np.asarray(sosfiltfilt(filters, values, axis=0, padlen=padding))


def _rms(values: ndarray) -> float:
    return float(np.sqrt(np.mean(values**2)))
