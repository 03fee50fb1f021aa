"""What a training keeps: checkpoints and records, written by one process while the others wait.

The module knows when a checkpoint is due; what one holds, and what a record says, is the caller's.
"""

import contextlib
from typing import Any

import jax

from jaxcorr.spec import Spec
from jaxcorr.training import checkpoint, history, hosts
from jaxcorr.training.run_folder import Run


class Keeper:
    """Writes a run's checkpoints and records; a failure to do so stops all processes.

    Args:
        epoch, last: that the run goes on from: completed epochs, and the checkpoint's step or -1.
        gradient_fn: as for `records.Recorder`.
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
                    recorder = history.Recorder(spec, run, epoch, gradient_fn)
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
