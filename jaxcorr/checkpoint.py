"""Training state on disk, through orbax: each checkpoint holds the latest state and best weights.

A checkpoint appears under its step number only when complete. A damaged newest one is passed over
for the one before. The module knows pytrees and files; it does not know what they mean to training.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import jax
import orbax.checkpoint as ocp

from jaxcorr.errors import InputError

State = TypeVar("State")
EVERY_S = 10.0


class Saved(NamedTuple):
    """What a checkpoint holds; `skipped` names newer checkpoints that could not be read."""

    step: int
    state: Any
    best: Any
    progress: dict[str, Any]
    skipped: tuple[str, ...]


class Writer:
    """Writes checkpoints of one run and keeps the last few."""

    def __init__(self, folder: Path, keep: int):
        options = ocp.CheckpointManagerOptions(
            max_to_keep=keep, enable_async_checkpointing=False, create=True
        )
        self._folder = folder.absolute()
        self._manager = ocp.CheckpointManager(self._folder, options=options)
        self._saved_at = time.monotonic()
        self._saved_step = -1

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
        )
        path = self._folder / str(step)
        try:
            if path.exists():  # a damaged one, that the resume passed over
                path.rename(self._folder / f"damaged-{step}")
                self._manager.reload()
            self._manager.save(step, args=content, force=True)
        # Orbax and tensorstore wrap a full disk in types of their own.
        except Exception as error:
            raise InputError(
                f"{path}: expected to write a checkpoint, got '{_reason(error)}'. Earlier "
                "checkpoints are intact: make room or mend the permissions, then `just resume`."
            ) from None
        self._saved_at, self._saved_step = time.monotonic(), step


def steps(folder: Path) -> list[int]:
    """Step numbers of the checkpoints in a folder, ascending."""
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    return sorted(int(name) for name in names if name.isdigit())


def restore(folder: Path, state: Any, best: Any) -> Saved:
    """The newest readable checkpoint.

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
        return Saved(step, content["state"], content["best"], content["progress"], ())

    saved, skipped = _newest(folder, load)
    return saved._replace(skipped=skipped)


def restore_best(folder: Path, best: State) -> tuple[State, dict[str, Any]]:
    """The best weights of the newest readable checkpoint, and the progress stored with them.

    Raises:
        InputError: no checkpoint can be read.
    """

    def load(step: int) -> tuple[State, dict[str, Any]]:
        content = _read(
            folder / str(step),
            best=ocp.args.StandardRestore(_template(best)),
            progress=ocp.args.JsonRestore(),
        )
        return content["best"], content["progress"]

    return _newest(folder, load)[0]


def _read(path: Path, **items: Any) -> Any:
    with ocp.Checkpointer(ocp.CompositeCheckpointHandler(*items)) as checkpointer:
        return checkpointer.restore(path.absolute(), args=ocp.args.Composite(**items))


def _newest(folder: Path, load: Callable[[int], Any]) -> tuple[Any, tuple[str, ...]]:
    skipped: list[str] = []
    for step in reversed(steps(folder)):
        try:
            return load(step), tuple(skipped)
        # Whatever is wrong with this one, an older one may do; the caller tells the person.
        except Exception as error:
            skipped.append(f"{folder / str(step)} ({_reason(error)})")
    got = f"only damaged ones: {'; '.join(skipped)}" if skipped else "none"
    raise InputError(
        f"{folder}: expected a checkpoint, got {got}. Train the run again, or choose another run."
    )


def _reason(error: Exception) -> str:
    number = getattr(error, "errno", None)
    text = os.strerror(number) if number else str(error) or type(error).__name__
    return text.splitlines()[0][:160]


def _template(tree: Any) -> Any:
    """Shapes and dtypes on this machine's first device, wherever the checkpoint was written."""
    sharding = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    return jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), tree
    )
