"""G-code files as moves: straight segments with a feedrate and the limits in force.

Units are converted here, once: mm and mm/s leave this module, never inches or mm/min. Commands are
executed in firmware.py, comments read in slicers.py, containers opened in containers.py.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import TextIO

import numpy as np

from jaxcorr.errors import InputError
from jaxcorr.printer import containers
from jaxcorr.printer.firmware import FULL_STOP_S, Machine, PassedOver
from jaxcorr.printer.motion_limits import (
    DEFAULT_FIRMWARE,
    ENDER3_V2,
    UNKNOWN_COMMAND,
    Limits,
    defaults_of,
)
from jaxcorr.printer.slicers import CUSTOM, FEATURES, RETRACTION, TRAVEL, assign_layers
from jaxcorr.printer_spec import Printer

__all__ = ["ENDER3_V2", "FEATURES", "FULL_STOP_S", "Limits", "Program", "parse", "read"]

REFERENCE = Printer()
MAX_LINE_CHARS = 1 << 20
MAX_LINES = 50_000_000
ROUNDING_MM = 1e-6
OFF_BED = "leaves the bed"
_CHUNK_CHARS = 1 << 20


@dataclass(frozen=True)
class Program:
    """Straight moves in execution order. Axes: N moves, 3 = x, y, z in mm; L layers.

    A move starts where the one before it ended, except after G28, which puts the tool at the home
    corner (0, 0, 0) without a move. Moves before the first layer and after the last printing move
    belong to layer -1.
    """

    start_mm: np.ndarray  # (N, 3) float64
    end_mm: np.ndarray  # (N, 3) float64; equal to start_mm where only E moves
    extrude_mm: np.ndarray  # (N,) float64, filament; negative for a retraction
    feedrate_mm_s: np.ndarray  # (N,) float64, as requested, after M220
    dwell_s: np.ndarray  # (N,) float64, pause before the move; > 0 is a full stop
    layer: np.ndarray  # (N,) int32, from 0; -1 where the move belongs to no layer
    feature: np.ndarray  # (N,) uint8, index into FEATURES
    line: np.ndarray  # (N,) int32, source line, from 1
    limits: tuple[Limits, ...]
    limits_index: np.ndarray  # (N,) int32, index into limits
    layer_z_mm: np.ndarray  # (L,) float64, of the layer's first printing move
    slicer: str
    firmware: str = DEFAULT_FIRMWARE  # one of motion_limits.FIRMWARES
    firmware_found_by: str = "default"
    limits_set_in_line: dict[str, int] = field(default_factory=dict)  # field to the first line
    end_dwell_s: float = 0.0  # after the last move
    slicer_time_s: float | None = None  # of the print, as the slicer reckons
    passed_over: tuple[PassedOver, ...] = ()

    @property
    def unknown_commands(self) -> dict[str, int]:
        """Commands that were not executed to their counts; they may have moved the machine."""
        unknown = (one for one in self.passed_over if one.reason == UNKNOWN_COMMAND)
        return {one.text: one.num_lines for one in unknown}

    @property
    def num_layers(self) -> int:
        """Number of layers in the file."""
        return len(self.layer_z_mm)

    def moves_of(self, layer: int | None) -> np.ndarray:
        """Which moves are of a layer, counted from 0, or of all of it."""
        is_chosen = np.full(len(self.layer), True) if layer is None else self.layer == layer
        return np.flatnonzero(is_chosen)

    def filament_before_mm(self, layer: int) -> float:
        """Filament that was extruded before a layer, from 0, begins; what was retracted is not."""
        first = int(np.argmax(self.layer == layer))
        return float(self.extrude_mm[:first].sum())


def parse(
    text: str, name: str, firmware: str | None = None, printer: Printer = REFERENCE
) -> Program:
    """Parses G-code.

    Args:
        text: The G-code.
        name: What messages call it, usually the file's name.
        firmware: One of `motion_limits.FIRMWARES`; None to go by the printer, or the text.
        printer: Its limits are in force until the text sets others.

    Raises:
        InputError: The text is not G-code, is malformed somewhere, or moves nothing.
    """
    stream = io.StringIO(text.removeprefix("\ufeff"), newline=None)
    return _parse_stream(stream, name, firmware, printer)


def read(
    path: str | PathLike[str], firmware: str | None = None, printer: Printer = REFERENCE
) -> Program:
    """Parses a file of G-code without holding its text in memory.

    Args:
        path: Plain text, or one of the containers of containers.py.
        firmware, printer: As `parse` has them.

    Raises:
        InputError: The file cannot be read, or `parse` would refuse its text.
    """
    path = Path(path)
    with containers.open_text(path) as stream:
        return _parse_stream(stream, path.name, firmware, printer)


def _parse_stream(stream: TextIO, name: str, firmware: str | None, printer: Printer) -> Program:
    if firmware is not None:
        defaults_of(firmware)  # refuses an unknown one before the file is read
    machine = Machine()
    try:
        for lines in _chunks_of_lines(stream, machine):
            machine.run(lines)
    except ValueError as problem:
        raise InputError(f"{name}:{machine.line}: {problem}.") from None
    if not machine.num_moves:
        got = f"{machine.line} lines without one" if machine.line else "an empty file"
        raise InputError(f"{name}: expected at least one move, got {got}. Slice the part again.")
    return _program(machine, firmware, printer)


def _chunks_of_lines(stream: TextIO, machine: Machine) -> Iterator[list[str]]:
    """Lines in batches of about a megabyte; machine.line points at a line that is refused."""
    rest = ""
    while chunk := stream.read(_CHUNK_CHARS):
        lines = (rest + chunk).split("\n")
        if "\0" in chunk:
            machine.line += next(i for i, line in enumerate(lines, 1) if "\0" in line)
            raise ValueError("expected G-code as text, got binary data")
        if max(map(len, lines)) > MAX_LINE_CHARS:
            machine.line += next(i for i, t in enumerate(lines, 1) if len(t) > MAX_LINE_CHARS)
            raise ValueError(f"expected a line of at most {MAX_LINE_CHARS} characters, got more")
        rest = lines.pop()
        yield lines
        if machine.line > MAX_LINES:
            raise ValueError(f"expected at most {MAX_LINES} lines, got more")
    if rest:
        yield [rest]


def _program(machine: Machine, firmware: str | None, printer: Printer) -> Program:
    """Packs the machine's moves and what happened between them into arrays."""
    end, extrude, feedrate, line = (
        np.concatenate([block[:, columns] for block in machine.blocks])
        for columns in (slice(0, 3), 3, 4, 5)
    )
    machine.blocks.clear()
    num_moves, extrude, line = len(end), np.round(extrude, 9), line.astype(np.int32)
    start = np.concatenate([end[:1], end[:-1]])
    for at, position in machine.homes.items():
        if at < num_moves:
            start[at] = position
    is_moving_xy = (start[:, :2] != end[:, :2]).any(axis=1)
    is_moving = is_moving_xy | (start[:, 2] != end[:, 2])
    is_extruding = is_moving_xy & (extrude > 0)
    label = _held(machine.label_from, num_moves)
    feature = np.where(is_extruding, label, np.where(is_moving, TRAVEL, RETRACTION))
    layer, layer_z = assign_layers(
        is_extruding & (label != CUSTOM),
        (start[:, 2] != end[:, 2]) & ~is_extruding,
        end,
        machine.layer_marks,
        machine.layer_height_mm,
    )
    in_force = machine.settle(firmware, printer)
    _note_off_bed(machine, printer, end[is_moving_xy, :2], line[is_moving_xy])
    return Program(
        start_mm=start,
        end_mm=end,
        extrude_mm=extrude,
        feedrate_mm_s=feedrate,
        dwell_s=_dwells(machine.dwells, num_moves),
        layer=layer,
        feature=feature.astype(np.uint8),
        line=line,
        limits=in_force.limits,
        limits_index=_held(in_force.from_move, num_moves),
        layer_z_mm=layer_z,
        slicer=machine.slicer or "unknown",
        firmware=in_force.firmware,
        firmware_found_by=in_force.found_by,
        limits_set_in_line=in_force.set_in_line,
        end_dwell_s=machine.dwells.get(num_moves, 0.0),
        slicer_time_s=machine.slicer_time_s,
        passed_over=machine.passed_over(),
    )


def _note_off_bed(machine: Machine, printer: Printer, end_mm: np.ndarray, line: np.ndarray) -> None:
    """Notes the lines that end where the printer's nozzle cannot go."""
    if printer.bed_size_mm is None:
        return
    is_off = ((end_mm < -ROUNDING_MM) | (end_mm > np.array(printer.bed_size_mm) + ROUNDING_MM)).any(
        1
    )
    x, y = printer.bed_size_mm
    for number in np.unique(line[is_off]).tolist():
        machine.pass_over(OFF_BED, f"of {x:g} x {y:g} mm", number)


def _held(value_from: dict[int, int], num_moves: int) -> np.ndarray:
    """(N,) int32 that hold each value from its index to the next one's."""
    bounds = np.array([*value_from, num_moves])
    return np.repeat(np.array([*value_from.values()], dtype=np.int32), np.diff(bounds))


def _dwells(seconds_at: dict[int, float], num_moves: int) -> np.ndarray:
    """(N,) pauses before moves; a pause of no length is still a stop."""
    dwell = np.zeros(num_moves)
    for at, seconds in seconds_at.items():
        if at < num_moves:
            dwell[at] = max(seconds, FULL_STOP_S)
    return dwell
