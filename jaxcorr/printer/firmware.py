"""The firmware's interpreter of G-code: lines go in, moves come out.

A bad line raises a ValueError that says `expected <rule>, got <value>`, and the caller adds the
file. How long a move takes is the planner's affair.

Where firmwares differ it follows Marlin 2.0, with one exception: G91 makes E relative too, but G90
goes back to what M82 or M83 said last, because slicers count on it. The flow factor (M221) and
firmware retraction (G10, G11) change no path and are left out.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping

import numpy as np

from jaxcorr.printer.arcs import centre_from_radius, cut_arc
from jaxcorr.printer.lexer import parse_words, quote, split_line
from jaxcorr.printer.motion_limits import Limits, apply_command
from jaxcorr.printer.slicers import UNKNOWN, feature_code, read_comment, read_inline_comment

# The dwell of a full stop that takes no time of its own: G28, M400, a wait for a temperature.
FULL_STOP_S = 1e-9

MAX_COORDINATE_MM = 10_000.0
MAX_EXTRUDER_MM = 1e7
MAX_FEEDRATE_MM_MIN = 1e7
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
    119, 125, 126, 127, 132, 135, 136, 140, 141, 142, 143, 144, 145, 149, 150, 155, 200, 207,
    208, 209, 211, 217, 221, 240, 250, 256, 280, 300, 301, 302, 303, 304, 355, 401, 402, 403,
    404, 405, 406, 407, 412, 413, 415, 420, 421, 425, 470, 471, 486, 500, 501, 502, 503, 504,
    530, 531, 532, 550, 555, 569, 572, 575, 592, 593, 603, 620, 621, 622, 623, 701, 702, 710,
    851, 862, 900, 906, 907, 911, 913, 914, 928, 960, 961, 970, 971, 973, 974, 975, 976, 981,
    982, 983, 984, 991, 997, 1002, 1004, 1006, 1007,
]  # fmt: skip
_IGNORED = frozenset(
    [
        *(f"G{number}" for number in [10, 11, 22, 23, 40, 49, 54, 80, 94]),
        *(f"M{number}" for number in _IGNORED_M),
        "EXCLUDE_OBJECT_DEFINE",
        "EXCLUDE_OBJECT_START",
        "EXCLUDE_OBJECT_END",
        "SET_PRESSURE_ADVANCE",
    ]
)
_TOOL = re.compile(r"T[0-9]")


# The form of nearly every line. Four digits before the point keep coordinates within bounds, nine
# after it on the grid of 1e-9 mm, and F cannot be 0; whatever looks different takes the slow way.
_C = r"(-?(?:[0-9]{1,4}(?:\.[0-9]{0,9})?|\.[0-9]{1,9}))"
_F = r"([1-9][0-9]{0,6}(?:\.[0-9]{0,9})?)"
_PLAIN_MOVE = re.compile(
    rf"G[01](?: F{_F})?(?: X{_C})?(?: Y{_C})?(?: Z{_C})?(?: E{_C})?(?(1)|(?: F{_F})?) ?"
).fullmatch


class Machine:
    """The firmware's state while it reads, and the moves so far."""

    def __init__(self, limits: Limits) -> None:
        self.line = 0
        self.x = self.y = self.z = 0.0  # physical, mm
        self.e = 0.0  # as the file counts it, mm
        self.offset = [0.0, 0.0, 0.0]  # physical minus the file's coordinates (G92)
        self.unit_mm = 1.0
        self.is_relative = self.is_e_relative = self.is_m83 = False
        self.is_plain = True  # absolute millimetres without offset: the fast path holds
        self.feedrate = self.feedrate_mm_s = DEFAULT_FEEDRATE_MM_S  # before and after M220
        self.factor = self.saved_factor = 1.0
        self.limits = {limits: 0}
        self.current_limits = limits
        self.blocks: list[np.ndarray] = []
        self.moves: list[float] = []
        self.num_block_moves = 0
        # What happens between moves, by the index of the next move.
        self.homes: dict[int, tuple[float, float, float]] = {0: (0.0, 0.0, 0.0)}
        self.dwells: dict[int, float] = {}
        self.limits_from: dict[int, int] = {0: 0}
        self.label_from: dict[int, int] = {0: UNKNOWN}
        self.layer_marks: list[tuple[int, str, str]] = []
        self.slicer = ""
        self.has_labels = False
        self.unknown: Counter[str] = Counter()

    @property
    def num_moves(self) -> int:
        return self.num_block_moves + len(self.moves) // COLUMNS

    def run(self, lines: list[str]) -> None:
        """Executes lines; raises ValueError with self.line at the line refused."""
        match_plain, moves, last = _PLAIN_MOVE, self.moves, self.line + len(lines)
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
        if comment and command:
            self._read_inline_comment(comment)
        elif comment:
            self._read_comment(";" + comment)
        handler = _HANDLERS.get(command)
        if handler:
            handler(self, arguments)
        elif command in _STOPS:
            self._dwell(0.0)
        elif command and command.partition(".")[0] not in _IGNORED and not _TOOL.match(command):
            self.unknown[command] += 1

    def _read_comment(self, comment: str) -> None:
        """A comment on a line of its own, from `;` on."""
        kind, value = read_comment(comment) or ("", "")
        if kind == "slicer":
            self.slicer = self.slicer or value
        elif kind == "feature":
            self.has_labels = True
            self._label(value)
        elif kind:
            self.layer_marks.append((self.num_moves, kind, value))

    def _read_inline_comment(self, comment: str) -> None:
        """A comment behind a command. Labels on lines of their own are worth more."""
        kind, value = read_inline_comment(comment) or ("", "")
        if kind == "layer":
            self.layer_marks.append((self.num_moves, kind, value))
        elif kind == "feature" and not self.has_labels:
            self._label(value)

    def _label(self, value: str) -> None:
        code = feature_code(value)
        self.label_from[self.num_moves] = UNKNOWN if code is None else code

    def _move(self, arguments: str) -> None:
        """G0 and G1. S, H and P mean nothing to a printer that moves in straight lines."""
        words = parse_words(arguments, "XYZEFSHP")
        self._read_feedrate(words)
        self._append(*self._target(words), self._extrude(words))

    def _arc(self, arguments: str, is_clockwise: bool) -> None:
        """G2 and G3: X Y Z, the centre as I J or the radius as R, P turns in all, E, F."""
        words = parse_words(arguments, "XYZIJREFP")
        self._read_feedrate(words)
        start, z = (self.x, self.y), self.z
        end_x, end_y, end_z = self._target(words)
        centre = self._centre(words, (end_x, end_y), is_clockwise)
        turns = words.get("P", 1.0)
        if not 0 <= turns <= MAX_ARC_TURNS or turns % 1:
            raise ValueError(f"expected P as a whole number up to {MAX_ARC_TURNS}, got {turns:g}")
        rise, extrude = end_z - z, self._extrude(words)
        extra = max(int(turns) - 1, 0)
        points = cut_arc(start, (end_x, end_y), centre, is_clockwise, extra, rise)
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
        for axis, letter in enumerate("XYZ"):
            if letter in words:
                base = target[axis] if self.is_relative else self.offset[axis]
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
        if "F" in words:
            value = words["F"]
            if not value > 0:
                raise ValueError(f"expected F > 0 mm/min, got {value:g}")
            if value > MAX_FEEDRATE_MM_MIN:
                raise ValueError(f"expected F <= {MAX_FEEDRATE_MM_MIN:g} mm/min, got {value:g}")
            self._set_feedrate(value * self.unit_mm / 60.0)

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
        self.is_plain = not self.is_relative and self.unit_mm == 1.0 and not any(self.offset)

    def _home(self, arguments: str) -> None:
        """G28: the named axes, or all, stand at 0 with no offset, after a full stop."""
        words = parse_words(arguments, "", need_numbers=False)
        named = [letter in words for letter in "XYZ"]
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
                self.offset[axis] = round(here - value, 9)
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
        words = parse_words(arguments, "SBR", need_numbers=False)
        if "B" in words:
            self.saved_factor = self.factor
        if "S" in words:
            if not 1 <= words["S"] <= 1000:
                raise ValueError(f"expected S from 1 to 1000 %, got {words['S']:g}")
            self.factor = words["S"] / 100.0
        if "R" in words:
            self.factor = self.saved_factor
        self._set_feedrate(self.feedrate)

    def _set_limits(self, command: str, arguments: str) -> None:
        words = parse_words(arguments, "")
        self.current_limits = apply_command(self.current_limits, command, words, self.unit_mm)
        index = self.limits.setdefault(self.current_limits, len(self.limits))
        self.limits_from[self.num_moves] = index

    def _refuse_plane(self, _: str) -> None:
        raise ValueError("expected arcs in the XY plane (G17), got another plane")


def _check_bounds(letter: str, value_mm: float, limit_mm: float = MAX_COORDINATE_MM) -> None:
    if not abs(value_mm) <= limit_mm:
        raise ValueError(f"expected {letter} within +-{limit_mm:g} mm, got {value_mm:g} mm")


_HANDLERS: dict[str, Callable[[Machine, str], None]] = {
    "G0": Machine._move,
    "G1": Machine._move,
    "G2": lambda machine, arguments: machine._arc(arguments, True),
    "G3": lambda machine, arguments: machine._arc(arguments, False),
    "G4": Machine._pause,
    "G17": lambda machine, arguments: machine._set_mode("G17", arguments),
    "G18": Machine._refuse_plane,
    "G19": Machine._refuse_plane,
    "G20": lambda machine, arguments: machine._set_mode("G20", arguments),
    "G21": lambda machine, arguments: machine._set_mode("G21", arguments),
    "G28": Machine._home,
    "G90": lambda machine, arguments: machine._set_mode("G90", arguments),
    "G91": lambda machine, arguments: machine._set_mode("G91", arguments),
    "G92": Machine._set_position,
    "G92.1": Machine._reset_position,
    "M82": lambda machine, arguments: machine._set_mode("M82", arguments),
    "M83": lambda machine, arguments: machine._set_mode("M83", arguments),
    "M201": lambda machine, arguments: machine._set_limits("M201", arguments),
    "M203": lambda machine, arguments: machine._set_limits("M203", arguments),
    "M204": lambda machine, arguments: machine._set_limits("M204", arguments),
    "M205": lambda machine, arguments: machine._set_limits("M205", arguments),
    "M220": Machine._set_factor,
}
