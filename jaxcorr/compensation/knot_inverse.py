"""Bounded least-squares step of the solver: the change of knots that takes a tracking error away.

An axis that slides responds to a knot with taps h, the same for every knot, so that the change d of
the knots q that does best against an error e solves a banded system with the autocorrelation of h:

  minimise over d   sum_t (e_t + (h * d)_t)^2 + effort sum_k (second difference of q + d)_k^2

One factorisation serves a whole layer, a step costs two passes over a band. Where the solution
would leave the bounds, alternating directions (Boyd et al., 2011) find the best one inside; what is
returned is inside, whatever the iterations did. Axes are independent.
"""

import copy
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.linalg import cho_solve_banded
from scipy.signal import correlate

from jaxcorr.errors import InputError

SMOOTH = (6.0, -4.0, 1.0)  # autocorrelation of a second difference
ROUNDS = 60  # of alternating directions; within 1e-4 of their limit, at any bounds that bind
PENALTY = 1.0  # of theirs, as a multiple of the curvature of the error by that of the bounds
MARGIN = 0.99  # they aim inside, so that what is left of a violation does no harm
REPEATED = 1e-15  # what a column of a factor changes by, where all others are the same
ROUNDING = 1e-12  # so that what is scaled to a bound is not beyond it


class Bounds(NamedTuple):
    """What a correction may do, per axis; differences are between neighbouring knots."""

    correction_mm: float = 1.0
    speed_mm_s: float = 100.0
    accel_mm_s2: float = 20_000.0


class KnotInverse:
    """Steps towards the best knots of one length.

    Args:
        taps: what one knot of 1 mm does to the head's position at the samples from `lead` before
            it, mm; the same for every knot. Axes: samples, 2 = x, y.
        lead: taps before the knot.
        num_knots: of the correction; the first one stays as it is.
        rate_hz: of knots and samples.
        effort: weight of second differences against errors, both in mm.
        bounds: on the knots.
    """

    def __init__(
        self,
        taps: Float[ndarray, "taps 2"],
        lead: int,
        num_knots: int,
        rate_hz: float,
        effort: float,
        bounds: Bounds,
    ):
        check_bounds(bounds)
        self._taps, self._lead, self._effort = taps, lead, effort
        scales = np.array([1.0, rate_hz, rate_hz**2]) / (MARGIN * np.array(bounds))
        self._scales = scales
        self._limits = (np.array(bounds), rate_hz)
        reach = min(max(len(taps), len(SMOOTH)), num_knots - 1)
        bands = [_autocorrelation(taps[:, axis], reach) for axis in range(2)]
        smooth = np.pad(np.array(SMOOTH), (0, reach))[:reach]
        inside = np.zeros(reach)
        for scale, row in zip(scales, ((1.0,), (2.0, -1.0), SMOOTH), strict=True):
            inside[: min(len(row), reach)] += scale**2 * np.array(row)[:reach]
        shape = num_knots - 1
        self._free = [_factor(band + effort * smooth, shape) for band in bands]
        self._penalty = [PENALTY * band[0] / inside[0] for band in bands]
        self._bound = [
            _factor(band + effort * smooth + penalty * inside, shape)
            for band, penalty in zip(bands, self._penalty, strict=True)
        ]

    def shortened(self, num_knots: int) -> "KnotInverse":
        """The same for fewer knots: its factors are how those of more begin."""
        made = copy.copy(self)
        made._free, made._bound = (
            [(band[:, : num_knots - 1], is_lower) for band, is_lower in factors]
            for factors in (self._free, self._bound)
        )
        return made

    def step(
        self, knots: Float[ndarray, "k 2"], error_mm: Float[ndarray, "k 2"]
    ) -> Float[ndarray, "k 2"]:
        """New knots, inside the bounds, from the error that the old ones leave at their samples."""
        return np.stack([self._axis(i, knots[:, i], error_mm[:, i]) for i in range(2)], axis=1)

    def violation(self, knots: Float[ndarray, "k ..."]) -> float:
        """How many times the bounds the knots go at most; inside up to 1."""
        bounds, rate_hz = self._limits
        pieces = (knots, np.diff(knots, axis=0) * rate_hz, np.diff(knots, 2, axis=0) * rate_hz**2)
        return max(
            float(np.max(np.abs(piece), initial=0.0) / bound)
            for piece, bound in zip(pieces, bounds, strict=True)
        )

    def _axis(self, axis: int, knots: ndarray, error: ndarray) -> ndarray:
        """The same for one axis."""
        padded = np.pad(error, (self._lead, len(self._taps) - 1 - self._lead))
        downhill = -correlate(padded, self._taps[:, axis], mode="valid")
        downhill -= self._effort * _second_twice(knots)
        change = cho_solve_banded(self._free[axis], downhill[1:])
        wanted = knots.copy()
        wanted[1:] += change
        if self.violation(wanted) <= 1.0:
            return wanted
        inside = self._constrain(axis, knots, downhill)
        return inside / max(1.0, (1.0 + ROUNDING) * self.violation(inside))

    def _constrain(self, axis: int, knots: ndarray, downhill: ndarray) -> ndarray:
        """The best knots within the bounds, nearly."""
        change = np.zeros(len(knots))
        rows, penalty = self._rows(knots), self._penalty[axis]
        z, multiplier = np.clip(rows, -1.0, 1.0), np.zeros_like(rows)
        for _ in range(ROUNDS):
            target = downhill + penalty * self._transposed(z - multiplier - rows)
            change[1:] = cho_solve_banded(self._bound[axis], target[1:])
            moved = rows + self._rows(change)
            z = np.clip(moved + multiplier, -1.0, 1.0)
            multiplier += moved - z
        return knots + change

    def _rows(self, knots: ndarray) -> ndarray:
        """Value, first and second difference of each knot, as multiples of their bounds."""
        one = np.diff(knots, append=knots[-1:])
        two = np.zeros_like(knots)
        two[1:-1] = np.diff(knots, 2)
        return self._scales[:, None] * np.stack([knots, one, two])

    def _transposed(self, rows: ndarray) -> ndarray:
        """The transpose of `_rows`."""
        value, one, two = self._scales[:, None] * rows
        result = value.copy()
        result[:-1] -= one[:-1]
        result[1:] += one[:-1]
        result[:-2] += two[1:-1]
        result[1:-1] -= 2 * two[1:-1]
        result[2:] += two[1:-1]
        return result


def check_bounds(bounds: Bounds) -> None:
    """Refuses bounds that leave no room.

    Raises:
        InputError: one is not above zero.
    """
    for name, value in zip(bounds._fields, bounds, strict=True):
        if not (np.isfinite(value) and value > 0):
            raise InputError(
                f"compensate: expected {name} > 0, got {value:g}. Give what the motors can do."
            )


def _autocorrelation(taps: ndarray, reach: int) -> ndarray:
    """Sums of products `0 <= distance < reach` apart."""
    whole = correlate(taps, taps)[len(taps) - 1 :]
    return np.pad(whole, (0, max(0, reach - len(whole))))[:reach]


def _factor(band: ndarray, size: int) -> tuple[ndarray, bool]:
    """Cholesky factor of the Toeplitz matrix whose lower diagonals are these.

    By Schur's algorithm, in which columns soon repeat themselves. LAPACK's, which does not use
    that, waits for threads of its own on a busy machine.
    """
    regular = np.concatenate([[band[0] * (1.0 + 1e-9)], band[1:]])
    column = regular / np.sqrt(regular[0])
    other = np.concatenate([[0.0], column[1:]])
    table = np.empty((len(band), size))
    for place in range(size):
        table[:, place] = column
        other = np.append(other[1:], 0.0)
        reflection = other[0] / column[0]
        if abs(reflection) < REPEATED:
            table[:, place:] = column[:, None]
            break
        scale = 1.0 / np.sqrt((1.0 - reflection) * (1.0 + reflection))
        column, other = (
            (column - reflection * other) * scale,
            (other - reflection * column) * scale,
        )
    return table, True


def _second_twice(knots: ndarray) -> ndarray:
    """The gradient of half the sum of squared second differences."""
    two = np.diff(knots, 2)
    result = np.zeros_like(knots)
    result[:-2] += two
    result[1:-1] -= 2 * two
    result[2:] += two
    return result
