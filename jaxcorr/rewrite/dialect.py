"""Motion limits for corrected moves, and the commands that set them in a firmware's own language.

A correction needs more acceleration and larger steps of velocity than the moves that it corrects,
for some hundredths of a second at a time. A limit is raised only if it can be put back: where the
file sets it, or the printer's own file tells it.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from jaxcorr.printer.gcode import Limits, Program
from jaxcorr.printer_spec import Printer

RAISED_ACCEL = 3.0  # times as much
MOST_ACCEL_MM_S2 = 20_000.0
RAISED_JERK_MM_S = 20.0  # classic, of x and y
RAISED_DEVIATION_MM = 0.1
RAISED_CORNER_MM_S = 15.0
MOST_IN_1_S = 118  # wherever the second begins, by the original's times; the goal is 120


class Board(NamedTuple):
    """What a firmware can do with short moves.

    Attributes:
        shortest_mm: of pieces.
        most_e_per_mm: filament by way, above which it refuses a move.
        steps_per_mm: of x and y, on which moves end; None where ends are not rounded, or not known.
        fewest_steps: a move of fewer waits for the next one.
        most_in_1_s: moves in any second.
    """

    shortest_mm: float
    most_e_per_mm: float
    steps_per_mm: tuple[float, float] | None = None
    fewest_steps: int = 1
    most_in_1_s: int = MOST_IN_1_S


# Marlin's MIN_STEPS_PER_SEGMENT, 80 of which make a millimetre on most printers. Klipper refuses a
# line thicker than four times the nozzle squared (max_extrude_cross_section), unless it takes no
# more filament than such a line of the nozzle's own length.
_MARLIN_STEPS, _SHORTEST_MM, _KLIPPER_SHORTEST_MM = 6, 0.08, 0.04
_MARLIN_E_PER_MM = 1.0
_NOZZLES_MM, _FILAMENT_MM2 = np.array([0.4, 0.5, 0.6, 0.8, 1.0, 1.2, 1.8]), 2.405
KLIPPER_E_PER_MM = 4.0 * _NOZZLES_MM**2 / _FILAMENT_MM2


def board_of(program: Program, printer: Printer, most_in_1_s: int = MOST_IN_1_S) -> Board:
    """What a file's firmware does with short moves.

    Klipper's nozzle is not in a file: it is the smallest usual one that prints the file's lines.
    """
    if program.firmware == "klipper":
        way = np.linalg.norm(program.end_mm - program.start_mm, axis=1)
        is_told = (way > 0.0) & (program.extrude_mm > _NOZZLES_MM[0] * KLIPPER_E_PER_MM[0])
        printed = float((program.extrude_mm[is_told] / way[is_told]).max(initial=0.0))
        nozzle = np.searchsorted(KLIPPER_E_PER_MM, printed)
        most = [*KLIPPER_E_PER_MM, printed][nozzle]
        return Board(_KLIPPER_SHORTEST_MM, float(most), most_in_1_s=most_in_1_s)
    fewest = 1 if program.firmware == "reprapfirmware" else _MARLIN_STEPS
    steps = printer.steps_per_mm
    return Board(_SHORTEST_MM, _MARLIN_E_PER_MM, steps, fewest, most_in_1_s)


class Dialect(NamedTuple):
    """How a file's limits are set.

    Attributes:
        firmware: one of motion_limits.FIRMWARES.
        known: fields of Limits that can be put back.
    """

    firmware: str
    known: frozenset[str]

    def raised(self, limits: Limits) -> Limits:
        """The limits of a corrected move."""
        changes: dict[str, Any] = {}
        for name in ("print_accel_mm_s2", "travel_accel_mm_s2"):
            changes[name] = _raised_accel(getattr(limits, name))
        x, y, z, e = limits.max_accel_mm_s2
        changes["max_accel_mm_s2"] = (_raised_accel(x), _raised_accel(y), z, e)
        if limits.classic_jerk_mm_s is not None:
            x, y, z, e = limits.classic_jerk_mm_s
            raised = max(x, RAISED_JERK_MM_S), max(y, RAISED_JERK_MM_S), z, e
            changes["classic_jerk_mm_s"] = raised
        elif limits.square_corner_velocity_mm_s is not None:
            raised = max(limits.square_corner_velocity_mm_s, RAISED_CORNER_MM_S)
            changes["square_corner_velocity_mm_s"] = raised
        elif limits.junction_deviation_mm is not None:
            raised = max(limits.junction_deviation_mm, RAISED_DEVIATION_MM)
            changes["junction_deviation_mm"] = raised
        changes["minimum_cruise_ratio"] = 0.0
        return replace(limits, **{k: v for k, v in changes.items() if k in self.known})

    def key(self, command: str) -> str:
        """The command of `commands` that sets what a command of a file sets."""
        same = {"klipper": {"M204": "SET_VELOCITY_LIMIT"}, "reprapfirmware": {"M205": "M566"}}
        return same.get(self.firmware, {}).get(command, command)

    def commands(self, limits: Limits) -> list[str]:
        """What sets these limits, as far as they can be put back, a line each."""
        made = {"klipper": _klipper, "reprapfirmware": _reprapfirmware}.get(self.firmware, _marlin)
        return made(limits, self.known)


def dialect_of(program: Program, printer: Printer) -> Dialect:
    """The dialect of a file for a printer."""
    known = set(program.limits_set_in_line) | set(printer.limits.given)
    return Dialect(program.firmware, frozenset(known))


def with_accel(limits: Limits, accel_mm_s2: float) -> Limits:
    """The limits with another acceleration of printing and travel, which x and y may have."""
    x, y, z, e = limits.max_accel_mm_s2
    return replace(
        limits,
        print_accel_mm_s2=accel_mm_s2,
        travel_accel_mm_s2=accel_mm_s2,
        max_accel_mm_s2=(max(x, accel_mm_s2), max(y, accel_mm_s2), z, e),
    )


def number(value: float, decimals: int) -> str:
    """A number as G-code has it: no exponent, no zeros at the end."""
    text = f"{value:.{decimals}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text


def _raised_accel(accel_mm_s2: float) -> float:
    return max(accel_mm_s2, min(RAISED_ACCEL * accel_mm_s2, MOST_ACCEL_MM_S2))


def _marlin(limits: Limits, known: Iterable[str], cornering: bool = True) -> list[str]:
    lines = []
    if "max_accel_mm_s2" in known:
        x, y = limits.max_accel_mm_s2[:2]
        lines.append(f"M201 X{number(x, 1)} Y{number(y, 1)}")
    accels = {"P": limits.print_accel_mm_s2, "T": limits.travel_accel_mm_s2}
    fields = {"P": "print_accel_mm_s2", "T": "travel_accel_mm_s2"}
    words = [f" {k}{number(v, 1)}" for k, v in accels.items() if fields[k] in known]
    if words:
        lines.append("M204" + "".join(words))
    if cornering and limits.classic_jerk_mm_s is not None and "classic_jerk_mm_s" in known:
        x, y = limits.classic_jerk_mm_s[:2]
        lines.append(f"M205 X{number(x, 2)} Y{number(y, 2)}")
    if limits.junction_deviation_mm is not None and "junction_deviation_mm" in known:
        lines.append(f"M205 J{number(limits.junction_deviation_mm, 4)}")
    return lines


def _reprapfirmware(limits: Limits, known: Iterable[str]) -> list[str]:
    lines = _marlin(limits, known, cornering=False)
    if limits.classic_jerk_mm_s is not None and "classic_jerk_mm_s" in known:
        x, y = (60.0 * jerk for jerk in limits.classic_jerk_mm_s[:2])
        lines.append(f"M566 X{number(x, 1)} Y{number(y, 1)}")
    return lines


def _klipper(limits: Limits, known: Iterable[str]) -> list[str]:
    words = []
    if "print_accel_mm_s2" in known:
        words.append(f" ACCEL={number(limits.print_accel_mm_s2, 1)}")
    corner = limits.square_corner_velocity_mm_s
    if "square_corner_velocity_mm_s" in known and corner is not None:
        words.append(f" SQUARE_CORNER_VELOCITY={number(corner, 2)}")
    if "minimum_cruise_ratio" in known:
        words.append(f" MINIMUM_CRUISE_RATIO={number(limits.minimum_cruise_ratio, 3)}")
    return ["SET_VELOCITY_LIMIT" + "".join(words)] if words else []
