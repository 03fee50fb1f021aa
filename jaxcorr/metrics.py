"""Prediction metrics as pure functions of two arrays. They know no trace, model or unit but mm.

All sums run in float64, whatever comes in.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray

PERCENTILES = (50, 90, 95, 99)


class Metrics(NamedTuple):
    """Accuracy of one set of predictions; `r2` and `correlation` are None where undefined."""

    mae_mm: float
    rmse_mm: float
    r2: float | None
    correlation: float | None
    max_mm: float


def measure(true: Float[ndarray, "n *axes"], predicted: Float[ndarray, "n *axes"]) -> Metrics:
    """Metrics over all entries of n samples; for several axes, over their pooled entries.

    R2 of several axes is 1 - (sum of squared residuals) / (sum of squared deviations from each
    axis's own mean), so an axis offset explains nothing. R2 is None where the truth is constant,
    the correlation also where the prediction is.

    Args:
        true: errors that happened (mm).
        predicted: errors that were predicted (mm).
    Raises:
        ValueError: the shapes differ or there is no sample.
    """
    if true.shape != predicted.shape or not len(true):
        raise ValueError(f"expected equal, non-empty shapes, got {true.shape}, {predicted.shape}")
    true, predicted = np.asarray(true, np.float64), np.asarray(predicted, np.float64)
    residual = predicted - true
    deviation, spread = _centre(true), _centre(predicted)
    variance, power = np.sum(deviation**2), np.sum(spread**2)
    product = np.sqrt(variance) * np.sqrt(power)
    r2 = float(1.0 - np.sum(residual**2) / variance) if variance else None
    correlation = float(np.sum(deviation * spread) / product) if product else None
    return Metrics(
        mae_mm=float(np.mean(np.abs(residual))),
        rmse_mm=float(np.sqrt(np.mean(residual**2))),
        r2=r2,
        correlation=correlation,
        max_mm=float(np.max(np.abs(residual))),
    )


def _centre(values: Float[ndarray, "n *axes"]) -> Float[ndarray, "n *axes"]:
    """Deviations from each axis's mean; exactly zero where an axis is constant.

    Counted from the first sample, a constant is zero before any sum can leave rounding noise.
    """
    from_first = values - values[0]
    return from_first - from_first.mean(axis=0)


def percentiles(
    true: Float[ndarray, "n axes"], predicted: Float[ndarray, "n axes"]
) -> dict[str, float]:
    """Percentiles of the absolute residual over all samples and axes, such as `p50_mm` (mm)."""
    residual = np.abs(np.asarray(predicted, np.float64) - np.asarray(true, np.float64))
    values = np.percentile(residual, PERCENTILES)
    return {f"p{p}_mm": float(value) for p, value in zip(PERCENTILES, values, strict=True)}
