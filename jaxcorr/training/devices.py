"""Data-parallel devices of a training: a jax mesh, and how state and batches get onto it.

A mesh has one axis, over which the windows of a batch are dealt; everything else is the same on all
devices. One device needs no mesh: None stands for it.
"""

import itertools
import os
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Float
from numpy import ndarray

from jaxcorr.errors import InputError, shorten
from jaxcorr.spec import Spec

AXIS = "windows"
WHOLE = PartitionSpec()  # the same on every device
DEALT = PartitionSpec(None, None, AXIS)  # of (steps, t, b, f)
FEWEST_WINDOWS = 8  # of a batch that are worth a device, or a portion, of their own
# What a window of 50 leaves behind for the gradient is 0.3 MiB at 96 x 2: of 16 windows it stays in
# a core's caches. On a GPU a batch is taken whole.
MOST_ON_CPU = 16
COPIES_OF_WEIGHTS = 6  # weights, gradient, two moments, the best, and what a checkpoint writes


def require_cpu() -> None:
    """Says in one line why jax cannot compute on the CPU, where every predictor runs.

    Raises:
        InputError: the environment names platforms that are not there, or leaves out the CPU.
    """
    if "JAX_PLATFORMS" not in os.environ:
        return
    try:
        jax.local_devices(backend="cpu")
    except (RuntimeError, AssertionError) as error:
        named = os.environ.get("JAX_PLATFORMS", "")
        raise InputError(
            f"JAX_PLATFORMS: expected platforms that jax finds here, cpu among them, got "
            f"'{shorten(named)}' ({shorten(str(error) or 'no such backend')}). Unset it, or set it "
            "to cpu."
        ) from None


def check_memory(spec: Spec) -> None:
    """Refuses a network, or a batch, that this machine cannot hold, from the spec alone.

    Raises:
        InputError: it would take more memory than there is.
    """
    model, data, optimizer = spec.model, spec.data, spec.optimizer
    num_inputs = len(data.features) * (4 + 2 * len(model.phase_periods_mm))  # at most
    sizes = [model.encoder_size, *[model.hidden_size] * model.num_layers]
    layers = sum(4 * out * (into + out + 1) for into, out in itertools.pairwise(sizes))
    num_weights = num_inputs * model.encoder_size + layers
    copies = COPIES_OF_WEIGHTS + (optimizer.accumulation_steps > 1)
    per_sample = num_inputs + 3 * model.encoder_size + 8 * model.num_layers * model.hidden_size
    windows = {"a batch": data.batch_size * data.window * per_sample}
    windows["the windows of a dispatch"] = (
        spec.train.steps_per_dispatch * data.batch_size * data.window * num_inputs
    )
    needs = {f"{num_weights:,} weights": copies * num_weights, **windows}
    num_bytes = {what: 4 * numbers for what, numbers in needs.items()}  # of float32
    available = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if sum(num_bytes.values()) > available:
        listed = ", ".join(
            f"{size / 2**30:,.3g} GiB for {what}" for what, size in num_bytes.items()
        )
        raise InputError(
            f"model, data: expected sizes that fit the {available / 2**30:.3g} GiB of memory here, "
            f"got {listed}. Lower model.hidden_size, model.encoder_size, data.window, "
            "data.batch_size or train.steps_per_dispatch."
        )


def make_mesh(spec: Spec) -> Mesh | None:
    """The devices that share each batch of this spec; None for one, which needs no mesh.

    Every process takes part with as many of its devices.

    Raises:
        InputError: there are not as many, or they cannot have equal shares.
    """
    device, num_processes = spec.train.device, jax.process_count()
    found = jax.devices() if device == "auto" else jax.devices(device)
    groups = [[d for d in found if d.process_index == i] for i in range(num_processes)]
    available = num_processes * min(map(len, groups))
    wanted = spec.train.num_devices or count_useful(spec.data.batch_size, available, num_processes)
    if not wanted:
        raise InputError(
            f"data.batch_size: expected equal shares for {num_processes} processes, got "
            f"{spec.data.batch_size}. Choose a multiple of their number."
        )
    if wanted > available or wanted % num_processes:
        rule = f"at most the {available} {found[0].platform} devices here"
        if num_processes > 1:
            rule = f"a multiple of {num_processes} processes, {rule}"
        raise InputError(
            f"train.num_devices: expected {rule}, got {wanted}. Change it, or go where there are "
            "as many."
        )
    chosen = [device for group in groups for device in group[: wanted // num_processes]]
    return Mesh(np.array(chosen), (AXIS,)) if wanted > 1 else None


def count(mesh: Mesh | None) -> int:
    """The number of its devices."""
    return 1 if mesh is None else mesh.size


def count_useful(batch_size: int, available: int, num_processes: int = 1) -> int:
    """The most devices that get equal shares of a batch, none of them tiny if that can be.

    Returns:
        A multiple of the processes; 0 where they cannot have equal shares.
    """
    equal = [n for n in range(num_processes, available + 1, num_processes) if batch_size % n == 0]
    useful = [n for n in equal if batch_size >= n * FEWEST_WINDOWS]
    return max(useful, default=min(equal, default=0))


def count_for_worker(spec: Spec, num_workers: int) -> int:
    """`train.num_devices` of a training that is one of several on this machine at once.

    Where the spec leaves it open, a CPU's cores are shared; GPUs, and a lone training's devices,
    stay as they are.
    """
    device = spec.train.device
    found = jax.local_devices(backend=None if device == "auto" else device)
    if spec.train.num_devices or num_workers == 1 or found[0].platform != "cpu":
        return spec.train.num_devices
    return count_useful(spec.data.batch_size, max(1, len(found) // num_workers))


def most_at_once(mesh: Mesh | None) -> int | None:
    """Windows that a device best works through at a time; None for as many as it has."""
    return MOST_ON_CPU if _platform(mesh) == "cpu" else None


def count_portions(num_windows: int, most: int | None) -> int:
    """The fewest equal portions of at most so many windows, if none of them is tiny; else one."""
    sizes = range(min(most or 0, num_windows), FEWEST_WINDOWS - 1, -1)
    return next((num_windows // size for size in sizes if num_windows % size == 0), 1)


def compiler_options(mesh: Mesh | None) -> dict[str, Any]:
    """What XLA is told of a training step: on a CPU to use vectors as wide as it has."""
    return {"xla_cpu_prefer_vector_width": 512} if _platform(mesh) == "cpu" else {}


def copy_to_all(mesh: Mesh | None, tree: Any) -> Any:
    """A pytree of arrays, which all processes have, the same on every device of the mesh."""
    return tree if mesh is None else jax.tree.map(lambda leaf: _place(mesh, WHOLE, leaf), tree)


def deal(mesh: Mesh | None, array: Float[ndarray, "steps t b f"]) -> Any:
    """Batches with their windows in equal shares on the devices of the mesh, in order."""
    return array if mesh is None else _place(mesh, DEALT, array)


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
    """What `copy_to_all` made, on this process's first device alone: what uses it runs there."""
    return tree if mesh is None else jax.tree.map(lambda leaf: leaf.addressable_data(0), tree)


def _platform(mesh: Mesh | None) -> str:
    """Of the mesh's devices or, without one, of that on which jax computes."""
    if mesh is None:
        return next(iter(jnp.zeros(()).devices())).platform
    return mesh.devices.flat[0].platform


def _place(mesh: Mesh, spec: PartitionSpec, leaf: Any) -> jax.Array:
    """Each process gives its own devices their parts of what it has whole."""
    whole = np.asarray(leaf)
    sharding = NamedSharding(mesh, spec)
    return jax.make_array_from_callback(whole.shape, sharding, lambda index: whole[index])
