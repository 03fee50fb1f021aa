"""Bounded least-squares step of the solver: the change of knots that takes a tracking error away.

An axis that slides responds to a knot with taps h, the same for every knot, so that the change d of
the knots q that does best against an error e solves a banded system with the autocorrelation of h:

  minimise over d   sum_t (e_t + (h * d)_t)^2 + effort sum_k (second difference of q + d)_k^2

Its matrix is Toeplitz, so that one recursion serves a whole layer and a step costs six Fourier
transforms of it, whatever the rate. Where the solution would leave the bounds, alternating
directions (Boyd et al., 2011) find the best one inside; what is returned is inside, whatever the
iterations did. Axes are independent.

Source: Gohberg and Semencul, 1972, for the inverse of a Toeplitz matrix by its first column;
Durbin's recursion for that.
"""

import copy
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from numpy.fft import irfft, rfft
from scipy.fft import next_fast_len
from scipy.linalg import toeplitz
from scipy.signal import correlate

from jaxcorr.errors import InputError

SMOOTH = (6.0, -4.0, 1.0)  # autocorrelation of a second difference
ROUNDS = 60  # of alternating directions; within 1e-4 of their limit, at any bounds that bind
PENALTY = 1.0  # of theirs, as a multiple of the curvature of the error by that of the bounds
MARGIN = 0.99  # they aim inside, so that what is left of a violation does no harm
SETTLED = 1e-15  # of a reflection coefficient, after which the first column is what it stays
# An inverse of up to so many rows is multiplied with as it is, which takes less than transforms.
MOST_ROWS = 100
ROUNDING = 1e-12  # so that what is scaled to a bound is not beyond it


class Bounds(NamedTuple):
    """What a correction may do, per axis; differences are between neighbouring knots."""

    correction_mm: float = 1.0
    speed_mm_s: float = 100.0
    accel_mm_s2: float = 20_000.0


class ToeplitzInverse:
    """Inverse of a symmetric positive definite Toeplitz matrix.

    Args:
        band: how its first column begins; the rest of that is zero.
        num_rows: of the matrix.
        column: how the first column of the inverse begins, where it is known.
    """

    def __init__(
        self,
        band: Float[ndarray, " b"],
        num_rows: int,
        column: Float[ndarray, " c"] | None = None,
    ):
        self._band, self._num_rows, self._column = band, num_rows, column
        if num_rows <= MOST_ROWS:
            first = np.pad(band, (0, max(0, num_rows - len(band))))[:num_rows]
            self._whole = np.linalg.inv(toeplitz(first))
            return
        if column is None:
            self._column = column = _first_column(band, num_rows)
        whole = np.pad(column, (0, num_rows - len(column)))
        self._length = next_fast_len(2 * num_rows, real=True)
        columns = np.stack([whole, np.append(0.0, whole[:0:-1])])
        self._spectra = rfft(columns, self._length)
        self._signs = np.array([[1.0], [-1.0]]) / whole[0]

    def shortened(self, num_rows: int) -> "ToeplitzInverse":
        """That of the first rows and columns of the matrix."""
        is_same = self._column is not None and len(self._column) <= num_rows
        return ToeplitzInverse(self._band, num_rows, self._column if is_same else None)

    def solve(self, values: Float[ndarray, " n"]) -> Float[ndarray, " n"]:
        """The inverse times a vector."""
        if self._num_rows <= MOST_ROWS:
            return self._whole @ values
        against = rfft(values, self._length) * self._spectra.conj()
        halves = irfft(against, self._length)[:, : self._num_rows]
        spectrum = np.sum(self._signs * self._spectra * rfft(halves, self._length), axis=0)
        return irfft(spectrum, self._length)[: self._num_rows]


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
        self._penalty = [PENALTY * band[0] / inside[0] for band in bands]
        self._free = [ToeplitzInverse(band + effort * smooth, num_knots - 1) for band in bands]
        self._bound = [
            ToeplitzInverse(band + effort * smooth + penalty * inside, num_knots - 1)
            for band, penalty in zip(bands, self._penalty, strict=True)
        ]

    def shortened(self, num_knots: int) -> "KnotInverse":
        """The same for fewer knots."""
        made = copy.copy(self)
        made._free, made._bound = (
            [inverse.shortened(num_knots - 1) for inverse in inverses]
            for inverses in (self._free, self._bound)
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
        change = self._free[axis].solve(downhill[1:])
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
            change[1:] = self._bound[axis].solve(target[1:])
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


def _second_twice(knots: ndarray) -> ndarray:
    """The gradient of half the sum of squared second differences."""
    two = np.diff(knots, 2)
    result = np.zeros_like(knots)
    result[:-2] += two
    result[1:-1] -= 2 * two
    result[2:] += two
    return result


def _first_column(band: ndarray, num_rows: int) -> ndarray:
    """Of the inverse of a Toeplitz matrix, as far as it is not zero."""
    backward, column, power = band[::-1], np.ones(1), band[0]
    for place in range(1, num_rows):
        reach = min(place, len(band) - 1)
        before = backward[len(band) - 1 - reach : len(band) - 1]
        reflection = -(column[place - reach :] @ before) / power
        column = np.append(column, 0.0)
        column = column + reflection * column[::-1]
        power *= (1.0 - reflection) * (1.0 + reflection)
        if abs(reflection) < SETTLED:
            break
    return column / power
