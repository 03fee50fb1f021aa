"""G-code files as moves: straight segments with a feedrate and the limits in force.

Units are converted here, once: mm and mm/s leave this module, never inches or mm/min. Commands are
executed in firmware.py, comments read in slicers.py.
"""

import gzip
import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TextIO

import numpy as np

from jaxcorr.errors import InputError
from jaxcorr.printer.firmware import FULL_STOP_S, Machine
from jaxcorr.printer.motion_limits import ENDER3_V2, Limits
from jaxcorr.printer.slicers import CUSTOM, FEATURES, RETRACTION, TRAVEL, assign_layers

__all__ = ["ENDER3_V2", "FEATURES", "FULL_STOP_S", "Limits", "Program", "parse", "read"]

MAX_LINE_CHARS = 1 << 20
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
    unknown_commands: dict[str, int]  # command to count; they may have moved the machine

    @property
    def num_layers(self) -> int:
        """Number of layers in the file."""
        return len(self.layer_z_mm)


def parse(text: str, name: str, limits: Limits = ENDER3_V2) -> Program:
    """Parses G-code.

    Args:
        text: The G-code.
        name: What messages call it, usually the file's name.
        limits: In force until the text sets others.

    Raises:
        InputError: The text is not G-code, is malformed somewhere, or moves nothing.
    """
    return _parse_stream(io.StringIO(text.removeprefix("\ufeff"), newline=None), name, limits)


def read(path: str | PathLike[str], limits: Limits = ENDER3_V2) -> Program:
    """Parses a file of G-code, plain or compressed by gzip, without holding its text in memory.

    Raises:
        InputError: The file cannot be read, or `parse` would refuse its text.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            is_gzip = file.read(2) == b"\x1f\x8b"
        with (gzip.open if is_gzip else open)(
            path, "rt", encoding="utf-8-sig", errors="replace"
        ) as stream:
            return _parse_stream(stream, path.name, limits)
    except (OSError, EOFError, zlib.error) as problem:
        what = getattr(problem, "strerror", None) or str(problem)
        raise InputError(
            f"{path}: expected a readable .gcode or .gcode.gz file, got '{what}'. Check the path."
        ) from problem


def _parse_stream(stream: TextIO, name: str, limits: Limits) -> Program:
    machine = Machine(limits)
    try:
        for lines in _chunks_of_lines(stream, machine):
            machine.run(lines)
    except ValueError as problem:
        raise InputError(f"{name}:{machine.line}: {problem}.") from None
    if not machine.num_moves:
        got = f"{machine.line} lines without one" if machine.line else "an empty file"
        raise InputError(f"{name}: expected at least one move, got {got}. Slice the part again.")
    return _program(machine)


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
    if rest:
        yield [rest]


def _program(machine: Machine) -> Program:
    """Packs the machine's moves and what happened between them into arrays."""
    columns = np.concatenate(machine.blocks)
    machine.blocks.clear()
    num_moves = len(columns)
    end, extrude = columns[:, :3].copy(), np.round(columns[:, 3], 9)
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
        end[:, 2],
        machine.layer_marks,
    )
    return Program(
        start_mm=start,
        end_mm=end,
        extrude_mm=extrude,
        feedrate_mm_s=columns[:, 4].copy(),
        dwell_s=_dwells(machine.dwells, num_moves),
        layer=layer,
        feature=feature.astype(np.uint8),
        line=columns[:, 5].astype(np.int32),
        limits=tuple(machine.limits),
        limits_index=_held(machine.limits_from, num_moves),
        layer_z_mm=layer_z,
        slicer=machine.slicer or "unknown",
        unknown_commands=dict(machine.unknown),
    )


def _held(value_from: dict[int, int], num_moves: int) -> np.ndarray:
    """(N,) int32 that hold each value from its index to the next one's."""
    bounds = np.array([*value_from, num_moves])
    return np.repeat(np.array([*value_from.values()], dtype=np.int32), np.diff(bounds))


def _dwells(seconds_at: dict[int, float], num_moves: int) -> np.ndarray:
    """(N,) pauses; a pause of no length is still a stop, and one after the last move is nothing."""
    dwell = np.zeros(num_moves)
    for at, seconds in seconds_at.items():
        if at < num_moves:
            dwell[at] = max(seconds, FULL_STOP_S)
    return dwell
