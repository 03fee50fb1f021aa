"""motion_limits.py: what settings of each firmware change, and which firmware a file is for."""

import math
from dataclasses import replace

import pytest

from jaxcorr.errors import InputError
from jaxcorr.printer import gcode
from jaxcorr.printer.motion_limits import (
    ENDER3_V2,
    FIRMWARES,
    Retraction,
    defaults_of,
    is_own,
    read_setting,
)
from jaxcorr.printer_spec import MotionLimits, Printer


def after(command, arguments, limits=ENDER3_V2, firmware="marlin2.0", unit_mm=1.0):
    """The limits after a command."""
    setting = read_setting(limits, firmware, command, arguments, unit_mm)
    return replace(limits, **setting.changes)


def is_odd(command, arguments, firmware="marlin2.0"):
    return read_setting(defaults_of(firmware), firmware, command, arguments, 1.0).is_odd


def test_axes_are_set_one_by_one():
    limits = after("M201", " X1000 Z50")
    assert limits.max_accel_mm_s2 == (1000, 500, 50, 5000)
    limits = after("M203", " Y200 E60", limits)
    assert limits.max_feedrate_mm_s == (500, 200, 5, 60)
    assert limits.max_accel_mm_s2 == (1000, 500, 50, 5000)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("S800", (800, 800, 500)),
        ("P800", (800, 500, 500)),
        ("T800 R900", (500, 800, 900)),
        ("S800 T1500", (800, 1500, 500)),
        ("", (500, 500, 500)),
        ("P0 T700", (500, 700, 500)),
    ],
)
def test_m204_letters(arguments, expected):
    limits = after("M204", arguments)
    found = (limits.print_accel_mm_s2, limits.travel_accel_mm_s2, limits.retract_accel_mm_s2)
    assert found == expected


def test_the_cornering_scheme_set_last_is_in_force():
    limits = after("M205", "J0.013")
    assert (limits.junction_deviation_mm, limits.classic_jerk_mm_s) == (0.013, None)
    limits = after("M205", "X10 Z0", limits)
    assert limits.junction_deviation_mm is None
    assert limits.classic_jerk_mm_s == (10, 8, 0, 5)
    assert after("M205", "S0 T0", limits) == limits


def test_inches():
    assert after("M203", "X10", unit_mm=25.4).max_feedrate_mm_s[0] == 254


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        *[("M201", "X0"), ("M203", "E-5"), ("M203", " 80"), ("M204", "P1000000000000")],
        *[("M205", "Y-1"), ("M205", "J0"), ("M204", ""), ("M201", "X")],
    ],
)
def test_what_cannot_be_a_limit_changes_nothing_and_counts_as_odd(command, arguments):
    assert after(command, arguments) == ENDER3_V2
    assert is_odd(command, arguments)
    assert not is_odd("M205", "S0 T0")


def test_klippers_limits():
    start = defaults_of("klipper")
    of_klipper = lambda arguments: after("SET_VELOCITY_LIMIT", arguments, start, "klipper")  # noqa: E731
    fast = of_klipper(" ACCEL=9000 VELOCITY=200 SQUARE_CORNER_VELOCITY=12 X=3")
    assert (fast.print_accel_mm_s2, fast.travel_accel_mm_s2) == (9000, 9000)
    assert (fast.max_velocity_mm_s, fast.square_corner_velocity_mm_s) == (200, 12)
    assert set(fast.max_accel_mm_s2) == set(fast.max_feedrate_mm_s) == {math.inf}
    assert of_klipper("MINIMUM_CRUISE_RATIO=0.4").minimum_cruise_ratio == 0.4
    assert of_klipper("accel=1000 accel_to_decel=250").minimum_cruise_ratio == 0.75
    assert of_klipper("ACCEL=-1 VELOCITY=0 MINIMUM_CRUISE_RATIO=1") == start
    assert is_odd("SET_VELOCITY_LIMIT", "ACCEL=fast", "klipper")


@pytest.mark.parametrize(
    ("arguments", "accel"), [("S700", 700), ("P900 T400", 400), ("P900", 3000), ("T400", 3000)]
)
def test_klippers_m204(arguments, accel):
    limits = after("M204", arguments, defaults_of("klipper"), "klipper")
    assert (limits.print_accel_mm_s2, limits.travel_accel_mm_s2) == (accel, accel)


def test_reprapfirmware_counts_in_minutes_and_lists_extruders():
    start = defaults_of("reprapfirmware")
    of_it = lambda command, arguments: after(command, arguments, start, "reprapfirmware")  # noqa: E731
    assert of_it("M203", "X6000 E1500:1800").max_feedrate_mm_s == (100, 500, 5, 25)
    assert of_it("M566", "X600 Y480").classic_jerk_mm_s == (10, 8, 0.4, 5)
    assert of_it("M205", "X10").classic_jerk_mm_s == (10, 8, 0.4, 5)
    assert of_it("M201", "X3000 E250:500").max_accel_mm_s2 == (3000, 500, 100, 250)


def test_firmwares_have_their_own_settings():
    assert is_own("marlin2.1", "M201")
    assert not is_own("klipper", "M201")
    assert not is_own("marlin2.0", "M566")
    assert not is_own("marlin2.0", "SET_VELOCITY_LIMIT")
    assert defaults_of("marlin2.0") == ENDER3_V2
    with pytest.raises(InputError, match=r"--firmware: expected one of marlin2.0, .*, got 'grbl'"):
        defaults_of("grbl")


@pytest.mark.parametrize(
    ("lines", "firmware", "found_by"),
    [
        (["G1 X1"], "marlin2.0", "default"),
        (["; gcode_flavor = marlin2"], "marlin2.0", "'marlin2' in line 1"),
        (["; gcode_flavor = klipper"], "klipper", "'klipper' in line 1"),
        (["G28", ";FLAVOR:Creality OS"], "klipper", "'Creality OS' in line 2"),
        ([";FLAVOR:RepRap"], "reprapfirmware", "'RepRap' in line 1"),
        (["; gcode_flavor = reprap", "M566 X600"], "marlin2.0", "'reprap' in line 1"),
        (["; gcode_flavor = reprapfirmware"], "reprapfirmware", "'reprapfirmware' in line 1"),
        (["M566 X600 Y600"], "reprapfirmware", "M566 in line 1"),
        ([";FLAVOR:Marlin", "SET_FAN_SPEED F=1"], "klipper", "SET_FAN_SPEED in line 2"),
        (["PRINT_START BED=60", "M572 S0.1"], "klipper", "PRINT_START in line 1"),
    ],
)  # fmt: skip
def test_the_firmware_is_found(lines, firmware, found_by):
    text = "\n".join([*lines, "G1 X1 F600"])
    program = gcode.parse(text, "part.gcode")
    assert (program.firmware, program.firmware_found_by) == (firmware, found_by)
    for told in FIRMWARES:
        program = gcode.parse(text, "part.gcode", firmware=told)
        assert (program.firmware, program.firmware_found_by) == (told, "option")


def test_limits_start_with_those_given_and_say_which_line_set_them():
    text = "G1 X1\nM204 P800\nM204 P900 T700\nG1 X2"
    printer = Printer(limits=MotionLimits(print_accel_mm_s2=300.0))
    program = gcode.parse(text, "p", printer=printer)
    assert [program.limits[i].print_accel_mm_s2 for i in program.limits_index] == [300, 900]
    assert program.limits_set_in_line == {"print_accel_mm_s2": 2, "travel_accel_mm_s2": 3}


def test_retraction_settings():
    start = Retraction()
    assert start.after("M207", "S1.5 F2400 Z0.2", 1.0) == Retraction(1.5, 40.0, 0.2)
    assert start.after("M208", "S0.1 F600", 1.0) == Retraction(3.0, 45.0, 0.0, 0.1, 10.0)
    assert start.after("M207", "S-1 F0", 1.0) == start
    klippers = "RETRACT_LENGTH=.8 RETRACT_SPEED=30 UNRETRACT_EXTRA_LENGTH=.1 UNRETRACT_SPEED=20"
    assert start.after("SET_RETRACTION", klippers, 1.0) == Retraction(0.8, 30.0, 0.0, 0.1, 20.0)
