"""Tiny traces made in memory: a circle for files, and counters whose values name their row."""

from pathlib import Path
from typing import Any

import numpy as np

from jaxcorr.data import trace
from jaxcorr.data.trace import Trace
from jaxcorr.models import grey_box
from jaxcorr.spec import Data

RATE_HZ = 100.0


def end_fits_early(patch: Any = setattr) -> None:
    """Lets a toy's plant be found roughly, in a tenth of the time."""
    for name in ("SEARCH_ITERATIONS", "ITERATIONS"):
        patch(grey_box, name, 1)


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
