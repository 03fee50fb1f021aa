"""A linear regression on binned motion, as a stream: what one sample adds to this and later errors.

The regressors are memoryless functions of a sample's two velocities and of its speed's change, so
the regression is the sum of what the last NUM_LAGS samples had to say. Each sample's share of all
the errors to come is summed up when it arrives; no sample is remembered. `baselines.py` defines the
same regressors for tables and fits them; a network may learn what they leave. The module knows
neither network nor traces.

No edge of a bin lies where reference motion likes to be (whole speeds, the axes, the diagonals), so
rounding decides nothing, and every deployed form finds the same bin.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Bool, Float
from numpy import ndarray

from jaxcorr.spec import NUM_LAGS

NUM_BINNED_LAGS = 4  # samples whose direction and speed are binned
NUM_VELOCITIES = 2  # of the plane in which directions are told apart
NUM_SECTORS = 16  # of travel direction, the first centred on -x
HAIR_MM_S = 1e-3  # below a whole speed, far above the rounding of one
SPEED_EDGES_MM_S = tuple(  # fine where corners are
    edge - HAIR_MM_S for edge in (0.1, *range(1, 11), 12, 15, 20, 30, 40, 60, 80, 100)
)
REST_MM_S = SPEED_EDGES_MM_S[0]  # below it a direction means nothing
SLOWING_MM_S = 0.5 - HAIR_MM_S  # from sample to sample

NUM_BANDS = len(SPEED_EDGES_MM_S) + 1
# Sector or rest, band of speed, band while slowing, and the direction's unit vector in each band.
NUM_BINNED = NUM_SECTORS + 1 + (2 + NUM_VELOCITIES) * NUM_BANDS
NUM_REGRESSORS = NUM_VELOCITIES + NUM_BINNED

Path = dict[str, Any]


def edge_normals() -> Float[ndarray, "sectors 2"]:
    """Of the rays between sectors: a velocity on or left of ray k has a product with row k >= 0.

    Opposite rays have exactly opposite normals, so that a velocity is in one sector and no other.
    """
    half = NUM_SECTORS // 2
    angle = -np.pi + (np.arange(half) - 0.5) * 2 * np.pi / NUM_SECTORS
    first = np.column_stack([-np.sin(angle), np.cos(angle)]).astype(np.float32)
    return np.concatenate([first, -first])


def squared_edges() -> Float[ndarray, " edges"]:
    """SPEED_EDGES_MM_S, squared: no root has to be taken to find a band."""
    return np.square(SPEED_EDGES_MM_S).astype(np.float32)


def blank(num_targets: int) -> Path:
    """A path that predicts zero, in the shape of every other."""
    return {
        "response": np.zeros((NUM_REGRESSORS, NUM_LAGS, num_targets), np.float32),
        "offset": np.zeros(num_targets, np.float32),
    }


def from_coefficients(coefficients: Float[ndarray, "p k"]) -> Path:
    """The path of a regression on `baselines.binned_design`.

    Args:
        coefficients: mm per unit of each column of that design, for two velocities.
    Returns:
        response: (regressors, lags, k), mm that a unit of each regressor adds to the error at its
            own sample and the ones after it; offset: (k,), mm.
    """
    num_taps = NUM_LAGS * NUM_VELOCITIES
    taps, offset, binned = np.split(coefficients, [num_taps, num_taps + 1])
    path = blank(coefficients.shape[1])
    path["offset"] += offset[0].astype(np.float32)
    by_lag = taps.reshape(NUM_LAGS, NUM_VELOCITIES, -1)
    path["response"][:NUM_VELOCITIES] = by_lag.swapaxes(0, 1)
    by_lag = binned.reshape(NUM_BINNED_LAGS, NUM_BINNED, -1)
    path["response"][NUM_VELOCITIES:, :NUM_BINNED_LAGS] = by_lag.swapaxes(0, 1)
    return path


def to_coefficients(path: Path) -> Float[ndarray, "p k"]:
    """What `from_coefficients` made the path of."""
    by_lag = np.asarray(path["response"], np.float64).swapaxes(0, 1)
    num_targets = by_lag.shape[-1]
    taps = by_lag[:, :NUM_VELOCITIES].reshape(-1, num_targets)
    binned = by_lag[:NUM_BINNED_LAGS, NUM_VELOCITIES:].reshape(-1, num_targets)
    return np.concatenate([taps, np.asarray(path["offset"])[None], binned])


def initialize(num_streams: int, num_targets: int) -> Float[Array, "b p"]:
    """What came before the first sample says of later errors: nothing."""
    return jnp.zeros((num_streams, (NUM_LAGS - 1) * num_targets))


def advance(
    path: Path,
    pending: Float[Array, "b p"],
    velocities: Float[Array, "t b 2"],
    before: Float[Array, "b 2"],
) -> tuple[Float[Array, "b p"], Float[Array, "t b k"]]:
    """Predicted errors (mm) at t samples of b streams, and what is pending after them.

    Args:
        path: of `from_coefficients`.
        pending: mm that earlier samples add to the next NUM_LAGS - 1 errors of k targets each.
        velocities: mm/s.
        before: of the sample before the first one; zero where there is none.
    """
    steps, streams = velocities.shape[:2]
    regressors = derive_regressors(velocities, sample_before(velocities, before))
    num_targets = path["offset"].size
    said = regressors @ jnp.asarray(path["response"]).reshape(NUM_REGRESSORS, -1)
    if steps == 1:  # streaming: one sum
        total = jnp.pad(pending, ((0, 0), (0, num_targets))) + said[0]
        return total[:, num_targets:], total[None, :, :num_targets] + path["offset"]
    earlier = pending.reshape(streams, -1, num_targets).swapaxes(0, 1)
    total = jax.lax.concatenate([earlier, jnp.zeros((steps, streams, num_targets))], 0)
    for lag, share in enumerate(jnp.split(said, NUM_LAGS, axis=-1)):
        total += jnp.pad(share, ((lag, NUM_LAGS - 1 - lag), (0, 0), (0, 0)))
    after = jax.lax.slice_in_dim(total, steps, None).swapaxes(0, 1).reshape(streams, -1)
    return after, jax.lax.slice_in_dim(total, 0, steps) + path["offset"]


def sample_before(
    samples: Float[Array, "t b f"], before: Float[Array, "b f"]
) -> Float[Array, "t b f"]:
    """The sample before each of t samples; `before` is the one before the first."""
    first = jnp.expand_dims(before, 0)
    if samples.shape[0] == 1:
        return first
    # lax's: an export may not know t, and jax2onnx takes numpy's result for as long as `first`.
    return jax.lax.concatenate([first, samples[:-1]], 0)


def derive_regressors(
    velocities: Float[ArrayLike, "*n 2"], before: Float[ArrayLike, "*n 2"]
) -> Float[Array, "*n r"]:
    """What one sample contributes: its velocities, then the columns that tell its bins.

    Args:
        velocities: mm/s.
        before: of the sample before each, zero where there is none.
    """
    now, earlier = jnp.asarray(velocities), jnp.asarray(before)
    speed_squared = jnp.sum(now**2, axis=-1, keepdims=True)
    is_faster = speed_squared >= squared_edges()
    is_moving = is_faster[..., :1]
    bands = _one_hot(is_faster).astype(now.dtype)
    is_left = now @ edge_normals().T >= 0
    sectors = is_left & ~jnp.roll(is_left, -1, axis=-1) & is_moving
    slowing = _speed(now) - _speed(earlier) < -SLOWING_MM_S
    unit = now / jnp.sqrt(jnp.maximum(speed_squared, REST_MM_S**2))
    directed = [unit[..., i : i + 1] * bands for i in range(NUM_VELOCITIES)]
    return jnp.concatenate([now, sectors, ~is_moving, bands, bands * slowing, *directed], axis=-1)


def _one_hot(is_faster: Bool[Array, "*n edges"]) -> Bool[Array, "*n bands"]:
    """The band above the last edge that a speed has passed."""
    passed = jnp.ones_like(is_faster[..., :1])
    above = jnp.concatenate([passed, is_faster], axis=-1)
    return above & ~jnp.concatenate([is_faster, ~passed], axis=-1)


def _speed(velocities: Float[Array, "*n 2"]) -> Float[Array, "*n 1"]:
    return jnp.sqrt(jnp.sum(velocities**2, axis=-1, keepdims=True))
