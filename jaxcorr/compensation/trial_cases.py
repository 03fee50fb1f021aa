"""Which layers a run's compensation is judged on, planned and tried one after the other.

By default the layers of the run's own test split, none of which it has learned from, on the printer
that made its traces. The module knows runs, parts and plans; how a layer is tried is `trial.py`'s
business, and how a network compensates is told to it.
"""

import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from jaxcorr.compensation import closed_loop
from jaxcorr.compensation.baselines import Remedy
from jaxcorr.compensation.closed_loop import LayerRemedy, Trial
from jaxcorr.data import collect, trace
from jaxcorr.data.parts import BUNDLED, find_part, part_name, select_layers
from jaxcorr.errors import InputError
from jaxcorr.printer import gcode
from jaxcorr.printer.gcode import Program
from jaxcorr.printer.planner import Plan, PlanOptions, plan_layer
from jaxcorr.printer.simulate import SimulateOptions
from jaxcorr.spec import Spec
from jaxcorr.training.run_folder import Run

# Not a seed of any training data: jitter and floor are met for the first time.
SEED = 7_000_003


class Case(NamedTuple):
    """One layer of a part at one acceleration."""

    part: str
    layer: int  # from 1
    accel_mm_s2: float | None  # None: as in the file
    plan: Plan

    @property
    def name(self) -> str:
        """`3dbenchy/layer06`."""
        return f"{self.part}/layer{self.layer:02d}"

    @property
    def file_stem(self) -> str:
        """`3dbenchy_layer06_a3000`."""
        accel = "" if self.accel_mm_s2 is None else f"_a{self.accel_mm_s2:g}"
        return f"{self.part}_layer{self.layer:02d}{accel}"


def held_out(run: Run) -> dict[str, list[int]]:
    """Part -> layers of the run's test split, which no training has seen."""
    layers: dict[str, set[int]] = {}
    for name in run.resolved()["split"]["test"]:
        number = re.match(r"layer(\d+)", Path(name).name)
        if number:
            layers.setdefault(trace.part_of(Path(name)), set()).add(int(number[1]))
    return {part: sorted(numbers) for part, numbers in layers.items()}


def printer_of(spec: Spec) -> SimulateOptions:
    """The simulated printer that made a run's traces; the default one for foreign traces."""
    options = spec.data.simulate
    return SimulateOptions() if options is None else collect.simulate_options(options)


def cases_of_part(
    run: Run, name: str, layers: str | None, accels: Sequence[float | None]
) -> list[Case]:
    """Chosen layers of a part or a file, each at each acceleration.

    Args:
        run: whose held-out layers are taken where none are chosen.
        name: of a bundled part, or a G-code file.
        layers: a selection (see `parts.select_layers`); None for the held-out ones.
        accels: None stands for that of the file.
    Raises:
        InputError: the part or a layer does not exist, or the run has held out none of this part.
    """
    part, program = part_name(name), gcode.read(find_part(name)[0])
    chosen = held_out(run).get(part, [])
    if layers is not None:
        chosen = select_layers(layers, program.num_layers)
    if not chosen:
        known = ", ".join(sorted(held_out(run))) or "no part"
        raise InputError(
            f"{run.path}: expected held-out layers of '{part}', got those of {known}. "
            "Choose layers with --layers."
        )
    return [case for accel in accels for case in _plan(part, program, chosen, accel)]


def cases_held_out(run: Run, accels: Sequence[float | None]) -> list[Case]:
    """The held-out layers of all bundled parts of a run, each at each acceleration.

    Raises:
        InputError: the run has held out no layer of a part that can be simulated.
    """
    parts = [part for part in held_out(run) if part in BUNDLED]
    if not parts:
        raise InputError(
            f"{run.path}: expected held-out layers of {', '.join(sorted(BUNDLED))}, got "
            "none. Choose a run that was trained on simulated parts."
        )
    return [case for part in parts for case in cases_of_part(run, part, None, accels)]


def check_printers(options: SimulateOptions, names: Sequence[str]) -> list[str]:
    """The names of `trial.printers` in their order, all where none is given; nominal is among them.

    Raises:
        InputError: there is no printer of such a name.
    """
    known = list(closed_loop.printers(options.plant))
    unknown = sorted(set(names) - set(known))
    if unknown:
        raise InputError(
            f"--printer: expected some of {', '.join(known)}, got '{unknown[0]}'. Check its name."
        )
    return [name for name in known if not names or name in names or name == closed_loop.NOMINAL]


def _plan(part: str, program: Program, layers: Sequence[int], accel: float | None) -> list[Case]:
    options = PlanOptions(accel_mm_s2=accel)
    return [Case(part, n, accel, plan_layer(program, n - 1, options)) for n in layers]


def run_cases(
    cases: Sequence[Case],
    options: SimulateOptions,
    printers: Sequence[str],
    learned: Mapping[str, LayerRemedy],
    aware: Mapping[str, Remedy],
) -> Iterator[tuple[Case, Trial]]:
    """Tries every remedy on every case.

    Args:
        cases: to try, in this order.
        options: of the printer that the run learned from.
        printers: names of `trial.printers`, the nominal one first.
        learned: remedies of the run, by name.
        aware: remedies that know all of a plant, by name.
    """
    plants = closed_loop.printers(options.plant, printers)
    for case in cases:
        seed = SEED + zlib.crc32(case.file_stem.encode())
        layout = closed_loop.Layout(case.name, case.accel_mm_s2, seed)
        yield case, closed_loop.run(case.plan, layout, options, plants, learned, aware)
