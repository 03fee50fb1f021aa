"""The model as StableHLO, for JAX without this package: `step` and `unroll`, weights inside.

Serialised by `jax.export` for the CPU and for CUDA; any number of streams, any number of samples.
The module knows the model and no run folder.

Source: JAX documentation, "Exporting and serializing staged-out computations".
"""

import functools
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float32
from numpy import ndarray

from jaxcorr.data.windows import Samples
from jaxcorr.export import parameters
from jaxcorr.models import network
from jaxcorr.models.network import Weights
from jaxcorr.spec import Spec

PLATFORMS = ("cpu", "cuda")


def write_step(path: Path, spec: Spec, weights: Weights) -> None:
    """Writes step(sample (b, f), state...) -> (error (b, k), next state...), raw units."""
    _write(path, spec, weights, network.step, "b")


def write_unroll(path: Path, spec: Spec, weights: Weights) -> None:
    """Writes unroll(samples (t, b, f), state...) -> (errors (t, b, k), next state...)."""
    _write(path, spec, weights, network.unroll, "t, b")


def _write(path: Path, spec: Spec, weights: Weights, model_fn: Any, leading: str) -> None:
    from jax import export

    sizes = export.symbolic_shape(leading)
    leaves, structure = jax.tree.flatten(network.carry_for(spec, 1))
    frozen = jax.tree.map(np.asarray, weights)

    def flat(samples: Array, *state: Array) -> tuple[Array, ...]:
        carry = jax.tree.unflatten(structure, state)
        after, errors = model_fn(spec, frozen, carry, samples)
        after, errors = network.pass_over_bad(samples, carry, after, errors)
        return (errors, *jax.tree.leaves(after))

    shape = functools.partial(jax.ShapeDtypeStruct, dtype=np.float32)
    samples = shape((*sizes, len(spec.data.features)))
    state = [shape((sizes[-1], *leaf.shape[1:])) for leaf in leaves]
    exported = export.export(jax.jit(flat), platforms=PLATFORMS)(samples, *state)
    path.write_bytes(exported.serialize())


class Stream:
    """Streams side by side through a deserialised `step`."""

    def __init__(self, path: Path, num_streams: int = 1):
        from jax import export

        exported = export.deserialize(bytearray(path.read_bytes()))
        self._step_fn = jax.jit(exported.call)
        state = exported.in_avals[1:]
        self._start = [np.zeros((num_streams, *item.shape[1:]), np.float32) for item in state]
        self.reset()

    def step(self, samples: Float32[ndarray, "b f"]) -> Float32[ndarray, "b k"]:
        """The predicted errors (mm) at the newest sample of each stream."""
        errors, *self._state = self._step_fn(samples, *self._state)
        return np.asarray(errors)

    def reset(self) -> None:
        """Back to before the first sample."""
        self._state = self._start


def stream_step(path: Path, samples: Samples) -> Float32[ndarray, "rows k"]:
    """Streams every trace through the file, sample by sample, all traces side by side."""
    block = parameters.side_by_side(samples)
    stream = Stream(path, block.shape[1])
    return parameters.end_to_end(samples, np.stack([stream.step(row) for row in block]))


def stream_unroll(path: Path, samples: Samples) -> Float32[ndarray, "rows k"]:
    """Runs every trace through the file in one call, all traces side by side."""
    from jax import export

    exported = export.deserialize(bytearray(path.read_bytes()))
    block = parameters.side_by_side(samples)
    state = [
        np.zeros((block.shape[1], *item.shape[1:]), np.float32) for item in exported.in_avals[1:]
    ]
    errors = jax.jit(exported.call)(block, *state)[0]
    return parameters.end_to_end(samples, np.asarray(errors))
