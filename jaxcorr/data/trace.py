"""Simulation traces: `.mat` files (v5, v7, v7.3) in, checked `Trace`s out, and back to v7.

A file holds one struct `simulation_data`, every field a column of N samples. A trace that is not
plausible is refused.

An axis has any name, such as x or joint_1: its fields are x_ref, vx_ref, error_x, and x_act where
it was measured. What the motors were told is x_cmd, vx_cmd. A file without them was made with the
reference as its command. lag_x = actual - command is in no file: it is error - (command -
reference).

Source: the HDF5 layout of v7.3 files follows MathWorks, "MAT-File Versions".
"""

import dataclasses
import difflib
import glob
import os
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io
from jaxtyping import Float
from numpy import ndarray

from jaxcorr import files
from jaxcorr.errors import InputError
from jaxcorr.units import unit_of

STRUCT = "simulation_data"
MEASURED = "measured"  # params.source of a trace that comes from a log, with its units told
LOGICAL = ("is_extruding", "is_travel")
NO_AXES = ("magnitude", "direction")  # of error_magnitude, error_direction
RATE_TOLERANCE = 0.01
# Beyond these no desktop printer's trace is in mm and mm/s; micrometres look like this.
MAX_POSITION_MM = 2000.0
MAX_SPEED_MM_S = 2000.0
MAX_ERROR_MM = 10.0
# A printer that never reaches this speed is one whose speeds are in m/s.
MIN_PEAK_SPEED_MM_S = 1.0
# Path by positions against path by velocities: m for mm is 1000, mm/min for mm/s is 60.
MAX_PATH_RATIO = 10.0
HDF5_OFFSET = 512  # MATLAB puts its own text header in front of the HDF5 file


@dataclasses.dataclass(frozen=True)
class Trace:
    """One simulated layer: named columns of N samples, and how it was made.

    Attributes:
        path: the file it came from.
        part: the printed part, from the folder's name.
        fields: column name -> N values; mm, mm/s, s.
        params: the simulator's own settings, nested.
    """

    path: Path
    part: str
    fields: Mapping[str, Float[ndarray, " n"]]
    params: Mapping[str, Any]

    @property
    def name(self) -> str:
        """As `name_of` its file."""
        return name_of(self.path)

    @property
    def num_samples(self) -> int:
        return len(next(iter(self.fields.values())))

    @property
    def sample_rate_hz(self) -> float:
        time = self.fields["time"]
        return (len(time) - 1) / float(time[-1] - time[0])

    def columns(self, names: Sequence[str]) -> Float[ndarray, "n c"]:
        """The named fields side by side, in this order."""
        return np.stack([self.fields[name] for name in names], axis=-1)


def find(patterns: Iterable[str]) -> list[Path]:
    """Files that match any of the glob patterns, sorted, each once.

    Raises:
        InputError: a pattern matches nothing.
    """
    found: dict[Path, None] = {}
    for pattern in patterns:
        files = match([pattern])
        if not files:
            raise InputError(
                f"traces: expected files that match '{pattern}', got none. Make traces with "
                "`just simulate`, or point at your own with --set data.traces='[\"folder/*.mat\"]'."
            )
        found.update(dict.fromkeys(files))
    return list(found)


def match(patterns: Iterable[str]) -> list[Path]:
    """Files that match any of the glob patterns, and the .mat files of folders that do; or none.

    A `[` is that of a name, such as `data [2]`, where as a pattern it matches nothing.
    """
    files: list[Path] = []
    for pattern in map(os.path.expanduser, patterns):
        found = glob.glob(pattern, recursive=True)
        found = found or glob.glob(pattern.replace("[", "[[]"), recursive=True)
        for path in sorted(map(Path, found)):
            files += [path] if path.is_file() else sorted(path.glob("*.mat"))
    return list(dict.fromkeys(files))


def name_of(path: Path) -> str:
    """A trace's name, `folder/file`, unique within a data set."""
    return f"{path.parent.name}/{path.stem}"


def part_of(path: Path) -> str:
    """The part's name: the folder's, less `data_simulation_` and the layer selection."""
    match = re.fullmatch(
        r"data_simulation_(.+?)(_(sampled\d+|all|layers?[\d_,-]*))?", path.parent.name
    )
    return match.group(1) if match else path.parent.name


def read(path: Path, names: Sequence[str] | None = None) -> Trace:
    """Reads a trace file of any MATLAB version from 5 on; runs no checks beyond its form.

    Args:
        path: the `.mat` file.
        names: the fields to read, commands and lags (see above) among them where the file has none,
            and what they come from; all that the file has where None.
    Raises:
        InputError: the file is missing, no MAT file, damaged, or not a struct of equal columns.
    """
    wanted = None if names is None else _needed(names)
    struct = _read_v73(path, wanted) if is_hdf5(path) else _read_v7(path)
    params = struct.pop("params", {})
    fields = {
        name: np.asarray(value, np.float64).reshape(-1)
        for name, value in struct.items()
        if (wanted is None or name in wanted) and _is_column(value)
    }
    params = params if isinstance(params, dict) else {}  # MATLAB's empty struct comes as an array
    fields = _equal_columns(path, fields)
    return Trace(path, part_of(path), fields if names is None else derive(fields, names), params)


def is_hdf5(path: Path) -> bool:
    """Whether a .mat file is of version 7.3, which is HDF5.

    Raises:
        InputError: it is missing, or no MAT file at all.
    """
    try:
        with path.open("rb") as file:
            head = file.read(HDF5_OFFSET + 8)
    except OSError as error:
        raise InputError(
            f"{path}: expected a readable .mat file, got '{error.strerror}'. Check the path."
        ) from None
    if head[HDF5_OFFSET + 1 : HDF5_OFFSET + 4] == b"HDF" or head[1:4] == b"HDF":
        return True
    if not head.startswith(b"MATLAB 5.0"):
        got = f"other content ({path.stat().st_size} bytes)" if head else "an empty file"
        raise InputError(
            f"{path}: expected a MATLAB file of version 5, 7 or 7.3, got {got}. Save it with "
            "MATLAB's or Octave's save -v7."
        )
    return False


def axes_of(names: Iterable[str]) -> list[str]:
    """The axes whose errors are among a file's fields; x and y where there is none."""
    found = [name.removeprefix("error_") for name in names if name.startswith("error_")]
    return [axis for axis in found if axis not in NO_AXES] or ["x", "y"]


def fields_of(axes: Sequence[str]) -> list[str]:
    """What a trace of these axes is trained on: positions, velocities, errors."""
    forms = ("{}_ref", "v{}_ref", "error_{}")
    return [form.format(axis) for form in forms for axis in axes]


def check(trace: Trace, sample_rate_hz: float, required: Sequence[str] | None = None) -> None:
    """Refuses a trace that cannot be trained or evaluated on.

    Checks, in this order: fields present, at least two samples, finite values, increasing time,
    sampling rate within 1%, plausible units, an error that is actual - reference.

    Args:
        sample_rate_hz: that the trace should have.
        required: fields; those of its axes where None.

    Raises:
        InputError: one line with file, field, first bad sample and what to do.
    """
    required = fields_of(axes_of(trace.fields)) if required is None else required
    for name in dict.fromkeys(("time", *required)):
        if name not in trace.fields:
            known = sorted(trace.fields)
            close = difflib.get_close_matches(name, set(known) - {*required}, n=1, cutoff=0.8)
            hint = f"Did you mean '{close[0]}'? " if close else ""
            raise InputError(
                f"{trace.path}: expected field '{name}' in {STRUCT}, got only {', '.join(known)}. "
                f"{hint}Add the field, or name other features in the spec."
            )
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
    _check_sign(trace)


def write(path: Path, fields: Mapping[str, ndarray], params: Mapping[str, Any]) -> None:
    """Writes a v7 `.mat` file that MATLAB and Octave read, under its name only when complete.

    Args:
        path: the file to make; its folder is made too.
        fields: column name -> N values; is_* become logical, the rest double columns.
        params: nested settings: numbers, texts, vectors, mappings.
    """
    struct: dict[str, Any] = {
        name: np.asarray(value, np.bool_ if name in LOGICAL else np.float64).reshape(-1, 1)
        for name, value in fields.items()
    }
    struct["params"] = _plain(params)
    path.parent.mkdir(parents=True, exist_ok=True)
    with files.write_whole(path) as partial, partial.open("wb") as file:
        scipy.io.savemat(file, {STRUCT: struct}, do_compression=True, long_field_names=True)


def _sources(name: str) -> tuple[str, ...]:
    """What a command or a lag comes from where a file has none: fields to take it from."""
    if name.endswith("_cmd"):
        return (f"{name.removesuffix('cmd')}ref",)
    axis = name.removeprefix("lag_")
    return () if axis == name else (f"error_{axis}", f"{axis}_ref", f"{axis}_cmd")


def _needed(names: Iterable[str]) -> set[str]:
    """The fields to look for in a file so that these can be had."""
    with_sources = {field for name in names for field in (name, *_sources(name))}
    return {field for name in with_sources for field in (name, *_sources(name))}


def derive(fields: dict[str, ndarray], names: Iterable[str]) -> dict[str, ndarray]:
    """Adds the commands and lags among the names, where what they come from is there."""
    found = dict(fields)
    commands = [name for name in _needed(names) if name.endswith("_cmd")]
    for name in (*sorted(commands), *(name for name in names if name.startswith("lag_"))):
        sources = _sources(name)
        if name in found or not set(sources) <= found.keys():
            continue
        first, *rest = (found[source] for source in sources)
        found[name] = first - (rest[1] - rest[0]) if rest else first
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        # An empty struct has no fields to write, and scipy would drop it.
        return {key: _plain(item) for key, item in value.items()} or np.zeros((0, 0))
    if isinstance(value, str):
        return value
    return np.atleast_2d(np.asarray(value, np.float64))


def _is_column(value: Any) -> bool:
    """Whether a field is a row, column or single number; matrices and texts are not ours."""
    array = np.asarray(value)
    return array.dtype.kind in "fiub" and array.size == max(array.shape, default=1)


def _equal_columns(path: Path, fields: dict[str, ndarray]) -> dict[str, ndarray]:
    """Spreads optional scalars (layer_num is often one); refuses columns of unequal length."""
    longest = max(fields, key=lambda name: len(fields[name]), default=None)
    if longest is None:
        raise InputError(
            f"{path}: expected numeric columns in {STRUCT}, got none. Re-run the simulation."
        )
    guide = "time" if "time" in fields else longest
    n = len(fields[guide])
    for name, column in fields.items():
        if len(column) == 1 and name not in ("time", *fields_of(axes_of(fields))):
            fields[name] = np.full(n, column[0])
        elif len(column) != n:
            raise InputError(
                f"{path}: {name}: expected {n} samples as in {guide}, got {len(column)}. "
                "Re-run the simulation of this layer, or drop the file."
            )
    return fields


def _check_finite(trace: Trace, name: str) -> None:
    bad = np.flatnonzero(~np.isfinite(trace.fields[name]))
    if len(bad):
        kind = "NaN" if np.isnan(trace.fields[name][bad]).all() else "non-finite"
        raise InputError(
            f"{trace.path}: {name}: expected finite values, got {len(bad)} {kind} (first at sample "
            f"{bad[0]}). Re-run the simulation of this layer, or drop the file."
        )


def _check_time(trace: Trace, sample_rate_hz: float) -> None:
    time = trace.fields["time"]
    steps = np.diff(time)
    bad = np.flatnonzero(steps <= 0)
    if len(bad):
        raise InputError(
            f"{trace.path}: time: expected increasing values, got {time[bad[0] + 1]:g} s after "
            f"{time[bad[0]]:g} s at sample {bad[0] + 1}. Sort or re-run this layer."
        )
    # Time stamps may be rounded to a millisecond, hence the wide bound for a single step.
    uneven = np.flatnonzero(np.abs(steps * sample_rate_hz - 1) > 0.5)
    if abs(trace.sample_rate_hz / sample_rate_hz - 1) > RATE_TOLERANCE or len(uneven):
        where = f" (first at sample {uneven[0] + 1})" if len(uneven) else ""
        raise InputError(
            f"{trace.path}: time: expected {sample_rate_hz:g} Hz +-1%, got "
            f"{1 / np.median(steps):g} Hz in the median and {trace.sample_rate_hz:g} Hz in the mean"
            f"{where}. Resample the trace, or set data.sample_rate_hz."
        )


def _check_magnitude(trace: Trace, name: str) -> None:
    unit = unit_of(name)
    most = MAX_POSITION_MM if unit == "mm" else MAX_SPEED_MM_S
    most = MAX_ERROR_MM if name.startswith(("error_", "lag_")) else most
    bad = np.flatnonzero(np.abs(trace.fields[name]) > most)
    if unit in ("mm", "mm/s") and len(bad):
        raise InputError(
            f"{trace.path}: {name}: expected at most {most:g} {unit}, got "
            f"{trace.fields[name][bad[0]]:g} at sample {bad[0]}. Convert the file to {unit}."
        )


def _check_motion(trace: Trace) -> None:
    """Refuses speeds in m/s, and positions and speeds whose units do not belong together."""
    positions = [n for n in trace.fields if n.endswith("_ref") and f"v{n}" in trace.fields]
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
    moved_mm = np.sum(np.abs(np.diff(trace.columns(positions), axis=0)))
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
    for axis in axes_of(trace.fields):
        names = (f"error_{axis}", f"{axis}_act", f"{axis}_ref")
        if not set(names) <= trace.fields.keys():
            continue
        error, actual, reference = (trace.fields[name] for name in names)
        if np.dot(error, actual - reference) < 0:
            at = int(np.argmax(np.abs(error)))
            raise InputError(
                f"{trace.path}: {names[0]}: expected {names[1]} - {names[2]}, "
                f"{actual[at] - reference[at]:.4g} mm at sample {at}, got {error[at]:.4g} mm. "
                f"Change the sign of {names[0]}."
            )


def _read_v7(path: Path) -> dict[str, Any]:
    try:
        content = scipy.io.loadmat(path, simplify_cells=True, variable_names=[STRUCT])
        if not isinstance(content.get(STRUCT), dict):
            raise InputError(
                _no_struct(path, [f"{n} {s} {c}" for n, s, c in scipy.io.whosmat(path)])
            )
        return content[STRUCT]
    except InputError:
        raise
    # scipy passes on whatever a damaged file provokes in its parser and in zlib.
    except Exception as error:
        raise InputError(damaged(path, error)) from None


def _read_v73(path: Path, names: Collection[str] | None) -> dict[str, Any]:
    import h5py  # only foreign files need it, and it is slow to load

    try:
        with h5py.File(path, "r") as file:
            group = file.get(STRUCT)
            if not isinstance(group, h5py.Group):
                raise InputError(_no_struct(path, [str(n) for n in file if str(n)[0] != "#"]))
            return {
                str(name): from_hdf5(item)
                for name, item in group.items()
                if names is None or name in names or name == "params"
            }
    except InputError:
        raise
    # So does h5py.
    except Exception as error:
        raise InputError(damaged(path, error)) from None


def from_hdf5(item: Any) -> Any:
    """A variable of a v7.3 file as scipy would give it: structs as dictionaries."""
    if hasattr(item, "items"):
        return {name: from_hdf5(inner) for name, inner in item.items()}
    value = item[()]
    if item.attrs.get("MATLAB_empty"):  # what is stored is the size of the empty array
        return np.zeros(0)
    if item.attrs.get("MATLAB_class") == b"char":
        return "".join(chr(code) for code in value.reshape(-1))
    # HDF5 holds MATLAB's columns in reverse dimension order.
    return value.item() if np.size(value) == 1 else value.T


def damaged(path: Path, error: Exception) -> str:
    """The line for a .mat or .npz file that its library fails on."""
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    kind = f"a whole {path.suffix} file"
    return f"{path}: expected {kind}, got a damaged one ({reason}). Write it again."


def _no_struct(path: Path, names: Sequence[str]) -> str:
    got = ", ".join(names) or "no variable"
    return f"{path}: expected one struct '{STRUCT}', got {got}. Save the trace as that struct."
