"""Tables in terminals of any width."""

import io

from rich.console import Console

from jaxcorr.cli import console

NAMES = ("", "value", "interval", "phase")
ROWS = [["frequency", "24.06 Hz", "24.05 to 24.07", ""], ["a stepper", "4 um", "", "0.1 rad"]]


def lines(width):
    """What is printed at a width."""
    file = io.StringIO()
    Console(file=file, width=width).print(console.table("axis x", NAMES, ROWS))
    return [line.rstrip() for line in file.getvalue().splitlines()]


def test_a_table_goes_on_below_with_the_rows_that_have_anything_there():
    assert len(lines(80)) == 4
    narrow = lines(40)
    assert narrow[-2:] == ["             phase", "a stepper  0.1 rad"]
    assert max(map(len, narrow)) <= 40
