"""Shapers set by layer: tuned to the printer with what lies on its bed; nothing else changes."""

import re

import pytest
from plant_map import square_file

from jaxcorr.compensation.baselines import natural
from jaxcorr.errors import InputError
from jaxcorr.printer import gcode
from jaxcorr.printer_spec import Simulation
from jaxcorr.rewrite import rewriting, shaper_lines

# Filament so heavy that each layer is felt.
PRINTER = Simulation(bed_axis="y", filament_density_g_cm3=5000.0)


def set_shapers(path, out, kind="zv", **options):
    rewriting.set_shapers(path, PRINTER, rewriting.Options(**options), out, kind, "toy")
    return out.read_bytes().splitlines()


def test_marlins_command_follows_the_printed_mass(tmp_path):
    path = square_file(tmp_path / "square.gcode")
    lines = path.read_bytes().splitlines()
    made = set_shapers(path, tmp_path / "out.gcode")
    added = [line.decode() for line in made if line.startswith(b"M593")]
    assert [line for line in made if not line.startswith((b"M593", b"; corrected"))] == lines
    program = gcode.read(path)
    for layer, line in enumerate(line for line in added if "Y" in line):
        loaded = PRINTER.loaded(program.filament_before_mm(layer))
        frequency_hz, ratio = natural(loaded, 1)
        found = re.fullmatch(r"M593 Y F([0-9.]+) D([0-9.]+)", line)
        assert [float(number) for number in found.groups()] == [
            round(frequency_hz, 1),
            round(ratio, 3),
        ]
    assert len(added) == 4
    assert len({line for line in added if " Y " in line}) == 2
    first = made.index(added[0].encode())
    assert made[first - 1] == b";Z:0.2"  # before the layer's first move


def test_klippers_command(tmp_path):
    path = square_file(tmp_path / "square.gcode", head=("M83", "SET_VELOCITY_LIMIT ACCEL=3000"))
    made = set_shapers(path, tmp_path / "out.gcode", "mzv")
    added = [line.decode() for line in made if line.startswith(b"SET_INPUT_SHAPER")]
    pattern = r"SET_INPUT_SHAPER SHAPER_FREQ_X=24.1 SHAPER_FREQ_Y=[0-9.]+ SHAPER_TYPE=mzv"
    assert len(added) == 2
    assert all(re.match(pattern, line) for line in added)


def test_refuses_what_a_firmware_has_not(tmp_path):
    path = square_file(tmp_path / "square.gcode")
    with pytest.raises(InputError, match=r"expected zv for marlin2.0, got 'mzv'"):
        set_shapers(path, tmp_path / "out.gcode", "mzv")
    with pytest.raises(InputError, match="one for reprapfirmware, which shapes both axes alike"):
        set_shapers(path, tmp_path / "out.gcode", firmware="reprapfirmware")
    assert not (tmp_path / "out.gcode").exists()
    assert shaper_lines.STEP_HZ == 0.1
