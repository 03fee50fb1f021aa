"""Labels by which test errors are broken down, kept with the run.

Kind of printed line and friction's part of the error for each row, acceleration and feedrate of a
sweep for each trace; whatever a trace lacks stays unknown.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from jaxcorr import files
from jaxcorr.data import trace
from jaxcorr.data.trace import Trace
from jaxcorr.data.windows import Samples
from jaxcorr.errors import InputError
from jaxcorr.files import Array
from jaxcorr.printer.slicers import FEATURES
from jaxcorr.spec import Data, axis_of

UNKNOWN = -1
FEATURE_FIELD = "feature_code"
SWEEP = {"accel_mm_s2": "a", "velocity_mm_s": "v"}  # key of params.plan, letter in a file's name


class Labels(NamedTuple):
    """Labels of a table of samples, each row's of the instant that its target belongs to.

    Attributes:
        feature: index into `gcode.FEATURES`, -1 where unknown.
        friction_mm: friction's part of each target, NaN where unknown.
        accel_mm_s2, velocity_mm_s: of each trace's point in a sweep, NaN where there is none.
    """

    feature: Int[ndarray, " rows"]
    friction_mm: Float[ndarray, "rows k"]
    accel_mm_s2: Float[ndarray, " traces"]
    velocity_mm_s: Float[ndarray, " traces"]


def read(paths: Iterable[Path], data: Data, samples: Samples) -> Labels:
    """Labels of the traces of a table, from their files.

    Args:
        paths: files of the table's traces, in its order.
        data: names of the targets, and the horizon.
    Raises:
        InputError: a file cannot be read.
    """
    names = (FEATURE_FIELD, *_friction_fields(data), "time")
    return of_traces((trace.read(path, names) for path in paths), data, samples)


def of_traces(traces: Iterable[Trace], data: Data, samples: Samples) -> Labels:
    """Labels of a table from its traces, which lie in the same order."""
    feature = np.full(len(samples.features), UNKNOWN, np.int16)
    friction = np.full((len(samples.features), len(data.targets)), np.nan, np.float32)
    sweep: dict[str, list[float]] = {key: [] for key in SWEEP}
    for item, first, rows in zip(
        traces, samples.first_row.tolist(), samples.num_rows.tolist(), strict=True
    ):
        span = slice(first, first + rows)
        if FEATURE_FIELD in item.fields:
            feature[span] = _at_target(item.fields[FEATURE_FIELD], data.horizon, rows)
        for i, name in enumerate(_friction_fields(data)):
            if name in item.fields:
                friction[span, i] = _at_target(item.fields[name], data.horizon, rows)
        for key, values in sweep.items():
            values.append(sweep_value(item, key))
    return Labels(feature, friction, *(np.array(sweep[key], np.float64) for key in SWEEP))


def save(path: Path, labels: Labels) -> None:
    """Keeps labels in a run folder, beside the samples they belong to."""
    files.save_arrays(path, labels._asdict())


def load(path: Path, samples: Samples) -> Labels:
    """Labels that `save` kept.

    Raises:
        InputError: the file is missing, damaged, or of other samples.
    """
    what, mend = "labels of the run's test samples", "Train the run again."
    rows, num_targets = samples.targets.shape
    wanted = {
        "feature": Array("i", (rows,)),
        "friction_mm": Array("n", (rows, num_targets)),
        **dict.fromkeys(SWEEP, Array("n", (len(samples.names),))),
    }
    found = Labels(**files.load_arrays(path, wanted, what, mend))
    if not ((found.feature >= UNKNOWN) & (found.feature < len(FEATURES))).all():
        raise InputError(f"{path}: feature: expected {what}, got unknown kinds of line. {mend}")
    return found


def sweep_value(item: Trace, key: str) -> float:
    """A trace's acceleration or feedrate (a key of SWEEP), from its params or else its name.

    NaN where neither tells, as for a trace that was made as its G-code says.
    """
    plan = item.params.get("plan")
    value = plan.get(key) if isinstance(plan, dict) else None
    if isinstance(value, int | float) and np.isfinite(value):
        return float(value)
    named = re.search(rf"_{SWEEP[key]}(\d+(?:\.\d+)?)(?=_)", item.path.stem)
    return float(named[1]) if named else float("nan")


def _friction_fields(data: Data) -> list[str]:
    # The sources add up to actual - command, so an error and a lag have the same one.
    return [f"friction_{axis_of(name)}" for name in data.targets]


def _at_target(column: Float[ndarray, " n"], horizon: int, rows: int) -> Float[ndarray, " rows"]:
    """A column's values `horizon` samples after each row; the nearest where there is none."""
    at = np.clip(np.arange(rows) + horizon, 0, len(column) - 1)
    return column[at]
