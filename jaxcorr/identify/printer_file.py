"""Printer files of what was identified: stiffness and damping of axes whose masses are known."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tomli_w

from jaxcorr import files
from jaxcorr.errors import InputError
from jaxcorr.identify.resonance_test import Mode
from jaxcorr.printer_spec import Kinematics, Printer
from jaxcorr.schema import check

REFERENCE_MASS_KG: tuple[float, float] = Printer.model_fields["mass_kg"].default
# Of the resonance tests of real printers that the fit was tried on, about the middle.
USUAL_DAMPING_RATIO = 0.08


class Identified(NamedTuple):
    """What a measurement told of x and y.

    Attributes:
        frequency_hz, damping_ratio: of each axis's main mode.
        friction_mm: force over stiffness; None where the measurement does not tell.
        friction_velocity_mm_s: speed at which friction has three quarters of its force.
        second: a second mode of each axis, where it has one.
        stiff_share: of each axis's motion, what follows the motor stiffly.
        kinematics: a CoreXY's friction is that of its motors, and its belts are taken as equal.
    """

    frequency_hz: tuple[float, float]
    damping_ratio: tuple[float, float]
    friction_mm: tuple[float, float] | None = None
    friction_velocity_mm_s: float | None = None
    second: tuple[Mode | None, Mode | None] = (None, None)
    stiff_share: tuple[float, float] = (0.0, 0.0)
    kinematics: Kinematics = "cartesian"


def of_ringing(ringing_mm: Sequence[float], speed_mm_s: float) -> Identified:
    """The axes whose ringing left a pattern on a print; its damping is the usual one.

    Args:
        ringing_mm: distance from wave to wave, of both axes or of x and of y.
        speed_mm_s: of the print along the waves.
    Raises:
        InputError: there are more distances than axes, or a number is not above 0.
    """
    if len(ringing_mm) > 2:
        raise InputError(
            f"--ringing-mm: expected one distance, or one of x and one of y, got "
            f"{len(ringing_mm)}. Leave some out."
        )
    for name, value in (("--speed-mm-s", speed_mm_s), *(("--ringing-mm", d) for d in ringing_mm)):
        if not 0.0 < value < np.inf:
            raise InputError(f"{name}: expected a number > 0, got {value:g}. Change the value.")
    x_hz, y_hz = speed_mm_s / ringing_mm[0], speed_mm_s / ringing_mm[-1]
    return Identified((x_hz, y_hz), (USUAL_DAMPING_RATIO, USUAL_DAMPING_RATIO))


def table_of(found: Identified, mass_kg: tuple[float, float]) -> dict[str, Any]:
    """The keys of a printer file, to six digits.

    Args:
        mass_kg: what moves with each axis; that of a CoreXY's y follows from that of x.
    """
    w = 2.0 * np.pi * np.array(found.frequency_hz)
    mass = np.array(mass_kg)
    if found.kinematics == "corexy":
        mass = mass[0] * (w[0] / w) ** 2
    stiffness, damping = mass * w**2, 2.0 * np.array(found.damping_ratio) * mass * w
    table: dict[str, Any] = {
        "mass_kg": _digits(mass),
        "stiffness_n_m": _digits(stiffness),
        "damping_ns_m": _digits(damping),
    }
    if found.kinematics == "corexy":  # both belts hold each axis
        table["kinematics"] = "corexy"
        table["stiffness_n_m"] = _digits(stiffness / 2.0)
        table["damping_ns_m"] = _digits(np.full(2, damping.mean() / 2.0))
    if found.friction_mm is not None:
        table["friction_n"] = _digits(stiffness * np.array(found.friction_mm) / 1000.0)
    if found.friction_velocity_mm_s is not None:
        table["friction_velocity_mm_s"] = _digits([found.friction_velocity_mm_s])[0]
    if any(found.second):
        none = Mode(0.0, USUAL_DAMPING_RATIO, 0.0)
        second = [mode or none for mode in found.second]
        table["second_frequency_hz"] = _digits([mode.frequency_hz for mode in second])
        table["second_damping_ratio"] = _digits([mode.damping_ratio for mode in second])
        table["second_share"] = _digits([mode.share for mode in second])
        table["stiff_share"] = _digits([round(share, 9) for share in found.stiff_share])
    return table


def write(
    path: Path, found: Identified, mass_kg: tuple[float, float] | None, about: Sequence[str]
) -> list[str]:
    """Writes a printer file that every command with --printer reads.

    Args:
        mass_kg: what moves with each axis; the reference's if left out.
        about: sentences for its head, a line each.
    Returns:
        What the numbers in it rest on, in sentences; they are in its head too.
    Raises:
        InputError: a number is no printer's.
    """
    table = table_of(found, mass_kg or REFERENCE_MASS_KG)
    check(Printer, table, str(path))
    notes = _notes(found, mass_kg, table["mass_kg"])
    head = "".join(f"# {line}\n" for line in (*about, *notes))
    files.write_text(path, f"{head}\n{tomli_w.dumps(table)}")
    return notes


def _notes(
    found: Identified, mass_kg: tuple[float, float] | None, written_kg: Sequence[float]
) -> list[str]:
    (x_kg, y_kg), whose = written_kg, "given" if mass_kg else "the reference's, not measured"
    if found.kinematics == "corexy":
        notes = [
            f"The mass of x, {x_kg:g} kg, is {whose}; that of y, {y_kg:g} kg, follows, as if both "
            "belts were equal, and so do stiffness and damping, one for both axes."
        ]
    else:
        notes = [f"Masses of {x_kg:g} and {y_kg:g} kg are {whose}; stiffness and damping follow."]
    if found.friction_mm is None:
        notes.append("Friction is not told, and left out: the reference's holds until it is added.")
    return notes


def _digits(values: Sequence[float] | np.ndarray) -> list[float]:
    return [float(f"{value:.6g}") for value in values]
