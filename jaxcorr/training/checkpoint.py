"""Checkpoints, through orbax: each holds the latest state and the best weights.

A checkpoint appears under its step number only when complete. A damaged newest one is passed over
for the one before, if the caller wants that; digests tell, since orbax alone does not notice a
flipped bit in an array. What the arrays claim to be is compared with what is expected before any of
them is read, since orbax would take the memory first.
"""

import functools
import hashlib
import json
import logging
import os
import re
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import orbax.checkpoint as ocp
import tensorstore

from jaxcorr.errors import InputError, command, shorten
from jaxcorr.metrics import PathName

EVERY_S = 10.0
READ_S = 5.0  # for a few hundred bytes: a bent index sends tensorstore looking for ever
FAILED_WAIT_S = 5.0
FAILED_QUIET_S = 0.5
# Of processes that train together the first writes and reads; orbax is not to wait for others.
ALONE = ocp.options.MultiprocessingOptions(primary_host=0, active_processes={0})

# Orbax logs a page of tracebacks for what is reported in one line here, some of it from threads
# that end after the call.
logging.getLogger("absl").addFilter(lambda record: "orbax" not in record.pathname)


# Processes that have read a checkpoint: threads of orbax do not outlive a fork, and a child that
# has them from its parent would be killed.
_READERS: set[int] = set()


class Saved(NamedTuple):
    """What a checkpoint holds.

    Attributes:
        state: None where only the best weights were asked for.
        skipped: names newer checkpoints that could not be used, and why.
    """

    step: int
    state: Any
    best: Any
    progress: dict[str, Any]
    skipped: tuple[str, ...] = ()


class Damaged(ValueError):
    """A checkpoint that can be read but is not what was written."""


class Writer:
    """Writes checkpoints of one run and keeps the last few.

    Args:
        folder: of the run's checkpoints.
        keep: this many.
        last: the step that the run goes on from, -1 for a fresh one. Newer checkpoints could not
            be read; they are set aside, so that they neither count as kept nor stand in the way.
    Raises:
        InputError: the folder cannot be written.
    """

    def __init__(self, folder: Path, keep: int, last: int):
        options = ocp.CheckpointManagerOptions(
            max_to_keep=keep,
            enable_async_checkpointing=False,
            create=False,
            multiprocessing_options=ALONE,
        )
        self._folder = folder.absolute()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _remove_partial(folder)
            for step in (step for step in steps(folder) if step > last):
                _set_aside(folder / str(step))
            self._manager = ocp.CheckpointManager(self._folder, options=options)
        except OSError as error:
            raise _refused(self._folder, error) from None
        self._saved_at = time.monotonic()
        self._saved_step = last

    def __enter__(self) -> "Writer":
        return self

    def __exit__(self, *_: object) -> None:
        self._manager.close()

    @property
    def is_due(self) -> bool:
        """True when the last checkpoint is older than the loss of work that we accept."""
        return time.monotonic() - self._saved_at > EVERY_S

    def save(self, step: int, state: Any, best: Any, progress: dict[str, Any]) -> None:
        """Writes one checkpoint, whole or not at all.

        Raises:
            InputError: the disk refuses it; earlier checkpoints stay as they are.
        """
        if step == self._saved_step:
            return
        content = ocp.args.Composite(
            state=ocp.args.StandardSave(state),
            best=ocp.args.StandardSave(best),
            progress=ocp.args.JsonSave(progress),
            digests=ocp.args.JsonSave(_digests(state=state, best=best, progress=progress)),
        )
        try:
            self._manager.save(step, args=content, force=True)
        # Orbax and tensorstore wrap a full disk in types of their own.
        except Exception as error:
            _remove_failed(self._folder)
            raise _refused(self._folder / str(step), error) from None
        self._saved_at, self._saved_step = time.monotonic(), step


def steps(folder: Path) -> list[int]:
    """Step numbers of the checkpoints in a folder, ascending."""
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    return sorted(int(name) for name in names if name.isdigit())


def restore(folder: Path, state: Any, best: Any) -> Saved:
    """The newest readable checkpoint, as numpy arrays: on no device, wherever it was written.

    Args:
        folder: of the run's checkpoints.
        state, best: pytrees of the same structure, shapes and dtypes, as templates.
    Raises:
        InputError: no checkpoint can be read.
    """

    def load(step: int) -> Saved:
        content = _read(
            folder / str(step),
            state=ocp.args.StandardRestore(_template(state)),
            best=ocp.args.StandardRestore(_template(best)),
            progress=ocp.args.JsonRestore(),
        )
        return Saved(step, content["state"], content["best"], content["progress"])

    return _newest(folder, load)


def restore_best(folder: Path, best: Any, is_strict: bool = False) -> Saved:
    """The best weights of the newest readable checkpoint as numpy arrays, and the progress.

    Args:
        is_strict: refuses any but the newest one.
    Raises:
        InputError: no checkpoint can be read, or not the newest one.
    """

    def load(step: int) -> Saved:
        content = _read(
            folder / str(step),
            best=ocp.args.StandardRestore(_template(best)),
            progress=ocp.args.JsonRestore(),
        )
        return Saved(step, None, content["best"], content["progress"])

    saved = _newest(folder, load)
    if is_strict and saved.skipped:
        raise InputError(
            f"{folder}: expected the newest checkpoint to be whole, got {saved.skipped[0]}. Bring "
            f"it back, or take step {saved.step} with `{command('resume')}`, eval or export, which "
            "say so."
        )
    return saved


def _read(path: Path, **items: Any) -> dict[str, Any]:
    """Reads these items and compares them with their digests."""
    for name, item in items.items():
        if isinstance(item, ocp.args.StandardRestore):
            _check_claims(path / name, item.item)
    items["digests"] = ocp.args.JsonRestore()
    handler = ocp.CompositeCheckpointHandler(
        *items, composite_options=ocp.CompositeOptions(multiprocessing_options=ALONE)
    )
    with ocp.Checkpointer(handler, multiprocessing_options=ALONE) as checkpointer:
        content = dict(checkpointer.restore(path.absolute(), args=ocp.args.Composite(**items)))
    known = content.pop("digests")
    for name, digest in _digests(**content).items():
        if known.get(name) != digest:
            raise Damaged(f"{name} differs from what was written")
    return content


def _check_claims(folder: Path, template: Any) -> None:
    """Refuses arrays that claim another shape or type than the template's, before any is read."""
    base = {"driver": "file", "path": f"{folder.absolute()}/"}
    store = tensorstore.KvStore.open({"driver": "ocdbt", "base": base}).result(READ_S)
    for path, leaf in jax.tree_util.tree_leaves_with_path(template):
        name = ".".join(str(getattr(key, "name", getattr(key, "key", key))) for key in path)
        name = re.sub(r"[\[\]']", "", name)
        claim = json.loads(bytes(store.read(f"{name}/.zarray").result(READ_S).value))
        got = claim.get("shape"), claim.get("chunks"), claim.get("dtype")
        if got != (list(leaf.shape),) * 2 + (leaf.dtype.str,):
            raise Damaged(f"{name} claims to be {shorten(str(got))}")


def _digests(**items: Any) -> dict[str, str]:
    """SHA-256 of each item: a pytree of arrays, or JSON in its `progress`."""
    found = {}
    for name, item in items.items():
        digest = hashlib.sha256()
        if name == "progress":
            digest.update(json.dumps(item, sort_keys=True).encode())
        else:
            for path, leaf in jax.tree_util.tree_leaves_with_path(item):
                digest.update(jax.tree_util.keystr(path).encode())
                digest.update(np.asarray(leaf).tobytes())
        found[name] = digest.hexdigest()
    return found


def _remove_partial(folder: Path) -> bool:
    """Removes half-written checkpoints, which have no step's name yet; True if there were any."""
    partial = list(folder.glob("*.orbax-checkpoint-tmp*"))
    for path in partial:
        shutil.rmtree(path, ignore_errors=True)
    return bool(partial)


def _remove_failed(folder: Path) -> None:
    """Removes what a refused save left, until nothing new comes: its threads go on for a while."""
    began = changed = time.monotonic()
    while (now := time.monotonic()) < min(began + FAILED_WAIT_S, changed + FAILED_QUIET_S):
        if _remove_partial(folder):
            changed = now
        time.sleep(0.01)


def _set_aside(path: Path) -> None:
    """Renames a damaged checkpoint, in place of one of that name."""
    aside = path.with_name(f"damaged-{path.name}")
    shutil.rmtree(aside, ignore_errors=True)
    path.rename(aside)


def _newest(folder: Path, load: Callable[[int], Saved]) -> Saved:
    if _READERS - {os.getpid()}:
        raise InputError(
            f"{folder}: expected a process of its own to load a model in, got one that was forked. "
            "Start it with multiprocessing.get_context('spawn')."
        )
    _READERS.add(os.getpid())
    _ignore_late_reads()
    skipped: list[str] = []
    for step in reversed(steps(folder)):
        try:
            return load(step)._replace(skipped=tuple(skipped))
        except (MemoryError, InputError):
            raise
        # Whatever is wrong with this one, an older one may do; the caller tells the person.
        except Exception as error:
            denied = _find_denied(folder / str(step))
            if denied is not None:
                raise InputError(
                    f"{denied}: expected a file that can be read, got 'Permission denied'. Mend "
                    "its permissions."
                ) from None
            skipped.append(f"{folder / str(step)} ({_reason(error)})")
    got = f"only damaged ones: {'; '.join(skipped)}" if skipped else "none"
    raise InputError(
        f"{folder}: expected a checkpoint, got {got}. Train the run again, or choose another run."
    )


@functools.cache
def _ignore_late_reads() -> None:
    """Prints no traceback beside what is said of a damaged checkpoint.

    At the first array that it cannot read, orbax closes the loop of events that other reads, still
    under way, report to.
    """
    shown = sys.unraisablehook

    def show(unraisable: Any) -> None:
        if str(unraisable.exc_value) != "Event loop is closed":
            shown(unraisable)

    sys.unraisablehook = show


def _find_denied(folder: Path) -> Path | None:
    """A file or folder that this user may not read, if there is one."""
    paths = [folder, *folder.rglob("*")]
    return next((path for path in paths if not os.access(path, os.R_OK)), None)


def _refused(path: Path, error: Exception) -> InputError:
    return InputError(
        f"{path}: expected to write a checkpoint, got '{_reason(error)}'. Earlier checkpoints are "
        f"intact: make room or mend the permissions, then `{command('resume')}`."
    )


def _reason(error: Exception) -> str:
    """The system's own words where the error has its number, else the error's first line."""
    wrapped = re.search(r"os_error_code='(\d+)'", str(error))  # as tensorstore puts it
    number = int(wrapped[1]) if wrapped else getattr(error, "errno", None)
    text = os.strerror(number) if number else str(error) or type(error).__name__
    return shorten(text.splitlines()[0], 160)


def _template(tree: Any) -> Any:
    """Arrays of these shapes that take no memory, however large an altered spec makes them."""
    return jax.tree.map(lambda leaf: np.broadcast_to(np.zeros((), leaf.dtype), leaf.shape), tree)


def name_best(best_epoch: int, path: PathName) -> str:
    """Whose weights are the best of a run: those of an epoch, or where it is 0, of none.

    Args:
        path: that is in use, see `network.used_path`.
    """
    if best_epoch:
        return f"epoch {best_epoch}"
    named = {"plant": "the plant alone", "smooth": "the smooth path alone"}
    return named.get(path, "the untrained network")
