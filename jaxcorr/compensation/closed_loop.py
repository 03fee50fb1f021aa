"""Closed-loop test: methods on planned layers, on the simulated printer and on ones that differ.

The plant is the judge, never a model: every command drives it at its own rate with all sources on.
A method that needs a model of the printer gets the nominal plant; where the printer differs from
it, methods "tuned" get the printer itself, which nobody has in practice. A method that needs none
(a network's) is solved once and driven on every printer.
"""

import re
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxcorr import progress
from jaxcorr.compensation import baselines
from jaxcorr.compensation.baselines import Method, PlantMethod
from jaxcorr.compensation.judge import Judged, band_hz, judge_layer
from jaxcorr.data import trace
from jaxcorr.data.parts import BUNDLED, find_part, part_name, select_layers
from jaxcorr.errors import InputError
from jaxcorr.identify import shapers
from jaxcorr.printer import drive, gcode
from jaxcorr.printer.drive import Command, Driven, Layer
from jaxcorr.printer.gcode import Program
from jaxcorr.printer.planner import Plan, PlanOptions, plan_layer
from jaxcorr.printer_spec import Simulation
from jaxcorr.schema import check
from jaxcorr.training.run_folder import Run

NOMINAL = "nominal"
NONE, PERFECT = "none", "minus true error"
TUNED = ", tuned"  # ends the name of a method that is tuned to the printer it is judged on

FRICTION, LINEAR_FRICTION = "friction feedforward", "linear inverse + friction"
# Methods that need friction's numbers, and all that need a model of the printer, by name.
FRICTION_BASED: dict[str, PlantMethod] = {
    FRICTION: baselines.friction_led,
    LINEAR_FRICTION: baselines.inverted_and_led,
}
MODEL_BASED: dict[str, PlantMethod] = {
    **{kind.upper(): baselines.shaped(kind) for kind in shapers.KINDS},
    "linear inverse": baselines.inverted,
    **FRICTION_BASED,
}
PRINTED_KG = 0.3
MOST_LAYERS = 5  # of a part that a run has not seen, where none are chosen
# Not a seed of any training data: jitter and floor are met for the first time.
SEED = 7_000_003


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


class Row(NamedTuple):
    """What one method made of one layer on one printer."""

    layer: str
    accel_mm_s2: float | None  # None: as in the file
    printer: str
    method: str
    note: str  # how the search for the command ended, where there was one
    solve_s: float  # that finding the command took
    judged: Judged


class Trial(NamedTuple):
    """A layer's rows, and what drove it on the nominal printer, to be drawn or written."""

    layer: Layer
    rows: list[Row]
    commands: dict[str, Command]
    columns: dict[str, int]  # of the commands in `driven`, by method
    driven: Driven


class Layout(NamedTuple):
    """Which layer, and how its rows are called."""

    name: str
    accel_mm_s2: float | None
    seed: int


def held_out(run: Run) -> dict[str, list[int]]:
    """Part -> layers of the run's test split, which no training has seen."""
    layers: dict[str, set[int]] = {}
    for name in run.resolved().split.test:
        number = re.match(r"layer(\d+)", Path(name).name)
        if number:
            layers.setdefault(trace.part_of(Path(name)), set()).add(int(number[1]))
    return {part: sorted(numbers) for part, numbers in layers.items()}


def cases_of_part(
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
    chosen = held_out(run).get(part, [])
    if layers is not None or not _has_seen(run, part):
        every = -(-program.num_layers // MOST_LAYERS)
        chosen = select_layers(layers or f"sampled:{every}", program.num_layers)
    if not chosen:
        known = ", ".join(sorted(held_out(run))) or "no part"
        raise InputError(
            f"{run.path}: expected held-out layers of '{part}', got those of {known}. "
            "Choose layers with --layers."
        )
    return [case for accel in accels for case in _plan(part, program, chosen, accel)]


def _has_seen(run: Run, part: str) -> bool:
    return part in {trace.part_of(Path(name)) for name in run.resolved().split.names}


def cases_held_out(run: Run, accels: Sequence[float | None], printer: Simulation) -> list[Case]:
    """The held-out layers of all bundled parts of a run, each at each acceleration.

    Args:
        run: whose test split is taken.
        accels: None stands for that of the file.
        printer: whose firmware and limits the parts are planned with.

    Raises:
        InputError: the run has held out no layer of a part that can be simulated.
    """
    parts = [part for part in held_out(run) if part in BUNDLED]
    if not parts:
        raise InputError(
            f"{run.path}: expected held-out layers of {', '.join(sorted(BUNDLED))}, got "
            "none. Choose a run that was trained on simulated parts."
        )
    programs = {part: gcode.read(find_part(part)[0], printer=printer) for part in parts}
    return [
        case
        for part, program in programs.items()
        for case in cases_of_part(run, part, None, accels, program)
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


def run_cases(
    cases: Sequence[Case],
    options: Simulation,
    names: Sequence[str],
    methods: Mapping[str, Method],
    plant_methods: Mapping[str, PlantMethod],
) -> Iterator[tuple[Case, Trial]]:
    """Tries every method on every case.

    Args:
        cases: to try, in this order.
        options: of the printer that the run learned from.
        names: of `printers`, the nominal one first.
        methods: of the run, by name.
        plant_methods: given a plant with its friction, by name.
    """
    for case in progress.count(cases, "finding commands, driving them", _describe):
        seed = SEED + zlib.crc32(case.file_stem.encode())
        layout = Layout(case.name, case.accel_mm_s2, seed)
        loaded = options.loaded(case.filament_mm)
        plants = printers(loaded, names)
        yield case, run(case.plan, layout, loaded, plants, methods, plant_methods)


def run(
    plan: Plan,
    layout: Layout,
    options: Simulation,
    plants: Mapping[str, Simulation],
    methods: Mapping[str, Method],
    plant_methods: Mapping[str, PlantMethod] = {},
) -> Trial:
    """Tries every method on one planned layer, on every printer.

    Args:
        plan: of the layer.
        layout: its name and the seed of its random sources.
        options: the nominal printer, with its sources.
        plants: the printers to judge on, the nominal one first.
        methods: that need no plant, by name.
        plant_methods: given a plant with its friction, by name.
    """
    layer = drive.make_layer(plan, options.plant_rate_hz, options.knots_hz)
    plain = drive.drive(
        layer, [layer.reference] * len(plants), list(plants.values()), options, layout.seed
    )
    fixed = {NONE: _Timed(layer.reference, 0.0)}
    given = {**methods, **MODEL_BASED, **plant_methods}
    for name, fn in progress.count(given.items(), ""):
        fixed[name] = _time(fn, layer) if name in methods else _time(fn, layer, options)
    timed: dict[tuple[str, str], _Timed] = {}
    for i, (printer, plant) in enumerate(plants.items()):
        own = fixed | {
            PERFECT: _time(baselines.subtracted, layer, _error_at_knots(layer, plain, i))
        }
        for name, fn in _worth_tuning(plant, options, plant_methods).items():
            own[name + TUNED] = _time(fn, layer, plant)
        timed |= {(printer, name): one for name, one in own.items()}
    commands = [one.command for one in timed.values()]
    driven = drive.drive(layer, commands, [plants[p] for p, _ in timed], options, layout.seed)
    found = judge_layer(layer, driven, commands, band_hz(options))
    rows = [
        Row(layout.name, layout.accel_mm_s2, *key, one.command.note, one.seconds, judged)
        for (key, one), judged in zip(timed.items(), found, strict=True)
    ]
    # Its commands come first; what the other printers did is in the rows and would fill memory.
    names = [name for printer, name in timed if printer == next(iter(plants))]
    nominal = driven.until(plan.total_s)
    nominal = nominal._replace(actual_mm=nominal.actual_mm[:, : len(names)].copy())
    columns = {name: i for i, name in enumerate(names)}
    return Trial(layer, rows, dict(zip(names, commands, strict=False)), columns, nominal)


def _plan(part: str, program: Program, layers: Sequence[int], accel: float | None) -> list[Case]:
    options = PlanOptions(accel_mm_s2=accel)
    return [
        Case(part, n, accel, plan_layer(program, n - 1, options), program.filament_before_mm(n - 1))
        for n in layers
    ]


def _describe(case: Case) -> str:
    return f"{case.file_stem}, {case.plan.total_s:.1f} s of motion"


def _scaled(plant: Simulation, field: str, factor: float) -> Simulation:
    values = dict(plant)
    values[field] = tuple(factor * value for value in values[field])
    return check(type(plant), values, f"printer with {factor:.4g} times its {field}")


class _Timed(NamedTuple):
    """A method's command, and how long finding it took."""

    command: Command
    seconds: float


def _time(method: Callable[..., Command], *given: Any) -> _Timed:
    began = time.perf_counter()
    return _Timed(method(*given), time.perf_counter() - began)


def _worth_tuning(
    plant: Simulation, nominal: Simulation, plant_methods: Mapping[str, PlantMethod]
) -> dict[str, PlantMethod]:
    """Methods that do otherwise on this plant; few of them take friction into account."""
    if plant == nominal:
        return {}
    same_friction = plant.model_copy(update={"friction_n": nominal.friction_n})
    if same_friction != nominal:
        return MODEL_BASED | dict(plant_methods)
    has_friction = "friction" in plant.sources
    return (FRICTION_BASED if has_friction else {}) | dict(plant_methods)


def _error_at_knots(layer: Layer, driven: Driven, column: int) -> np.ndarray:
    every = round(drive.JUDGE_RATE_HZ / layer.knot_rate_hz)
    return driven.error_mm[::every, column][: layer.num_knots]
