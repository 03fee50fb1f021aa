"""Logs of measured motion as machines write them: columns of CSV, TSV, .npz and .mat files by name.

A table without a header has its columns named by number, from 1. A format is a log whose columns
and units are fixed by what wrote it.

Source: Duet: RepRapFirmware, M569.5, header and "%.2f" of ms and full steps. LinuxCNC: man pages
halsampler(1), sampler(9). SINUMERIK: names of Analyze MyWorkpiece /Capture, 500 Hz, mm. EMPS:
A. Janot, M. Gautier and M. Brunot, "Data set and reference models of EMPS", 2019.
"""

import csv
import dataclasses
import difflib
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from jaxcorr import files
from jaxcorr.data import mat_file
from jaxcorr.errors import InputError

UNITS_MM = {"mm": 1.0, "m": 1e3, "um": 1e-3, "in": 25.4}
TIME_UNITS_S = {"s": 1.0, "ms": 1e-3, "us": 1e-6}
ENDINGS = (".csv", ".tsv", ".txt", ".log", ".dat", ".npz", ".mat")
COMMENTS = ("#", "%", "//")


class Axis(NamedTuple):
    """One axis in a log: its name, and the columns of its commanded and its actual position."""

    name: str
    command: str
    actual: str


@dataclasses.dataclass(frozen=True)
class Layout:
    """Where in a log the motion is.

    Attributes:
        axes: at least one.
        time: the column of time stamps; None where samples come at `log_rate_hz`.
        time_unit_s: one unit of time, s.
        log_rate_hz: the rate at which the samples were taken, where no column says it.
        unit_mm: one unit of position, mm.
    """

    axes: tuple[Axis, ...]
    time: str | None = None
    time_unit_s: float = 1.0
    log_rate_hz: float | None = None
    unit_mm: float = 1.0


class Log(NamedTuple):
    """Columns of a log, and what it says of itself in words."""

    columns: dict[str, Float[ndarray, " n"]]
    remarks: tuple[str, ...]


def names_of(path: Path) -> list[str]:
    """The columns that a log has, in its order.

    Raises:
        InputError: the file is missing, damaged, or not of a kind that is read.
    """
    return list(_open(path)[0])


def read(path: Path, names: Sequence[str]) -> Log:
    """Reads some columns of a log.

    Raises:
        InputError: as `names_of`; a column is missing or has no numbers, or they differ in length.
    """
    known, load = _open(path)
    for name in names:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            hint = f"Did you mean '{close[0]}'?" if close else "Name the log's own columns."
            raise InputError(f"{path}: expected a column '{name}', got {', '.join(known)}. {hint}")
    log = load(names)
    sizes = {name: len(column) for name, column in log.columns.items()}
    for name, size in sizes.items():
        if size != sizes[names[0]]:
            raise InputError(
                f"{path}: {name}: expected {sizes[names[0]]} samples as in {names[0]}, got {size}. "
                "Name columns of one recording."
            )
    return log


def layout_of(kind: str, path: Path) -> Layout:
    """Where a log of a known format has its motion.

    Raises:
        InputError: there is no such format, or the file is of another.
    """
    if kind not in FORMATS:
        raise InputError(
            f"--format: expected one of {', '.join(FORMATS)}, got '{kind}'. "
            "Name the columns with --command and --actual."
        )
    layout = FORMATS[kind](names_of(path))
    if layout is None:
        raise InputError(
            f"{path}: expected a log of the format {kind}, got the columns "
            f"{', '.join(names_of(path))}. Name them with --command and --actual."
        )
    return layout


def _duet(names: Sequence[str]) -> Layout | None:
    """M569.5 on a closed-loop board; one motor, in full steps, of which only the user has mm."""
    axis = Axis("x", "Target Motor Steps", "Measured Motor Steps")
    return _if_there(Layout((axis,), "Timestamp", TIME_UNITS_S["ms"], unit_mm=np.nan), names)


def _halsampler(names: Sequence[str]) -> Layout | None:
    """Pairs of command and feedback in the order of the pins, at the servo thread's rate."""
    # With -t the sample number comes first, so that the number of columns is odd.
    columns = names[len(names) % 2 :]
    pairs = zip(columns[::2], columns[1::2], strict=True)
    axes = tuple(Axis(name, *pair) for name, pair in zip("xyz", pairs, strict=False))
    tag = names[0] if len(names) % 2 else None
    is_fit = axes and names[0] == "1" and len(names) <= 7
    return Layout(axes, tag, time_unit_s=1e-3, log_rate_hz=1000.0) if is_fit else None


def _sinumerik(names: Sequence[str]) -> Layout | None:
    """The machine's axes 1 to 3; CYCLE counts samples of 2 ms."""
    axes = tuple(
        Axis(name, f"DES_POS|{number}", f"ENC_POS|{number}")
        for number, name in enumerate("xyz", start=1)
        if f"DES_POS|{number}" in names
    )
    time = "CYCLE" if "CYCLE" in names else None
    layout = Layout(axes, time, time_unit_s=2e-3, log_rate_hz=500.0)
    return _if_there(layout, names) if axes else None


def _emps(names: Sequence[str]) -> Layout | None:
    return _if_there(Layout((Axis("x", "qg", "qm"),), "t", unit_mm=UNITS_MM["m"]), names)


FORMATS: dict[str, Callable[[Sequence[str]], Layout | None]] = {
    "duet": _duet,
    "halsampler": _halsampler,
    "sinumerik": _sinumerik,
    "emps": _emps,
}


def _if_there(layout: Layout, names: Sequence[str]) -> Layout | None:
    columns = [column for axis in layout.axes for column in axis[1:]]
    return layout if {*columns, layout.time or columns[0]} <= set(names) else None


def _open(path: Path) -> tuple[list[str], Callable[[Sequence[str]], Log]]:
    """The names of a file's columns, and what reads some of them."""
    if not path.is_file():
        raise InputError(f"{path}: expected a log file, got none. Check the path.")
    if path.suffix.lower() not in ENDINGS:
        raise InputError(
            f"{path}: expected a file that ends in {', '.join(ENDINGS)}, got '{path.name}'. "
            "Export it as CSV."
        )
    if path.suffix.lower() in (".mat", ".npz"):
        arrays = _mat(path) if path.suffix.lower() == ".mat" else _npz(path)
        if not arrays:
            raise InputError(f"{path}: expected columns of numbers, got none. Save them as such.")
        return list(arrays), lambda names: Log({name: arrays[name] for name in names}, ())
    table = _table(path)
    return table.names, lambda names: _read_table(path, table, names)


def _npz(path: Path) -> dict[str, ndarray]:
    try:
        return _columns(files.load_any_arrays(path))
    except InputError:
        raise
    # zipfile, zlib and numpy pass on whatever a damaged file provokes in them.
    except Exception as error:
        raise InputError(mat_file.describe_damage(path, error)) from None


def _mat(path: Path) -> dict[str, ndarray]:
    return _columns(mat_file.read(path, lambda _, names: names).values)


def _columns(content: dict[str, Any], prefix: str = "") -> dict[str, ndarray]:
    """The columns of numbers among variables, those of a struct as struct.field."""
    found: dict[str, ndarray] = {}
    for name, value in content.items():
        if isinstance(value, dict):
            found |= _columns(value, f"{prefix}{name}.")
        elif not name.startswith("__"):
            array = np.asarray(value)
            if array.dtype.kind in "fiub" and array.size == max(array.shape, default=1) > 1:
                found[prefix + name] = array.astype(np.float64).reshape(-1)
    return found


class Table(NamedTuple):
    """How a text file's table is written."""

    names: list[str]
    delimiter: str | None  # None: blanks
    is_decimal_comma: bool
    has_header: bool


def _table(path: Path) -> Table:
    lines = (text for _, text in _lines(path))
    head = next(lines, None)
    if head is None:
        raise InputError(f"{path}: expected a table of numbers, got no line. Record it again.")
    delimiter = next((sign for sign in "\t;," if sign in head), None)
    cells = _cells(head, delimiter)
    first = next(lines, head)
    is_decimal_comma = delimiter in ("\t", ";", None) and "," in first and "." not in first
    has_header = not all(_is_number(cell.replace(",", ".")) for cell in cells)
    names = cells if has_header else [str(number + 1) for number in range(len(cells))]
    return Table(names, delimiter, is_decimal_comma, has_header)


def _cells(line: str, delimiter: str | None) -> list[str]:
    if delimiter is None:
        return line.split()
    return [cell.strip() for cell in next(csv.reader([line], delimiter=delimiter))]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Lines with their numbers from 1, without blank ones and comments."""
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        for number, line in enumerate(file, start=1):
            text = line.strip("\r\n \x00")
            if text and not text.startswith(COMMENTS):
                yield number, text


def _read_table(path: Path, table: Table, names: Sequence[str]) -> Log:
    remarks: list[str] = []
    at = (0, "")

    def rows() -> Iterator[str]:
        nonlocal at
        lines = _lines(path)
        if table.has_header:
            next(lines, None)
        for at in lines:
            number, text = at
            cells = 1 if len(table.names) == 1 else len(_cells(text, table.delimiter))
            # Duet and LinuxCNC write a line of words where samples are missing from there on.
            is_words = text[0].isalpha() and (cells == 1 or table.delimiter is None)
            if is_words and not _is_number(text.split()[0]):
                remarks.append(f"line {number}: {text}")
            elif remarks:
                raise InputError(
                    f"{path}:{number}: expected the log to end after '{remarks[-1]}', got more "
                    "samples. Cut the log there: what lies between is lost."
                )
            else:
                yield text.replace(",", ".") if table.is_decimal_comma else text

    columns = [table.names.index(name) for name in names]
    options: dict[str, Any] = {"delimiter": table.delimiter, "comments": None, "quotechar": '"'}
    try:
        with warnings.catch_warnings(category=UserWarning, action="ignore"):  # of no samples
            values = np.loadtxt(rows(), usecols=columns, ndmin=2, **options)
    except InputError:
        raise
    except ValueError:
        raise InputError(
            f"{path}:{at[0]}: expected numbers in {', '.join(names)}, got '{at[1][:60]}'. "
            "Mend that line, or cut the log before it."
        ) from None
    if not len(values):
        raise InputError(f"{path}: expected samples after the header, got none. Record it again.")
    return Log(dict(zip(names, values.T, strict=True)), tuple(remarks))
