"""The rewritten text: corrected lines become pieces, every other line passes byte for byte.

The firmware's interpreter runs along, line by line, so that offsets, absolute or relative E and
the feedrate are those of the place. Limits are raised before a piece and put back before the
next line that may move anything; so is the feedrate that such a line counts on.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from jaxcorr.printer.firmware import Machine
from jaxcorr.printer.gcode import Program
from jaxcorr.printer.motion_limits import LIMIT_COMMANDS
from jaxcorr.rewrite.dialect import Dialect, number
from jaxcorr.rewrite.source import ending, marked

PLACES, E_PLACES = 3, 5  # decimals of positions and of E
# Lines that move nothing and count on no feedrate; before any other the file's own state returns.
_INERT = re.compile(
    r"\s*(?:$|;|(?:M0*(?:73|82|83|104|105|106|107|117|118|140|141|155|900|486)|G0*92|G0*90"
    r"|EXCLUDE_OBJECT\w*|SET_PRESSURE_ADVANCE)(?![0-9.]))",
    re.ASCII | re.IGNORECASE,
)
_MOVES = ("G0", "G1", "G2", "G3", "G00", "G01", "G02", "G03")
FILE, UNKNOWN = "the file's", "unknown"
_COMMAND = re.compile(r"\s*([A-Z_]+[0-9]*)", re.ASCII | re.IGNORECASE)
_HAS_F = re.compile(r"^[^;(]*F[0-9.]", re.IGNORECASE)


class Edits(NamedTuple):
    """The pieces of a file. Axis: P pieces, in order of their lines."""

    line: Int[ndarray, " P"]
    end_mm: Float[ndarray, "P 3"]
    extrude_mm: Float[ndarray, " P"]
    feedrate_mm_s: Float[ndarray, " P"]


def join(layers: Sequence[Edits]) -> Edits:
    """The pieces of several layers as those of one file."""
    line = np.concatenate([one.line for one in layers])
    order = np.argsort(line, kind="stable")
    return Edits(
        line[order],
        np.concatenate([one.end_mm for one in layers])[order],
        np.concatenate([one.extrude_mm for one in layers])[order],
        np.concatenate([one.feedrate_mm_s for one in layers])[order],
    )


class Writer:
    """Turns the lines of a file into those of the rewritten one.

    Args:
        edits: pieces in place of lines.
        dialect: how limits are set.
        program: of the file; its limits are in force wherever nothing is corrected.
        is_overridden: they are other ones than the file sets.
        mark: a comment, written behind the first line.
    """

    def __init__(
        self, edits: Edits, dialect: Dialect, program: Program, is_overridden: bool, mark: str
    ):
        self._edits, self._dialect = edits, dialect
        changed = np.flatnonzero(np.diff(program.limits_index, prepend=-1))
        index = program.limits_index[changed].tolist()
        self._limits_from = dict(zip(program.line[changed].tolist(), index, strict=True))
        self._base = [dialect.commands(limits) for limits in program.limits]
        self._raised = [dialect.commands(dialect.raised(limits)) for limits in program.limits]
        self._in_force = 0  # index of the file's limits at this line
        self._is_overridden, self._mark = is_overridden, mark
        # What was set last, by command: a line of ours, the file's, or unknown.
        self._set = dict.fromkeys(map(_key, self._base[0]), UNKNOWN if is_overridden else FILE)
        self._machine = Machine()
        self._feedrate: float | None = None  # of the rewritten file, where it is not the file's

    def lines(self, source: Iterable[str]) -> Iterator[str]:
        """The rewritten lines, with their ends."""
        edits = self._edits
        starts = np.flatnonzero(np.diff(edits.line, prepend=-1))
        ends = np.append(starts[1:], len(edits.line))
        at_line = {int(edits.line[i]): (int(i), int(j)) for i, j in zip(starts, ends, strict=True)}
        end = "\n"
        for line_number, line in enumerate(source, 1):
            end = ending(line) or end
            self._in_force = self._limits_from.get(line_number, self._in_force)
            text = line.removeprefix("\ufeff").rstrip("\r\n")
            if line_number in at_line:
                yield from (made + end for made in self._pieces(text, *at_line[line_number]))
            else:
                yield from (made + end for made in self._restored(text))
                self._run(text)
                yield line
            if line_number == 1:
                yield marked(line, end, self._mark)

    def _run(self, text: str) -> None:
        self._machine.run([text])
        self._machine.blocks.clear()

    def _restored(self, text: str) -> Iterator[str]:
        """What has to stand before an untouched line."""
        command = _COMMAND.match(text)
        name = command[1].upper() if command else ""
        if name in LIMIT_COMMANDS:
            key = self._dialect.key(name)
            # It may set a part of what ours has set.
            if key in self._set and (self._is_overridden or self._set[key] != FILE):
                self._set[key] = UNKNOWN
        elif not _INERT.match(text):
            yield from self._limited(self._base[self._in_force])
            yield from self._feedrate_restored(text, name in _MOVES)

    def _feedrate_restored(self, text: str, is_move: bool) -> Iterator[str]:
        own = self._machine.feedrate
        has_own = is_move and _HAS_F.match(text)
        if self._feedrate is not None and self._feedrate != own and not has_own:
            yield f"G1 F{self._f(own)}"
        self._feedrate = None

    def _limited(self, wanted: list[str]) -> Iterator[str]:
        """Sets limits, but for those that are in force."""
        base = self._base[self._in_force]
        for line in wanted:
            key = _key(line)
            now = self._set.get(key, FILE)
            if now != line and (now != FILE or line not in base):
                yield line
                # What the file goes on to set by itself need not be followed any more.
                is_own = line in base and not self._is_overridden
                self._set[key] = FILE if is_own else line

    def _pieces(self, text: str, first: int, behind: int) -> Iterator[str]:
        """A corrected line as pieces; its comment stays on the first."""
        edits, machine = self._edits, self._machine
        yield from self._limited(self._raised[self._in_force])
        offset = list(machine.offset)
        lift, e_before = machine.lift_mm, machine.e
        z_before, is_relative = machine.z, machine.is_e_relative
        self._run(text)
        e_places = max(E_PLACES, _places_of(text))
        total = machine.e - e_before
        pushed = np.cumsum(edits.extrude_mm[first:behind])
        scale = total / pushed[-1] if pushed[-1] else 0.0
        last_e, last_z = 0.0, z_before
        comment = text[text.index(";") :] if ";" in text else ""
        for i in range(first, behind):
            x, y, z = edits.end_mm[i]
            words = [
                f"G1 X{number(x - offset[0], PLACES)}",
                f"Y{number(y - offset[1], PLACES)}",
            ]
            if abs(z - last_z) > 1e-9:
                words.append(f"Z{number(z - offset[2] - lift, PLACES)}")
                last_z = z
            if total:
                e = total if i == behind - 1 else pushed[i - first] * scale
                e = round(e, e_places)
                shown = e - last_e if is_relative else e_before + e
                words.append(f"E{number(shown, e_places)}")
                last_e = e
            feedrate = edits.feedrate_mm_s[i] / machine.factor
            if feedrate != self._feedrate:
                words.append(f"F{self._f(feedrate)}")
                self._feedrate = feedrate
            yield " ".join(words) + (f" {comment}" if comment and i == first else "")

    def _f(self, feedrate_mm_s: float) -> str:
        return number(feedrate_mm_s * 60.0, 1)


def _key(line: str) -> str:
    return line.partition(" ")[0]


def _places_of(text: str) -> int:
    """Decimals of the line's E, at least those that are written."""
    found = re.search(r"E\s*[-+]?[0-9]*\.([0-9]+)", text.partition(";")[0], re.IGNORECASE)
    return min(len(found[1]), 9) if found else 0
