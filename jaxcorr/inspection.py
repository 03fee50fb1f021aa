"""What a trace file holds and whether it can be trained on: one row a file.

The checks are `trace.py`'s own; a file that they refuse gets its line here and stops no other.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from jaxcorr import trace
from jaxcorr.errors import InputError
from jaxcorr.trace import Trace


class Row(NamedTuple):
    """One file's figures, each None where the file or the fields for it could not be read."""

    path: str
    part: str | None
    num_samples: int | None
    duration_s: float | None
    sample_rate_hz: float | None
    x_range_mm: tuple[float, float] | None
    y_range_mm: tuple[float, float] | None
    peak_speed_mm_s: float | None
    rms_x_um: float | None
    rms_y_um: float | None
    max_error_um: float | None
    problem: str | None


def inspect(patterns: list[str], sample_rate_hz: float) -> list[Row]:
    """Reads and checks every file that the patterns match.

    Raises:
        InputError: a pattern matches nothing.
    """
    return [_inspect_file(path, sample_rate_hz) for path in trace.find(patterns)]


def _inspect_file(path: Path, sample_rate_hz: float) -> Row:
    try:
        found = trace.read(path)
    except InputError as error:
        return Row(str(path), *(None,) * (len(Row._fields) - 2), problem=str(error))
    problem = None
    try:
        trace.check(found, sample_rate_hz)
    except InputError as error:
        problem = str(error)
    return _describe(found, problem)


def _describe(found: Trace, problem: str | None) -> Row:
    fields = found.fields
    time = _finite(fields.get("time"))
    duration_s = float(time[-1] - time[0]) if len(time) else 0.0
    return Row(
        path=str(found.path),
        part=found.part,
        num_samples=found.num_samples,
        duration_s=duration_s if duration_s > 0 else None,
        sample_rate_hz=(len(time) - 1) / duration_s if duration_s > 0 else None,
        x_range_mm=_range(fields.get("x_ref")),
        y_range_mm=_range(fields.get("y_ref")),
        peak_speed_mm_s=_peak(fields.get("vx_ref"), fields.get("vy_ref")),
        rms_x_um=_rms_um(fields.get("error_x")),
        rms_y_um=_rms_um(fields.get("error_y")),
        max_error_um=_peak(fields.get("error_x"), fields.get("error_y"), 1e3),
        problem=problem,
    )


def _finite(values: Float[ndarray, " n"] | None) -> Float[ndarray, " m"]:
    return np.zeros(0) if values is None else values[np.isfinite(values)]


def _range(values: Float[ndarray, " n"] | None) -> tuple[float, float] | None:
    finite = _finite(values)
    return (float(finite.min()), float(finite.max())) if len(finite) else None


def _peak(
    x: Float[ndarray, " n"] | None, y: Float[ndarray, " n"] | None, scale: float = 1.0
) -> float | None:
    """Greatest length of the vectors (x, y), times `scale`."""
    if x is None or y is None:
        return None
    finite = _finite(np.hypot(x, y))
    return float(scale * finite.max()) if len(finite) else None


def _rms_um(values: Float[ndarray, " n"] | None) -> float | None:
    finite = _finite(values)
    return float(1e3 * np.sqrt(np.mean(finite**2))) if len(finite) else None
