"""Which devices share a training, and how its state and batches get onto them.

A mesh has one axis, over which the windows of a batch are dealt; everything else is the same on all
devices. One device needs no mesh: None stands for it. The module knows no step and no file.
"""

from typing import Any

import jax
import numpy as np
from jax.flatten_util import ravel_pytree
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Float
from numpy import ndarray

from jaxcorr.errors import InputError
from jaxcorr.spec import Spec

AXIS = "windows"
WHOLE = PartitionSpec()  # the same on every device
DEALT = PartitionSpec(None, None, AXIS)  # of (steps, t, b, f)
FEWEST_WINDOWS = 8  # of a batch that are worth a device of their own


def make_mesh(spec: Spec) -> Mesh | None:
    """The devices that share each batch of this spec; None for one, which needs no mesh.

    Raises:
        InputError: train.num_devices asks for more than there are.
    """
    device = spec.train.device
    found = jax.devices() if device == "auto" else jax.devices(device)
    wanted = spec.train.num_devices or count_useful(spec.data.batch_size, len(found))
    if wanted > len(found):
        raise InputError(
            f"train.num_devices: expected at most the {len(found)} {found[0].platform} devices of "
            f"this process, got {wanted}. Lower it, or go where there are as many."
        )
    return Mesh(np.array(found[:wanted]), (AXIS,)) if wanted > 1 else None


def count(mesh: Mesh | None) -> int:
    """The number of its devices."""
    return 1 if mesh is None else mesh.size


def count_useful(batch_size: int, available: int) -> int:
    """The most devices that get equal shares of a batch, none of them tiny."""
    most = min(available, max(1, batch_size // FEWEST_WINDOWS))
    return max(n for n in range(1, most + 1) if batch_size % n == 0)


def copy_to_all(mesh: Mesh | None, tree: Any) -> Any:
    """A pytree of arrays, the same on every device of the mesh."""
    return tree if mesh is None else jax.device_put(tree, NamedSharding(mesh, WHOLE))


def deal(mesh: Mesh | None, array: Float[ndarray, "steps t b f"]) -> Any:
    """Batches with their windows in equal shares on the devices of the mesh, in order."""
    return array if mesh is None else jax.device_put(array, NamedSharding(mesh, DEALT))


def vary(tree: Any) -> Any:
    """In a function mapped over the mesh: arrays that are the same everywhere, as each one's own.

    Their gradients are then each device's own too, until `mean` joins them.
    """
    return jax.lax.pcast(tree, AXIS, to="varying")


def mean(tree: Any) -> Any:
    """In a function mapped over the mesh: the mean over its devices, in one reduction.

    On a CPU a reduction of each leaf by itself costs a quarter of the speed.
    """
    flat, unravel = ravel_pytree(tree)
    return unravel(jax.lax.pmean(flat, AXIS))


def first_copy(mesh: Mesh | None, tree: Any) -> Any:
    """What `copy_to_all` made, on the first device alone: what uses it then runs there only."""
    return tree if mesh is None else jax.tree.map(lambda leaf: leaf.addressable_data(0), tree)
