"""Ranges of a training split: of each feature, and of each axis's change from sample to sample.

A deployed predictor compares its samples with them, to tell where it extrapolates.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy import ndarray
from pydantic import ConfigDict

from jaxcorr import schema
from jaxcorr.data.trace import find_axes
from jaxcorr.data.trace_checks import explained_way_mm
from jaxcorr.errors import InputError
from jaxcorr.schema import Record


class Ranges(NamedTuple):
    """What a training split spans: each feature, and each axis from sample to sample.

    Attributes:
        low, high: of each feature, in its unit.
        jump_mm: of each axis: most that the way differs from `explained_way_mm`.
        accel_mm_s2: of each axis: most that the velocity changes, per second.
        target_std: standard deviation of each target, in its unit.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]
    jump_mm: tuple[float, ...]
    accel_mm_s2: tuple[float, ...]
    target_std: tuple[float, ...] = ()


def measure_ranges(
    features: Sequence[str], rows: ndarray, first_row: ndarray, rate_hz: float
) -> Ranges:
    """What samples span.

    Args:
        features: names of the columns.
        rows: (samples, features), traces end to end.
        first_row: of each trace, none of them empty.
        rate_hz: of the samples.
    """
    axes = find_axes(features)
    low = np.full(len(features), np.inf)
    high, jump, accel = -low, np.zeros(len(axes)), np.zeros(len(axes))
    for part in np.split(rows, first_row[1:]):  # one trace in float64 at a time
        trace = np.asarray(part, np.float64)
        low, high = np.minimum(low, trace.min(axis=0)), np.maximum(high, trace.max(axis=0))
        for i, (_, position, velocity) in enumerate(axes):
            x, v = trace[:, position], trace[:, velocity]
            off = np.diff(x) - explained_way_mm(v[:-1], v[1:], rate_hz)
            jump[i] = np.max(np.abs(off), initial=jump[i])
            change = np.abs(np.diff(v)) * rate_hz
            accel[i] = np.max(change, initial=accel[i])
    return Ranges(*(tuple(values.tolist()) for values in (low, high, jump, accel)))


class _Stats(Record):
    """What is read of stats.json."""

    model_config = ConfigDict(extra="ignore", strict=True, allow_inf_nan=False)

    ranges: Ranges


def read_ranges(path: Path, features: Sequence[str]) -> Ranges:
    """The ranges that a run's stats.json holds.

    Raises:
        InputError: they are not what `measure_ranges` found for these features.
    """
    mend = "The file was altered: bring it back, or train the run again."
    found = schema.read_record(_Stats, path, "The run is incomplete; train it again.", mend).ranges
    num_axes = len(find_axes(features))
    sizes = {"low": len(features), "high": len(features)}
    sizes |= {"jump_mm": num_axes, "accel_mm_s2": num_axes}
    for name, size in sizes.items():
        if len(getattr(found, name)) != size:
            got = len(getattr(found, name))
            raise InputError(f"{path}: expected {size} values of ranges.{name}, got {got}. {mend}")
    return found
