"""Sees that all processes of a training have come, and fit together, before jax joins them.

Where one is missing or counts otherwise, jax ends the process with a stack of addresses; here it is
one line. The first process listens where jax's coordinator will, the others say who they are. The
module knows sockets; it does not know jax.
"""

import contextlib
import json
import os
import socket
import time
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from jaxcorr.errors import InputError

WAIT_S = 60.0
AGAIN_S = 0.1
LINE_BYTES = 4096


class Place(NamedTuple):
    """A process among others: where they meet (host:port), how many they are, and its number."""

    address: str
    num_processes: int
    process_id: int


def read_place(environment: Mapping[str, str]) -> Place:
    """The place that JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID give.

    Raises:
        InputError: one of them is missing or wrong.
    """
    address = environment.get("JAX_COORDINATOR_ADDRESS", "")
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 2**16:
        raise InputError(
            f"JAX_COORDINATOR_ADDRESS: expected host:port, got '{address}'. Name the host of "
            "process 0 and a free port there."
        )
    count = _read_number(environment, "JAX_NUM_PROCESSES", 1)
    index = _read_number(environment, "JAX_PROCESS_ID", 0)
    if index >= count:
        raise InputError(
            f"JAX_PROCESS_ID: expected a number below JAX_NUM_PROCESSES = {count}, got {index}. "
            "Count processes from 0."
        )
    return Place(address, count, index)


def meet(place: Place, wait_s: float = WAIT_S) -> None:
    """Returns when all processes have come.

    Args:
        wait_s: that a process waits for the others.
    Raises:
        InputError: one has not come in time, or they do not fit together.
    """
    deadline = time.monotonic() + wait_s
    problem = _gather(place, deadline) if place.process_id == 0 else _report(place, deadline)
    if problem:
        raise InputError(f"{place.address}: {problem}")


def _read_number(environment: Mapping[str, str], name: str, least: int) -> int:
    text = environment.get(name, "")
    if not text.isdecimal() or int(text) < least:
        raise InputError(
            f"{name}: expected a whole number >= {least} beside JAX_COORDINATOR_ADDRESS, got "
            f"'{text}'. Set it in each process."
        )
    return int(text)


def _gather(place: Place, deadline: float) -> str:
    """In process 0: hears the others and answers all; returns what is wrong, empty if nothing."""
    come: set[int] = set()
    problem = ""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(_listen(place))
        waiting = []
        for peer, other in _accept_all(server, deadline):
            waiting.append(stack.enter_context(peer))
            problem = _compare(place, other, come)
            come.add(other.process_id)
            if problem or len(come) == place.num_processes - 1:
                break
        missing = sorted(set(range(1, place.num_processes)) - come)
        if missing and not problem:
            problem = (
                f"expected {place.num_processes} processes, got no word from "
                f"{', '.join(map(str, missing))}. Start all of them, within a minute."
            )
        for peer in waiting:
            with contextlib.suppress(OSError):  # who has gone needs no answer
                peer.sendall(f"{problem}\n".encode())
    return problem


def _listen(place: Place) -> socket.socket:
    """Listens for all of them, on every address of this host, as jax's coordinator will."""
    port = int(place.address.rpartition(":")[2])
    is_dual = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if is_dual else socket.AF_INET
    try:
        return socket.create_server(
            ("", port), family=family, backlog=place.num_processes, dualstack_ipv6=is_dual
        )
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise InputError(
            f"JAX_COORDINATOR_ADDRESS: expected a free port, got {port}: '{reason}'. "
            "Choose another."
        ) from None


def _accept_all(server: socket.socket, deadline: float) -> Iterator[tuple[socket.socket, Place]]:
    """Who comes before the deadline; what else knocks at the port is turned away."""
    while (left_s := deadline - time.monotonic()) > 0:
        server.settimeout(left_s)
        try:
            peer, _ = server.accept()
        except TimeoutError:
            return
        try:
            peer.settimeout(max(AGAIN_S, min(1.0, deadline - time.monotonic())))
            address, count, index = json.loads(_read_line(peer))
            yield peer, Place(str(address), int(count), int(index))
        except (ValueError, TypeError, OSError):
            peer.close()


def _compare(place: Place, other: Place, come: set[int]) -> str:
    if other.num_processes != place.num_processes:
        return (
            f"expected JAX_NUM_PROCESSES = {place.num_processes} in all processes, got "
            f"{other.num_processes} in process {other.process_id}. Set the same in all."
        )
    if other.process_id in come | {0}:
        return (
            f"expected each JAX_PROCESS_ID once, got {other.process_id} twice. Number the "
            f"processes from 0 to {place.num_processes - 1}."
        )
    return ""


def _report(place: Place, deadline: float) -> str:
    """In the other processes: says who this is until process 0 answers; returns its answer."""
    host, _, port = place.address.rpartition(":")
    while (left_s := deadline - time.monotonic()) > 0:
        try:
            with socket.create_connection((host.strip("[]"), int(port)), left_s) as peer:
                peer.sendall(f"{json.dumps(place)}\n".encode())
                return _read_line(peer)
        except (OSError, ValueError):
            time.sleep(AGAIN_S)
    return (
        "expected process 0 to answer within a minute, got nothing. Start it, and see that its "
        "host and port can be reached."
    )


def _read_line(peer: socket.socket) -> str:
    """A line without its end; ValueError where the other side leaves before."""
    text = b""
    while not text.endswith(b"\n"):
        piece = peer.recv(LINE_BYTES)
        if not piece or len(text) > LINE_BYTES:
            raise ValueError("no line")
        text += piece
    return text.decode().rstrip("\n")
