"""Files that say which process works in a folder, and that cannot outlive it.

A lock is held by the kernel (flock) and touched every few seconds. On one machine the kernel alone
decides, so a killed process lets go at once; on a shared folder, where the kernel of another
machine may not tell, a lock counts as free when nobody touched it for a minute. The module does not
know what the processes do.
"""

import contextlib
import fcntl
import json
import os
import platform
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jaxcorr.errors import InputError

TRAINING = "train.lock"  # in a run folder, while a process trains it
TOUCH_S = 5.0
STALE_S = 60.0
NUM_TRIES = 10


@contextlib.contextmanager
def hold(path: Path) -> Iterator[None]:
    """Holds the lock of this path for a `with` block.

    Raises:
        InputError: another process holds it, or the folder refuses files.
    """
    try:
        descriptor = _take(path)
    except BlockingIOError:
        raise InputError(
            f"{path.parent}: expected a folder that no other process works in, got one where "
            f"{holder(path) or 'another'} does. Wait for it, or stop it."
        ) from None
    except OSError as error:
        raise InputError(
            f"{path}: expected a folder that can be written, got '{error.strerror}'. Mend its "
            "permissions, or make room."
        ) from None
    is_done = threading.Event()
    toucher = threading.Thread(target=_keep_touching, args=(descriptor, is_done), daemon=True)
    toucher.start()
    try:
        yield
    finally:
        is_done.set()
        toucher.join()
        path.unlink(missing_ok=True)
        os.close(descriptor)


def holder(path: Path) -> str | None:
    """Who holds the lock now, as `process 123 on host`; None where nobody does."""
    try:
        with path.open("rb") as file:
            content = json.loads(file.read() or b"{}")
            is_granted = _try_lock(file.fileno(), fcntl.LOCK_SH)
            if is_granted and content.get("kernel") == _kernel():
                return None
            touched = os.fstat(file.fileno()).st_mtime
    except (OSError, ValueError):
        return None
    if is_granted is not False and _now(path.parent) - touched > STALE_S:
        return None
    return f"process {content.get('process')} on {content.get('host')}"


def _take(path: Path) -> int:
    """Opens, locks and signs the file; BlockingIOError where another process has it."""
    for _ in range(NUM_TRIES):
        if holder(path):
            # Only looking takes a lock too, for an instant.
            time.sleep(0.02)
            continue
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        is_granted = _try_lock(descriptor, fcntl.LOCK_EX) is not False
        # Its last holder may have removed the file since it was opened.
        if is_granted and _is_same(descriptor, path):
            os.truncate(descriptor, 0)
            os.pwrite(descriptor, json.dumps(_signature()).encode(), 0)
            return descriptor
        os.close(descriptor)
    raise BlockingIOError


def _is_same(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _try_lock(descriptor: int, kind: int) -> bool | None:
    """Whether the kernel grants the lock; None on a file system that has no locks."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _keep_touching(descriptor: int, is_done: threading.Event) -> None:
    while not is_done.wait(TOUCH_S):
        with contextlib.suppress(OSError):
            os.utime(descriptor)


def _now(folder: Path) -> float:
    """The time of the machine that keeps the folder, which stamps its files; else our own."""
    probe = folder / f".now-{os.getpid()}-{threading.get_ident()}"
    try:
        probe.touch()
        return probe.stat().st_mtime
    except OSError:
        return time.time()
    finally:
        with contextlib.suppress(OSError):
            probe.unlink(missing_ok=True)


def _signature() -> dict[str, Any]:
    return {"process": os.getpid(), "host": platform.node(), "kernel": _kernel()}


def _kernel() -> str:
    """Names this machine since its last start; equal where one kernel sees all locks."""
    boot_id = Path("/proc/sys/kernel/random/boot_id")
    return boot_id.read_text().strip() if boot_id.exists() else platform.node()
