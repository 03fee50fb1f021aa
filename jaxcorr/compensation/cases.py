"""What a closed-loop test is made on: layers of parts, and printers that differ from the run's.

It loads without jax, so that arguments are refused at once.
"""

import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from jaxcorr.data import trace
from jaxcorr.data.parts import BUNDLED, find_part, part_name, select_layers
from jaxcorr.errors import InputError
from jaxcorr.printer import gcode
from jaxcorr.printer.gcode import Program
from jaxcorr.printer.planner import Plan, PlanOptions, plan_layer
from jaxcorr.printer_spec import Simulation
from jaxcorr.schema import check
from jaxcorr.training.run_folder import Run

NOMINAL = "nominal"
PRINTED_KG = 0.3
MOST_LAYERS = 5  # of a part that a run has not seen, where none are chosen


class Case(NamedTuple):
    """One layer of a part at one acceleration."""

    part: str
    layer: int  # from 1
    accel_mm_s2: float | None  # None: as in the file
    plan: Plan
    filament_mm: float = 0.0  # that lies on the bed before

    @property
    def name(self) -> str:
        """`3dbenchy/layer06`."""
        return f"{self.part}/layer{self.layer:02d}"

    @property
    def file_stem(self) -> str:
        """`3dbenchy_layer06_a3000`."""
        accel = "" if self.accel_mm_s2 is None else f"_a{self.accel_mm_s2:g}"
        return f"{self.part}_layer{self.layer:02d}{accel}"


def held_out_layers(run: Run) -> dict[str, list[int]]:
    """Part -> layers of the run's test split, which no training has seen."""
    layers: dict[str, set[int]] = {}
    for name in run.resolved().split.test:
        number = re.match(r"layer(\d+)", Path(name).name)
        if number:
            layers.setdefault(trace.part_of(Path(name)), set()).add(int(number[1]))
    return {part: sorted(numbers) for part, numbers in layers.items()}


def of_part(
    run: Run,
    name: str,
    layers: str | None,
    accels: Sequence[float | None],
    program: Program,
) -> list[Case]:
    """Chosen layers of a part or a file, each at each acceleration.

    Args:
        run: whose held-out layers are taken where none are chosen; of a part that it has not seen
            at all, MOST_LAYERS over its height.
        name: of a bundled part, or a G-code file.
        layers: a selection (see `parts.select_layers`); None for the held-out ones.
        accels: None stands for that of the file.
        program: what the part's file holds, as the printer's firmware reads it.

    Raises:
        InputError: the part or a layer does not exist, or the run has held out none of this part.
    """
    part = part_name(name)
    chosen = held_out_layers(run).get(part, [])
    if layers is not None or not _has_seen(run, part):
        every = -(-program.num_layers // MOST_LAYERS)
        chosen = select_layers(layers or f"sampled:{every}", program.num_layers)
    if not chosen:
        known = ", ".join(sorted(held_out_layers(run))) or "no part"
        raise InputError(
            f"{run.path}: expected held-out layers of '{part}', got those of {known}. "
            "Choose layers with --layers."
        )
    return [case for accel in accels for case in _plan(part, program, chosen, accel)]


def _has_seen(run: Run, part: str) -> bool:
    return part in {trace.part_of(Path(name)) for name in run.resolved().split.names}


def of_held_out(run: Run, accels: Sequence[float | None], printer: Simulation) -> list[Case]:
    """The held-out layers of all bundled parts of a run, each at each acceleration.

    Args:
        run: whose test split is taken.
        accels: None stands for that of the file.
        printer: whose firmware and limits the parts are planned with.

    Raises:
        InputError: the run has held out no layer of a part that can be simulated.
    """
    parts = [part for part in held_out_layers(run) if part in BUNDLED]
    if not parts:
        raise InputError(
            f"{run.path}: expected held-out layers of {', '.join(sorted(BUNDLED))}, got "
            "none. Choose a run that was trained on simulated parts."
        )
    programs = {part: gcode.read(find_part(part)[0], printer=printer) for part in parts}
    return [
        case
        for part, program in programs.items()
        for case in of_part(run, part, None, accels, program)
    ]


def check_printers(options: Simulation, names: Sequence[str]) -> list[str]:
    """The names of `printers` in their order, all where none is given; nominal is among them.

    Raises:
        InputError: there is no printer of such a name.
    """
    known = list(_variants(options))
    unknown = sorted(set(names) - set(known))
    if unknown:
        raise InputError(
            f"--variant: expected some of {', '.join(known)}, got '{unknown[0]}'. Check its name."
        )
    return [name for name in known if not names or name in names or name == NOMINAL]


def printers(nominal: Simulation, names: Sequence[str] = ()) -> dict[str, Simulation]:
    """The nominal plant and those that differ from it, by name; all where no names are given."""
    known = _variants(nominal)
    return {name: known[name]() for name in names or known}


def _variants(nominal: Simulation) -> dict[str, Callable[[], Simulation]]:
    """How each printer is made, since not every one can be simulated."""

    def resonate(by: float) -> Simulation:
        # Mass: what a loaded bed changes. The offset of friction, F / k, stays.
        return _scaled(_scaled(nominal, "mass_kg", by**-2), "second_frequency_hz", by)

    made: dict[str, Callable[[], Simulation]] = {NOMINAL: lambda: nominal}
    for percent in (10, -10, -20):
        made[f"frequency {percent:+d}%"] = partial(resonate, 1.0 + percent / 100.0)
    for name, field in (("damping", "damping_ns_m"), ("friction", "friction_n")):
        for factor in (0.5, 2.0):
            made[f"{name} x{factor:g}"] = partial(_scaled, nominal, field, factor)
    if nominal.bed_axis is not None:
        made[f"{1000 * PRINTED_KG:g} g printed"] = partial(nominal.with_mass_on_bed, PRINTED_KG)
    return made


def _plan(part: str, program: Program, layers: Sequence[int], accel: float | None) -> list[Case]:
    options = PlanOptions(accel_mm_s2=accel)
    return [
        Case(part, n, accel, plan_layer(program, n - 1, options), program.filament_before_mm(n - 1))
        for n in layers
    ]


def _scaled(plant: Simulation, field: str, factor: float) -> Simulation:
    values = dict(plant)
    values[field] = tuple(factor * value for value in values[field])
    return check(type(plant), values, f"printer with {factor:.4g} times its {field}")
