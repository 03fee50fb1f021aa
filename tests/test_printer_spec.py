"""Printer files: those that come along, a user's own, what a run keeps of one, what is refused."""

import numpy as np
import pytest

from jaxcorr import spec
from jaxcorr.errors import InputError
from jaxcorr.printer import gcode
from jaxcorr.printer.motion_limits import defaults_of
from jaxcorr.printer_spec import PRESETS, MotionLimits, Printer, Simulation, read_printer
from jaxcorr.schema import check

OWN = """
firmware = "klipper"
mass_kg = [0.3, 0.4]
[limits]
print_accel_mm_s2 = 5000.0
junction_deviation_mm = 0.02
"""


@pytest.fixture
def own(tmp_path):
    path = tmp_path / "own.toml"
    path.write_text(OWN)
    return str(path)


def resonances(printer):
    pairs = printer.axis_stiffness_n_m, printer.mass_kg, printer.axis_damping_ns_m
    k, m, c = (np.array(each) for each in pairs)
    return np.sqrt(k / m) / (2 * np.pi), c / (2 * np.sqrt(k * m))


@pytest.mark.parametrize("path", sorted(PRESETS.glob("*.toml")), ids=lambda path: path.stem)
def test_every_preset_can_be_simulated(path):
    named = check(Simulation, {"printer": path.stem}, "x")
    assert named.printer == path.stem
    assert set(read_printer(path.stem)) <= set(Printer.model_fields)


def test_presets_have_the_resonances_that_they_are_known_for():
    frequency, damping = resonances(check(Printer, {"printer": "ender3_v2"}, "x"))
    np.testing.assert_allclose(frequency, [47.0, 40.0], rtol=0.01)
    np.testing.assert_allclose(damping, 0.08, rtol=0.01)
    frequency, damping = resonances(check(Printer, {"printer": "corexy"}, "x"))
    np.testing.assert_allclose(frequency, [63.2, 47.2], rtol=1e-3)
    np.testing.assert_allclose(damping, [0.08, 0.06], rtol=0.01)
    assert check(Printer, {"printer": "reference"}, "x") == Printer(steps_per_mm=(80.0, 80.0))


def test_what_is_given_goes_before_the_printer(own):
    made = check(Simulation, {"printer": own, "mass_kg": [0.5, 0.5], "rate_hz": 200.0}, "x")
    assert (made.mass_kg, made.firmware, made.rate_hz) == ((0.5, 0.5), "klipper", 200.0)
    assert made.stiffness_n_m == Printer().stiffness_n_m


def test_a_run_keeps_its_printer_without_the_file(own, tmp_path):
    table = {"traces": ["none"], "simulate": {"parts": ["boat"], "printer": own}}
    first = spec.from_table({"data": table}, "spec")
    (tmp_path / "own.toml").unlink()
    assert spec.from_table(spec.to_table(first), "run") == first


def test_a_printer_tells_the_firmware_and_its_limits(own):
    text = "M204 P800\nG1 X10 F600\n; flavour of nothing\nM205 X8\nG1 X20\n"
    printer = check(Printer, {"printer": own}, "x")
    program = gcode.parse(text, "p", printer=printer)
    assert (program.firmware, program.firmware_found_by) == ("klipper", f"printer {own}")
    limits = program.limits[0]
    assert (limits.junction_deviation_mm, limits.square_corner_velocity_mm_s) == (0.02, None)
    assert limits.print_accel_mm_s2 == 5000.0
    assert limits.travel_accel_mm_s2 == defaults_of("klipper").travel_accel_mm_s2
    told = gcode.parse(text, "p", "marlin2.1", printer)
    assert (told.firmware, told.firmware_found_by) == ("marlin2.1", "option")
    assert told.limits[0].print_accel_mm_s2 == 5000.0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mass_kg = 3", r"own.toml mass_kg: expected .*, got 3\."),
        ("mass = [1.0, 1.0]", r"own.toml: unknown key 'mass'; did you mean 'mass_kg'\?"),
        ("printer = 'b'", r"own.toml: unknown key 'printer'"),
        ("firmware = 'grbl'", r"own.toml firmware: expected one of 'marlin2.0'"),
        ("[limits]\nmax_accel_mm_s2 = [1.0]", r"own.toml \[limits\] max_accel_mm_s2: expected"),
        (
            "[limits]\njunction_deviation_mm = 0.1\nsquare_corner_velocity_mm_s = 5.0",
            r"own.toml \[limits\]: expected one of classic_jerk_mm_s, .*, got junction_deviation",
        ),
        ("[", r"own.toml: expected TOML, got"),
        ("kinematics = 'delta'", r"own.toml kinematics: expected one of 'cartesian'"),
        ("second_share = [0.2, 0.0]", r"own.toml: expected second_frequency_hz > 0 where x has"),
        ("stiff_share = [0.0, 1.0]", r"expected second_share \+ stiff_share < 1, .*, got 1"),
        ("bed_size_mm = [200.0, 0.0]", r"own.toml bed_size_mm: expected a number > 0, got 0"),
        ("bed_axis = 'z'", r"own.toml bed_axis: expected one of 'x'"),
    ],
)
def test_mistakes_name_the_file_and_the_key(own, text, message):
    with open(own, "w") as file:
        file.write(text)
    with pytest.raises(InputError, match=message):
        check(Simulation, {"printer": own}, "spec")


def test_an_unknown_printer_is_told_the_known_ones():
    message = r"^ender3: expected a printer file, got none. Name one, or corexy or ender3_v2 or ref"
    with pytest.raises(InputError, match=message):
        check(Simulation, {"printer": "ender3"}, "spec")


def test_limits_are_those_given():
    assert MotionLimits(minimum_cruise_ratio=0.0).given == {"minimum_cruise_ratio": 0.0}
    assert MotionLimits(max_velocity_mm_s=300.0).given == {"max_velocity_mm_s": 300.0}


def test_lines_that_leave_the_bed_are_noted():
    printer = check(Printer, {"bed_size_mm": [100.0, 80.0]}, "x")
    program = gcode.parse("G1 X90 Y80 F600\nG1 X101\nG1 X-1 Y70\nG1 X50 E1\n", "p", printer=printer)
    (noted,) = program.passed_over
    assert noted[:3] == ("leaves the bed", "of 100 x 80 mm", 2)
    assert noted.lines == (2, 3)
    assert not gcode.parse("G1 X500 F600\nG1 X0\n", "p").passed_over
