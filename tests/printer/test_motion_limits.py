"""limits.py: what M201, M203, M204 and M205 set."""

import pytest

from jaxcorr.printer.motion_limits import ENDER3_V2, apply_command


def test_axes_are_set_one_by_one():
    limits = apply_command(ENDER3_V2, "M201", {"X": 1000, "Z": 50, "T": 0}, 1.0)
    assert limits.max_accel_mm_s2 == (1000, 500, 50, 5000)
    limits = apply_command(limits, "M203", {"Y": 200, "E": 60}, 1.0)
    assert limits.max_feedrate_mm_s == (500, 200, 5, 60)
    assert limits.max_accel_mm_s2 == (1000, 500, 50, 5000)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ({"S": 800}, (800, 800, 500)),
        ({"P": 800}, (800, 500, 500)),
        ({"T": 800, "R": 900}, (500, 800, 900)),
        ({"S": 800, "T": 1500}, (800, 1500, 500)),
        ({}, (500, 500, 500)),
    ],
)
def test_m204_letters(words, expected):
    limits = apply_command(ENDER3_V2, "M204", words, 1.0)
    found = (limits.print_accel_mm_s2, limits.travel_accel_mm_s2, limits.retract_accel_mm_s2)
    assert found == expected


def test_the_cornering_scheme_set_last_is_in_force():
    limits = apply_command(ENDER3_V2, "M205", {"J": 0.013}, 1.0)
    assert (limits.junction_deviation_mm, limits.classic_jerk_mm_s) == (0.013, None)
    limits = apply_command(limits, "M205", {"X": 10, "Z": 0}, 1.0)
    assert limits.junction_deviation_mm is None
    assert limits.classic_jerk_mm_s == (10, 8, 0, 5)
    assert apply_command(limits, "M205", {"S": 0, "T": 0}, 1.0) == limits


def test_inches():
    limits = apply_command(ENDER3_V2, "M203", {"X": 10}, 25.4)
    assert limits.max_feedrate_mm_s[0] == 254


@pytest.mark.parametrize(
    ("command", "words", "message"),
    [
        ("M201", {"X": 0}, r"expected X > 0 and <= 1e\+09, got 0"),
        ("M203", {"E": -5}, "expected E > 0 and .*, got -5"),
        ("M204", {"P": 1e12}, r"expected P > 0 and .*, got 1e\+12"),
        ("M205", {"Y": -1}, "expected Y >= 0 and .*, got -1"),
        ("M205", {"J": 0}, "expected J > 0 and .*, got 0"),
    ],
)
def test_bad_limits_are_refused(command, words, message):
    with pytest.raises(ValueError, match=message):
        apply_command(ENDER3_V2, command, words, 1.0)
