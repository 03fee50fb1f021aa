"""Simulation traces: `.mat` files (v5, v7, v7.3) in, checked `Trace`s out, and back to v7.

A file holds one struct `simulation_data`, with a column of N samples for each field; other fields
are left out. A trace that is not plausible is refused, with its first bad sample as MATLAB counts
them, from 1.

An axis has any name, such as x or joint_1: its fields are x_ref, vx_ref, error_x, and x_act where
it was measured. What the motors were told is x_cmd, vx_cmd. A file without them was made with the
reference as its command. lag_x = actual - command is in no file: it is error - (command -
reference).
"""

import dataclasses
import glob
import os
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import scipy.io
from jaxtyping import Float
from numpy import ndarray

from jaxcorr import files
from jaxcorr.data import mat_file
from jaxcorr.errors import InputError, command, plain, shorten

LOGS = (".csv", ".tsv", ".npz")  # what `import` makes traces of, besides .mat files
STRUCT = "simulation_data"
MEASURED = "measured"  # params.source of a trace that comes from a log, with its units told
LOGICAL = ("is_extruding", "is_travel")
NO_AXES = ("magnitude", "direction")  # of error_magnitude, error_direction
MOST_LISTED = 400  # characters of a list of names


class Axis(NamedTuple):
    """Where an axis's position and velocity stand among the features."""

    name: str
    position: int
    velocity: int


@dataclasses.dataclass(frozen=True)
class Trace:
    """One simulated layer: named columns of N samples, and how it was made.

    Attributes:
        path: the file it came from.
        part: the printed part, from the folder's name.
        fields: column name -> N values; mm, mm/s, s.
        params: the simulator's own settings, nested.
        left_out: fields of the file that are no such columns, or were not asked for: name -> what.
    """

    path: Path
    part: str
    fields: Mapping[str, Float[ndarray, " n"]]
    params: Mapping[str, Any]
    left_out: Mapping[str, str] = dataclasses.field(default_factory=dict)

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
                f"`{command('simulate')}`, or point at your own with "
                "--set data.traces='[\"folder/*.mat\"]'."
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
            inside = (p for p in path.glob("*.mat") if p.name[0] != ".")  # or it is half written
            files += [path] if path.is_file() else sorted(inside)
    return list(dict.fromkeys(files))


def name_of(path: Path) -> str:
    """A trace's name, `folder/file`, unique within a data set, and harmless in any text."""
    return plain(f"{path.parent.name}/{path.stem}")


def part_of(path: Path) -> str:
    """The part's name: the folder's, less `data_simulation_` and the layer selection."""
    match = re.fullmatch(
        r"data_simulation_(.+?)(_(sampled\d+|all|layers?[\d_,-]*))?", path.parent.name
    )
    return plain(match.group(1) if match else path.parent.name)


def read(
    path: Path, names: Sequence[str] | Callable[[Sequence[str]], Sequence[str]] | None = None
) -> Trace:
    """Reads a trace file of any MATLAB version from 5 on; runs no checks beyond its form.

    Args:
        path: the `.mat` file.
        names: the fields to read, commands and lags (see above) among them where the file has none,
            and what they come from; as chosen from the names in the file where a function; all
            that the file has where None.
    Raises:
        InputError: the file cannot be read, or holds no struct of columns of equal length.
    """
    chosen: Sequence[str] | None = None

    def choose(place: mat_file.Place, there: Sequence[str]) -> Collection[str]:
        nonlocal chosen
        if place != (STRUCT,) or names is None:
            return there if place else (STRUCT,)
        chosen = names(there) if callable(names) else names
        return {*_needed(chosen), "params"}

    if path.suffix.lower() in LOGS:
        raise InputError(
            f"{path}: expected a .mat file of a trace, got a log, {path.suffix}. Make traces of it "
            f"with `{command('import')}`."
        )
    content = mat_file.read(path, choose)
    struct = content.values.get(STRUCT)
    if not isinstance(struct, dict):
        raise InputError(_no_struct(path, content.left_out))
    params = struct.pop("params", {})
    params = params if isinstance(params, dict) else {}  # MATLAB's empty struct comes as an array
    left_out = {
        p[1]: kind for p, kind in content.left_out.items() if p[0] == STRUCT and len(p) == 2
    }
    fields = {
        name: np.asarray(value, np.float64).reshape(-1)
        for name, value in struct.items()
        if _is_column(value)
    }
    left_out |= {name: _describe(struct[name]) for name in struct.keys() - fields.keys()}
    fields = _equal_columns(path, fields, left_out, chosen)
    fields = fields if chosen is None else derive(fields, chosen)
    return Trace(path, part_of(path), fields, params, left_out)


def axes_of(names: Iterable[str]) -> list[str]:
    """The axes whose errors are among a file's fields; x and y where there is none."""
    found = [name.removeprefix("error_") for name in names if name.startswith("error_")]
    return [axis for axis in found if axis not in NO_AXES] or ["x", "y"]


def fields_of(axes: Sequence[str]) -> list[str]:
    """What a trace of these axes is trained on: positions, velocities, errors."""
    forms = ("{}_ref", "v{}_ref", "error_{}")
    return [form.format(axis) for form in forms for axis in axes]


def find_axes(features: Sequence[str]) -> tuple[Axis, ...]:
    """The axes whose position and velocity, of reference or command, are among the features."""
    index = {name: i for i, name in enumerate(features)}
    ends = [end for end in ("cmd", "ref") if any(name.endswith(f"_{end}") for name in features)]
    pairs = ((n.removesuffix(f"_{end}"), n) for end in ends[:1] for n in features)
    return tuple(Axis(c, index[n], index[f"v{n}"]) for c, n in pairs if f"v{n}" in index)


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
    """The fields to look for in a file so that these can be had, and checked."""
    with_sources = {field for name in names for field in (name, *_sources(name))}
    errors = [name for name in with_sources if name.startswith(("error_", "lag_"))]
    axes = [name.partition("_")[2] for name in errors]
    checked = {form.format(axis) for axis in axes for form in ("{}_act", "{}_ref", "v{}_ref")}
    return checked | {field for name in with_sources for field in (name, *_sources(name))}


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


def _describe(value: Any) -> str:
    return (
        type(value).__name__
        if np.ndim(value) < 2
        else f"{'x'.join(map(str, np.shape(value)))} matrix"
    )


def _equal_columns(
    path: Path,
    fields: dict[str, ndarray],
    left_out: dict[str, str],
    names: Sequence[str] | None,
) -> dict[str, ndarray]:
    """Spreads optional scalars (layer_num is often one); puts others of other length aside.

    Raises:
        InputError: a field that is needed is of another length than `time`, or the longest.
    """
    needed = {"time", *(fields_of(axes_of(fields)) if names is None else names)}
    guide = "time" if "time" in fields else max(fields, key=lambda n: len(fields[n]), default=None)
    if guide is None:
        raise InputError(
            f"{path}: expected field 'time' and columns such as {', '.join(fields_of('x'))} in "
            f"{STRUCT}, got only {list_names([*fields, *left_out])}. "
            f"`{command('import')}` maps other names."
        )
    n = len(fields[guide])
    equal: dict[str, ndarray] = {}
    for name, column in fields.items():
        if len(column) == n:
            equal[name] = column
        elif name in needed:
            raise InputError(
                f"{path}: {name}: expected {n} samples as in {guide}, got {len(column)}. "
                "Write all fields of one recording, or drop the file."
            )
        elif len(column) == 1:
            equal[name] = np.full(n, column[0])
        else:
            left_out[name] = f"{len(column)} values"
    return equal


def list_names(names: Iterable[str]) -> str:
    """Names in order, cut off where they are many."""
    return shorten(", ".join(sorted(names)), MOST_LISTED) or "none"


def _no_struct(path: Path, left_out: Mapping[mat_file.Place, str]) -> str:
    names = [" ".join((*place, kind)) for place, kind in left_out.items()]
    got = list_names(names) if names else "no variable"
    return (
        f"{path}: expected one struct '{STRUCT}', got {got}. Save the trace as that struct, or "
        f"make one with `{command('import')}`."
    )
