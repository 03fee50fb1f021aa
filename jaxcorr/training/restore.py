"""The best weights of a run, restored, and the jitted step: state in, state and errors out.

Control code has `deploy/predictor.py` above this.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax._src import xla_bridge  # jax says nowhere else whether it has computed already
from jaxtyping import Array

from jaxcorr import run_records as records
from jaxcorr.errors import InputError
from jaxcorr.models import network as model
from jaxcorr.models import ranges
from jaxcorr.models.network import Carry, Weights
from jaxcorr.models.normalize import Scale
from jaxcorr.models.ranges import Ranges
from jaxcorr.spec import Spec
from jaxcorr.training import checkpoint, devices
from jaxcorr.training.run_folder import RESOLVED_FILE, Run

# A call that waits for its result gains nothing from a second thread, and on two cores the
# hand-over costs more than the arithmetic: 44 us (p99 132) with it, 17 us (p99 25) without, at
# 96x2. It has to be said before jax starts its backend, hence here.
DISPATCH = "jax_cpu_enable_async_dispatch"
IS_TOO_LATE = xla_bridge.backends_are_initialized() and bool(jax.config.values[DISPATCH])
jax.config.update(DISPATCH, False)

StepFn = Callable[[Weights, Carry, Array], tuple[Carry, Array]]


class Loaded(NamedTuple):
    """A run's best model so far, and the ranges of its training split.

    Attributes:
        skipped: says which newer checkpoints could not be used, and which one was.
    """

    spec: Spec
    weights: Weights
    ranges: Ranges
    best_epoch: int = 0
    is_finished: bool = True
    skipped: str = ""

    @property
    def best(self) -> str:
        """Whose weights these are, in words."""
        return checkpoint.name_best(
            self.best_epoch, model.used_path(self.spec, self.weights.network)
        )


def load_weights(run: Run, is_strict: bool = True) -> Loaded:
    """Restores the best weights of a run, from its newest checkpoint.

    Args:
        is_strict: refuses an older checkpoint where the newest one cannot be used.
    Raises:
        InputError: the run is incomplete or damaged; the text names the file.
    """
    devices.require_cpu()
    spec, num_inputs = run.spec(), run.resolved().num_inputs
    if num_inputs != model.count_inputs(spec):
        raise InputError(
            f"{run.path / RESOLVED_FILE}: expected num_inputs to be {model.count_inputs(spec)}, as "
            f"its spec says, got {num_inputs}. {records.MEND}"
        )
    inputs, targets = [
        Scale(*(np.zeros(n, np.float32),) * 2) for n in (num_inputs, len(spec.data.targets))
    ]
    network = jax.eval_shape(lambda: model.initialize(spec, num_inputs, jax.random.key(0)))
    network |= model.blank_path(spec)
    template = Weights(network, inputs, targets, targets.mean)
    saved = checkpoint.restore_best(run.checkpoints, template, is_strict)
    weights: Weights = saved.best
    weights = weights._replace(network=jax.tree.map(jnp.asarray, weights.network))
    try:
        progress = records.check_kept(saved.progress)["progress"]
    except ValueError as error:
        raise InputError(f"{run.checkpoints / str(saved.step)}: {error}. {records.MEND}") from None
    waited = progress.epoch - progress.best_epoch
    is_finished = progress.epoch >= spec.train.epochs or 0 < spec.train.patience <= waited
    known = ranges.read_ranges(run.path / "stats.json", spec.data.features)
    skipped = f"{'; '.join(saved.skipped)}; taking step {saved.step}" if saved.skipped else ""
    return Loaded(spec, weights, known, progress.best_epoch, is_finished, skipped)


def make_step(spec: Spec) -> StepFn:
    """The jitted `step(weights, carry, samples) -> (carry, errors)` for any number of streams.

    samples: (streams, features), raw mm and mm/s; errors: (streams, targets), mm. Carries come from
    `model.carry_for(spec, streams)`, are not donated, and may be kept to go back to.
    """
    return jax.jit(lambda weights, carry, samples: model.step(spec, weights, carry, samples))
