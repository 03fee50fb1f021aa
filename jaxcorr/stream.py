"""The deployed predictor: one raw sample in, one predicted error out, state carried in between.

`Predictor` is for control code; `load_weights` and `make_step` are the functional form below it.
It reads a run folder and knows nothing of training data or metrics.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float32
from numpy import ndarray
from numpy.typing import ArrayLike

from jaxcorr import checkpoint, model, runs
from jaxcorr.errors import InputError
from jaxcorr.model import Carry, Weights
from jaxcorr.normalize import Scale
from jaxcorr.runs import Run
from jaxcorr.spec import Spec

# No printer's position (mm) or speed (mm/s) comes near; beyond it float32 arithmetic would overflow
# and spoil the state for good.
MOST = 1e6

# A call that waits for its result gains nothing from a second thread, and on two cores the
# hand-over costs more than the arithmetic: 44 us (p99 132) with it, 17 us (p99 25) without, at
# 96x2. It has to be said before jax starts its backend, hence here.
jax.config.update("jax_cpu_enable_async_dispatch", False)

StepFn = Callable[[Weights, Carry, Array], tuple[Carry, Array]]


class Loaded(NamedTuple):
    """A run's best model so far."""

    spec: Spec
    weights: Weights
    best_epoch: int
    is_finished: bool


def load_weights(run: Run) -> Loaded:
    """Restores the best weights of a run, from its newest readable checkpoint.

    Raises:
        InputError: the run is incomplete or damaged; the text names the file.
    """
    spec = run.spec()
    num_inputs = int(run.resolved()["num_inputs"])
    blank = [Scale(*(np.zeros(n, np.float32),) * 2) for n in (num_inputs, len(spec.data.targets))]
    network = jax.eval_shape(lambda: model.initialize(spec, num_inputs, jax.random.key(0)))
    weights, kept = checkpoint.restore_best(run.checkpoints, Weights(network, *blank))
    weights = weights._replace(network=jax.tree.map(jnp.asarray, weights.network))
    progress = kept["progress"]
    waited = progress["epoch"] - progress["best_epoch"]
    is_finished = progress["epoch"] >= spec.train.epochs or 0 < spec.train.patience <= waited
    return Loaded(spec, weights, progress["best_epoch"], is_finished)


def make_step(spec: Spec) -> StepFn:
    """The jitted `step(weights, carry, samples) -> (carry, errors)` for any number of streams.

    samples: (streams, features), raw mm and mm/s; errors: (streams, targets), mm. Carries come from
    `model.carry_for(spec, streams)`, are not donated, and may be kept to go back to.
    """
    return jax.jit(lambda weights, carry, samples: model.step(spec, weights, carry, samples))


class Predictor:
    """Predicts the error of one printer, sample by sample.

    Compiled and warmed up once loaded. The weights are constants of the compiled step and the carry
    is one flat, donated vector, so a call passes two small arrays and no trees: half the latency of
    the functional form.
    """

    def __init__(self, spec: Spec, weights: Weights):
        self.spec = spec
        start, self._unravel = ravel_pytree(model.carry_for(spec, 1))
        self._start = np.asarray(start)
        # Kept by the predictor: numpy copies, so nothing of the caller's can be donated.
        frozen = jax.tree.map(np.asarray, weights)

        def step_flat(carry: Array, sample: Array) -> tuple[Array, Array]:
            after, errors = model.step(spec, frozen, self._unravel(carry), sample[None])
            return ravel_pytree(after)[0], errors[0]

        def ahead_flat(carry: Array, samples: Array) -> tuple[Array, Array]:
            after, errors = model.unroll(spec, frozen, self._unravel(carry), samples[:, None])
            return ravel_pytree(after)[0], errors[:, 0]

        self._step_fn = jax.jit(step_flat, donate_argnums=0)
        self._ahead_fn = jax.jit(ahead_flat)
        self._sample = np.zeros(len(spec.data.features), np.float32)
        self.reset()
        for _ in range(3):
            self._step_fn(jnp.array(self._start), self._sample)

    @classmethod
    def load(cls, run: str | Path) -> "Predictor":
        """The predictor of a run: its folder, its id, a unique start of that, or `latest`.

        Raises:
            InputError: no such run, or a file of it is missing or damaged.
        """
        loaded = load_weights(runs.find(str(run)))
        return cls(loaded.spec, loaded.weights)

    def step(self, *sample: float) -> tuple[float, ...]:
        """Predicts the error that belongs to the newest sample and carries the state on.

        Args:
            sample: the features in the spec's order; by default x, y (mm), vx, vy (mm/s) of the
                reference.
        Returns:
            error = actual - reference per axis (mm), `horizon` samples after this one.
        Raises:
            InputError: a value is not finite, not within 1e6, or their number is wrong; the state
                stays as it was.
        """
        if len(sample) != len(self._sample) or not all([-MOST < value < MOST for value in sample]):
            raise InputError(
                f"step: expected finite {', '.join(self.spec.data.features)} within {MOST:g}, got "
                f"{sample}. The state is unchanged; pass the sample again."
            )
        self._sample[:] = sample
        self._carry, errors = self._step_fn(self._carry, self._sample)
        # Reading through numpy waits for the result without a copy on the CPU.
        return tuple(np.asarray(errors).tolist())

    def predict_ahead(self, samples: ArrayLike) -> Float32[ndarray, "t k"]:
        """Errors (mm) for t samples that follow the newest one, in one call; the state stays.

        Compiles once for each new t.

        Args:
            samples: t rows of features, as `step` takes them.
        Raises:
            InputError: a value is not finite or not within 1e6, or the shape is wrong.
        """
        block = np.asarray(samples, np.float32)
        is_table = block.ndim == 2 and len(block) and block.shape[1] == len(self._sample)
        if not is_table or not (np.abs(block) < MOST).all():
            raise InputError(
                f"predict_ahead: expected finite samples within {MOST:g} of shape "
                f"(t, {len(self._sample)}), got shape {block.shape}. Pass one row for each sample."
            )
        return np.asarray(self._ahead_fn(self._carry, block)[1])

    def reset(self) -> None:
        """Back to before the first sample."""
        self._carry = jnp.array(self._start)

    @property
    def carry(self) -> Float32[ndarray, " size"]:
        """A copy of the state, to go back to by assigning it."""
        return np.array(self._carry)

    @carry.setter
    def carry(self, value: Float32[ndarray, " size"]) -> None:
        if np.shape(value) != self._start.shape or not np.isfinite(value).all():
            raise InputError(
                f"carry: expected finite values of shape {self._start.shape}, got shape "
                f"{np.shape(value)}. Assign a value read from this predictor's carry."
            )
        self._carry = jnp.array(value, jnp.float32)
