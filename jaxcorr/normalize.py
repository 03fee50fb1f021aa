"""Scaling to zero mean and unit variance: fit on training data, apply, invert.

It works on columns and does not know what they mean. Means and deviations belong to the model
artefact, so nobody outside the model sees a normalised number.
"""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray


class Scale(NamedTuple):
    """Mean and standard deviation of each of c columns, in the columns' own units."""

    mean: Float[ndarray, " c"]
    std: Float[ndarray, " c"]


def fit(columns: Float[ndarray, "n c"]) -> Scale:
    """Mean and standard deviation over n samples; a constant column gets deviation 1.

    A column is constant when its deviation is below the rounding of its own mean.
    """
    mean = columns.mean(axis=0, dtype=np.float64)
    std = columns.std(axis=0, dtype=np.float64)
    is_constant = std <= np.finfo(np.float32).eps * np.maximum(np.abs(mean), 1e-30)
    return Scale(mean.astype(np.float32), np.where(is_constant, 1.0, std).astype(np.float32))


def apply(scale: Scale, values: Any) -> Any:
    """Physical values to normalised ones, along the last axis; numpy or jax arrays."""
    return (values - scale.mean) / scale.std


def invert(scale: Scale, values: Any) -> Any:
    """Normalised values back to physical ones, along the last axis; numpy or jax arrays."""
    return values * scale.std + scale.mean
