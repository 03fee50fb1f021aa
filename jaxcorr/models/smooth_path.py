"""A regression on smooth functions of velocity, axis by axis, as a stream.

What one sample says of an axis's error, now and later, is the sum of responses to memoryless
regressors: the axis's velocity, its hyperbolic tangents at several scales (friction), its direction
along the path, and ramps of the speed along the path, by themselves and times that direction. Each
sample's share of all the errors to come is summed up when it arrives; no sample is remembered.
`smooth_fit.py` finds the responses in milliseconds of lag; a path has them at one sampling rate.

All regressors are bounded, the velocity some way beyond the fastest of training, and all are
continuous: the path can be inverted.
"""

from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32
from numpy import ndarray

from jaxcorr import files
from jaxcorr.spec import count_path_lags

NUM_SCALES = 4  # of tanh
NUM_KNOTS = 20  # of the ramps between speeds
NUM_RAMPS = NUM_KNOTS - 1
# Velocity and its tanh, which ring on; then direction, and ramps by themselves and times it.
NUM_RINGING = 1 + NUM_SCALES
NUM_REGRESSORS = NUM_RINGING + 1 + 2 * NUM_RAMPS

Path = dict[str, Any]


def blank(num_axes: int, rate_hz: float) -> Path:
    """A path that predicts zero, in the shape of every other.

    Returns:
        most_mm_s: (A,), a faster velocity counts as this one; scale_mm_s: (scales, A), where each
        tanh bends; knots_mm_s: (knots,), where ramps of the speed begin and end; rest_mm_s: (1,),
        speed at which a direction begins to mean something; response: (regressors, lags, A), mm
        that a unit of each regressor adds to the error at its own sample and the ones after it;
        offset_mm: (A,).
    """
    return {
        "most_mm_s": np.ones(num_axes, np.float32),
        "scale_mm_s": np.ones((NUM_SCALES, num_axes), np.float32),
        "knots_mm_s": np.arange(NUM_KNOTS, dtype=np.float32),
        "rest_mm_s": np.ones(1, np.float32),
        "response": np.zeros((NUM_REGRESSORS, count_path_lags(rate_hz), num_axes), np.float32),
        "offset_mm": np.zeros(num_axes, np.float32),
    }


def initialize(num_streams: int, num_axes: int, rate_hz: float) -> Float[Array, "b p"]:
    """What came before the first sample says of later errors: nothing."""
    return jnp.zeros((num_streams, (count_path_lags(rate_hz) - 1) * num_axes))


def advance(
    path: Path, pending: Float[Array, "b p"], velocities: Float[Array, "t b A"]
) -> tuple[Float[Array, "b p"], Float[Array, "t b A"]]:
    """Predicted errors (mm) at t samples of b streams, and what is pending after them.

    Args:
        path: as `blank` has it.
        pending: mm that earlier samples add to the next errors of A axes each.
        velocities: mm/s.
    """
    steps, streams, num_axes = velocities.shape
    regressors = derive_regressors(path, velocities, jnp)
    response = jnp.asarray(path["response"])
    num_lags = response.shape[1]
    said = jnp.einsum("tbar,rla->tbla", regressors, response)
    if steps == 1:  # streaming: one sum
        total = jnp.pad(pending, ((0, 0), (0, num_axes))) + said.reshape(streams, -1)
        return total[:, num_axes:], (total[:, :num_axes] + path["offset_mm"])[None]
    # Each lag's shares, as many samples later as it says: rows of a table that is cut one shorter
    # than it was filled. lax's, since an export may not know t, and jax2onnx would take it for one.
    shape = steps + num_lags - 1, streams, num_axes
    by_lag = jnp.moveaxis(said, 2, 0).reshape(num_lags, steps, streams * num_axes)
    padded = jnp.pad(by_lag, ((0, 0), (0, num_lags), (0, 0)))
    rows = padded.reshape(num_lags * (steps + num_lags), streams * num_axes)
    kept = jax.lax.slice_in_dim(rows, 0, num_lags * shape[0])
    shares = jnp.sum(kept.reshape(num_lags, *shape), axis=0)
    earlier = pending.reshape(streams, -1, num_axes).swapaxes(0, 1)
    none = jnp.zeros((steps, streams, num_axes))
    total = shares + jax.lax.concatenate([earlier, none], 0)
    after = jax.lax.slice_in_dim(total, steps, None).swapaxes(0, 1).reshape(streams, -1)
    return after, jax.lax.slice_in_dim(total, 0, steps) + path["offset_mm"]


def derive_regressors(path: Path, velocities: Any, xp: ModuleType) -> Any:
    """What one sample contributes: (*n, A, regressors) of velocities (*n, A) in mm/s.

    Args:
        path: as `blank` has it.
        xp: jax.numpy, or numpy for tables in float64.
    """
    knots, rest = xp.asarray(path["knots_mm_s"]), xp.asarray(path["rest_mm_s"])
    squared = xp.sum(velocities**2, axis=-1, keepdims=True)
    # Never zero, so that a direction has a slope at rest too.
    speed = xp.sqrt(squared + rest**2)
    ramps = xp.clip((speed - knots[:-1]) / (knots[1:] - knots[:-1]), 0.0, 1.0)[..., None, :]
    own, most = velocities[..., None], xp.asarray(path["most_mm_s"])[:, None]
    direction = own / speed[..., None]
    bends = xp.tanh(own / xp.swapaxes(xp.asarray(path["scale_mm_s"]), 0, 1))
    along = xp.broadcast_to(ramps, (*velocities.shape, NUM_RAMPS))
    bounded = xp.minimum(xp.maximum(own, -most), most)
    return xp.concatenate([bounded, bends, direction, along, ramps * direction], axis=-1)


def arrays_of(num_axes: int, rate_hz: float) -> dict[str, files.Array]:
    """What `to_arrays` gives for so many axes, none for no path."""
    shapes = {name: values.shape for name, values in blank(num_axes, rate_hz).items()}
    return {name: files.Array("f", shape if num_axes else (0,)) for name, shape in shapes.items()}


def to_arrays(path: Path | None) -> dict[str, Float32[ndarray, "..."]]:
    """A path, to be kept in a file; empty ones for none."""
    if path is None:
        return dict.fromkeys(ARRAYS, np.zeros(0, np.float32))
    return {name: np.asarray(path[name], np.float32) for name in ARRAYS}


def from_arrays(kept: dict[str, ndarray]) -> Path | None:
    """What `to_arrays` made them of."""
    return {name: kept[name] for name in ARRAYS} if kept["response"].size else None


ARRAYS = tuple(blank(1, 100.0))
