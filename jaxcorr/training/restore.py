"""The best weights of a run, restored, and the jitted step: state in, state and errors out.

Control code has `deploy/predictor.py` above this.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from jaxcorr.data import ranges
from jaxcorr.data.ranges import Ranges
from jaxcorr.models import network as model
from jaxcorr.models.network import Carry, Weights
from jaxcorr.models.normalize import Scale
from jaxcorr.spec import Spec
from jaxcorr.training import checkpoint
from jaxcorr.training.run_folder import Run

# A call that waits for its result gains nothing from a second thread, and on two cores the
# hand-over costs more than the arithmetic: 44 us (p99 132) with it, 17 us (p99 25) without, at
# 96x2. It has to be said before jax starts its backend, hence here.
jax.config.update("jax_cpu_enable_async_dispatch", False)

StepFn = Callable[[Weights, Carry, Array], tuple[Carry, Array]]


class Loaded(NamedTuple):
    """A run's best model so far, and the ranges of its training split."""

    spec: Spec
    weights: Weights
    ranges: Ranges
    best_epoch: int = 0
    is_finished: bool = True


def load_weights(run: Run) -> Loaded:
    """Restores the best weights of a run, from its newest readable checkpoint.

    Raises:
        InputError: the run is incomplete or damaged; the text names the file.
    """
    spec = run.spec()
    num_inputs = int(run.resolved()["num_inputs"])
    inputs, targets = [
        Scale(*(np.zeros(n, np.float32),) * 2) for n in (num_inputs, len(spec.data.targets))
    ]
    network = jax.eval_shape(lambda: model.initialize(spec, num_inputs, jax.random.key(0)))
    network |= model.blank_path(spec)
    weights, kept = checkpoint.restore_best(
        run.checkpoints, Weights(network, inputs, targets, targets.mean)
    )
    weights = weights._replace(network=jax.tree.map(jnp.asarray, weights.network))
    progress = kept["progress"]
    waited = progress["epoch"] - progress["best_epoch"]
    is_finished = progress["epoch"] >= spec.train.epochs or 0 < spec.train.patience <= waited
    known = ranges.read_ranges(
        run.read_json("stats.json"), spec.data.features, f"{run.path}/stats.json"
    )
    return Loaded(spec, weights, known, progress["best_epoch"], is_finished)


def make_step(spec: Spec) -> StepFn:
    """The jitted `step(weights, carry, samples) -> (carry, errors)` for any number of streams.

    samples: (streams, features), raw mm and mm/s; errors: (streams, targets), mm. Carries come from
    `model.carry_for(spec, streams)`, are not donated, and may be kept to go back to.
    """
    return jax.jit(lambda weights, carry, samples: model.step(spec, weights, carry, samples))
