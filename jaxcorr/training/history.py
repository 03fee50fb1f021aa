"""The history of a run: checkpoints, history.jsonl, timings.jsonl and TensorBoard, epoch by epoch.

History holds only what the seed determines, so two equal runs have equal histories; wall-clock
times are in a file of their own. Of several processes one writes, and all learn of its failure.
"""

import contextlib
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxcorr import files, plotting
from jaxcorr.errors import InputError, command
from jaxcorr.spec import Spec
from jaxcorr.training import checkpoint, hosts
from jaxcorr.training.run_folder import Run

HISTOGRAM_BINS = 64
# TensorBoard shows groups by the alphabet: what a training reached and what it costs go first.
_ACCURACY, _PACE, _TEST = "accuracy", "epoch", "evaluated"
# Of a run in TensorBoard's table of hyperparameters, as scalars of these tags.
_JUDGED_BY = (f"{_ACCURACY}/val_mae_um", f"{_ACCURACY}/val_r2", f"{_TEST}/mae_um")


class Keeper:
    """Writes a run's checkpoints and records; a failure to do so stops all processes.

    Args:
        epoch, last: that the run goes on from: completed epochs, and the checkpoint's step or -1.
        gradient_fn: the gradient by parameter, of a state and the first batch of a dispatch.
    Raises:
        InputError: (here and in each method) the disk refuses a file.
    """

    def __init__(self, spec: Spec, run: Run, epoch: int, last: int, gradient_fn: Any):
        self._writer = self._recorder = None
        with contextlib.ExitStack() as stack:
            with hosts.together():
                if hosts.is_writer():
                    keep = spec.train.keep_checkpoints
                    writer = checkpoint.Writer(run.checkpoints, keep, last)
                    self._writer = stack.enter_context(writer)
                    recorder = Recorder(spec, run, epoch, gradient_fn)
                    self._recorder = stack.enter_context(recorder)
            self._opened = stack.pop_all()

    def __enter__(self) -> "Keeper":
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def ask(self, is_asked_to_stop: bool = False) -> list[bool]:
        """Whether any process is asked to stop, and whether a checkpoint is due."""
        return hosts.any_of(is_asked_to_stop, self._writer is not None and self._writer.is_due)

    def save(self, state: Any, best: Any, progress: dict[str, Any]) -> None:
        """Writes a checkpoint; every device has the whole state, so one copy of it will do."""
        with hosts.together():
            if self._writer is not None:
                state, best = jax.device_get((state, best))
                self._writer.save(int(state.step), state, best, progress)

    def record(
        self, record: dict[str, Any], seconds: float, steps: int, state: Any, batches: Any
    ) -> None:
        """Appends an epoch to the records."""
        with hosts.together():
            if self._recorder is not None:
                self._recorder.write(record, seconds, steps, state, batches)


class Recorder:
    """Appends one epoch at a time; on a resume, later rows of the broken-off run are dropped.

    Raises:
        InputError: (here and in `write`) the disk refuses a file; whole rows stay whole.
    """

    def __init__(
        self, spec: Spec, run: Run, epoch: int, gradient_fn: Callable[[Any, Any, Any], Any]
    ):
        self._spec, self._run, self._gradient_fn = spec, run, gradient_fn
        try:
            for path, rows in (
                (run.history, run.read_history()),
                (run.timings, run.read_timings()),
            ):
                files.write_text(path, "".join(json.dumps(row) + "\n" for row in rows[:epoch]))
            self._board = _Board(run.path, epoch + 1) if spec.train.tensorboard else None
            if self._board:
                self._board.describe(spec)
        except OSError as error:
            raise _refused(run, error) from None

    def __enter__(self) -> "Recorder":
        return self

    def __exit__(self, *_: object) -> None:
        if self._board:
            self._board.close()

    def write(
        self, record: dict[str, Any], seconds: float, steps: int, state: Any, batches: Any
    ) -> None:
        """Appends an epoch's row, its timing and its TensorBoard entries."""
        samples = steps * batches.features[0, ..., 0].size
        timing = {
            "epoch": record["epoch"],
            "seconds": round(seconds, 4),
            "step_ms": round(1e3 * seconds / steps, 4),
            "samples_per_s": round(samples / seconds, 1),
        }
        try:
            _append(self._run.history, record)
            _append(self._run.timings, timing)
            if self._board:
                self._write_board(self._board, record | timing, state, batches)
        except OSError as error:
            raise _refused(self._run, error) from None

    def _write_board(
        self, board: "_Board", values: dict[str, Any], state: Any, batches: Any
    ) -> None:
        epoch = values["epoch"]
        for name, value in values.items():
            if name != "epoch" and value is not None:
                is_accuracy = name.startswith(("train_", "val_"))
                board.add_scalar(epoch, f"{_ACCURACY if is_accuracy else _PACE}/{name}", value)
        every = self._spec.train.histogram_every_epochs
        if every and epoch % every == 0:
            gradient = self._gradient_fn(state, batches.features, batches.targets)
            for path, leaf in jax.tree_util.tree_leaves_with_path(gradient):
                name, leaf = "/".join(key.key for key in path), np.asarray(leaf)
                board.add_histogram(epoch, f"gradient/{name}", leaf)
                board.add_scalar(epoch, f"gradient_norm/{name}", float(np.linalg.norm(leaf)))
        board.flush()


def show_evaluated(run: Run, epoch: int, values: Mapping[str, float | None]) -> None:
    """Adds figures of an evaluation to TensorBoard, where the run has records for it.

    Args:
        epoch: whose weights were evaluated.
        values: by name.
    """
    if not run.boards:
        return
    board = _Board(run.path)
    for name, value in values.items():
        if value is not None:
            board.add_scalar(epoch, f"{_TEST}/{name}", value)
    board.close()


class _Board:
    """A TensorBoard event file, written by this thread.

    tensorboardX's SummaryWriter writes in a thread that ends unseen when the disk is full; the
    training would then wait for it for ever.

    Args:
        first_epoch: of a training that begins or goes on here.
    """

    def __init__(self, folder: Path, first_epoch: int | None = None):
        # Here, since tensorboardX loads PyTorch where it finds it: 1.2 s for who wants no board.
        from tensorboardX import summary
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.proto import event_pb2

        log: Any = event_pb2  # protobuf makes its names at run time
        self._summary, self._event = summary, log.Event
        # Its name has a second in it, in which a training may end and be evaluated.
        suffix = "" if first_epoch is not None else f".{_TEST}"
        self._events = EventsWriter(str(folder / "events"), suffix)
        if first_epoch is None:
            return
        # Viewers hide what a broken-off run wrote from this epoch on.
        self._write(first_epoch, session_log=log.SessionLog(status=log.SessionLog.START))

    def describe(self, spec: Spec) -> None:
        """Puts the run into the table of hyperparameters."""
        judged_by = dict.fromkeys(_JUDGED_BY, 0.0)
        experiment, start, _end = self._summary.hparams(_hyperparameters(spec), judged_by)
        for content in (experiment, start):  # how it ends is not known yet
            self._write(0, summary=content)

    def add_scalar(self, epoch: int, tag: str, value: float) -> None:
        """Lengths are shown in um: of 0.00183 mm a viewer leaves 0.0018."""
        if tag.endswith("_mm"):
            tag, value = f"{tag[:-2]}um", 1e3 * value
        self._write(epoch, summary=self._summary.scalar(tag, value))

    def add_histogram(self, epoch: int, tag: str, values: np.ndarray) -> None:
        self._write(epoch, summary=self._summary.histogram(tag, values, HISTOGRAM_BINS))

    def _write(self, step: int, **content: Any) -> None:
        self._events.write_event(self._event(wall_time=time.time(), step=step, **content))

    def flush(self) -> None:
        self._events.flush()

    def close(self) -> None:
        try:
            self._events.close()
        except OSError:
            # What could not be written was flushed, and reported, by `write` before.
            return


def _hyperparameters(spec: Spec) -> dict[str, Any]:
    """What a person compares runs by: all numbers, words and switches of the model's training."""
    sections = spec.model_dump(include={"data", "model", "loss", "optimizer", "train"})
    return {
        f"{section}.{key}": value
        for section, values in sections.items()
        for key, value in values.items()
        if isinstance(value, bool | int | float | str)
    }


def _append(path: Path, row: dict[str, Any]) -> None:
    """Adds a line, whole or not at all."""
    line = json.dumps(row, allow_nan=False) + "\n"
    before = path.stat().st_size if path.exists() else 0
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(line)
    except OSError:
        os.truncate(path, before)
        raise


def _refused(run: Run, error: OSError) -> InputError:
    return InputError(
        f"{run.path}: expected to write the run's records, got '{error.strerror}'. Checkpoints are "
        f"intact: make room or mend the permissions, then `{command('resume')}`."
    )


def draw(rows: Sequence[Mapping[str, Any]], *paths: Path) -> None:
    """Draws a training's curves into files: loss, MAE of training and validation, learning rate.

    Args:
        rows: of history.jsonl, one an epoch.
        paths: .png, .svg or .pdf; one figure, laid out once, is saved to all of them.
    Raises:
        InputError: an ending is none of these, or a folder is not there.
    """
    plotting.check_paths(*paths)
    with plotting.style():
        plotting.save(curves(rows), *paths)


def curves(rows: Sequence[Mapping[str, Any]]) -> Any:
    """The figure of a training's curves, one column wide; the best epochs are marked."""
    figure, axes = plotting.new_figure(3, 1, 3.8, height_ratios=(1.0, 1.4, 0.7), sharex=True)
    epochs = [row["epoch"] for row in rows]
    loss = [row["train_loss"] for row in rows]
    axes[0].plot(epochs, loss, color=plotting.PALETTE[0], marker=".")
    axes[0].set(ylabel="training loss")
    plotting.spread(axes[0])
    for name, label, colour in (
        ("train_mae_mm", "training", plotting.PALETTE[0]),
        ("val_mae_mm", "validation", plotting.PALETTE[1]),
    ):
        points = [(row["epoch"], 1e3 * row[name]) for row in rows if row.get(name) is not None]
        if points:
            best = min(points, key=lambda point: point[1])
            text = f"{label}, best {best[1]:.2f} µm at {best[0]}"
            axes[1].plot(*zip(*points, strict=True), color=colour, marker=".", label=text)
            axes[1].plot(*best, "o", color=colour, fillstyle="none", ms=6)
    axes[1].set(ylabel="MAE / µm")
    plotting.spread(axes[1])
    plotting.legend_above(axes[1], 1)
    axes[2].plot(
        epochs, [row["learning_rate"] for row in rows], color=plotting.PALETTE[2], marker="."
    )
    axes[2].set(ylabel="learning rate", xlabel="epoch", ylim=(0, None))
    axes[2].set_xlim(0, epochs[-1] + 1)
    axes[2].xaxis.get_major_locator().set_params(integer=True)
    return figure
