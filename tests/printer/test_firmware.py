"""firmware.py: small programs of each kind that was once read wrongly, with their right values."""

import pytest

from jaxcorr.printer.gcode import parse
from jaxcorr.printer.planner import plan_program

CASES = {
    "M203 80\nG1 X100 F6000": 1.2,
    "M205 X8 Y8\nG1 X50 F6000\nG1 X0": 1.36928,
    "G1 X100 F6000\nG4 S5": 6.2,
    "G1 X100 F6000\nG4 P500\nM400\nG4 S1": 2.7,
    "G1 F6000\nG1 F-nan(ind)\nG1 X100": 1.2,
    "G1 F6000\nG1 F0\nG1 X100": 1.2,
    "SET_VELOCITY_LIMIT ACCEL=100\nG1 X100 F6000": 2.12132,  # Klipper's minimum cruise ratio
    "SET_VELOCITY_LIMIT ACCEL=100 MINIMUM_CRUISE_RATIO=0\nG1 X100 F6000": 2.0,
    "M201 X100\nSET_VELOCITY_LIMIT ACCEL=1000\nG1 X100 F6000": 1.1,
    "; gcode_flavor = klipper\nM204 S1000\nG1 X100 F6000": 1.1,
    "; gcode_flavor = klipper\nM204 P1000 T250\nG1 X100 F6000": 1.4,
    "SET_VELOCITY_LIMIT ACCEL=500 VELOCITY=50\nG1 X100 F6000": 2.1,
    "SET_VELOCITY_LIMIT ACCEL=500 SQUARE_CORNER_VELOCITY=5\nG1 X50 F6000\nG1 Y50": 1.3805,
    "M203 X3000 Y3000\nG1 X100 F6000\n; gcode_flavor = reprapfirmware": 2.1,
    "M566 X480 Y480\nM203 X3000\nG1 X100 F6000": 2.1,
    "M201 X1000 Y1000 E900:900\nG1 X100 F6000\n;FLAVOR:RepRap": 1.1,
    "(***** start *****)\nM0 *** nut ***\nM291 P\"a*b\"\nG1 X100 F6000": 1.2,
    "@BEDLEVELVISUALIZER\nG1 X100 F6000": 1.2,
    "//M85 S180 ; off\nG1 X100 F6000": 1.2,
    "P0 S1 L1 D0\nT0 S1 L0 D0\nG1 X100 F6000\nP0 S1": 1.2,
}  # fmt: skip


@pytest.mark.parametrize("text", CASES)
def test_planned_time(text):
    plan = plan_program(parse(text, "case.gcode"))
    assert plan.total_s == pytest.approx(CASES[text], abs=5e-6)


def test_a_firmware_that_is_told_wins():
    text = "SET_VELOCITY_LIMIT ACCEL=100\nG1 X100 F6000"
    assert plan_program(parse(text, "p", firmware="marlin2.0")).total_s == pytest.approx(1.2)
    text = "G1 X50 F6000\nG1 X0"
    assert plan_program(parse(text, "p", firmware="marlin2.1")).total_s == pytest.approx(1.38432)
