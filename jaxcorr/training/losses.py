"""Training losses on normalised predictions. They know no model, no unit and no batch order."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxcorr.spec import Loss


def compute(
    loss: Loss, predicted: Float[Array, "*n k"], true: Float[Array, "*n k"]
) -> Float[Array, ""]:
    """The loss over all entries: mae, mse, or mae_ratio * MAE + (1 - mae_ratio) * MSE.

    The two parts are of one size only where the targets are normalised.
    """
    residual = predicted - true
    ratio = {"mae": 1.0, "mse": 0.0, "hybrid": loss.mae_ratio}[loss.name]
    return ratio * jnp.mean(jnp.abs(residual)) + (1.0 - ratio) * jnp.mean(residual**2)
