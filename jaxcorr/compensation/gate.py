"""Gate of a correction: whether a stretch of it may be trusted, from training data alone.

A model predicts anywhere; outside of its training data it is wrong, and a correction built on that
harms. The gate opens where the command lies within what the training split spans and the model's
own prediction is plausible. It closes where

  - a velocity goes SPEED_FACTOR times beyond the fastest of training, or changes SPEED_FACTOR times
    as much from sample to sample as it ever did there,
  - a position leaves what the velocities at both ends explain JUMP_FACTOR times as much as it ever
    did: knots of a correction turn more sharply than probes do, 2.3 times at 5000 mm/s2,
  - the error predicted without a correction is larger than LARGEST_ERROR standard deviations of
    training's, or the one predicted with it is not smaller: then nothing is won.

A printer that differs from the one in training cannot be told from commands. Blocks of a correction
that are not trusted fade to none.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray
from scipy.ndimage import minimum_filter1d, uniform_filter1d

from jaxcorr.data.trace_checks import explained_way_mm
from jaxcorr.models.ranges import Ranges
from jaxcorr.training.restore import Loaded

SPEED_FACTOR = 2.0
JUMP_FACTOR = 4.0
LARGEST_ERROR = 12.0
ROUNDING_MM = 1e-3  # of positions in float32, on top of the jumps of training
BLOCK_S = 0.1
# Gain is judged over this much before and after a block: in a short rest there is nothing to gain.
AROUND_S = 0.5


class Gate(NamedTuple):
    """What is trusted, per axis x and y.

    Attributes:
        speed_mm_s: of a command.
        accel_mm_s2: change of that from sample to sample, per second.
        jump_mm: what velocities do not explain of the way from sample to sample.
        error_mm: predicted without a correction.
    """

    speed_mm_s: Float[ndarray, " 2"]
    accel_mm_s2: Float[ndarray, " 2"]
    jump_mm: Float[ndarray, " 2"]
    error_mm: Float[ndarray, " 2"]

    def trusts(self, commands: Float[ndarray, "t 4"], rate_hz: float) -> bool:
        """Whether a stretch of commands, x, y, vx, vy, looks like what training has seen."""
        position, velocity = commands[:, :2], commands[:, 2:]
        change = np.diff(velocity, axis=0) * rate_hz
        jump = np.diff(position, axis=0) - explained_way_mm(velocity[:-1], velocity[1:], rate_hz)
        return bool(
            np.isfinite(commands).all()
            and np.all(np.abs(velocity) <= self.speed_mm_s)
            and np.all(np.abs(change) <= self.accel_mm_s2)
            and np.all(np.abs(jump) <= self.jump_mm)
        )

    def believes(self, before: Float[ndarray, "t 2"], after: Float[ndarray, "t 2"]) -> bool:
        """Whether the predicted errors (mm) of a stretch, without and with a correction, hold."""
        is_plausible = np.isfinite(after).all() and np.all(np.abs(before) <= self.error_mm)
        return bool(is_plausible and np.sum(after**2) < np.sum(before**2))


def gate_of(loaded: Loaded) -> Gate:
    """The gate of a run."""
    return make_gate(loaded.ranges, np.asarray(loaded.ranges.target_std))


def make_gate(ranges: Ranges, targets_std_mm: Float[ndarray, " 2"]) -> Gate:
    """The gate from the training split alone.

    Args:
        ranges: of the training split, for the features x, y, vx, vy.
        targets_std_mm: standard deviation of the training split's lag.
    """
    fastest = np.maximum(np.abs(ranges.low[2:]), np.abs(ranges.high[2:]))
    speed, accel = (
        SPEED_FACTOR * np.asarray(own, np.float64) for own in (fastest, ranges.accel_mm_s2)
    )
    jump = JUMP_FACTOR * np.asarray(ranges.jump_mm, np.float64) + ROUNDING_MM
    return Gate(speed, accel, jump, LARGEST_ERROR * np.asarray(targets_std_mm, np.float64))


def trusted_knots(
    trust: Gate,
    commands: Float[ndarray, "t 4"],
    before: Float[ndarray, "k 2"],
    after: Float[ndarray, "k 2"],
    rate_hz: float,
    per_knot: int = 1,
) -> Bool[ndarray, " k"]:
    """True for the knots of blocks that the gate trusts.

    Args:
        trust: of the run.
        commands: corrected ones, x, y in mm, vx, vy in mm/s.
        before, after: predicted errors in mm at the knots, without and with the correction.
        rate_hz: of the commands.
        per_knot: commands per knot.
    """
    knot_rate_hz = rate_hz / per_knot
    size, around = round(BLOCK_S * knot_rate_hz), round(AROUND_S * knot_rate_hz)
    is_trusted = np.zeros(len(before), np.bool_)
    for first in range(0, len(before), size):
        rows = slice(first, first + size)
        wide = slice(max(first - around, 0), first + size + around)
        sent = commands[first * per_knot : (first + size) * per_knot]
        is_within = trust.trusts(sent, rate_hz)
        is_trusted[rows] = is_within and trust.believes(before[wide], after[wide])
    return is_trusted


def fade(
    knots: Float[ndarray, "k 2"], is_trusted: Bool[ndarray, " k"], rate_hz: float
) -> Float[ndarray, "k 2"]:
    """Zero where knots are not trusted, and a slope of a block's length on either side."""
    width = 2 * round(BLOCK_S * rate_hz / 2.0) + 1
    inner = minimum_filter1d(is_trusted.astype(np.float64), width, mode="nearest")
    # Running sums leave rounding behind, and zero has to be zero.
    weight = np.where(is_trusted, uniform_filter1d(inner, width, mode="nearest"), 0.0)
    return knots * np.clip(weight, 0.0, 1.0)[:, None]
