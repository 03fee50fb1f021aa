"""Solver for the correction that makes the predicted path the reference, one layer at a time.

The unknowns are knots of the correction. The map is any function from them to the tracking error
that they leave, a run's model or the plant itself; the solver asks it for values only. Each step
takes the error away as an axis that slides would let it (knot_inverse.py). Under friction the head
follows less than that while an axis hardly moves, never more, so that the steps go downhill there
too, only in more of them. Newton's method with the exact Jacobian, friction included, was measured
first: it jumps to and fro across the bends of friction and still has a third of the error after 12
steps, where these steps have a fiftieth.

  q_{n+1} = q_n + argmin_d |e(q_n) + h * d|^2 + effort |second differences of q_n + d|^2

Source: Bristow, Tharayil and Alleyne, "A survey of
iterative learning control", 2006, for steps by the inverse of a nominal plant.
"""

from collections.abc import Callable, Generator
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from jaxcorr.compensation.knot_inverse import Bounds, KnotInverse

ErrorFn = Callable[[Float[ndarray, "k 2"]], Float[ndarray, "k 2"]]
NEGLIGIBLE_MM = 1e-6  # a nanometre
Outcome = Literal["converged", "at bounds", "too few steps", "out of time", "not finite", "no gain"]


RESPONSE_S = 0.8  # of a response, after its knot; an axis has rung out by then
STILL = 1e-3  # of the largest tap
# Finer knots follow faster wiggles and turn more sharply from one to the next. With the effort of
# 200 Hz, those at 1 kHz are at their bounds all the time; with so much more that they follow no
# faster ones, nothing is won by them. In between, effort rises as the square of the rate.
EFFORT_RATE_HZ = 200.0


class ImpulseResponse(NamedTuple):
    """Response of a sliding head to one knot of 1 mm, at the samples around it.

    Attributes:
        taps: mm, x and y; the same for every knot.
        lead: how many of them lie before the knot.
    """

    taps: Float[ndarray, "taps 2"]
    lead: int

    def until_still(self) -> "ImpulseResponse":
        """Without the taps after the last one that counts; steps cost the square of them."""
        size = np.abs(self.taps).max(axis=1)
        last = int(np.flatnonzero(size >= STILL * size.max())[-1])
        return self._replace(taps=self.taps[: max(last, self.lead) + 1])


class Options(NamedTuple):
    """How hard the solver tries.

    Attributes:
        effort: weight of the knots' second differences against errors, both in mm.
        most_steps: evaluations of the map, besides the first.
        gain: converged once a step lowers the cost by less than this share of it.
        bounds: on the correction.
    """

    effort: float = 3e-3
    most_steps: int = 40
    gain: float = 0.003
    bounds: Bounds = Bounds()

    def at_rate(self, rate_hz: float) -> "Options":
        """For knots at this rate, with the effort of those at EFFORT_RATE_HZ or slower."""
        return self._replace(effort=self.effort * max(1.0, rate_hz / EFFORT_RATE_HZ) ** 2)


DEFAULT = Options()


class Solution(NamedTuple):
    """The best knots found and how good they are predicted to be.

    Attributes:
        knots: correction in mm, at the rate of the reference; the first is 0.
        outcome: `converged`, or why not.
        rms_mm: predicted RMS of the error over both axes: of no correction, then after each step.
    """

    knots: Float[ndarray, "k 2"]
    outcome: Outcome
    rms_mm: tuple[float, ...]


Search = Generator[Float[ndarray, "k 2"], Float[ndarray, "k 2"], Solution]


def solve(
    error_fn: ErrorFn,
    response: ImpulseResponse,
    num_knots: int,
    rate_hz: float,
    options: Options = DEFAULT,
) -> Solution:
    """Knots that take away the error of a path as far as the map can tell.

    Args:
        error_fn: from knots (mm) to actual - reference (mm) at the samples where the knots are.
        response: of an axis that slides.
        num_knots: samples of the reference.
        rate_hz: of both.
        options: see `Options`.
    """
    inverse = KnotInverse(*response, num_knots, rate_hz, options.effort, options.bounds)
    knots = np.zeros((num_knots, 2))
    return descend(error_fn, inverse, knots, options)


def descend(
    error_fn: ErrorFn,
    inverse: KnotInverse,
    knots: Float[ndarray, "k 2"],
    options: Options,
    has_time_fn: Callable[[], bool] = lambda: True,
) -> Solution:
    """Like `solve`, from given knots inside the bounds and with a ready inverse.

    The first entry of `rms_mm` is then that of the given knots. Each step is asked for with
    `has_time_fn`; where there is none, the best knots so far are returned.
    """
    steps = search(inverse, knots, options, has_time_fn)
    asked = next(steps)
    while True:
        try:
            asked = steps.send(error_fn(asked))
        except StopIteration as end:
            return end.value


def search(
    inverse: KnotInverse,
    knots: Float[ndarray, "k 2"],
    options: Options,
    has_time_fn: Callable[[], bool] = lambda: True,
) -> Search:
    """`descend` as a generator that yields knots and is sent the error that they leave.

    Several layers can so be solved side by side, by a map that takes them all at once.
    """
    error = yield knots
    best = _cost(knots, error, options.effort)
    rms = [_rms(error)]
    for _ in range(options.most_steps):
        if not has_time_fn():
            return Solution(knots, "out of time", tuple(rms))
        point = yield from _improve(inverse, knots, error, best, options)
        if point is None:
            return Solution(knots, _why_stuck(error, inverse, knots, len(rms)), tuple(rms))
        gained = 1.0 - point.cost / best
        knots, error, best = point
        rms.append(_rms(error))
        if gained < options.gain or rms[-1] < NEGLIGIBLE_MM:
            return Solution(knots, _name(inverse, knots), tuple(rms))
    return Solution(knots, "too few steps", tuple(rms))


class _Point(NamedTuple):
    knots: ndarray
    error: ndarray
    cost: float


def _improve(
    inverse: KnotInverse, knots: ndarray, error: ndarray, best: float, options: Options
) -> Generator[ndarray, ndarray, _Point | None]:
    """The step, or a half or a quarter of it, that lowers the cost; None where none does."""
    aim = inverse.step(knots, error) if np.isfinite(error).all() else knots
    for share in (1.0, 0.5, 0.25):
        tried = knots + share * (aim - knots)
        left = yield tried
        cost = _cost(tried, left, options.effort)
        if cost < best:
            return _Point(tried, left, cost)
    return None


def _cost(knots: ndarray, error: ndarray, effort: float) -> float:
    return float(np.sum(error**2) + effort * np.sum(np.diff(knots, 2, axis=0) ** 2))


def _rms(error: ndarray) -> float:
    return float(np.sqrt(np.mean(np.sum(error**2, axis=1))))


def _name(inverse: KnotInverse, knots: ndarray) -> Outcome:
    return "at bounds" if inverse.violation(knots) > 0.98 else "converged"


def _why_stuck(error: ndarray, inverse: KnotInverse, knots: ndarray, num_done: int) -> Outcome:
    if not np.isfinite(error).all():
        return "not finite"
    is_done = num_done > 1 or _rms(error) < NEGLIGIBLE_MM
    return _name(inverse, knots) if is_done else "no gain"
