"""Checks of a trace before anything is trained or evaluated on it.

What a deployed Guard would refuse of one sample is refused here too, so that no bad sample of
training widens its bounds. Texts name the first bad sample as MATLAB counts them, from 1.
"""

import difflib
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool
from numpy import ndarray

from jaxcorr.data import trace as traces
from jaxcorr.data.trace import MEASURED, STRUCT, Trace
from jaxcorr.errors import InputError
from jaxcorr.units import unit_of

RATE_TOLERANCE = 0.01
# Beyond these no desktop printer's trace is in mm and mm/s; micrometres look like this.
MAX_POSITION_MM = 2000.0
MAX_SPEED_MM_S = 2000.0
MAX_ERROR_MM = 10.0
# A printer that never reaches this speed is one whose speeds are in m/s.
MIN_PEAK_SPEED_MM_S = 1.0
# Path by positions against path by velocities: m for mm is 1000, mm/min for mm/s is 60.
MAX_PATH_RATIO = 10.0
MAX_FACTOR = 1.25  # of a velocity that is scaled
SURE, UNLIKE = 0.8, 0.05  # correlation of two motions that are the same; what others are below it
# Samples are compared with what nearly all of a trace shows, as a deployed Guard does with all of
# training: there a sample FAR times as far out is refused, so none like it may widen its bounds.
USUAL = 0.99
FAR = 4.0
MAX_CORNER_MM_S = 30.0  # half of what a corner between two samples may change a velocity by
MIN_MISSED_MM_S = 5.0
BACK = 3  # samples after which a machine that was elsewhere cannot be back
MAX_REST_MM_S = 10.0  # of a machine that begins or ends a piece
MIN_SPIKE_MM = 0.02
SPIKE_REACH_S = 0.05
FEW = 0.01  # of all samples
SIMILAR = 0.8  # two names, as difflib has it: eror_x or errorx for error_x
TIME_UNITS = {"ms": 1e-3, "us": 1e-6, "minutes": 60.0, "days": 86400.0}
MEND_SAMPLES = "Mend or cut out these samples, or drop the file."


def check(trace: Trace, sample_rate_hz: float, required: Sequence[str] | None = None) -> None:
    """Refuses a trace that cannot be trained or evaluated on.

    Checks, in this order: fields present, at least two samples, finite values, increasing time,
    sampling rate within 1%, plausible units, speeds that drive their positions, an error that is
    actual - reference, and no sample that the ones around it contradict.

    Args:
        sample_rate_hz: that the trace should have.
        required: fields; those of its axes where None.

    Raises:
        InputError: one line with file, field, first bad sample and what to do.
    """
    required = traces.fields_of(traces.axes_of(trace.fields)) if required is None else required
    for name in dict.fromkeys(("time", *required)):
        if name not in trace.fields:
            raise InputError(_say_missing(trace, name, required))
    if trace.num_samples < 2:
        raise InputError(
            f"{trace.path}: time: expected at least 2 samples, got {trace.num_samples}. "
            "Drop the file."
        )
    for name in dict.fromkeys(("time", *required)):
        _check_finite(trace, name)
    _check_time(trace, sample_rate_hz)
    for name in required:
        _check_magnitude(trace, name)
    _check_motion(trace)
    pairs = [pair for pair in _driven(trace) if {*pair} <= {*required}]
    _check_velocities(trace, pairs)
    _check_sign(trace)
    if pairs:
        velocities = trace.columns([velocity for _, velocity in pairs])
        slow_mm_s = min(2 * max(map(_usual, np.diff(velocities, axis=0).T)), MAX_REST_MM_S)
        is_slow: ndarray = np.all(np.abs(velocities) <= slow_mm_s, axis=1)
        for position, velocity in pairs:
            _check_steps(trace, position, velocity, is_slow)
    for name in required:
        if name.startswith("error_"):
            _check_spikes(trace, name)


def explained_way_mm(v0_mm_s: Any, v1_mm_s: Any, rate_hz: float) -> Any:
    """Way from one sample to the next by the trapezoidal rule, from the velocities at both.

    What the way differs from it by, the jump, is small for any motion that a machine can make.
    """
    return (v0_mm_s + v1_mm_s) / 2 / rate_hz


def _check_finite(trace: Trace, name: str) -> None:
    bad = np.flatnonzero(~np.isfinite(trace.fields[name]))
    if len(bad):
        kind = "NaN" if np.isnan(trace.fields[name][bad]).all() else "non-finite"
        raise InputError(
            f"{trace.path}: {name}: expected finite values, got {len(bad)} {kind} (first at sample "
            f"{bad[0] + 1}). {MEND_SAMPLES}"
        )


def _check_time(trace: Trace, sample_rate_hz: float) -> None:
    time = trace.fields["time"]
    steps = np.diff(time)
    bad = np.flatnonzero(steps <= 0)
    if len(bad):
        raise InputError(
            f"{trace.path}: time: expected increasing values, got {time[bad[0] + 1]:g} s after "
            f"{time[bad[0]]:g} s at sample {bad[0] + 2}. Sort the samples, or drop the file."
        )
    usual_s = float(np.median(steps))
    for unit, seconds in TIME_UNITS.items():
        if abs(usual_s * seconds * sample_rate_hz - 1) <= RATE_TOLERANCE:
            raise InputError(
                f"{trace.path}: time: expected seconds, got steps of {usual_s:.6g}, which are "
                f"{unit} at {sample_rate_hz:g} Hz. Multiply time by {seconds:g}."
            )
    # Time stamps may be rounded to a millisecond, hence the wide bound for a single step.
    uneven = np.flatnonzero(np.abs(steps * sample_rate_hz - 1) > 0.5)
    is_rate = abs(1 / usual_s / sample_rate_hz - 1) <= RATE_TOLERANCE
    if is_rate and len(uneven):
        raise InputError(
            f"{trace.path}: time: expected steps of {1e3 / sample_rate_hz:g} ms, got "
            f"{1e3 * steps[uneven[0]]:.4g} ms before sample {uneven[0] + 2}. Cut the trace at the "
            "gap, or record it again."
        )
    if abs(trace.sample_rate_hz / sample_rate_hz - 1) > RATE_TOLERANCE or len(uneven):
        raise InputError(
            f"{trace.path}: time: expected {sample_rate_hz:g} Hz +-1%, got {1 / usual_s:g} Hz in "
            f"the median and {trace.sample_rate_hz:g} Hz in the mean. Resample the trace, or set "
            "data.sample_rate_hz."
        )


def _check_magnitude(trace: Trace, name: str) -> None:
    unit, values = unit_of(name), trace.fields[name]
    most = MAX_POSITION_MM if unit == "mm" else MAX_SPEED_MM_S
    most = MAX_ERROR_MM if name.startswith(("error_", "lag_")) else most
    bad = np.flatnonzero(np.abs(values) > most)
    if unit not in ("mm", "mm/s") or not len(bad):
        return
    # In another unit much of a trace is too large; what is wrong with a few samples is no unit.
    is_unit = len(bad) > FEW * len(values)
    mend = f"Convert the file to {unit}." if is_unit else MEND_SAMPLES
    raise InputError(
        f"{trace.path}: {name}: expected at most {most:g} {unit}, got {values[bad[0]]:g} at sample "
        f"{bad[0] + 1}{_say_more(bad)}. {mend}"
    )


def _check_motion(trace: Trace) -> None:
    """Refuses speeds in m/s, and positions and speeds whose units do not belong together."""
    positions = [name for name, _ in _driven(trace) if name.endswith("_ref")]
    if not positions:
        return
    velocities = [f"v{name}" for name in positions]
    speeds = np.abs(trace.columns(velocities))
    is_measured = trace.params.get("source") == MEASURED
    if 0 < speeds.max() < MIN_PEAK_SPEED_MM_S and not is_measured:
        raise InputError(
            f"{trace.path}: {', '.join(velocities)}: expected a peak of at least "
            f"{MIN_PEAK_SPEED_MM_S:g} mm/s, got {speeds.max():.3g}. Convert the file to mm and "
            "mm/s."
        )
    moved_mm = sum(float(np.abs(_clip(np.diff(trace.fields[n]))).sum()) for n in positions)
    driven_mm = np.sum(speeds[1:] * np.diff(trace.fields["time"])[:, None])
    low, high = sorted((moved_mm, driven_mm))
    # Below a millimetre the sampling of a single move decides, not the unit.
    if high > max(1.0, MAX_PATH_RATIO * low):
        raise InputError(
            f"{trace.path}: {', '.join(positions)}: expected the path that "
            f"{' and '.join(velocities)} drive, {driven_mm:.3g} mm, got {moved_mm:.3g} mm. "
            "Convert the file to mm and mm/s."
        )


def _check_sign(trace: Trace) -> None:
    """Refuses an error that is reference - actual."""
    for axis in traces.axes_of(trace.fields):
        names = (f"error_{axis}", f"{axis}_act", f"{axis}_ref")
        if not set(names) <= trace.fields.keys():
            continue
        error, actual, reference = (trace.fields[name] for name in names)
        if _correlate(error, actual - reference) < -SURE:
            at = int(np.argmin(error * (actual - reference)))
            raise InputError(
                f"{trace.path}: {names[0]}: expected {names[1]} - {names[2]}, "
                f"{actual[at] - reference[at]:.4g} mm at sample {at + 1}, got {error[at]:.4g} mm. "
                f"Change the sign of {names[0]}."
            )


def _driven(trace: Trace) -> list[tuple[str, str]]:
    """Positions, of reference or command, and their velocities."""
    positions = [name for name in trace.fields if name.endswith(("_ref", "_cmd"))]
    return [(name, f"v{name}") for name in positions if f"v{name}" in trace.fields]


def _check_velocities(trace: Trace, pairs: Sequence[tuple[str, str]]) -> None:
    """Refuses velocities that belong to another axis, point the other way, or are scaled."""
    rate_hz = trace.sample_rate_hz
    ways = {position: _clip(np.diff(trace.fields[position])) for position, _ in pairs}
    driven = {v: explained_way_mm(*_ends(trace.fields[v]), rate_hz) for _, v in pairs}
    for position, velocity in pairs:
        way, by_speed = ways[position], driven[velocity]
        if max(np.abs(way).sum(), np.abs(by_speed).sum()) < 1.0:  # mm; a single move decides
            continue
        alike = {v: _correlate(way, driven[v]) for v in driven if v[-4:] == velocity[-4:]}
        best = max(alike, key=lambda v: alike[v])
        expected = f"{trace.path}: {velocity}: expected the speed of {position}, got"
        if alike[velocity] < -SURE:
            raise InputError(f"{expected} its negative. Change the sign of {velocity}.")
        if alike[velocity] < min(SURE, alike[best] - UNLIKE) and alike[best] > SURE:
            raise InputError(f"{expected} that of another axis; {best} is. Swap the two.")
        factor = float(np.linalg.norm(by_speed) / max(np.linalg.norm(way), 1e-12))
        if alike[velocity] > SURE and not 1 / MAX_FACTOR < factor < MAX_FACTOR:
            raise InputError(f"{expected} {factor:.3g} times it. Convert the file to mm and mm/s.")


def _check_steps(trace: Trace, position: str, velocity: str, is_slow: Bool[ndarray, " n"]) -> None:
    """Refuses positions that no motion at these velocities passes, and the other way round.

    A way differs from what the velocities at both ends explain where a corner or the end of an
    acceleration lies in between. The bounds are FAR times as wide as nearly all of the trace.
    Pieces may be joined where the machine rests, as long as it does not come back at once.
    """
    rate_hz = trace.sample_rate_hz
    x, v = trace.fields[position], trace.fields[velocity]
    jump = np.diff(x) - explained_way_mm(*_ends(v), rate_hz)
    usual_mm_s = _usual(np.diff(v))
    is_gap = (_ends(x)[0] == 0) != (_ends(x)[1] == 0)  # zeros are written for what is missing
    most_mm = FAR * max(_usual(jump[~is_gap]), usual_mm_s / rate_hz) + MAX_CORNER_MM_S / rate_hz
    far = np.flatnonzero(np.abs(jump) > most_mm)
    is_soon = np.abs(far[:, None] - far) <= BACK
    is_back = (is_soon & (np.abs(jump[far, None] + jump[far]) < most_mm)).any(axis=1)
    bad = far[is_back | is_gap[far] | ~(is_slow[far] & is_slow[far + 1])]
    if len(bad):
        k = int(bad[0])
        way, explained = np.diff(x)[k], np.diff(x)[k] - jump[k]
        raise InputError(
            f"{trace.path}: {position}: expected a way of {explained:.4g} mm to sample {k + 2}, as "
            f"{velocity} says, within {most_mm:.2g} mm, got {way:.4g} mm ({x[k]:.6g} to "
            f"{x[k + 1]:.6g} mm){_say_more(bad)}. {MEND_SAMPLES}"
        )
    # A velocity that is wrong at one sample is missed by the ways on both sides alike.
    before, after = jump[:-1], jump[1:]
    missed_mm_s = (
        2 * rate_hz * np.where(before * after > 0, np.minimum(*np.abs([before, after])), 0)
    )
    most_mm_s = FAR * _usual(missed_mm_s[v[1:-1] != 0]) + max(usual_mm_s, MIN_MISSED_MM_S)
    bad = np.flatnonzero(missed_mm_s > most_mm_s)
    if len(bad):
        k = int(bad[0]) + 1
        around = (x[k + 1] - x[k - 1]) / 2 * rate_hz
        raise InputError(
            f"{trace.path}: {velocity}: expected about {around:.4g} mm/s at sample {k + 1}, as "
            f"{position} says, got {v[k]:.4g} mm/s{_say_more(bad)}. {MEND_SAMPLES}"
        )


def _check_spikes(trace: Trace, name: str) -> None:
    """Refuses errors far beyond those around them, and zeros in the place of missing ones."""
    error = trace.fields[name]
    size = np.abs(error)
    reach = max(8, round(SPIKE_REACH_S * trace.sample_rate_hz))
    around = _largest_around(size, reach)
    is_bad = size > FAR * np.maximum(around, _usual(size)) + MIN_SPIKE_MM
    if len(np.unique(error)) > len(error) / 2:  # of coarser ones zero is a value as any other
        ends = np.flatnonzero(np.diff(error == 0))  # samples before runs of zeros, and their last
        ends = ends if error[0] != 0 else ends[1:]
        for before, last in zip(ends[::2], ends[1::2], strict=False):
            is_bad[before + 1 : last + 1] |= min(size[before], size[last + 1]) > MIN_SPIKE_MM
    bad = np.flatnonzero(is_bad)
    if len(bad):
        k = int(bad[0])
        expected = np.median(error[max(k - reach, 0) : k + reach + 1])
        raise InputError(
            f"{trace.path}: {name}: expected about {expected:.3g} mm at sample {k + 1}, as around "
            f"it, got {error[k]:.4g} mm{_say_more(bad)}. {MEND_SAMPLES}"
        )


def _ends(values: ndarray) -> tuple[ndarray, ndarray]:
    return values[:-1], values[1:]


def _correlate(first: ndarray, second: ndarray) -> float:
    """The correlation of two motions from rest, without their means."""
    return float(np.dot(first, second) / max(np.linalg.norm(first) * np.linalg.norm(second), 1e-12))


def _usual(values: ndarray) -> float:
    """What nearly all of the values are at most, in size; never one of the few largest."""
    n = len(values)
    return float(np.sort(np.abs(values))[max(n // 2, min(int(USUAL * n), n - 4))]) if n else 0.0


def _clip(values: ndarray) -> ndarray:
    """Without what a few bad samples, or pieces that were joined, add to the rest."""
    most = FAR * _usual(values)
    return np.clip(values, -most, most)


def _largest_around(values: ndarray, reach: int) -> ndarray:
    """The largest value before and after each one, its own neighbours left out."""
    padded = np.pad(values, reach + 1)
    windows = np.lib.stride_tricks.sliding_window_view(padded, reach).max(axis=1)
    n = len(values)
    return np.maximum(windows[:n], windows[reach + 3 : reach + 3 + n])


def _say_more(bad: ndarray) -> str:
    return f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""


def _say_missing(trace: Trace, name: str, required: Sequence[str]) -> str:
    """The line for a field that is needed and not there, or there as something else."""
    if name in trace.left_out:
        is_time = re.search("duration|datetime", trace.left_out[name])
        mend = "Save seconds(...) of it." if is_time else "Save it as double, one value a sample."
        got = trace.left_out[name]
        return f"{trace.path}: {name}: expected a column of numbers, got {got}. {mend}"
    known = [*trace.fields, *trace.left_out]
    close = difflib.get_close_matches(name, {*known} - {*required}, n=1, cutoff=SIMILAR)
    hint = f"Did you mean '{close[0]}'? " if close else ""
    return (
        f"{trace.path}: expected field '{name}' in {STRUCT}, got only {traces.list_names(known)}. "
        f"{hint}Add the field, name other features in the spec, or map other names with `jaxcorr "
        "import`."
    )
