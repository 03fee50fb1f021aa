"""The firmware's interpreter of G-code: lines go in, moves come out.

A bad line raises a ValueError that says `expected <rule>, got <value>`, and the caller adds the
file. How long a move takes is the planner's affair.

What a printer would pass over is passed over and counted; what would move the head to who knows
where is refused. Where firmwares differ in motion it follows Marlin 2.0, with one exception: G91
makes E relative too, but G90 goes back to what M82 or M83 said last, because slicers count on it.
Where they differ in limits, the commands are kept until the whole file has told which firmware it
is for. The flow factor (M221) changes no path and is left out.
"""

import math
import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from jaxcorr.printer import motion_limits, slicers
from jaxcorr.printer.arcs import RADIUS_TOLERANCE_MM, centre_from_radius, cut_arc, miss_mm
from jaxcorr.printer.lexer import (
    PLAIN_MOVE,
    parse_settings,
    parse_words,
    quote,
    split_line,
    without_bad_feedrate,
)
from jaxcorr.printer_spec import Printer

# The dwell of a full stop that takes no time of its own: G28, M400, a wait for a temperature.
FULL_STOP_S = 1e-9

MAX_COORDINATE_MM = 10_000.0
MAX_EXTRUDER_MM = 1e7
MIN_FEEDRATE_MM_MIN, MAX_FEEDRATE_MM_MIN = 1e-3, 1e7
MAX_DWELL_S = 1e5
MAX_ARC_TURNS = 100
MAX_MOVES = 10_000_000
DEFAULT_FEEDRATE_MM_S = 25.0  # before the first F, as in Marlin

COLUMNS = 6  # of a move: x, y, z, extrude, feedrate, line

# Commands that wait until the machine stands still, and commands that move nothing of interest,
# M862.3 and the like among them.
_STOPS = frozenset(["G29", "M0", "M1", "M109", "M190", "M191", "M226", "M400", "M600", "M601"])
_IGNORED_M = [
    2, 3, 5, 14, 16, 17, 18, 20, 21, 22, 23, 24, 25, 26, 27, 30, 31, 32, 42, 73, 74, 75, 76, 77,
    78, 80, 81, 84, 85, 92, 104, 105, 106, 107, 108, 110, 111, 112, 113, 114, 115, 117, 118,
    119, 125, 126, 127, 132, 135, 136, 140, 141, 142, 143, 144, 145, 149, 150, 155, 200,
    209, 211, 217, 221, 240, 250, 256, 280, 300, 301, 302, 303, 304, 355, 401, 402, 403,
    404, 405, 406, 407, 412, 413, 415, 420, 421, 425, 470, 471, 486, 500, 501, 502, 503, 504,
    530, 531, 532, 550, 555, 569, 572, 575, 592, 593, 603, 620, 621, 622, 623, 701, 702, 710,
    851, 862, 900, 906, 907, 911, 913, 914, 928, 960, 961, 970, 971, 973, 974, 975, 976, 981,
    982, 983, 984, 991, 997, 1002, 1004, 1006, 1007,
]  # fmt: skip
_IGNORED = frozenset(
    [
        *(f"G{number}" for number in [22, 23, 40, 49, 54, 80, 94]),
        *(f"M{number}" for number in _IGNORED_M),
        "EXCLUDE_OBJECT_DEFINE",
        "EXCLUDE_OBJECT_START",
        "EXCLUDE_OBJECT_END",
        "SET_PRESSURE_ADVANCE",
    ]
)
_TOOL = re.compile(r"T[0-9]")
_AXIS_WORD = re.compile(r"[XYZ]\s*[-+]?\.?[0-9]", re.ASCII | re.IGNORECASE)

FASTEST_MM_S = 10_000.0  # of what is as fast as the limits allow
OFF_CIRCLE = "arc off its circle, drawn as Marlin does"
MAX_KINDS_PASSED_OVER = 1000
NUM_LINES_SHOWN = 3


class PassedOver(NamedTuple):
    """Lines of one kind that a printer passes over, or executes otherwise than written."""

    reason: str
    text: str
    num_lines: int
    lines: tuple[int, ...]  # the first few


class Machine:
    """The firmware's state while it reads, and the moves so far."""

    def __init__(self) -> None:
        self.line = 0
        self.x = self.y = self.z = 0.0  # physical, mm
        self.e = 0.0  # as the file counts it, mm
        self.offset = [0.0, 0.0, 0.0]  # physical minus the file's coordinates (G92)
        self.unit_mm = 1.0
        self.is_relative = self.is_e_relative = self.is_m83 = False
        self.is_plain = True  # absolute millimetres without offset: the fast path holds
        self.feedrate = self.feedrate_mm_s = DEFAULT_FEEDRATE_MM_S  # before and after M220
        self.factor = self.saved_factor = 1.0
        self.retraction = motion_limits.Retraction()
        self.retracted_mm = self.lift_mm = 0.0  # by G10: filament, and Z
        self.blocks: list[np.ndarray] = []
        self.moves: list[float] = []
        self.num_block_moves = 0
        # What happens between moves, by the index of the next move.
        self.homes: dict[int, tuple[float, float, float]] = {0: (0.0, 0.0, 0.0)}
        self.dwells: dict[int, float] = {}
        self.limit_commands: list[motion_limits.LimitCommand] = []
        self.label_from: dict[int, int] = {0: slicers.UNKNOWN}
        self.layer_marks: list[tuple[int, str, str]] = []
        self.slicer = ""
        self.has_labels = False
        self.seen = motion_limits.Seen()
        self.layer_height_mm: float | None = None
        self.slicer_time_s: float | None = None
        self._passed: dict[tuple[str, str], list[int]] = {}  # count, then the first lines
        self._most_off_mm = 0.0

    @property
    def num_moves(self) -> int:
        return self.num_block_moves + len(self.moves) // COLUMNS

    def run(self, lines: list[str]) -> None:
        """Executes lines; raises ValueError with self.line at the line refused."""
        match_plain, moves, last = PLAIN_MOVE, self.moves, self.line + len(lines)
        for number, line in enumerate(lines, self.line + 1):
            match = match_plain(line) if self.is_plain else None
            if match is None:
                self.line = number
                if line:
                    self._execute_or_refuse(line)
                continue
            first_f, x, y, z, e, f = match.groups()
            if f or first_f:
                self.line = number
                self._set_feedrate(float(f or first_f) / 60.0)
            is_moved = False
            if x:
                new = float(x)
                is_moved = new != self.x
                self.x = new
            if y:
                new = float(y)
                is_moved = is_moved or new != self.y
                self.y = new
            if z:
                new = float(z)
                is_moved = is_moved or new != self.z
                self.z = new
            extrude = 0.0
            if e:
                extrude = float(e)
                if self.is_e_relative:
                    self.e += extrude
                else:
                    self.e, extrude = extrude, extrude - self.e
            if is_moved or extrude:
                moves.extend((self.x, self.y, self.z, extrude, self.feedrate_mm_s, number))
        self.line = last
        self._close_block()

    def _close_block(self) -> None:
        """Packs the moves of a batch, which takes a fifth of the memory of a list."""
        self._refuse_too_many()
        self.blocks.append(np.array(self.moves, dtype=np.float64).reshape(-1, COLUMNS))
        self.num_block_moves += len(self.blocks[-1])
        self.moves.clear()

    def _refuse_too_many(self) -> None:
        if self.num_moves > MAX_MOVES:
            raise ValueError(f"expected at most {MAX_MOVES} moves, got more")

    def _execute_or_refuse(self, line: str) -> None:
        try:
            self._execute(line)
        except ValueError as problem:
            raise ValueError(f"{problem} in {quote(line)}") from None

    def _execute(self, line: str) -> None:
        if line[0] == ";":
            self._read_comment(line)
            return
        command, arguments, comment = split_line(line)
        if comment and (command or arguments):
            self._read_inline_comment(comment)
        elif comment:
            self._read_comment(";" + comment)
        handler = _HANDLERS.get(command)
        if handler:
            handler(self, arguments)
        elif command in motion_limits.LIMIT_COMMANDS:
            found = (self.line, self.num_moves, command, arguments, self.unit_mm)
            self.limit_commands.append(motion_limits.LimitCommand(*found))
        elif command in _STOPS:
            self._dwell(0.0)
        elif not command:
            self._pass_line(arguments)
        elif not _TOOL.match(command):
            self.seen.see(self.line, command)
            if command.partition(".")[0] not in _IGNORED:
                self.pass_over(motion_limits.UNKNOWN_COMMAND, command)

    def _pass_line(self, text: str) -> None:
        """A line without a command; one that starts with a coordinate may be a move."""
        if _AXIS_WORD.match(text):
            raise ValueError(f"expected a command such as G1, got {quote(text)}")
        if text:
            self.pass_over(motion_limits.UNKNOWN_COMMAND, text.split()[0])

    def pass_over(self, reason: str, text: str, line: int | None = None) -> None:
        """Counts what is passed over, with the first lines; rare texts beyond a bound together."""
        key = reason, quote(text, 40)[1:-1]
        if key not in self._passed and len(self._passed) >= MAX_KINDS_PASSED_OVER:
            key = reason, "others"
        found = self._passed.setdefault(key, [0])
        found[0] += 1
        if len(found) <= NUM_LINES_SHOWN:
            found.append(self.line if line is None else line)

    def passed_over(self) -> tuple[PassedOver, ...]:
        """All that was passed over or executed otherwise than written, in order of first lines."""
        most = f"by up to {self._most_off_mm:.3g} mm"
        found = [
            PassedOver(reason, most if reason == OFF_CIRCLE else text, lines[0], tuple(lines[1:]))
            for (reason, text), lines in self._passed.items()
        ]
        return tuple(sorted(found, key=lambda one: one.lines[0]))

    def settle(self, told: str | None, printer: Printer) -> motion_limits.LimitsInForce:
        """The limits at every move; see `motion_limits.settle`."""
        found = motion_limits.settle(self.limit_commands, self.seen, told, printer)
        for line, reason, text in found.passed_over:
            self.pass_over(reason, text, line)
        return found

    def _read_comment(self, comment: str) -> None:
        """A comment on a line of its own, from `;` on."""
        kind, value = slicers.read_comment(comment) or ("", "")
        if kind == "slicer":
            self.slicer = self.slicer or value
        elif kind == "feature":
            self.has_labels = True
            self._label(value)
        elif kind == "flavor":
            self.seen.flavor = self.seen.flavor or (self.line, value)
        elif kind == "height":
            height = slicers.seconds_of(value) if value[:1].isdigit() else None
            self.layer_height_mm = self.layer_height_mm or height
        elif kind == "time":
            self.slicer_time_s = self.slicer_time_s or slicers.seconds_of(value)
        elif kind:
            self.layer_marks.append((self.num_moves, kind, value))

    def _read_inline_comment(self, comment: str) -> None:
        """A comment behind a command. Labels on lines of their own are worth more."""
        kind, value = slicers.read_inline_comment(comment) or ("", "")
        if kind == "feature":
            if not self.has_labels:
                self._label(value)
        elif kind:
            self.layer_marks.append((self.num_moves, kind, value))

    def _label(self, value: str) -> None:
        code = slicers.feature_code(value)
        self.label_from[self.num_moves] = slicers.UNKNOWN if code is None else code

    def _words_of_move(self, arguments: str, allowed: str) -> dict[str, float]:
        """The words of a move; an F that no firmware can read is left out, and counted."""
        readable = without_bad_feedrate(arguments)
        if readable != arguments:
            self.pass_over("feedrate kept", quote(arguments.strip()))
        words = parse_words(readable, allowed)
        self._read_feedrate(words)
        return words

    def _move(self, arguments: str) -> None:
        """G0 and G1. S, H and P mean nothing to a printer that moves in straight lines."""
        words = self._words_of_move(arguments, "XYZEFSHP")
        self._append(*self._target(words), self._extrude(words))

    def _arc(self, arguments: str, is_clockwise: bool) -> None:
        """G2 and G3: X Y Z, the centre as I J or the radius as R, P turns in all, E, F."""
        words = self._words_of_move(arguments, "XYZIJREFP")
        start, z = (self.x, self.y), self.z
        end_x, end_y, end_z = self._target(words)
        centre = self._centre(words, (end_x, end_y), is_clockwise)
        turns = words.get("P", 1.0)
        if not 0 <= turns <= MAX_ARC_TURNS or turns % 1:
            raise ValueError(f"expected P as a whole number up to {MAX_ARC_TURNS}, got {turns:g}")
        rise, extrude = end_z - z, self._extrude(words)
        extra = max(int(turns) - 1, 0)
        points = cut_arc(start, (end_x, end_y), centre, is_clockwise, extra, rise)
        off_mm = miss_mm(start, (end_x, end_y), centre)
        if "R" in words:
            off_mm = math.dist(start, centre) - abs(words["R"] * self.unit_mm)
        if off_mm > RADIUS_TOLERANCE_MM:
            self._most_off_mm = max(self._most_off_mm, off_mm)
            self.pass_over(OFF_CIRCLE, "")
        for i, (x, y) in enumerate(points[:-1], 1):
            _check_bounds("X", x)
            _check_bounds("Y", y)
            height = round(z + rise * i / len(points), 9)
            self._append(round(x, 9), round(y, 9), height, extrude / len(points))
        self._append(end_x, end_y, end_z, extrude / len(points))
        self._refuse_too_many()

    def _centre(
        self, words: Mapping[str, float], end: tuple[float, float], is_clockwise: bool
    ) -> tuple[float, float]:
        if ("R" in words) == ("I" in words or "J" in words):
            got = "both" if "R" in words else "neither"
            raise ValueError(f"expected the centre as I and J or the radius as R, got {got}")
        i, j, r = (words.get(letter, 0.0) * self.unit_mm for letter in "IJR")
        for letter, value in zip("IJR", (i, j, r), strict=True):
            _check_bounds(letter, value)
        if "R" in words:
            return centre_from_radius((self.x, self.y), end, r, is_clockwise)
        return self.x + i, self.y + j

    def _target(self, words: Mapping[str, float]) -> tuple[float, float, float]:
        """Where the words lead, physical mm on a grid of 1e-9 mm."""
        target = [self.x, self.y, self.z]
        lift = (0.0, 0.0, self.lift_mm)
        for axis, letter in enumerate("XYZ"):
            if letter in words:
                base = target[axis] if self.is_relative else self.offset[axis] + lift[axis]
                target[axis] = round(words[letter] * self.unit_mm + base, 9)
                _check_bounds(letter, target[axis])
        return target[0], target[1], target[2]

    def _extrude(self, words: Mapping[str, float]) -> float:
        """Filament that the words push, mm; the file's own count goes on."""
        if "E" not in words:
            return 0.0
        before, value = self.e, words["E"] * self.unit_mm
        _check_bounds("E", value, MAX_EXTRUDER_MM)
        self.e = round(before + value if self.is_e_relative else value, 9)
        return round(self.e - before, 9)

    def _append(self, x: float, y: float, z: float, extrude: float) -> None:
        if extrude or x != self.x or y != self.y or z != self.z:
            self.x, self.y, self.z = x, y, z
            self.moves.extend((x, y, z, extrude, self.feedrate_mm_s, self.line))

    def _read_feedrate(self, words: Mapping[str, float]) -> None:
        """F above 0 is taken over, up to a bound that lies far above every limit."""
        if "F" not in words:
            return
        if words["F"] > 0:
            in_mm_min = min(words["F"] * self.unit_mm, MAX_FEEDRATE_MM_MIN)
            self._set_feedrate(max(in_mm_min, MIN_FEEDRATE_MM_MIN) / 60.0)
        else:
            self.pass_over("feedrate kept", f"F{words['F']:g}")

    def _set_feedrate(self, feedrate_mm_s: float) -> None:
        self.feedrate = feedrate_mm_s
        self.feedrate_mm_s = feedrate_mm_s * self.factor

    def _dwell(self, seconds: float) -> None:
        self.dwells[self.num_moves] = self.dwells.get(self.num_moves, 0.0) + seconds

    def _pause(self, arguments: str) -> None:
        """G4: P milliseconds or S seconds; S wins."""
        words = parse_words(arguments, "PS")
        seconds = words.get("S", words.get("P", 0.0) / 1000.0)
        if not 0 <= seconds <= MAX_DWELL_S:
            raise ValueError(f"expected a pause of 0 to {MAX_DWELL_S:g} s, got {seconds:g} s")
        self._dwell(seconds)

    def _set_mode(self, command: str, arguments: str) -> None:
        """G17, G20, G21, G90, G91, M82 and M83 take no words; Marlin would drop what follows."""
        if arguments.strip():
            got = quote(arguments)
            raise ValueError(f"expected one command in a line, got {got} after it")
        if command in ("G20", "G21"):
            self.unit_mm = 25.4 if command == "G20" else 1.0
        elif command in ("G90", "G91"):
            self.is_relative = command == "G91"
            self.is_e_relative = self.is_relative or self.is_m83
        elif command in ("M82", "M83"):
            self.is_e_relative = self.is_m83 = command == "M83"
        self.e = round(self.e, 9)  # the fast path only adds
        self._update_plain()

    def _update_plain(self) -> None:
        is_shifted = any(self.offset) or bool(self.lift_mm)
        self.is_plain = not self.is_relative and self.unit_mm == 1.0 and not is_shifted

    def _home(self, arguments: str) -> None:
        """G28: the named axes, or all, stand at 0 with no offset, after a full stop."""
        named = [letter in arguments.upper() for letter in "XYZ"]
        homed = named if any(named) else [True, True, True]
        position = (self.x, self.y, self.z)
        self.x, self.y, self.z = (0.0 if h else p for h, p in zip(homed, position, strict=True))
        self.offset = [0.0 if h else o for h, o in zip(homed, self.offset, strict=True)]
        self.homes[self.num_moves] = (self.x, self.y, self.z)
        self._update_plain()
        self._dwell(0.0)

    def _set_position(self, arguments: str) -> None:
        """G92: the file's coordinates change, the machine stays."""
        words = parse_words(arguments, "XYZE")
        for axis, (letter, here) in enumerate(zip("XYZ", (self.x, self.y, self.z), strict=True)):
            if letter in words:
                value = words[letter] * self.unit_mm
                _check_bounds(letter, value)
                self.offset[axis] = round(here - (self.lift_mm if axis == 2 else 0) - value, 9)
        if "E" in words:
            self.e = round(words["E"] * self.unit_mm, 9)
            _check_bounds("E", self.e, MAX_EXTRUDER_MM)
        self._update_plain()

    def _reset_position(self, _: str) -> None:
        """G92.1: back to the machine's own coordinates."""
        self.offset = [0.0, 0.0, 0.0]
        self._update_plain()

    def _set_factor(self, arguments: str) -> None:
        """M220: S per cent of the feedrate; B saves the factor, R restores it."""
        words = parse_settings(arguments)
        if "B" in arguments.upper():
            self.saved_factor = self.factor
        if "S" in words:
            if 1 <= words["S"] <= 1000:
                self.factor = words["S"] / 100.0
            else:
                self.pass_over("setting kept as it was", f"M220{arguments}")
        if "R" in arguments.upper():
            self.factor = self.saved_factor
        self._set_feedrate(self.feedrate)

    def _retract(self, arguments: str) -> None:
        """G10; with more than S it sets a tool of RepRapFirmware, and moves nothing."""
        if not self.retracted_mm and not set(parse_settings(arguments)) - {"S"}:
            self.retracted_mm = self.retraction.length_mm
            self._move_alone(-self.retracted_mm, self.retraction.speed_mm_s)
            self._lift(self.retraction.lift_mm)

    def _recover(self, _: str) -> None:
        """G11, of what G10 retracted."""
        if self.retracted_mm:
            self._lift(0.0)
            pushed_mm = self.retracted_mm + self.retraction.extra_mm
            self._move_alone(pushed_mm, self.retraction.recover_speed_mm_s)
            self.retracted_mm = 0.0

    def _lift(self, lift_mm: float) -> None:
        """Z goes up or down as fast as it can; the file's coordinates stay."""
        before, self.z = self.z, round(self.z + lift_mm - self.lift_mm, 9)
        self.lift_mm = lift_mm
        if self.z != before:
            _check_bounds("Z", self.z)
            self.moves.extend((self.x, self.y, self.z, 0.0, FASTEST_MM_S, self.line))
        self._update_plain()

    def _move_alone(self, extrude_mm: float, speed_mm_s: float) -> None:
        """Filament moves that the file does not count; the feedrate factor has no part in it."""
        extrude_mm = round(extrude_mm, 9)
        if extrude_mm:
            self.moves.extend((self.x, self.y, self.z, extrude_mm, speed_mm_s, self.line))

    def _refuse_plane(self, _: str) -> None:
        raise ValueError("expected arcs in the XY plane (G17), got another plane")


def _check_bounds(letter: str, value_mm: float, limit_mm: float = MAX_COORDINATE_MM) -> None:
    if not abs(value_mm) <= limit_mm:
        raise ValueError(f"expected {letter} within +-{limit_mm:g} mm, got {value_mm:g} mm")


def _mode(command: str) -> Callable[[Machine, str], None]:
    return lambda machine, arguments: machine._set_mode(command, arguments)


def _retraction(command: str) -> Callable[[Machine, str], None]:
    def execute(machine: Machine, arguments: str) -> None:
        machine.seen.see(machine.line, command)
        machine.retraction = machine.retraction.after(command, arguments, machine.unit_mm)

    return execute


_MODES = ("G17", "G20", "G21", "G90", "G91", "M82", "M83")
_HANDLERS: dict[str, Callable[[Machine, str], None]] = {
    **{command: _mode(command) for command in _MODES},
    **dict.fromkeys(("G18", "G19"), Machine._refuse_plane),
    "G0": Machine._move,
    "G1": Machine._move,
    "G2": lambda machine, arguments: machine._arc(arguments, True),
    "G3": lambda machine, arguments: machine._arc(arguments, False),
    "G4": Machine._pause,
    "G10": Machine._retract,
    "G11": Machine._recover,
    "G28": Machine._home,
    "G92": Machine._set_position,
    "G92.1": Machine._reset_position,
    **{command: _retraction(command) for command in motion_limits.RETRACTION_COMMANDS},
    "M220": Machine._set_factor,
}
