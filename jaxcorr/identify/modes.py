"""One or two modes of an axis, fitted to the spectrum that its resonance test left.

The logarithm of the spectrum is fitted, so that skirts count beside the peak, each bin by its power
over the command's: what is far below the peak is mostly motion of other parts. Spectra of the
simulated test are costly, so that the search begins with the command's spectrum times the squared
response, from many starts, and ends with the simulation. The level of the spectrum is free: it
tells the size of the command, not of the axis.

Shares may be negative: parts in series, such as a frame below a bed, move that way. With two modes
a third share follows the motor stiffly: what gives way only above the test's frequencies.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray
from scipy.optimize import OptimizeResult, least_squares

from jaxcorr.identify.levenberg_marquardt import descend
from jaxcorr.identify.resonance_test import Mode, ResonanceTest

FIT_HZ = (12.0, 120.0)  # what the test shakes with force, well inside of its ends
LEAST_WEIGHT = 0.003
# The search's variables: logarithms of frequency and damping ratio of each mode; with two of them
# the share of the first and the stiff share.
LOWEST = (np.log(10.0), np.log(0.01), np.log(10.0), np.log(0.01), -1.0, -0.3)
HIGHEST = (np.log(200.0), np.log(0.6), np.log(200.0), np.log(0.6), 2.0, 0.6)
STEPS = (0.02, 0.2, 0.02, 0.2, 0.1, 0.1)
# The best ends of a search without the simulation begin one with it; the best of those goes on.
NUM_SIMULATED = 5
QUICK_ITERATIONS, FIRST_EVALUATIONS, EVALUATIONS = 40, 6, 30
DERIVATIVE_STEP = 1e-8
NEIGHBOURS = 6  # bins whose misfit goes together
INTERVAL = 1.96  # standard deviations


class Fit(NamedTuple):
    """Modes of an axis, the one that gives way most first.

    Attributes:
        modes: frequencies, damping ratios and shares.
        low, high: 95% intervals of frequencies and damping ratios; their shares mean nothing.
        psd: of the simulated test at every frequency of the file, at the file's level.
        residual: RMS of the weighted difference of logarithms; 0.1 is about 10% of the power.
    """

    modes: tuple[Mode, ...]
    low: tuple[Mode, ...]
    high: tuple[Mode, ...]
    psd: Float[ndarray, " f"]
    residual: float


class _Target(NamedTuple):
    """What is fitted: bins, their logarithms and weights, and the test that is simulated."""

    used: Bool[ndarray, " f"]
    frequency_hz: Float[ndarray, " u"]
    log_psd: Float[ndarray, " u"]
    weight: Float[ndarray, " u"]
    test: ResonanceTest

    def level(self, psd: Float[ndarray, "*n u"]) -> Float[Any, "*n"]:
        """Logarithm of what a model's spectrum is multiplied with to come nearest."""
        off = self.log_psd - np.log(psd)
        return off @ self.weight**2 / (self.weight @ self.weight)

    def residuals(self, psd: Float[ndarray, "*n u"]) -> Float[ndarray, "*n u"]:
        """Weighted differences of logarithms, the level taken off."""
        off = np.log(psd) - self.log_psd
        return self.weight * (off + self.level(psd)[..., None])

    def simulated(self, numbers: Float[ndarray, " p"]) -> Float[ndarray, " u"]:
        """Residuals of the simulated test."""
        return self.residuals(self.test.psd(_modes(numbers))[self.used])


def fit(spacing_hz: float, psd: Float[ndarray, " f"], num_modes: int) -> Fit:
    """Fits modes to a spectrum.

    Args:
        spacing_hz: of the frequencies, which begin at 0.
        psd: (mm/s2)^2/Hz of one direction.
        num_modes: 1 or 2.
    """
    frequency_hz = spacing_hz * np.arange(len(psd))
    used = (frequency_hz >= FIT_HZ[0]) & (frequency_hz <= FIT_HZ[1]) & (psd > 0.0)
    height = psd[used] / frequency_hz[used]
    weight = np.sqrt(np.maximum(height / height.max(), LEAST_WEIGHT))
    test = ResonanceTest(spacing_hz, len(psd))
    target = _Target(used, frequency_hz[used], np.log(psd[used]), weight, test)
    peak_hz = float(target.frequency_hz[np.argmax(height)])
    found = _search(target, _starts(peak_hz, num_modes))
    modes = _modes(found.x)
    low, high = _intervals(found, target)
    order = sorted(range(num_modes), key=lambda i: _weakness(modes[i]), reverse=True)
    whole = test.psd(modes)
    return Fit(
        tuple(modes[i] for i in order),
        tuple(low[i] for i in order),
        tuple(high[i] for i in order),
        np.exp(target.level(whole[used])) * whole,
        float(np.linalg.norm(found.fun) / np.linalg.norm(weight)),
    )


def _modes(numbers: Float[ndarray, " p"]) -> list[Mode]:
    """Modes of the search's variables."""
    return [Mode(*mode) for mode in np.stack(_columns(numbers), axis=1).tolist()]


def _columns(numbers: Float[ndarray, "*n p"]) -> tuple[ndarray, ndarray, ndarray]:
    """Frequencies, damping ratios and shares of the search's variables, each (*n, modes)."""
    pairs = np.exp(numbers[..., :4]).reshape(*numbers.shape[:-1], -1, 2)
    shares = np.ones_like(pairs[..., 0])
    if shares.shape[-1] == 2:
        first, stiff = numbers[..., 4], numbers[..., 5]
        shares = np.stack([first, 1.0 - first - stiff], axis=-1)
    return pairs[..., 0], pairs[..., 1], shares


def _weakness(mode: Mode) -> float:
    """How far a mode lets the axis lag at a steady acceleration, up to a factor."""
    return abs(mode.share) / mode.frequency_hz**2


def _starts(peak_hz: float, num_modes: int) -> list[list[float]]:
    """Where the search begins, around the peak."""
    peak = np.log(peak_hz)
    if num_modes == 1:
        return [[peak, np.log(z)] for z in (0.03, 0.1, 0.25)]
    others = [a * peak_hz for a in (0.5, 0.7, 0.87, 1.15, 1.35, 1.6, 1.9, 2.4)]
    return [
        [peak, np.log(0.08), np.log(other), np.log(z), share, stiff]
        for other in others
        if LOWEST[0] < np.log(other) < HIGHEST[0]
        for z in (0.05, 0.2)
        for share, stiff in ((0.4, 0.0), (0.8, 0.0), (0.6, 0.3), (1.25, 0.0))
    ]


def _search(target: _Target, starts: Sequence[Sequence[float]]) -> OptimizeResult:
    """The best fit of the simulated test, from the ends of a search without it."""
    commanded = target.test.psd([])[target.used]

    def quick(numbers: ndarray) -> ndarray:
        response = _response(numbers, target.frequency_hz)
        return target.residuals(commanded * np.maximum(np.abs(response) ** 2, 1e-12))

    ends: list[ndarray] = []
    for end in _descend(quick, np.array(starts)):
        is_new = all(np.abs((end - one) / STEPS[: len(end)]).max() > 1.0 for one in ends)
        if is_new and len(ends) < NUM_SIMULATED:
            ends.append(end)
    begun = [_minimize(target.simulated, end, FIRST_EVALUATIONS) for end in ends]
    best = min(begun, key=lambda one: one.cost)
    return _minimize(target.simulated, best.x, EVALUATIONS)


def _descend(
    residuals_fn: Callable[[ndarray], ndarray], numbers: Float[ndarray, "S p"]
) -> Float[ndarray, "S p"]:
    """Where a search ends from each start; the best end first."""
    count = numbers.shape[1]
    lowest, highest, scale = (np.array(bound[:count]) for bound in (LOWEST, HIGHEST, STEPS))
    # One row for the numbers themselves, and one for a small change of each.
    nearby = DERIVATIVE_STEP * np.vstack([np.zeros(count), np.diag(scale)])

    def look(numbers: ndarray) -> tuple[ndarray, ndarray, ndarray]:
        found = residuals_fn(numbers[:, None] + nearby)
        left, moved = found[:, 0], found[:, 1:]
        slopes = (moved - left[:, None]) / (DERIVATIVE_STEP * scale[:, None])
        gradient = np.einsum("spu,su->sp", slopes, left)
        return np.sum(left**2, axis=1), gradient, slopes @ np.swapaxes(slopes, 1, 2)

    start = np.clip(numbers, lowest, highest)
    ends, (cost, *_) = descend(look, start, (lowest, highest), range(QUICK_ITERATIONS))
    return ends[np.argsort(cost)]


def _minimize(
    residuals_fn: Callable[[ndarray], ndarray], start: Float[ndarray, " p"], most: int
) -> OptimizeResult:
    count = len(start)
    how = {"bounds": (LOWEST[:count], HIGHEST[:count]), "x_scale": STEPS[:count]}
    return least_squares(residuals_fn, start, max_nfev=most, **how)


def _response(numbers: Float[ndarray, "*n p"], frequency_hz: Float[ndarray, " u"]) -> ndarray:
    """The axis's motion over its command's, complex, (*n, u)."""
    modes_hz, ratios, shares = (column[..., None] for column in _columns(numbers))
    speed = frequency_hz / modes_hz
    damping = 2j * ratios * speed
    answers = shares * (1.0 + damping) / (1.0 - speed**2 + damping)
    return 1.0 - shares.sum(axis=-2) + answers.sum(axis=-2)


def _intervals(found: OptimizeResult, target: _Target) -> tuple[list[Mode], list[Mode]]:
    """Bounds of frequencies and damping ratios, from a spectrum that is as rough as it fits badly.

    Every bin's logarithm is off by as much as the weighted residual, and less and less alike those
    of bins up to NEIGHBOURS away.
    """
    power = target.weight**2
    pulls = found.jac * target.weight[:, None]
    middle = pulls.T @ pulls
    for lag in range(1, NEIGHBOURS + 1):
        both = pulls[lag:].T @ pulls[:-lag]
        middle += (1.0 - lag / (NEIGHBOURS + 1.0)) * (both + both.T)
    # Bins far below the peak hardly count.
    num_bins = max(power.sum() ** 2 / np.sum(power**2), len(found.x) + 2.0)
    variance = found.fun @ found.fun / power.sum() * num_bins / (num_bins - len(found.x))
    inverse = np.linalg.pinv(found.jac.T @ found.jac)
    spread = INTERVAL * np.sqrt(np.maximum(variance * np.diag(inverse @ middle @ inverse), 0.0))
    # An exponential of more would say no more than that it is not told.
    spread = np.minimum(spread, 10.0)
    return _modes(found.x - spread), _modes(found.x + spread)
