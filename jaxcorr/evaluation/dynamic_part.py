"""Accuracy on the dynamic part of the error: what is left without friction's offset.

The offset follows from the direction of travel, which makes it easy to predict and a large part of
the variance; the rest is harder. The residual is the same with and without it, only the variance to
be explained differs. Simulated traces tell friction's part of the error, which is as much of the
lag; elsewhere an offset along the direction is fitted to the traces judged on. The module knows
errors, velocities and labels; it knows no model.
"""

from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from jaxcorr import metrics
from jaxcorr.data.strata import Labels
from jaxcorr.data.windows import Samples
from jaxcorr.evaluation.breakdown import target_rows
from jaxcorr.spec import Data, axis_of, own_velocities

# Where a fitted offset has three quarters of its size; the simulators' friction does the same.
FRICTION_MM_S = 2.0
FROM_TRACES = "friction as the traces have it"
FITTED = "direction-dependent offset, fitted to the test traces"

Values = Float[ndarray, "rows _"]


def measure_dynamic(
    samples: Samples,
    predicted: Values,
    counts: Bool[ndarray, " rows"],
    data: Data,
    labels: Labels | None,
) -> dict[str, Any] | None:
    """R2 and RMS (mm) of the error without friction's offset, over both axes and for each.

    Returns:
        r2, rms_mm (of that part of the error), rmse_mm (of the residual), share_of_variance (of the
        whole error), one entry per axis, and `offset`: where the offset comes from. None where it
        is in no trace and cannot be fitted for want of velocities.
    """
    found = offset_of(samples, counts, data, labels)
    if found is None:
        return None
    offset, source = found
    true = np.asarray(samples.targets[counts], np.float64)
    dynamic = true - offset[counts]
    answer = dynamic + np.asarray(predicted[counts], np.float64) - true
    whole = np.sum((true - true.mean(axis=0)) ** 2)
    part = np.sum((dynamic - dynamic.mean(axis=0)) ** 2)
    axes = {
        axis_of(name): _measure(dynamic[:, i : i + 1], answer[:, i : i + 1])
        for i, name in enumerate(data.targets)
    }
    return {
        "offset": source,
        **_measure(dynamic, answer),
        "share_of_variance": float(part / whole) if whole else None,
        **axes,
    }


def offset_of(
    samples: Samples, counts: Bool[ndarray, " rows"], data: Data, labels: Labels | None
) -> tuple[Values, str] | None:
    """Friction's part (mm) of each row's error, and where it comes from."""
    if labels is not None and np.isfinite(labels.friction_mm[counts]).all():
        return np.asarray(labels.friction_mm, np.float64), FROM_TRACES
    own = own_velocities(data)
    if own is None:
        return None
    offset = np.zeros(samples.targets.shape)
    for i, column in enumerate(own):
        speed = np.asarray(samples.features[:, column], np.float64)
        sign = np.tanh(speed[target_rows(samples, data.horizon)] / FRICTION_MM_S)
        x = np.column_stack([sign, np.ones_like(sign)])
        y = np.asarray(samples.targets[counts, i], np.float64)
        gain = np.linalg.lstsq(x[counts], y, rcond=None)[0][0]
        offset[:, i] = gain * sign
    return offset, FITTED


def _measure(dynamic: Values, answer: Values) -> dict[str, float | None]:
    found = metrics.measure(dynamic, answer)
    rms = np.sqrt(np.mean((dynamic - dynamic.mean(axis=0)) ** 2))
    return {"r2": found.r2, "rms_mm": float(rms), "rmse_mm": found.rmse_mm}
