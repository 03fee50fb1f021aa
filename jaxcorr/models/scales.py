"""The scales of a model's inputs and targets, fitted to the training split trace by trace.

It knows the rows of a split and what the model derives from them; nothing of how it trains.
"""

import functools

import jax
import numpy as np
from jaxtyping import Array, Float32
from numpy import ndarray

from jaxcorr.data.windows import Samples
from jaxcorr.models import network, normalize
from jaxcorr.models.normalize import Scales
from jaxcorr.spec import Spec


def fit_scales(spec: Spec, samples: Samples) -> Scales:
    """Normalisation of the derived inputs and of the targets, in one pass over each."""
    spans = samples.spans()
    targets = [samples.targets[span][samples.lead :] for span in spans]
    inputs = (_derive(spec, samples.features[span]) for span in spans)
    return Scales(
        normalize.fit_pieces(inputs), normalize.fit_pieces(targets), normalize.limit_of(targets)
    )


def _derive(spec: Spec, rows: Float32[ndarray, "t f"]) -> Float32[ndarray, "t d"]:
    """What the encoder sees of one trace, in raw units."""
    # A size for all traces of up to twice the length: each size is compiled anew. Inputs are
    # causal, so what is added behind the end changes nothing before it.
    size = 1 << (len(rows) - 1).bit_length()
    padded = np.pad(rows, ((0, size - len(rows)), (0, 0)), mode="edge")
    return np.asarray(_derive_padded(spec, padded))[: len(rows)]


@functools.partial(jax.jit, static_argnums=0)
def _derive_padded(spec: Spec, rows: Float32[Array, "t f"]) -> Float32[Array, "t d"]:
    carry = network.carry_for(spec, 1)
    inputs = network.derive_inputs(spec.model, rows[:, None], carry.previous, carry.is_started)
    return inputs[:, 0]
