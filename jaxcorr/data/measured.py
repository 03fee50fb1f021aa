"""Traces from logs of a real machine: checked, cut, resampled, and a note of all that was done.

Positions are interpolated by cubic splines. The velocity of a sample is the command's mean over one
sample period around it; the error is actual - command.
"""

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray
from scipy.interpolate import CubicSpline

from jaxcorr import files
from jaxcorr.data import log_file, trace, trace_checks
from jaxcorr.data.log_file import Layout, Log
from jaxcorr.errors import InputError
from jaxcorr.spec import RATES_HZ

NOTE = "import.json"
GAP_INTERVALS = 3.5  # longer than so many usual intervals between two samples is a gap
JUMP_FACTOR = 20.0  # a step of the error beyond so many times its 99th percentile is a jump
STANDSTILL = 0.01  # of the peak speed; below, the machine stands
REST_S = 0.1  # of standstill, after which a piece begins at rest
FEW_STEPS = 10.0  # an error of fewer steps of the encoder is said to be coarse
ROUNDED_RATES = 0.005  # a log's rate within this share of a whole number of Hz is that number


@dataclasses.dataclass(frozen=True)
class Cutting:
    """What a log is cut into.

    Attributes:
        rate_hz: of the traces; the log's own where None.
        shortest_s: a piece is at least so long, unless the whole log is shorter.
        longest_s: a piece is at most so long, even where the machine does not stand.
    """

    rate_hz: float | None = None
    shortest_s: float = 1.0
    longest_s: float = 60.0


class AxisNote(NamedTuple):
    """What a log tells about one axis; um of the error, and how finely it is resolved.

    Attributes:
        num_distinct: different values of the actual position.
        resolution_um: the smallest step between two of them.
        lag_ms: how late the actual position follows in steady motion; negative if it leads.
        share_above_nyquist: of the error's power, too fast for the traces' rate.
    """

    axis: str
    range_mm: tuple[float, float]
    peak_speed_mm_s: float
    rms_um: float
    mean_um: float
    num_distinct: int
    resolution_um: float
    lag_ms: float
    share_above_nyquist: float


class Piece(NamedTuple):
    """One trace that was written, and the samples of the log from which it comes."""

    file: str
    first: int
    last: int
    num_samples: int
    duration_s: float
    begins_in_motion: bool


class LogNote(NamedTuple):
    """All that was done to one log."""

    log: str
    num_samples: int
    rate_hz: float
    jitter_ms: float
    axes: list[AxisNote]
    left_out: list[str]
    pieces: list[Piece]
    remarks: list[str]


class Motion(NamedTuple):
    """A log's motion: time from 0, s; positions and errors of its axes, mm."""

    time_s: Float[ndarray, " n"]
    names: tuple[str, ...]
    command_mm: Float[ndarray, "n axes"]
    error_mm: Float[ndarray, "n axes"]

    @property
    def speeds_mm_s(self) -> Float[ndarray, "n axes"]:
        return np.abs(np.gradient(self.command_mm, self.time_s, axis=0))


def import_logs(
    layouts: Mapping[Path, Layout], cutting: Cutting, folder: Path
) -> Iterator[LogNote]:
    """Makes a folder of traces and a note, import.json, from logs; whole or not at all.

    Args:
        layouts: each log and where its motion is; no two share a file's name.
        folder: is made, and has to be new.
    Yields:
        What was done, a log at a time; the folder is there after the last.
    Raises:
        InputError: a log is refused, two share a name, or the folder is there already.
    """
    if folder.exists():
        raise InputError(
            f"{folder}: expected a new folder for the traces, got one that is there. "
            "Choose another with --out, or remove it."
        )
    stems = [path.stem for path in layouts]
    if len(set(stems)) < len(stems):
        twice = next(stem for stem in stems if stems.count(stem) > 1)
        raise InputError(f"{twice}: expected one log of this name, got two. Rename one of them.")
    notes = []
    folder.parent.mkdir(parents=True, exist_ok=True)
    with files.replace_folder(folder) as partial:
        for path, layout in layouts.items():
            notes.append(_import_log(path, layout, cutting, partial))
            yield notes[-1]
        files.write_json(partial / NOTE, {"logs": [_as_json(note) for note in notes]})


def _as_json(note: LogNote) -> dict[str, Any]:
    content = note._asdict()
    return content | {key: [one._asdict() for one in content[key]] for key in ("axes", "pieces")}


def _import_log(path: Path, layout: Layout, cutting: Cutting, folder: Path) -> LogNote:
    if not layout.unit_mm > 0:
        raise InputError(
            f"{path}: expected the length of one step, got none. Give it with --unit-mm, such as "
            "0.2 for a motor of 200 steps and a belt pulley of 20 teeth of 2 mm."
        )
    columns = [column for axis in layout.axes for column in axis[1:]]
    log = log_file.read(path, [*columns, *([layout.time] if layout.time else [])])
    time_s = _stamps(path, layout, log)
    motion = _motion(path, layout, log, time_s)
    moving = np.ptp(motion.command_mm, axis=0) > 0
    if not moving.any():
        raise InputError(
            f"{path}: expected a command that moves, got {motion.command_mm[0, 0]:g} mm throughout "
            f"in {columns[0]}. Name the column of the commanded position."
        )
    left_out = [name for name, moves in zip(motion.names, moving, strict=True) if not moves]
    names = tuple(name for name in motion.names if name not in left_out)
    motion = Motion(time_s, names, motion.command_mm[:, moving], motion.error_mm[:, moving])
    interval_s = np.diff(time_s)
    rate_hz = _rate(path, 1 / float(np.median(interval_s)), cutting.rate_hz)
    stands = _stands(motion)
    pieces = [
        _write_piece(folder / f"{path.stem}_{number:02d}.mat", path, motion, stands, ends, rate_hz)
        for number, ends in enumerate(_cut(time_s, stands, cutting), start=1)
    ]
    jitter_ms = 1e3 * float(np.max(np.abs(interval_s - np.median(interval_s))))
    axes = _axis_notes(motion, rate_hz)
    remarks = [*log.remarks, *_remarks(axes, 1e3 * float(np.median(interval_s)))]
    return LogNote(str(path), len(time_s), rate_hz, jitter_ms, axes, left_out, pieces, remarks)


def _stamps(path: Path, layout: Layout, log: Log) -> Float[ndarray, " n"]:
    """The time of each sample from the first on, s.

    Raises:
        InputError: stamps do not rise, or there is a gap.
    """
    num_samples = len(log.columns[layout.axes[0].command])
    if num_samples < 2:
        raise InputError(f"{path}: expected samples, got {num_samples}. Record it again.")
    if layout.time is None:
        if layout.log_rate_hz is None:
            raise InputError(
                f"{path}: expected time stamps or the rate of the samples, got neither. "
                "Give --time COLUMN, or --log-rate-hz."
            )
        return np.arange(num_samples) / layout.log_rate_hz
    stamps = log.columns[layout.time]
    _check_finite(path, layout.time, stamps)
    time_s = (stamps - stamps[0]) * layout.time_unit_s
    steps = np.diff(time_s)
    back = np.flatnonzero(steps <= 0)
    if len(back):
        at = back[0] + 1
        raise InputError(
            f"{path}: {layout.time}: expected rising time stamps, got {stamps[at]:.10g} after "
            f"{stamps[at - 1]:.10g} at sample {at}. Cut the log there, or leave the stamps out "
            "with --log-rate-hz."
        )
    usual = float(np.median(steps))
    gaps = np.flatnonzero(steps > GAP_INTERVALS * usual)
    if len(gaps):
        at = gaps[0] + 1
        raise InputError(
            f"{path}: {layout.time}: expected at most {1e3 * GAP_INTERVALS * usual:.4g} ms between "
            f"samples, got {1e3 * steps[at - 1]:.4g} ms before sample {at}, at {time_s[at]:.4g} s "
            f"({len(gaps)} such). Cut the log there into two files."
        )
    return time_s


def _check_finite(path: Path, name: str, values: Float[ndarray, " n"]) -> None:
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        raise InputError(
            f"{path}: {name}: expected finite values, got {values[bad[0]]} at sample {bad[0]} "
            f"({len(bad)} such). Mend the log, or cut it there."
        )


def _motion(path: Path, layout: Layout, log: Log, time_s: Float[ndarray, " n"]) -> Motion:
    """The axes in mm.

    Raises:
        InputError: a value is not finite, or a position or the error jumps.
    """
    commands, errors = [], []
    for axis in layout.axes:
        command, actual = (layout.unit_mm * log.columns[name] for name in axis[1:])
        for name, values in zip(axis[1:], (command, actual), strict=True):
            _check_finite(path, name, values)
            speeds = np.abs(np.diff(values)) / np.diff(time_s)
            _check_jump(path, name, np.diff(values), speeds > trace_checks.MAX_SPEED_MM_S, time_s)
        error = actual - command
        steps = np.diff(error)
        usual = float(np.percentile(np.abs(steps), 99))
        jumps = np.abs(steps) > max(JUMP_FACTOR * usual, 1e3 * np.finfo(float).eps)
        # Where hardly anything changes, one step of the encoder is none.
        jumps &= np.abs(steps) > FEW_STEPS * _resolution(actual)
        _check_jump(path, f"{axis.actual} - {axis.command}", steps, jumps, time_s)
        commands.append(command)
        errors.append(error)
    names = tuple(axis.name for axis in layout.axes)
    return Motion(time_s, names, np.stack(commands, axis=1), np.stack(errors, axis=1))


def _check_jump(
    path: Path,
    name: str,
    steps_mm: Float[ndarray, " m"],
    is_jump: Bool[ndarray, " m"],
    time_s: Float[ndarray, " n"],
) -> None:
    found = np.flatnonzero(is_jump)
    if len(found):
        at = found[0]
        raise InputError(
            f"{path}: {name}: expected no jump, got {steps_mm[at]:.4g} mm in "
            f"{1e3 * (time_s[at + 1] - time_s[at]):.4g} ms at sample {at + 1}, at "
            f"{time_s[at + 1]:.4g} s ({len(found)} such). Check --units, or cut the log there."
        )


def _rate(path: Path, log_rate_hz: float, wanted_hz: float | None) -> float:
    """The rate of the traces: what is wanted, or the log's own, rounded."""
    rounded = float(round(log_rate_hz))
    own = rounded if abs(log_rate_hz / max(rounded, 1) - 1) < ROUNDED_RATES else log_rate_hz
    rate_hz = own if wanted_hz is None else wanted_hz
    low, high = RATES_HZ
    if not low <= rate_hz <= high:
        raise InputError(
            f"{path}: expected traces of {low:g} to {high:g} Hz, got {rate_hz:.6g} Hz. "
            "Give a rate with --rate-hz."
        )
    if rate_hz > own * (1 + ROUNDED_RATES):
        raise InputError(
            f"{path}: expected at most the log's own {own:.6g} Hz, got {rate_hz:g} Hz. "
            "Give a lower --rate-hz: samples that were not taken tell nothing."
        )
    return rate_hz


def _stands(motion: Motion) -> Bool[ndarray, " n"]:
    """Where the command stands still, or as good as."""
    speeds = motion.speeds_mm_s
    return np.all(speeds < STANDSTILL * speeds.max(axis=0), axis=1)


def _cut(
    time_s: Float[ndarray, " n"], stands: Bool[ndarray, " n"], cutting: Cutting
) -> list[tuple[int, int]]:
    """Ends of pieces, first and last sample: at standstills, and where one would be too long.

    No sample is in two of them, which may be of training and of test.
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[0], stands, [0]])))
    middles = (edges[::2] + edges[1::2] - 1) // 2
    cuts = [0]
    last = len(time_s) - 1
    for end in (*middles, last):
        too_short = time_s[max(end - (end < last), 0)] - time_s[cuts[-1]] < cutting.shortest_s
        if too_short or (end < last and time_s[last] - time_s[end] < cutting.shortest_s):
            continue
        parts = math.ceil((time_s[end] - time_s[cuts[-1]]) / cutting.longest_s)
        times = np.linspace(time_s[cuts[-1]], time_s[end], parts + 1)[1:]
        cuts += [int(at) for at in np.searchsorted(time_s, times - 1e-9)]
    if cuts[-1] != last:  # the whole log is shorter than a piece
        cuts.append(last)
    ends = [at - 1 for at in cuts[1:-1]] + [last]
    return list(zip(cuts[:-1], ends, strict=True))


def _write_piece(
    path: Path,
    log: Path,
    motion: Motion,
    stands: Bool[ndarray, " n"],
    ends: tuple[int, int],
    rate_hz: float,
) -> Piece:
    first, last = ends
    time_s = motion.time_s
    num_samples = int((time_s[last] - time_s[first]) * rate_hz * (1 + 1e-9)) + 1
    at_s = time_s[first] + np.arange(num_samples) / rate_hz
    begun = stands[first : np.searchsorted(time_s, time_s[first] + REST_S / 2)]
    fields = _resample(motion, at_s, rate_hz)
    in_motion = not begun.all()
    origin = {"log": log.name, "first_sample": first, "last_sample": last}
    params = {"source": trace.MEASURED, "begins_in_motion": in_motion, **origin}
    trace_checks.check(trace.Trace(log, "", fields, params), rate_hz, list(fields))
    trace.write(path, fields, params)
    duration_s = float(at_s[-1] - at_s[0])
    return Piece(path.name, first, last, num_samples, duration_s, in_motion)


def _resample(
    motion: Motion, at_s: Float[ndarray, " m"], rate_hz: float
) -> dict[str, Float[ndarray, " m"]]:
    command = CubicSpline(motion.time_s, motion.command_mm)
    before = np.maximum(at_s - 0.5 / rate_hz, motion.time_s[0])
    after = np.minimum(at_s + 0.5 / rate_hz, motion.time_s[-1])
    velocity = (command(after) - command(before)) / (after - before)[:, None]
    reference, error = command(at_s), CubicSpline(motion.time_s, motion.error_mm)(at_s)
    fields = {"time": at_s - at_s[0]}
    for i, name in enumerate(motion.names):
        fields[f"{name}_ref"] = reference[:, i]
        fields[f"{name}_act"] = reference[:, i] + error[:, i]
        fields[f"v{name}_ref"] = velocity[:, i]
        fields[f"error_{name}"] = error[:, i]
    return fields


def _resolution(values: Float[ndarray, " n"]) -> float:
    """The smallest step between two values, without rounding of the numbers themselves."""
    steps = np.diff(np.unique(values))
    steps = steps[steps > 1e-9 * np.ptp(values)] if len(steps) else steps
    return float(steps.min()) if len(steps) else 0.0


def _axis_notes(motion: Motion, rate_hz: float) -> list[AxisNote]:
    notes = []
    for i, name in enumerate(motion.names):
        error, command = motion.error_mm[:, i], motion.command_mm[:, i]
        velocity = np.gradient(command, motion.time_s)
        # Hann's window, so that a log that ends elsewhere than it began shows no false fast part.
        power = np.abs(np.fft.rfft((error - error.mean()) * np.hanning(len(error)))) ** 2
        log_rate_hz = (len(error) - 1) / float(motion.time_s[-1])
        frequency_hz = np.fft.rfftfreq(len(error), 1 / log_rate_hz)
        fast = float(power[frequency_hz > rate_hz / 2].sum() / max(power.sum(), 1e-300))
        lag_s = -float(np.dot(error - error.mean(), velocity) / np.dot(velocity, velocity))
        actual = command + error
        notes.append(
            AxisNote(
                name,
                (float(command.min()), float(command.max())),
                float(np.abs(velocity).max()),
                1e3 * float(np.sqrt(np.mean(error**2))),
                1e3 * float(error.mean()),
                len(np.unique(np.round(actual, 9))),
                1e3 * _resolution(np.round(actual, 9)),
                1e3 * lag_s,
                fast,
            )
        )
    return notes


def _remarks(axes: Sequence[AxisNote], interval_ms: float) -> list[str]:
    """What a reader should look at before training."""
    remarks = []
    for axis in axes:
        if axis.rms_um < FEW_STEPS * axis.resolution_um:
            remarks.append(
                f"{axis.axis}: the error, {axis.rms_um:.3g} um RMS, is few steps of the position's "
                f"{axis.resolution_um:.3g} um: no model can be right to better than "
                f"{axis.resolution_um / math.sqrt(12):.2g} um RMS"
            )
        if axis.lag_ms < -0.5 * interval_ms:
            remarks.append(
                f"{axis.axis}: the actual position leads the command by {-axis.lag_ms:.3g} ms: "
                "are the two columns swapped, or their clocks apart?"
            )
        if abs(axis.mean_um) > 0.9 * axis.rms_um:
            remarks.append(
                f"{axis.axis}: the error is mostly a constant {axis.mean_um:.4g} um: do both "
                "positions count from the same zero?"
            )
        if axis.share_above_nyquist > 0.01:
            remarks.append(
                f"{axis.axis}: {100 * axis.share_above_nyquist:.2g}% of the error's power is too "
                "fast for this rate and folds into it: import at a higher --rate-hz"
            )
    return remarks
