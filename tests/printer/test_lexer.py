"""words.py: the spelling of G-code."""

import pytest

from jaxcorr.printer.lexer import (
    parse_keywords,
    parse_settings,
    parse_words,
    quote,
    split_line,
    without_bad_feedrate,
)


@pytest.mark.parametrize(
    ("line", "command", "arguments"),
    [
        ("G1 X10", "G1", " X10"),
        ("g01x10y20", "G1", "x10y20"),
        ("  G00 X1 ", "G0", " X1"),
        ("G92.1", "G92.1", ""),
        ('M862.3 P "MINI"', "M862.3", ' P "MINI"'),
        # The checksums of the RepRap wiki's example.
        ("N3 T0*57", "T0", ""),
        ("N4 G92 E0*67", "G92", " E0"),
        ("N7 G1 X2.0 Y2.0 F3000.0*85", "G1", " X2.0 Y2.0 F3000.0"),
        ("(note) G1 (to) X10", "G1", "   X10"),
        ("G1 X1*71", "G1", " X1"),
        ("M117 50% (of *2)", "M117", " 50% (of *2)"),
        ("exclude_object_start NAME=a*b", "EXCLUDE_OBJECT_START", " NAME=a*b"),
        ("N7", "", ""),
        ("  ", "", ""),
    ],
)
def test_split_line_gives_one_spelling(line, command, arguments):
    assert split_line(line) == (command, arguments, "")


def test_split_line_keeps_the_comment():
    assert split_line("G1 X1 ;TYPE: a;b") == ("G1", " X1", "TYPE: a;b")


def test_checksum_is_the_xor_of_all_that_precedes_it():
    body = "N5 G1 X1.5"
    total = 0
    for character in body:
        total ^= ord(character)
    assert split_line(f"{body}*{total}")[0] == "G1"
    with pytest.raises(ValueError, match=rf"expected checksum {total}, got {total ^ 1}"):
        split_line(f"{body}*{total ^ 1}")
    with pytest.raises(ValueError, match=r"expected a checksum of 1 to 3 digits after \*, got 'x'"):
        split_line(f"{body}*x")


@pytest.mark.parametrize("line", ["X10 Y20", "%", "F3000", "* 12", "G", "G1.5.5 X1", "-1", "É1"])
def test_a_line_without_a_command_is_all_arguments(line):
    assert split_line(line) == ("", line.partition("*")[0].strip(), "")


def test_settings_are_read_as_far_as_they_can_be():
    assert parse_settings("X5 Y junk Z1.2.3 X7 E3:4 #2 80") == {"X": 7, "E": 3}
    assert parse_keywords("ACCEL=500 velocity = 2.5 X=a NAME=b_1=3") == {
        "ACCEL": 500,
        "VELOCITY": 2.5,
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [("X1 F-nan Y2", "X1   Y2"), ("FinfX10", " X10"), ("X1 F1200", "X1 F1200"), ("Xinf", "Xinf")],
)
def test_a_feedrate_that_is_no_number_is_left_out(text, expected):
    assert without_bad_feedrate(text) == expected


def test_words_in_any_dress():
    expected = {"X": 10.0, "Y": -0.5, "F": 3000.0}
    for text in (" X10 Y-.5 F3000", "X10Y-.5F3000", "x10.y-0.5 f 3000", "X+10\tY-.50 F3000.0 "):
        assert parse_words(text, "XYF") == expected


def test_e_is_the_extruder_and_never_an_exponent():
    assert parse_words("X1E5", "XE") == {"X": 1.0, "E": 5.0}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("X", "expected a number after X, got ''"),
        ("X--5", "expected a number after X, got '--5'"),
        ("Xnan", "expected a number after X, got 'nan'"),
        ("X1.2.3", "expected a number after X, got '1.2.3'"),
        ("X1 X2", "expected X once, got it twice"),
        ("X1 E1e-05 E2", "expected E once, got it twice"),
        ("X1 Q2", "expected only words of X Y E, got Q"),
        ("X1 ?", r"expected a word such as X10, got '\?'"),
        ("X" + "9" * 5000, "expected a number after X, got '9{57}...'"),
        ("X١", "expected a number after X"),
    ],
)
def test_malformed_words_are_refused(text, message):
    with pytest.raises(ValueError, match=message):
        parse_words(text, "XYE")


def test_flags_read_as_zero_where_numbers_are_not_needed():
    assert parse_words("X Y0", "", need_numbers=False) == {"X": 0.0, "Y": 0.0}


def test_quote_is_one_short_printable_line():
    assert quote("a\tb \x07") == "'a b ?'"
    assert len(quote("x" * 10**6)) == 62
