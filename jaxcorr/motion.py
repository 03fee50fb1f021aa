"""G-code to planned samples, and what a simulated printer makes of them, for programs.

    program = read_gcode("part.gcode")
    planned = plan(program, layer=6)
    error_mm = simulate(program, layer=6).error_mm

`jaxcorr.Predictor` and `jaxcorr.Compensator` take the samples as they are. What these calls leave
out (limits in place of the file's, traces by source, whole programs) is in `jaxcorr.printer`.
"""

from os import PathLike, fspath
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from numpy.typing import ArrayLike

from jaxcorr.data import parts
from jaxcorr.errors import InputError
from jaxcorr.printer import gcode
from jaxcorr.printer.gcode import Program
from jaxcorr.printer.planner import plan_layer, reference_rows
from jaxcorr.printer_spec import Simulation
from jaxcorr.schema import check

RATE_HZ = 100.0


class Motion(NamedTuple):
    """What a head did in a layer, at 1 kHz from the plan's first instant to its end.

    Axes: n instants, 2 = x, y.
    """

    time_s: Float[ndarray, " n"]
    reference_mm: Float[ndarray, "n 2"]
    actual_mm: Float[ndarray, "n 2"]

    @property
    def error_mm(self) -> Float[ndarray, "n 2"]:
        """Actual less reference."""
        return self.actual_mm - self.reference_mm


def read_gcode(
    part: str | PathLike[str], firmware: str | None = None, printer: str = "reference"
) -> Program:
    """Reads a program of G-code.

    Args:
        part: `.gcode`, `.gcode.gz`, `.gcode.3mf` or `.bgcode`, or the name of a bundled part.
        firmware: one of `motion_limits.FIRMWARES`; found in the file if left out.
        printer: a printer file, or one that comes with jaxcorr; its limits hold until the file sets
            others.

    Raises:
        InputError: no such part or printer, or the file is no G-code.
    """
    path, _ = parts.find_part(fspath(part))
    return gcode.read(path, firmware, _printer(printer))


def plan(program: Program, layer: int, rate_hz: float = RATE_HZ) -> Float[ndarray, "n 4"]:
    """Samples of a layer as the firmware drives it: rows of x, y (mm), vx, vy (mm/s).

    Args:
        program: from `read_gcode`.
        layer: from 1.
        rate_hz: of the samples; a run's own, to predict or compensate with it.

    Raises:
        InputError: there is no such layer, or a move of it has no speed.
    """
    return reference_rows(plan_layer(program, layer - 1), rate_hz)


def simulate(
    program: Program,
    layer: int,
    commands: ArrayLike | None = None,
    rate_hz: float = RATE_HZ,
    printer: str = "reference",
    seed: int = 0,
) -> Motion:
    """Drives a simulated printer through a layer, with every source of error that it has.

    Args:
        program: from `read_gcode`.
        layer: from 1.
        commands: rows as `plan` gives them, one for one; the plan itself if left out.
        rate_hz: of the commands, dividing the 2 kHz at which the printer is integrated.
        printer: a printer file, or one that comes with jaxcorr.
        seed: of jitter and noise.

    Raises:
        InputError: no such layer or printer, or the commands are not finite or not as many as the
            plan's samples.
    """
    from jaxcorr.printer import drive

    options = check(Simulation, {"printer": printer, "rate_hz": rate_hz}, "simulate")
    planned = plan_layer(program, layer - 1)
    command = (made := drive.make_layer(planned, options.plant_rate_hz, rate_hz)).reference
    if commands is not None:
        reference = reference_rows(planned, rate_hz)
        rows = np.asarray(commands, np.float64)
        if rows.shape != reference.shape or not np.isfinite(rows).all():
            raise InputError(
                f"simulate: expected finite commands of shape {reference.shape}, as plan gives "
                f"them for this layer and rate, got shape {rows.shape}. Pass one row a sample."
            )
        command = drive.corrected(made, rows[:, :2] - reference[:, :2])
    loaded = options.loaded(program.filament_before_mm(layer - 1))
    driven = drive.drive(made, [command], [loaded], options, seed).until(planned.total_s)
    return Motion(driven.time_s, driven.reference_mm, driven.actual_mm[:, 0])


def _printer(name: str) -> Simulation:
    return check(Simulation, {"printer": name}, "printer")
