"""One compilation for all trainings and predictors of a process that are equal in every argument.

What they run is a pure function of the arguments, and to trace, compile or load it is most of the
time that a toy takes.
"""

import pickle
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from jaxcorr.deploy import compiled_step
from jaxcorr.models import network
from jaxcorr.training import devices, step


def share(patch: Callable[..., None] = setattr) -> None:
    """From here on, by `patch(module, name, function)`."""
    for module, name in ((step, "make_programs"), (compiled_step, "compile_functions")):
        patch(module, name, _once(getattr(module, name)))


def _once(make_fn: Callable[..., Any]) -> Callable[..., Any]:
    made: dict[tuple[Any, ...], Any] = {}

    def give(spec: Any, *arguments: Any) -> Any:
        leaves, structure = jax.tree.flatten(arguments)
        values = pickle.dumps([np.asarray(leaf) for leaf in leaves])
        # Tests put others in the place of these.
        others = step.make_dispatch, devices.MOST_ON_CPU, devices._platform, network.step
        key = spec.model_dump_json(), structure, values, others
        if key not in made:
            made[key] = make_fn(spec, *arguments)
        return made[key]

    return give
