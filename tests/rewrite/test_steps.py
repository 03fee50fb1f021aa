"""What firmware makes of ends between steps, and of moves of too few steps."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from jaxcorr.printer import gcode
from jaxcorr.printer_spec import Simulation
from jaxcorr.rewrite import dialect, steps

PRINTER = Simulation(steps_per_mm=(80.0, 100.0))
HEAD = ";LAYER_CHANGE\n;TYPE:Outer wall\nG1 X10 Y10 F3000\n"


def read(lines, firmware="marlin2.0"):
    program = gcode.parse("M83\n" + HEAD + "\n".join(lines) + "\n", "part", firmware)
    return program, dialect.board_of(program, PRINTER)


def test_a_short_move_waits_with_its_filament_for_the_next():
    # 4 steps, then 4 more, which are 8 together; then 5 on y alone.
    lines = ["G1 X10.05 E.002", "G1 X10.1 E.002", "G1 Y10.05 E.002", "G1 X20.003 E.4"]
    program, board = read(lines)
    made, carrier = steps.stepped(program, board)
    assert carrier.tolist() == [0, 1, 1, 2, 2]
    np.testing.assert_allclose(made.end_mm[:, :2], [[10, 10], [10.1, 10], [20, 10.05]])
    np.testing.assert_allclose(made.start_mm[1:], made.end_mm[:-1])
    np.testing.assert_allclose(made.extrude_mm, [0, 0.004, 0.402])


def test_a_crumb_that_a_travel_carries_is_no_printing_travel():
    program, board = read(["G1 X30 E1", "G1 X30.01 E.001", "G1 X10 Y30 F9000", "G1 X30 E1"])
    made = steps.planned(program, board)
    assert made.is_printing.tolist() == [False, True, False, True]
    np.testing.assert_allclose(made.printed_mm, [0, 1, 0.001, 1])


def test_retractions_hops_and_the_last_move_are_no_short_moves():
    lines = ["G1 X20 E1", "G1 E-.8", "G1 Z.4", "G1 X20.01 Y10.01", "G1 E.8", "G1 X20.02 E.001"]
    program, board = read(lines)
    _, carrier = steps.stepped(program, board)
    assert carrier.tolist() == [0, 1, 2, 3, 4, 4, 5]


def test_klipper_rounds_nothing_and_reprapfirmware_keeps_short_moves():
    lines = ["G1 X10.05 E.002", "G1 X10.0526 E.002", "G1 X20.003 E.4"]
    program, board = read(lines, "klipper")
    assert steps.stepped(program, board).program is program
    program, board = read(lines, "reprapfirmware")
    made, carrier = steps.stepped(program, board)
    assert carrier.tolist() == [0, 1, 2, 2]  # the second one is no step long
    np.testing.assert_allclose(made.end_mm[-1, 0], 20.0)


@settings(max_examples=15)
@given(ways=st.lists(st.tuples(st.integers(-90, 90), st.integers(-90, 90)), min_size=1))
@example(ways=[(0, 0)] * 9)
def test_nothing_is_lost(ways):
    ends = 50.0 + np.cumsum(np.array(ways) / 1000.0, axis=0)
    program, board = read([f"G1 X{x:.3f} Y{y:.3f} E.01" for x, y in [(50, 50), *ends]])
    made, carrier = steps.stepped(program, board)
    assert made.extrude_mm.sum() == pytest.approx(program.extrude_mm.sum())
    np.testing.assert_allclose(made.end_mm[-1], program.end_mm[-1], atol=0.5 / 80.0 + 1e-9)
    way = np.abs(made.end_mm - made.start_mm)[:-1, :2] * (80.0, 100.0)
    pushed = made.extrude_mm[:-1] * steps.E_STEPS_PER_MM  # the extruder's steps count as well
    assert np.all(np.maximum(way.max(axis=1), pushed) > board.fewest_steps - 1e-6)
    last = np.flatnonzero(np.append(np.diff(carrier) > 0, True))
    off = np.abs(made.end_mm - program.end_mm[last])[:, :2] * (80.0, 100.0)
    assert off.max() < 0.5 + 1e-6
