"""Scaling to zero mean and unit variance: fit on training data, apply, invert.

It works on columns and does not know what they mean. Means and deviations belong to the model
artefact, so nobody outside the model sees a normalised number.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray

FAR = 2.0


class Scale(NamedTuple):
    """Mean and standard deviation of each of c columns, in the columns' own units."""

    mean: Float[ndarray, " c"]
    std: Float[ndarray, " c"]


class Scales(NamedTuple):
    """Normalisation of the encoder's inputs and of the targets, from the training split only.

    Attributes:
        limit_mm: of predictions; see `limit_of`.
    """

    inputs: Scale
    targets: Scale
    limit_mm: Float[ndarray, " k"]


def limit_of(pieces: Iterable[ndarray]) -> Float[ndarray, " k"]:
    """How large (mm) a prediction may be: FAR times the largest target in any of the pieces.

    Nothing further out was ever seen, so a model that says so extrapolates.
    """
    largest = [np.max(np.abs(piece), axis=0) for piece in pieces if len(piece)]
    return np.asarray(FAR * np.max(largest, axis=0), np.float32)


def fit(columns: Float[ndarray, "n c"]) -> Scale:
    """Mean and standard deviation over n samples; a constant column gets deviation 1.

    A column is constant when its deviation is below the rounding of its own mean.
    """
    return fit_pieces([columns])


def fit_pieces(pieces: Iterable[ndarray]) -> Scale:
    """The same of pieces that together hold the samples, each needed only once and by itself.

    Source: Chan, Golub and LeVeque, "Updating Formulae and a Pairwise Algorithm for Computing
    Sample Variances", 1979.
    """
    count, mean, squares = 0, 0.0, 0.0
    for piece in filter(len, pieces):
        share = len(piece) / (count + len(piece))
        apart = piece.mean(axis=0, dtype=np.float64) - mean
        squares = squares + len(piece) * piece.var(axis=0, dtype=np.float64)
        squares = squares + share * count * apart**2
        mean = mean + share * apart
        count += len(piece)
    assert count, "a scale needs samples"
    std = np.sqrt(squares / count)
    is_constant = std <= np.finfo(np.float32).eps * np.maximum(np.abs(mean), 1e-30)
    return Scale(np.asarray(mean, np.float32), np.where(is_constant, 1.0, std).astype(np.float32))


def apply(scale: Scale, values: Any) -> Any:
    """Physical values to normalised ones, along the last axis; numpy or jax arrays."""
    return (values - scale.mean) / scale.std


def invert(scale: Scale, values: Any) -> Any:
    """Normalised values back to physical ones, along the last axis; numpy or jax arrays."""
    return values * scale.std + scale.mean
