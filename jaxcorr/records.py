"""Records of a training: history.jsonl, timings.jsonl and TensorBoard, appended epoch by epoch.

History holds only what the seed determines, so two equal runs have equal histories; wall-clock
times are in a file of their own. The module does not judge what it writes.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from tensorboardX import SummaryWriter

from jaxcorr import runs
from jaxcorr.runs import Run
from jaxcorr.spec import Spec


class Recorder:
    """Appends one epoch at a time; on a resume, later rows of the broken-off run are dropped."""

    def __init__(
        self, spec: Spec, run: Run, epoch: int, gradient_fn: Callable[[Any, Any, Any], Any]
    ):
        self._spec, self._run, self._gradient_fn = spec, run, gradient_fn
        for path in (run.history, run.timings):
            kept = runs.read_lines(path)[:epoch]
            runs.write_text(path, "".join(json.dumps(row) + "\n" for row in kept))
        self._board = (
            SummaryWriter(str(run.tensorboard), purge_step=epoch + 1)
            if spec.train.tensorboard
            else None
        )

    def __enter__(self) -> "Recorder":
        return self

    def __exit__(self, *_: object) -> None:
        if self._board:
            self._board.close()

    def write(
        self, record: dict[str, Any], seconds: float, steps: int, state: Any, batches: Any
    ) -> None:
        """Appends an epoch's row, its timing and its TensorBoard entries."""
        _append(self._run.history, record)
        samples = steps * batches.features[0, ..., 0].size
        timing = {
            "epoch": record["epoch"],
            "seconds": round(seconds, 4),
            "step_ms": round(1e3 * seconds / steps, 4),
            "samples_per_s": round(samples / seconds, 1),
        }
        _append(self._run.timings, timing)
        if self._board:
            self._write_board(record | timing, state, batches)

    def _write_board(self, values: dict[str, Any], state: Any, batches: Any) -> None:
        assert self._board is not None
        epoch = values["epoch"]
        for name, value in values.items():
            if name != "epoch" and value is not None:
                group, _, rest = name.partition("_")
                tag = f"{group}/{rest}" if group in ("train", "val") else f"progress/{name}"
                self._board.add_scalar(tag, value, epoch)
        every = self._spec.train.histogram_every_epochs
        if every and epoch % every == 0:
            gradient = self._gradient_fn(state, batches.features, batches.targets)
            for path, leaf in jax.tree_util.tree_leaves_with_path(gradient):
                name = "/".join(key.key for key in path)
                self._board.add_histogram(f"gradient/{name}", np.asarray(leaf), epoch)
                self._board.add_scalar(f"gradient_norm/{name}", np.linalg.norm(leaf), epoch)
        self._board.flush()


def _append(path: Path, row: dict[str, Any]) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row, allow_nan=False) + "\n")
