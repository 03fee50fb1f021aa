"""What two trainings came to, compared to the last bit, and a toy whose every option is on."""

import json

import jax
import numpy as np

from jaxcorr.models.scales import fit_scales
from jaxcorr.training import checkpoint, loop, step

# Everything that has a state of its own: keys, iterator, schedule, accumulation, epoch totals.
LIVELY = {
    "train": {"epochs": 3},
    "data": {"augment": {"input_noise": 0.1, "time_shift": 3, "target_scale": 0.1}},
    "model": {"dropout": 0.2},
    "optimizer": {"accumulation_steps": 3, "schedule": "cosine_restarts", "restart_epochs": 1},
}


def final_state(begun):
    """All that a checkpoint holds, as plain arrays."""
    scales = fit_scales(begun.spec, begun.data.train)
    state = step.initialize(begun.spec, len(scales.inputs.mean))
    saved = checkpoint.restore(begun.run.checkpoints, state, loop.weights_of(state, scales, {}))
    return saved._replace(skipped=())


def assert_same(begun, other):
    assert begun.run.history.read_bytes() == other.run.history.read_bytes()
    one, two = final_state(begun), final_state(other)
    assert one.progress == two.progress
    jax.tree.map(np.testing.assert_array_equal, (one.state, one.best), (two.state, two.best))


def rows(begun):
    return [json.loads(line) for line in begun.run.history.read_text().splitlines()]
