"""Training by several processes, on one host or many, through `jax.distributed`.

One of them writes and prints. What one must tell the others, a value or a failure, is told where
all of them wait for it, so that none is left waiting.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.experimental import multihost_utils

from jaxcorr.errors import InputError

MESSAGE_BYTES = 1 << 15
LEAVE_S = 30  # that a process waits for the others when it ends
# Launchers that jax recognises by itself, by the variable that says how many tasks there are.
LAUNCHERS = {"SLURM_NTASKS": "SLURM_STEP_NODELIST", "OMPI_COMM_WORLD_SIZE": "OMPI_COMM_WORLD_RANK"}


class Place(NamedTuple):
    """A process among others: where they meet (host:port), how many they are, and its number."""

    address: str
    num_processes: int
    process_id: int


def join(environment: Mapping[str, str] = os.environ) -> int:
    """Joins the processes that the environment names, before jax first computes.

    JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID name them, or a Slurm step or an
    Open MPI job of several tasks, which jax recognises.

    Returns:
        Their number; 1 where the environment names none.
    Raises:
        InputError: a variable is wrong. Where the others do not come, or do not fit together, jax
            ends the process.
    """
    if not _is_asked(environment):
        return 1
    if "JAX_COORDINATOR_ADDRESS" in environment:
        place = read_place(environment)
        if place.num_processes == 1:
            return 1
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


def read_place(environment: Mapping[str, str]) -> Place:
    """The place that JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID give.

    Raises:
        InputError: one of them is missing or wrong.
    """
    names = ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID")
    address, count, index = (environment.get(name, "") for name in names)
    host, _, port = address.rpartition(":")
    is_address = bool(host) and port.isdecimal() and 0 < int(port) < 2**16
    is_number = count.isdecimal() and index.isdecimal() and int(index) < int(count)
    if not (is_address and is_number):
        raise InputError(
            f"{', '.join(names)}: expected host:port of process 0, the number of processes, and "
            f"this one's number, counted from 0; got '{address}', '{count}', '{index}'. Set all "
            "three in each process."
        )
    return Place(address, int(count), int(index))


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
        InputError: it failed, there or here, or what it returns is too long to send.
    """
    if is_alone():
        return value_fn(*arguments)
    message = np.zeros(MESSAGE_BYTES, np.uint8)
    with together():
        if is_writer():
            text = json.dumps(value_fn(*arguments)).encode()
            if len(text) > MESSAGE_BYTES:
                raise InputError(
                    f"process 0: expected at most {MESSAGE_BYTES:,} bytes to tell the other "
                    f"processes, got {len(text):,}. Train with one process."
                )
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
