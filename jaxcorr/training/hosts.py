"""Several processes, on one host or many, that train together: one of them writes, all agree.

They go on in step: what one must tell the others, a value or a failure, is told where all of them
wait for it, so that none is left waiting. The module knows processes, not what they do.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from jaxcorr.errors import InputError
from jaxcorr.training import rendezvous

MESSAGE_BYTES = 1 << 15
LEAVE_S = 30  # that a process waits for the others when it ends
# Launchers that jax recognises by itself, by the variable that says how many tasks there are.
LAUNCHERS = {"SLURM_NTASKS": "SLURM_STEP_NODELIST", "OMPI_COMM_WORLD_SIZE": "OMPI_COMM_WORLD_RANK"}


def join(environment: Mapping[str, str] = os.environ) -> int:
    """Joins the processes that the environment names, before jax first computes.

    JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID name them, or a Slurm step or an
    Open MPI job of several tasks, which jax recognises.

    Returns:
        Their number; 1 where the environment names none.
    Raises:
        InputError: a variable is wrong, or the others do not come.
    """
    if not _is_asked(environment):
        return 1
    if "JAX_COORDINATOR_ADDRESS" in environment:
        place = rendezvous.read_place(environment)
        if place.num_processes == 1:
            return 1
        rendezvous.meet(place)
        jax.distributed.initialize(
            place.address,
            place.num_processes,
            place.process_id,
            cluster_detection_method="deactivate",
            shutdown_timeout_seconds=LEAVE_S,
        )
    else:
        try:
            jax.distributed.initialize(shutdown_timeout_seconds=LEAVE_S)
        except (RuntimeError, ValueError) as error:
            raise InputError(
                f"jax.distributed: expected to join this job's tasks, got '{error}'. Set "
                "JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID."
            ) from None
    return jax.process_count()


def is_alone() -> bool:
    """True where no others were joined; asking jax for their number would start its backend."""
    return not jax.distributed.is_initialized()


def is_writer() -> bool:
    """True in the one process that prints and writes files."""
    return is_alone() or jax.process_index() == 0


def any_of(*flags: bool) -> list[bool]:
    """For each flag whether it is set in any process."""
    if is_alone():
        return list(flags)
    return multihost_utils.process_allgather(np.array(flags)).any(axis=0).tolist()


@contextlib.contextmanager
def together() -> Iterator[None]:
    """Lets all processes through when all have come to the end, or stops all of them.

    Raises:
        InputError: another process failed.
    """
    try:
        yield
    except BaseException:
        any_of(True)
        raise
    if any_of(False)[0]:
        raise InputError(
            f"process {jax.process_index()}: expected all {jax.process_count()} processes to go "
            "on, got a failure in another. Its own message says why."
        )


def from_writer(value_fn: Callable[..., Any], *arguments: Any) -> Any:
    """Calls a function in the writing process alone; all get what it returns, plain JSON.

    Raises:
        InputError: it failed, there or here.
    """
    if is_alone():
        return value_fn(*arguments)
    message = np.zeros(MESSAGE_BYTES, np.uint8)
    with together():
        if is_writer():
            text = json.dumps(value_fn(*arguments)).encode()
            message[: len(text)] = np.frombuffer(text, np.uint8)
    told = np.asarray(multihost_utils.broadcast_one_to_all(message)).tobytes()
    return json.loads(told.rstrip(b"\0"))


def arrays_from_writer(tree: Any) -> Any:
    """The writing process's arrays in all of them, in a pytree of the same shapes."""
    return tree if is_alone() else multihost_utils.broadcast_one_to_all(tree)


def require_same(what: str, value_fn: Callable[[], Any]) -> None:
    """Compares a JSON value between the processes; alone, it is not asked for.

    Raises:
        InputError: it is not the same in all of them.
    """
    if is_alone():
        return
    mine = hashlib.sha256(json.dumps(value_fn(), sort_keys=True).encode()).hexdigest()
    if any_of(from_writer(lambda: mine) != mine)[0]:
        raise InputError(
            f"process {jax.process_index()}: expected the same {what} in all "
            f"{jax.process_count()} processes, got others. Give all of them the same files."
        )


def _is_asked(environment: Mapping[str, str]) -> bool:
    if environment.get("JAX_COORDINATOR_ADDRESS"):
        return True
    return any(
        environment.get(count, "1") not in ("", "1") and of_job in environment
        for count, of_job in LAUNCHERS.items()
    )
