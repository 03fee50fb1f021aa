"""The motion limits in force, and what settings of Marlin, Klipper and RepRapFirmware do to them.

Which of the firmwares a file is for is found here too: it decides what its settings mean. So they
are kept until the file has been read, and `settle` goes through them. A value that a firmware
cannot use changes nothing, and is counted as passed over. How fast limits let a corner be taken is
here too; the rest of what they mean for moves is the planner's work.
"""

import math
import re
import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from jaxcorr.errors import InputError
from jaxcorr.printer.lexer import parse_keywords, parse_settings
from jaxcorr.printer.slicers import firmware_of
from jaxcorr.printer_spec import CORNERS, Axes, Firmware, Printer

FIRMWARES: tuple[str, ...] = typing.get_args(Firmware)
DEFAULT_FIRMWARE = "marlin2.0"  # of the stock Ender-3 V2

MINIMUM_JUNCTION_V = 0.05  # mm/s, Marlin's MINIMUM_PLANNER_SPEED
INSTANT_E_V = 1.0  # mm/s, Klipper's instantaneous_corner_velocity
SAFE_SHARE = 0.99  # of a junction's speed, Marlin's threshold for starting and ending apart
TINY = 1e-12  # keeps a quotient finite where the limit does not bind

_LARGEST = 1e9
_UNLIMITED: Axes = (math.inf, math.inf, math.inf, math.inf)


@dataclass(frozen=True)
class Limits:
    """Motion limits in force for a move. Axis order: x, y, z, e.

    Of the three measures of a corner one is in force, the others are None.
    """

    max_feedrate_mm_s: Axes  # M203
    max_accel_mm_s2: Axes  # M201
    print_accel_mm_s2: float  # M204 P
    travel_accel_mm_s2: float  # M204 T
    retract_accel_mm_s2: float  # M204 R
    classic_jerk_mm_s: Axes | None  # M205 X Y Z E; M566
    junction_deviation_mm: float | None  # M205 J
    square_corner_velocity_mm_s: float | None = None  # Klipper's SQUARE_CORNER_VELOCITY
    max_velocity_mm_s: float = math.inf  # Klipper's VELOCITY, along the path
    minimum_cruise_ratio: float = 0.0  # Klipper's
    is_jerk_of_difference: bool = False  # the rule of Marlin 2.1.3; False for that up to 2.1.2


# Source: Marlin's stock configuration of the Creality Ender-3 V2.
ENDER3_V2 = Limits(
    max_feedrate_mm_s=(500.0, 500.0, 5.0, 25.0),
    max_accel_mm_s2=(500.0, 500.0, 100.0, 5000.0),
    print_accel_mm_s2=500.0,
    travel_accel_mm_s2=500.0,
    retract_accel_mm_s2=500.0,
    classic_jerk_mm_s=(8.0, 8.0, 0.4, 5.0),
    junction_deviation_mm=None,
)
STOCK_JERK_MM_S: Axes = (8.0, 8.0, 0.4, 5.0)


def defaults_of(firmware: str) -> Limits:
    """What is in force before a file sets anything.

    Klipper and RepRapFirmware get their limits from a configuration that the file does not have:
    what slicers always write into files is left without a limit there.

    Source: Klipper, Config_Reference: square_corner_velocity 5, minimum_cruise_ratio 0.5,
    example max_accel 3000;
    RepRapFirmware, M201: 500 mm/s2, M204: 10000 mm/s2.
    """
    if firmware == "klipper":
        return replace(
            ENDER3_V2,
            max_feedrate_mm_s=_UNLIMITED,
            max_accel_mm_s2=_UNLIMITED,
            print_accel_mm_s2=3000.0,
            travel_accel_mm_s2=3000.0,
            retract_accel_mm_s2=3000.0,
            classic_jerk_mm_s=None,
            square_corner_velocity_mm_s=5.0,
            minimum_cruise_ratio=0.5,
        )
    if firmware == "reprapfirmware":
        return replace(
            ENDER3_V2,
            print_accel_mm_s2=10000.0,
            travel_accel_mm_s2=10000.0,
            retract_accel_mm_s2=10000.0,
            is_jerk_of_difference=True,
        )
    if firmware not in FIRMWARES:
        raise InputError(
            f"--firmware: expected one of {', '.join(FIRMWARES)}, got '{firmware}'. "
            "Leave it out to go by the file."
        )
    return replace(ENDER3_V2, is_jerk_of_difference=firmware == "marlin2.1")


def limits_of(firmware: str, printer: Printer) -> Limits:
    """A printer's limits, the firmware's where the printer has none."""
    given = printer.limits.given
    corner = {name: given.get(name) for name in CORNERS} if given.keys() & set(CORNERS) else {}
    return replace(defaults_of(firmware), **given | corner)


RETRACTION_COMMANDS = ("M207", "M208", "SET_RETRACTION")


@dataclass(frozen=True)
class Retraction:
    """What G10 and G11 do. Source: Marlin, FWRETRACT, whose defaults these are."""

    length_mm: float = 3.0
    speed_mm_s: float = 45.0
    lift_mm: float = 0.0
    extra_mm: float = 0.0  # that is pushed more than was retracted
    recover_speed_mm_s: float = 8.0

    def after(self, command: str, arguments: str, unit_mm: float) -> "Retraction":
        """What holds after one of RETRACTION_COMMANDS; values that cannot be are left out."""
        if command == "SET_RETRACTION":
            words = parse_keywords(arguments)
            names: dict[str, float | None] = {
                "length_mm": words.get("RETRACT_LENGTH"),
                "speed_mm_s": words.get("RETRACT_SPEED"),
                "extra_mm": words.get("UNRETRACT_EXTRA_LENGTH"),
                "recover_speed_mm_s": words.get("UNRETRACT_SPEED"),
            }
        else:
            words = {k: v * unit_mm for k, v in parse_settings(arguments).items()}
            speed = words["F"] / 60.0 if "F" in words else None
            if command == "M207":
                names = {"length_mm": words.get("S"), "speed_mm_s": speed}
                names["lift_mm"] = words.get("Z")
            else:
                names = {"extra_mm": words.get("S"), "recover_speed_mm_s": speed}
        usable = {
            name: value
            for name, value in names.items()
            if value is not None and 0.0 <= value <= 1000.0 and (value or "speed" not in name)
        }
        return replace(self, **usable)


# Commands that only one firmware has, and that tell which one a file is for.
_ONLY_KLIPPER = re.compile(
    r"SET_[A-Z]|EXCLUDE_OBJECT|BED_MESH_|(?:START|END)_PRINT$|PRINT_(?:START|END)$"
    r"|(?:SAVE|RESTORE)_GCODE_STATE$|QUAD_GANTRY_LEVEL$|Z_TILT_ADJUST$|TIMELAPSE_"
)
_ONLY_REPRAPFIRMWARE = frozenset(["M98", "M566", "M568", "M572"])
UNKNOWN_COMMAND = "unknown command"


@dataclass
class Seen:
    """What in a file tells which firmware it is for."""

    flavor: tuple[int, str] | None = None  # line and text of the slicer's own setting
    only_of: dict[str, tuple[int, str]] = field(default_factory=dict)  # to line and command

    def see(self, line: int, command: str) -> None:
        """Notes a command, if only one firmware has it."""
        if _ONLY_KLIPPER.match(command):
            self.only_of.setdefault("klipper", (line, command))
        elif command in _ONLY_REPRAPFIRMWARE:
            self.only_of.setdefault("reprapfirmware", (line, command))

    def firmware(self) -> tuple[str, str]:
        """Which firmware the file is for, and what tells.

        Klipper's own commands count for more than the flavour Marlin: slicers had no other one for
        Klipper for years.
        """
        line, flavor = self.flavor or (0, "")
        told = f"'{flavor}' in line {line}"
        firmware = firmware_of(flavor)
        if firmware:
            return firmware, told
        for name in ("klipper",) if flavor else ("klipper", "reprapfirmware"):
            if name in self.only_of:
                line, command = self.only_of[name]
                return name, f"{command} in line {line}"
        return DEFAULT_FIRMWARE, told if flavor else "default"


class LimitCommand(NamedTuple):
    """One of LIMIT_COMMANDS as it stands in a file."""

    line: int
    move: int  # index of the next move
    command: str
    arguments: str
    unit_mm: float


class LimitsInForce(NamedTuple):
    """The limits over a file, once it is known which firmware it is for."""

    firmware: str
    found_by: str  # what told the firmware
    limits: tuple[Limits, ...]
    from_move: dict[int, int]  # index of the next move to index into limits
    set_in_line: dict[str, int]  # field of Limits to the first line that sets it
    passed_over: list[tuple[int, str, str]]  # line, reason, text


def settle(
    commands: Sequence[LimitCommand], seen: Seen, told: str | None, printer: Printer
) -> LimitsInForce:
    """Goes through the settings of a whole file.

    Args:
        commands: In the order of the file.
        seen: What tells the firmware.
        told: One of FIRMWARES; None to go by the printer, or the file.
        printer: Whose limits are in force before the file sets others.
    """
    for one in commands:
        seen.see(one.line, one.command)
    firmware, found_by = seen.firmware()
    if told or printer.firmware:
        firmware = told or printer.firmware or ""
        found_by = "option" if told else f"printer {printer.printer}"
    current = limits_of(firmware, printer)
    known, from_move = {current: 0}, {0: 0}
    set_in_line: dict[str, int] = {}
    passed_over: list[tuple[int, str, str]] = []
    index = 0
    effects: dict[
        Any, tuple[Setting, Limits, int]
    ] = {}  # slicers set the same few values over and over
    for line, move, command, arguments, unit_mm in commands:
        if not is_own(firmware, command):
            passed_over.append((line, UNKNOWN_COMMAND, command))
            continue
        key = index, command, arguments, unit_mm
        if key not in effects:
            setting = read_setting(current, firmware, command, arguments, unit_mm)
            changed = replace(current, **setting.changes)
            effects[key] = setting, changed, known.setdefault(changed, len(known))
        setting, current, index = effects[key]
        if setting.is_odd:
            passed_over.append((line, "setting kept as it was", f"{command}{arguments}"))
        for name in setting.changes:
            set_in_line.setdefault(name, line)
        from_move[move] = index
    return LimitsInForce(firmware, found_by, tuple(known), from_move, set_in_line, passed_over)


class Setting(NamedTuple):
    """What a command sets."""

    changes: Mapping[str, Any]  # field of Limits to its new value
    is_odd: bool  # a value that cannot be, or no value at all


# Commands that set limits somewhere; a firmware passes over those that are not its own.
_MARLIN = frozenset(["M201", "M203", "M204", "M205"])
_OWN = {
    "klipper": frozenset(["M204", "SET_VELOCITY_LIMIT"]),
    "reprapfirmware": _MARLIN | {"M566"},
}
LIMIT_COMMANDS = _MARLIN.union(*_OWN.values())


def is_own(firmware: str, command: str) -> bool:
    """Whether a firmware has this one of LIMIT_COMMANDS."""
    return command in _OWN.get(firmware, _MARLIN)


def read_setting(
    limits: Limits, firmware: str, command: str, arguments: str, unit_mm: float
) -> Setting:
    """What one of the firmware's own LIMIT_COMMANDS changes.

    Args:
        limits: In force before.
        firmware: One of FIRMWARES.
        command: For which `is_own` holds.
        arguments: The text after it.
        unit_mm: The file's unit of length: 1, or 25.4 for inches.
    """
    if command == "SET_VELOCITY_LIMIT":
        return _of_klipper(limits, parse_keywords(arguments))
    words = {letter: value * unit_mm for letter, value in parse_settings(arguments).items()}
    if command == "M204":
        return _klippers_m204(words) if firmware == "klipper" else _accelerations(words)
    per_minute = 60.0 if firmware == "reprapfirmware" else 1.0
    if command == "M201":
        return _axes("max_accel_mm_s2", limits.max_accel_mm_s2, words)
    if command == "M203":
        in_seconds = {letter: value / per_minute for letter, value in words.items()}
        return _axes("max_feedrate_mm_s", limits.max_feedrate_mm_s, in_seconds)
    if command == "M566":
        words = {letter: value / per_minute for letter, value in words.items()}
    return _cornering(limits, words)


def _of_klipper(limits: Limits, words: Mapping[str, float]) -> Setting:
    """SET_VELOCITY_LIMIT. ACCEL_TO_DECEL is the older spelling of the cruise ratio."""
    changes: dict[str, Any] = {}
    accel = words.get("ACCEL")
    if _is_positive(accel):
        changes = {"print_accel_mm_s2": accel, "travel_accel_mm_s2": accel}
    if _is_positive(words.get("VELOCITY")):
        changes["max_velocity_mm_s"] = words["VELOCITY"]
    if _is_positive(words.get("SQUARE_CORNER_VELOCITY"), is_zero_allowed=True):
        changes["square_corner_velocity_mm_s"] = words["SQUARE_CORNER_VELOCITY"]
    ratio = words.get("MINIMUM_CRUISE_RATIO")
    if ratio is None and _is_positive(words.get("ACCEL_TO_DECEL")):
        in_force = changes.get("print_accel_mm_s2", limits.print_accel_mm_s2)
        ratio = max(0.0, 1.0 - words["ACCEL_TO_DECEL"] / in_force)
    if ratio is not None and 0.0 <= ratio < 1.0:
        changes["minimum_cruise_ratio"] = ratio
    fields = {
        "ACCEL": "print_accel_mm_s2",
        "VELOCITY": "max_velocity_mm_s",
        "SQUARE_CORNER_VELOCITY": "square_corner_velocity_mm_s",
        "MINIMUM_CRUISE_RATIO": "minimum_cruise_ratio",
        "ACCEL_TO_DECEL": "minimum_cruise_ratio",
    }
    is_odd = any(name in words and field not in changes for name, field in fields.items())
    return Setting(changes, is_odd or not changes)


def _klippers_m204(words: Mapping[str, float]) -> Setting:
    """S, or the smaller one of P and T where both are there; one acceleration for all moves."""
    accel = words.get("S")
    if accel is None and "P" in words and "T" in words:
        accel = min(words["P"], words["T"])
    if not _is_positive(accel):
        return Setting({}, True)
    return Setting({"print_accel_mm_s2": accel, "travel_accel_mm_s2": accel}, False)


def _accelerations(words: Mapping[str, float]) -> Setting:
    """M204: S is the old spelling of P and T together; the newer letters win."""
    changes: dict[str, Any] = {}
    if _is_positive(words.get("S")):
        changes = {"print_accel_mm_s2": words["S"], "travel_accel_mm_s2": words["S"]}
    names = {"P": "print_accel_mm_s2", "T": "travel_accel_mm_s2", "R": "retract_accel_mm_s2"}
    changes |= {name: words[k] for k, name in names.items() if _is_positive(words.get(k))}
    wrong = any(not _is_positive(words[k]) for k in "SPTR" if k in words)
    return Setting(changes, wrong or not changes)


def _cornering(limits: Limits, words: Mapping[str, float]) -> Setting:
    """M205: J selects junction deviation, any of X Y Z E classic jerk; S, T and B mean neither."""
    if _is_positive(words.get("J")):
        return Setting({"junction_deviation_mm": words["J"], "classic_jerk_mm_s": None}, False)
    before = limits.classic_jerk_mm_s or STOCK_JERK_MM_S
    setting = _axes("classic_jerk_mm_s", before, words, is_zero_allowed=True)
    if setting.changes:
        return Setting({**setting.changes, "junction_deviation_mm": None}, setting.is_odd)
    return Setting({}, not any(letter in words for letter in "BST"))


def _axes(
    name: str, before: Axes, words: Mapping[str, float], *, is_zero_allowed: bool = False
) -> Setting:
    """The four axes' values, those named replaced."""
    usable = {
        letter: words[letter]
        for letter in "XYZE"
        if _is_positive(words.get(letter), is_zero_allowed=is_zero_allowed)
    }
    wrong = any(letter in words and letter not in usable for letter in "XYZE")
    if not usable:
        return Setting({}, True)
    values = [usable.get(letter, old) for letter, old in zip("XYZE", before, strict=True)]
    return Setting({name: tuple(values)}, wrong)


def _is_positive(value: float | None, *, is_zero_allowed: bool = False) -> bool:
    """Whether there is a value that can be a limit."""
    if value is None or not value <= _LARGEST:
        return False
    return value > 0 or (value == 0 and is_zero_allowed)


class LimitTable(NamedTuple):
    """Limits as arrays, a row each. Axis order: x, y, z, e."""

    max_feedrate: np.ndarray  # (K, 4)
    max_velocity: np.ndarray  # (K,) along a path
    max_accel: np.ndarray  # (K, 4)
    accel: np.ndarray  # (K, 3) P, T, R
    jerk: np.ndarray  # (K, 4)
    is_difference: np.ndarray  # (K,) the rule of the jerk
    deviation: np.ndarray  # (K,) NaN where it is not in force
    corner: np.ndarray  # (K,) square corner velocity, NaN where it is not in force
    cruise_ratio: np.ndarray  # (K,)


def tabulate(limits: Sequence[Limits]) -> LimitTable:
    """K limits as arrays, for the planner."""

    def column(values: Iterable[float | None]) -> np.ndarray:
        return np.array([np.nan if value is None else value for value in values], float)

    return LimitTable(
        max_feedrate=np.array([row.max_feedrate_mm_s for row in limits], float),
        max_velocity=column(row.max_velocity_mm_s for row in limits),
        max_accel=np.array([row.max_accel_mm_s2 for row in limits], float),
        accel=np.array(
            [(r.print_accel_mm_s2, r.travel_accel_mm_s2, r.retract_accel_mm_s2) for r in limits],
            float,
        ),
        jerk=np.array([row.classic_jerk_mm_s or STOCK_JERK_MM_S for row in limits], float),
        is_difference=np.array([row.is_jerk_of_difference for row in limits], bool),
        deviation=column(row.junction_deviation_mm for row in limits),
        corner=column(row.square_corner_velocity_mm_s for row in limits),
        cruise_ratio=column(row.minimum_cruise_ratio for row in limits),
    )


def along(axis_limit: np.ndarray, u: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """The wanted value along u, (N,), lowered until no axis passes its own limit (N, 4)."""
    return np.minimum(wanted, np.min(axis_limit / np.maximum(np.abs(u), TINY), axis=1))


def junction_v2(
    u: np.ndarray,
    path: np.ndarray,
    cruise_v: np.ndarray,
    accel: np.ndarray,
    limits: LimitTable,
    of_move: np.ndarray,
) -> np.ndarray:
    """Squared speed in mm2/s2 that each of the N - 1 junctions of N moves allows.

      classic jerk        see _stock_jerk_v; by the rule of Marlin 2.1.3 and RepRapFirmware
                          v = min_i jerk_i / |u2_i - u1_i|
      junction deviation  v2 = a_j d s / (1 - s), s = sqrt((1 + u1.u2) / 2), v at least 0.05 mm/s,
                          a_j = min(a of the entered move, M201_i / |n_i|),
                          n = (u2 - u1) / |u2 - u1|
      square corner vc    v2 = vc**2 (sqrt(2) - 1) s / (1 - s), so vc at 90 degrees,
                          at most a L / 2 s / sqrt(1 - s**2) of both moves: a shorter arc,
                          v at most 1 mm/s / |e2 - e1|, what the extruder jumps by default

    The last two take u1, u2, n over x, y, z; beside an E-only move they demand a full stop, as
    Klipper does (Marlin sees a corner of 90 degrees there: programs full of retractions come out
    0.4 to 2.4% shorter).

    Args:
        u: unit vectors over x, y, z, e, (N, 4); of the planner's legend, as L, a and v.
        path: length over x, y, z in mm, (N,); 0 where only E moves.
        cruise_v, accel: of the moves, (N,).
        limits: a row for each of `of_move`, (N,).
    """
    entered = of_move[1:]
    difference_v = np.min(limits.jerk[entered] / np.maximum(np.abs(u[1:] - u[:-1]), TINY), axis=1)
    stock_v = _stock_jerk_v(u, cruise_v, limits.jerk[of_move])
    jerk_v = np.where(limits.is_difference[entered], difference_v, stock_v)
    pushed_v = INSTANT_E_V / np.maximum(np.abs(u[1:, 3] - u[:-1, 3]), TINY)
    u = u[:, :3]
    half = np.sqrt(np.clip((1.0 + np.sum(u[:-1] * u[1:], axis=1)) / 2.0, 0.0, 1.0))
    sharpness = half / np.maximum(1.0 - half, TINY)
    deviation, corner = limits.deviation[entered], limits.corner[of_move]
    corner = np.fmin(corner[1:], corner[:-1])
    turn = u[1:] - u[:-1]
    turn = turn / np.maximum(np.linalg.norm(turn, axis=1), TINY)[:, None]
    deviation_v2 = along(limits.max_accel[entered, :3], turn, accel[1:]) * deviation * sharpness
    reach = np.minimum((accel * path)[1:], (accel * path)[:-1]) / 2.0
    reach *= half / np.maximum(np.sqrt(1.0 - half**2), TINY)
    corner_v2 = np.minimum(corner**2 * (np.sqrt(2.0) - 1.0) * sharpness, reach)
    corner_v2 = np.minimum(corner_v2, pushed_v**2)
    smooth_v2 = np.where(np.isnan(corner), deviation_v2, corner_v2)
    is_way = (path[:-1] > 0.0) & (path[1:] > 0.0)
    smooth_v2 = np.where(is_way, np.maximum(smooth_v2, MINIMUM_JUNCTION_V**2), 0.0)
    return np.where(np.isnan(deviation) & np.isnan(corner), jerk_v**2, smooth_v2)


def _stock_jerk_v(u: np.ndarray, cruise_v: np.ndarray, jerk: np.ndarray) -> np.ndarray:
    """Speed of each junction by classic jerk as Marlin has it up to 2.1.2.

    With both moves at the slower cruise speed (the entered one, as it happens, at its own), an axis
    that goes on jumps by the difference, one that reverses by the larger of the two, and the
    junction is slowed until no axis jumps by more than its jerk. Where that is slower than the
    speeds that both moves may start or end with, the entered move's takes its place.
    """
    slower = np.minimum(cruise_v[:-1], cruise_v[1:])
    leave, enter = u[:-1] * slower[:, None], u[1:] * cruise_v[1:, None]
    larger = np.maximum(np.abs(leave), np.abs(enter))
    jump = np.where(leave * enter > 0.0, np.abs(leave - enter), larger)
    shared_v = slower * np.minimum(np.min(jerk[1:] / np.maximum(jump, TINY), axis=1), 1.0)
    safe_v = along(jerk, u, cruise_v)
    is_safe = np.minimum(safe_v[:-1], safe_v[1:]) > SAFE_SHARE * shared_v
    return np.where(is_safe, safe_v[1:], shared_v)
