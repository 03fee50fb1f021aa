"""Lock files: one process at a time works in a folder, and others read who it is.

On one host a killed process lets go as soon as its parent has taken note of its end. On a folder
that hosts share, a lock counts as free when its process has not renewed it for a minute.
"""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from jaxcorr.errors import InputError

if TYPE_CHECKING:
    from filelock import SoftFileLease

TRAINING = "train.lock"  # in a run folder, while a process trains it
RENEW_S = 5.0
STALE_S = 60.0
BEGUN_S = 2.0  # by then a process that lives has written who it is
ASIDE_S = 0.5  # that a process waits for another, which may only be looking who holds the lock


@contextlib.contextmanager
def hold(path: Path) -> Iterator[None]:
    """Holds the lock of this path for a `with` block.

    Raises:
        InputError: another process holds it, or the folder refuses files.
    """
    lease = _lease(path)
    try:
        try:
            lease.acquire(timeout=ASIDE_S)
        except TimeoutError:
            if not _is_stale(path):
                raise
            lease.acquire(timeout=STALE_S + RENEW_S)  # proof that nobody renews it
    except TimeoutError:
        raise InputError(
            f"{path.parent}: expected a folder that no other process works in, got one where "
            f"{_owner(lease)} does. Wait for it, or stop it."
        ) from None
    except OSError as error:
        raise InputError(
            f"{path}: expected a folder that can be written, got '{error.strerror}'. Mend its "
            "permissions, or make room."
        ) from None
    try:
        yield
    finally:
        lease.release()


def holder(path: Path) -> str | None:
    """Who holds the lock now, as `process 123 on host`; None where nobody does."""
    if not path.exists():
        return None
    lease = _lease(path)
    try:
        # Only this can tell a dead process's file on this host; it is removed.
        with lease.acquire(timeout=0):
            return None
    except TimeoutError:
        return None if _is_stale(path) else _owner(lease)
    except OSError:  # a folder that can only be read
        return None if lease.owner is None or _is_stale(path) else _owner(lease)


def remove_dead(folder: Path) -> None:
    """Removes the locks in a folder that killed processes of this host left behind."""
    for path in folder.glob("*.lock"):
        holder(path)


def _lease(path: Path) -> "SoftFileLease":
    from filelock import SoftFileLease  # here, since --help would wait for it

    # A process that was killed in the middle of taking its lock has left an empty file, which the
    # library would take for somebody's for ever.
    with contextlib.suppress(OSError):
        found = path.stat()
        if found.st_size == 0 and time.time() - found.st_mtime > BEGUN_S:
            path.unlink()
    return SoftFileLease(
        path, lease_duration=STALE_S, heartbeat_interval=RENEW_S, thread_local=False
    )


def _is_stale(path: Path) -> bool:
    try:
        return time.time() - path.stat().st_mtime > STALE_S
    except OSError:
        return True


def _owner(lease: "SoftFileLease") -> str:
    owner = lease.owner
    # The host's name may be followed by `?` and its container's number.
    return f"process {owner.pid} on {owner.hostname.partition('?')[0]}" if owner else "another"
