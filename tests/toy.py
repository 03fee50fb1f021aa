"""Tiny traces made in memory: a circle for files, and counters whose values name their row."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from jaxcorr.data import trace
from jaxcorr.data.trace import Trace
from jaxcorr.models import grey_box
from jaxcorr.models.grey_box import Identified, Piece
from jaxcorr.spec import Data

# A folder's name from a stranger: quotes, a newline, commands of a terminal, a shell and a page.
NASTY = "20260101-000000-'\"\n\x1b[2J$(touch hacked)`touch hacked`<img src=x onerror=alert(1)>*\\%s"
RATE_HZ = 100.0
FREQUENCY_HZ = {"x": 12.0, "y": 10.0}  # of the printer of oscillator.py
DAMPING = 0.15


def take_any_plant(patch: Any = setattr) -> None:
    """Lets the toy printer's own numbers stand for an identified plant: compiling the fit takes
    ten seconds in each process."""

    def guess(traces: Iterable[Piece], rate_hz: float, _: str) -> Identified:
        num_axes = next(iter(traces)).error_mm.shape[1]
        numbers = np.zeros((num_axes, grey_box.NUM_CARTESIAN))
        numbers[:, : len(grey_box.BEGIN)] = (0.2 * rate_hz, DAMPING, 0.0, 1.0)
        if num_axes == len(FREQUENCY_HZ):
            numbers[:, 0] = list(FREQUENCY_HZ.values())
        axes = grey_box._name(numbers.T)
        low, high, none = (
            grey_box._name(np.full(numbers.T.shape, value)) for value in (-np.inf, np.inf, False)
        )
        share = np.full(num_axes, 0.1)
        return Identified(axes, low, high, none, share, share, 1)

    patch(grey_box, "identify", guess)


def run_worker(loaded: Any, folder: Path, _: int, num_workers: int) -> None:
    """A worker of a sweep, in a process of its own, to which any plant does."""
    from jaxcorr.cli import sweep

    take_any_plant()
    sweep._run_worker(loaded, folder, os.getppid(), num_workers)  # the server of processes.py


def circle(num_samples: int = 200) -> dict[str, np.ndarray]:
    """The columns of a clean file: a circle of 20 mm at half a turn a second."""
    time = np.arange(num_samples) / RATE_HZ
    angle = np.pi * time
    return {
        "time": time,
        "x_ref": 100 + 20 * np.cos(angle),
        "y_ref": 100 + 20 * np.sin(angle),
        "vx_ref": -20 * np.pi * np.sin(angle),
        "vy_ref": 20 * np.pi * np.cos(angle),
        "error_x": 0.1 * np.sin(angle),
        "error_y": 0.1 * np.cos(angle),
    }


def write_circle(path: Path, num_samples: int = 200, **changes: object) -> Path:
    """Writes that file, with some columns replaced, or left out where None."""
    columns = circle(num_samples) | changes
    trace.write(path, {k: v for k, v in columns.items() if v is not None}, {"seed": 1})
    return path


def counters(lengths: list[int], parts: list[str] | None = None) -> list[Trace]:
    """Traces whose sample i of trace k has 1000 k + i in every column: value = trace and time."""
    parts = parts or ["part"] * len(lengths)
    made = []
    for k, (length, part) in enumerate(zip(lengths, parts, strict=True)):
        column = 1000.0 * k + np.arange(length)
        fields = dict.fromkeys((*Data(traces=("x",)).features, "error_x", "error_y"), column)
        path = Path(part) / f"layer{k:02d}.mat"
        made.append(Trace(path, part, fields | {"time": np.arange(length) / RATE_HZ}, {}))
    return made
