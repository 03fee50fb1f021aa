"""Short programs planned, for what is judged along a path."""

from jaxcorr.printer import gcode
from jaxcorr.printer.planner import plan_layer
from jaxcorr.printer_spec import SOURCES, Simulation

FRICTIONLESS = Simulation(sources_off=SOURCES[2:])
SHORT = ("G1 X15 Y0 E1 F6000", "G1 X15 Y12 E1", "G1 X3 Y12 E1", "G1 X0 Y0 E1")


def plan_of(tmp_path, *lines):
    path = tmp_path / "path.gcode"
    head = ["M83", "M204 P1000 T1000", "G92 E0", "G1 X0 Y0 Z0.2 F6000", ";LAYER_CHANGE"]
    path.write_text("\n".join([*head, *lines]) + "\n", encoding="utf-8")
    program = gcode.read(path)
    return plan_layer(program, program.num_layers - 1)
