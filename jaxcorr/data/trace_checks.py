"""Checks of a trace before anything is trained or evaluated on it.

What a deployed Guard would refuse of one sample is refused here too, so that no bad sample of
training widens its bounds. Texts name the first bad sample as MATLAB counts them, from 1. A trace
may be long: no check holds more than three columns beside those of the trace.
"""

import difflib
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
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
SURE, UNLIKE = 0.8, 0.05  # correlation of two motions that are the same; what others are below
# Samples are compared with what nearly all of a trace shows, as a deployed Guard does with all of
# training: there a sample FAR times as far out is refused, so none like it may widen its bounds.
USUAL = 0.99
FAR = 4.0
MAX_CORNER_MM_S = 30.0  # half of what a corner between two samples may change a velocity by
MIN_MISSED_MM_S = 5.0
BACK = 3  # samples after which a machine that was elsewhere cannot be back
MAX_REST_MM_S = 10.0  # of a machine that begins or ends a piece
MIN_SPIKE_MM = 0.02
MIN_SHARE = 0.1  # of the usual speed, with which an axis moves for sure
SPIKE_REACH_S = 0.05
FEW = 0.01  # of all samples
PIECE = 1 << 14  # samples of all axes that are multiplied at once
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
        velocities = [trace.fields[velocity] for _, velocity in pairs]
        slow_mm_s = min(2 * max(_usual(np.diff(v)) for v in velocities), MAX_REST_MM_S)
        is_slow = np.ones(trace.num_samples, np.bool_)
        for v in velocities:
            is_slow &= np.abs(v) <= slow_mm_s
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
    peak_mm_s = max(float(np.abs(trace.fields[v]).max()) for v in velocities)
    is_measured = trace.params.get("source") == MEASURED
    if 0 < peak_mm_s < MIN_PEAK_SPEED_MM_S and not is_measured:
        raise InputError(
            f"{trace.path}: {', '.join(velocities)}: expected a peak of at least "
            f"{MIN_PEAK_SPEED_MM_S:g} mm/s, got {peak_mm_s:.3g}. Convert the file to mm and "
            "mm/s."
        )
    moved_mm = sum(float(np.abs(_clip(np.diff(trace.fields[n]))).sum()) for n in positions)
    steps_s = np.diff(trace.fields["time"])
    driven_mm = sum(float(np.abs(trace.fields[v][1:]) @ steps_s) for v in velocities)
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
    if not pairs:
        return
    num = len(pairs)
    way_mm, products = _multiply_ways(trace, pairs)
    norm_mm = np.sqrt(np.diag(products))
    alike = products[:num, num:] / np.maximum(np.outer(norm_mm[:num], norm_mm[num:]), 1e-12)
    kinds = np.array([velocity[-4:] for _, velocity in pairs])  # of the reference or the command
    for i, (position, velocity) in enumerate(pairs):
        if max(way_mm[i], way_mm[num + i]) < 1.0:  # a single move decides
            continue
        own = alike[i, i]
        best = int(np.argmax(np.where(kinds == kinds[i], alike[i], -1.0)))
        expected = f"{trace.path}: {velocity}: expected the speed of {position}, got"
        if own < -SURE:
            raise InputError(f"{expected} its negative. Change the sign of {velocity}.")
        if own + UNLIKE < alike[i, best] > SURE:
            raise InputError(f"{expected} that of another axis; {pairs[best][1]} is. Swap the two.")
        factor = norm_mm[num + i] / max(norm_mm[i], 1e-12)
        if own > SURE and not 1 / MAX_FACTOR < factor < MAX_FACTOR:
            raise InputError(f"{expected} {factor:.3g} times it. Convert the file to mm and mm/s.")


def _multiply_ways(
    trace: Trace, pairs: Sequence[tuple[str, str]]
) -> tuple[Float[ndarray, " k"], Float[ndarray, "k k"]]:
    """Sums and products of all ways: those of the positions, then those of the velocities."""
    most_mm = np.array([[FAR * _usual(np.diff(trace.fields[x]))] for x, _ in pairs])
    sums, products = np.zeros(2 * len(pairs)), np.zeros((2 * len(pairs), 2 * len(pairs)))
    length = max(PIECE // len(pairs), 1)
    for start in range(0, trace.num_samples - 1, length):
        piece = slice(start, start + length + 1)
        x, v = (
            np.stack([trace.fields[name][piece] for name in n]) for n in zip(*pairs, strict=True)
        )
        by_speed = explained_way_mm(v[:, :-1], v[:, 1:], trace.sample_rate_hz)
        ways = np.concatenate([np.clip(np.diff(x), -most_mm, most_mm), by_speed])
        sums += np.abs(ways).sum(axis=1)
        products += ways @ ways.T
    return sums, products


def _check_steps(trace: Trace, position: str, velocity: str, is_slow: Bool[ndarray, " n"]) -> None:
    """Refuses positions that no motion at these velocities passes, and the other way round."""
    v = trace.fields[velocity]
    jump_mm = np.diff(trace.fields[position])
    jump_mm -= explained_way_mm(v[:-1], v[1:], trace.sample_rate_hz)
    usual_mm_s = _usual(np.diff(v))
    _check_ways(trace, position, jump_mm, usual_mm_s, is_slow)
    _check_missed(trace, velocity, jump_mm, usual_mm_s)


def _check_ways(
    trace: Trace,
    position: str,
    jump_mm: Float[ndarray, " m"],
    usual_mm_s: float,
    is_slow: Bool[ndarray, " n"],
) -> None:
    """Refuses ways that differ from what the velocities at both ends explain.

    They do somewhat where a corner or the end of an acceleration lies in between, so the bound is
    FAR times as wide as nearly all of the motion. Pieces may be joined where the machine rests, as
    long as it does not come back at once.
    """
    rate_hz, x = trace.sample_rate_hz, trace.fields[position]
    is_gap = (x[:-1] == 0) != (x[1:] == 0)  # zeros are written for what is missing
    is_moving = ~(is_slow[:-1] & is_slow[1:])
    usual_mm = max(_usual(jump_mm, is_moving & ~is_gap), usual_mm_s / rate_hz)
    most_mm = FAR * usual_mm + MAX_CORNER_MM_S / rate_hz
    is_far = np.abs(jump_mm) > most_mm
    is_bad = is_far & (is_gap | is_moving)
    for later in range(1, BACK + 1):
        first = np.flatnonzero(is_far[:-later] & is_far[later:])
        first = first[np.abs(jump_mm[first] + jump_mm[first + later]) < most_mm]
        is_bad[first] = is_bad[first + later] = True
    bad = np.flatnonzero(is_bad)
    if len(bad):
        k = int(bad[0])
        way_mm = x[k + 1] - x[k]
        raise InputError(
            f"{trace.path}: {position}: expected a way of {way_mm - jump_mm[k]:.4g} mm to sample "
            f"{k + 2}, as v{position} says, within {most_mm:.2g} mm, got {way_mm:.4g} mm "
            f"({x[k]:.6g} to {x[k + 1]:.6g} mm){_say_more(bad)}. {MEND_SAMPLES}"
        )


def _check_missed(
    trace: Trace, velocity: str, jump_mm: Float[ndarray, " m"], usual_mm_s: float
) -> None:
    """Refuses a velocity at one sample that the ways on both sides of it miss alike."""
    rate_hz, position = trace.sample_rate_hz, velocity[1:]
    x, v = trace.fields[position], trace.fields[velocity]
    is_alike = jump_mm[:-1] * jump_mm[1:] > 0
    np.abs(jump_mm, out=jump_mm)
    missed_mm_s = np.minimum(jump_mm[:-1], jump_mm[1:])
    missed_mm_s *= 2 * rate_hz
    missed_mm_s[~is_alike] = 0.0
    most_mm_s = FAR * _usual(missed_mm_s, v[1:-1] != 0) + max(usual_mm_s, MIN_MISSED_MM_S)
    is_gap = (v[1:-1] == 0) & (v[:-2] * v[2:] > 0)  # no machine stops for a single sample
    bad = np.flatnonzero(missed_mm_s > np.where(is_gap, MIN_MISSED_MM_S, most_mm_s))
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
    usual = _usual(size)
    is_bad = size > FAR * usual + MIN_SPIKE_MM
    for k in np.flatnonzero(is_bad):  # its own neighbours are no part of what is around it
        around = (size[max(k - 1 - reach, 0) : max(k - 1, 0)], size[k + 2 : k + 2 + reach])
        largest = max((side.max() for side in around if len(side)), default=0.0)
        is_bad[k] = size[k] > FAR * max(largest, usual) + MIN_SPIKE_MM
    if _count_values(error) > len(error) / 2:  # of coarser ones zero is a value as any other
        is_bad |= _is_missing(trace, name)
    bad = np.flatnonzero(is_bad)
    if len(bad):
        k = int(bad[0])
        usual_mm = np.median(error[max(k - reach, 0) : k + reach + 1])
        expected = f"about {usual_mm:.3g} mm" if error[k] else "other values than 0"
        raise InputError(
            f"{trace.path}: {name}: expected {expected} at sample {k + 1}, as around it, got "
            f"{error[k]:.4g} mm{_say_more(bad)}. {MEND_SAMPLES}"
        )


def _is_missing(trace: Trace, name: str) -> Bool[ndarray, " n"]:
    """Zeros in the place of errors: where the error leaps to 0 and back, or while the axis moves.

    At the first sample of a motion an error may still be 0, at the second it is not.
    """
    error = trace.fields[name]
    is_zero = error == 0
    is_bad = np.zeros(len(error), np.bool_)
    velocity = trace.fields.get(f"v{name.partition('_')[2]}_ref")
    if velocity is not None:
        is_moving = is_zero & (np.abs(velocity) > MIN_SHARE * _usual(velocity))
        is_bad[1:] = is_moving[1:] & is_moving[:-1]
        is_bad[:-1] |= is_bad[1:]
    ends = np.flatnonzero(np.diff(is_zero))  # samples before runs of zeros, and their last
    ends = ends[int(is_zero[0]) :]
    for before, last in zip(ends[::2], ends[1::2], strict=False):
        least_mm = min(abs(error[before]), abs(error[last + 1]))
        is_bad[before + 1 : last + 1] |= least_mm > MIN_SPIKE_MM
    return is_bad


def _count_values(values: ndarray) -> int:
    ordered = np.sort(values)
    return 1 + int(np.count_nonzero(ordered[1:] != ordered[:-1]))


def _correlate(first: ndarray, second: ndarray) -> float:
    """The correlation of two motions from rest, without their means."""
    return float(np.dot(first, second) / max(np.linalg.norm(first) * np.linalg.norm(second), 1e-12))


def _usual(values: ndarray, among: Bool[ndarray, " n"] | None = None) -> float:
    """What nearly all of the values are at most, in size; never one of the few largest."""
    size = np.array(values) if among is None else values[among]
    np.abs(size, out=size)
    n = len(size)
    if not n:
        return 0.0
    place = max(n // 2, min(int(USUAL * n), n - 4))
    size.partition(place)
    return float(size[place])


def _clip(values: ndarray) -> ndarray:
    """Without what a few bad samples, or pieces that were joined, add to the rest; in place."""
    most = FAR * _usual(values)
    return np.clip(values, -most, most, out=values)


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
