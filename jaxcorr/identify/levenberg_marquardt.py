"""Least squares by Levenberg and Marquardt's steps, from many starts side by side, within bounds.

Each start has a caution of its own, so that all can be evaluated at once; scipy's least_squares
takes one start at a time.

Source: Marquardt, "An Algorithm for Least-Squares Estimation of Nonlinear Parameters", 1963, with
the damping in units of each number's own slope.
"""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from jaxtyping import Float
from numpy import ndarray

ENOUGH = 1e-6  # relative gain of an iteration that ends the search
MOST_CAUTION = 1e6
MOST_MOVE = 1.0  # of a number in one step
RIDGE = 1e-12

# Numbers (*starts, p) to cost (*starts), half of its gradient (*starts, p) and of its Hessian
# (*starts, p, p), and whatever else is wanted of the end, each (*starts, ...).
LookFn = Callable[[ndarray], Sequence[ndarray]]


def descend(
    look_fn: LookFn,
    numbers: Float[ndarray, "*starts p"],
    bounds: tuple[ndarray, ndarray],
    iterations: Iterable[int],
) -> tuple[Float[ndarray, "*starts p"], Sequence[ndarray]]:
    """Where the steps from each start end, and what `look_fn` says there.

    Args:
        look_fn: called once more than there are iterations, if not all starts end before.
        numbers: the starts, within the bounds.
        bounds: lowest and highest of each number.
        iterations: at most so many; a search that ends before leaves the rest.
    """
    here = look_fn(numbers)
    caution = np.full(numbers.shape[:-1], 1e-2)
    for _ in iterations:
        cost, gradient, hessian, *_ = here
        trial = np.clip(numbers + _move(numbers, gradient, hessian, caution, bounds), *bounds)
        there = look_fn(trial)
        is_better = there[0] < cost  # not where it is no number
        gain = (cost - there[0]) / np.maximum(cost, np.finfo(float).tiny)
        is_done = (is_better & (gain < ENOUGH)) | (caution > MOST_CAUTION)
        numbers = np.where(is_better[..., None], trial, numbers)
        here = [
            np.where(is_better.reshape(*is_better.shape, *[1] * (b.ndim - is_better.ndim)), b, a)
            for a, b in zip(here, there, strict=True)
        ]
        caution = np.where(is_better, caution / 5.0, caution * 4.0)
        if is_done.all():
            break
    return numbers, here


def _move(
    numbers: ndarray,
    gradient: ndarray,
    hessian: ndarray,
    caution: ndarray,
    bounds: tuple[ndarray, ndarray],
) -> Float[ndarray, "*starts p"]:
    """The damped step, in units of each number's own slope; at a bound only inwards."""
    is_held = ((numbers <= bounds[0]) & (gradient > 0)) | ((numbers >= bounds[1]) & (gradient < 0))
    size = np.sqrt(np.diagonal(hessian, axis1=-2, axis2=-1))
    scale = np.where((size > 0) & ~is_held, 1.0 / np.where(size > 0, size, 1.0), 0.0)
    damped = hessian * scale[..., :, None] * scale[..., None, :]
    damped += (caution[..., None, None] + RIDGE) * np.eye(numbers.shape[-1])
    step = np.linalg.solve(damped, (gradient * scale)[..., None])[..., 0]
    return np.clip(-step * scale, -MOST_MOVE, MOST_MOVE)
