"""Closed-loop test: methods on planned layers, on the simulated printer and on ones that differ.

The plant is the judge, never a model: every command drives it at its own rate with all sources on.
A method that needs a model of the printer gets the nominal plant; where the printer differs from
it, methods "tuned" get the printer itself, which nobody has in practice. A method that needs none
(a network's) is solved once and driven on every printer.
"""

import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from jaxcorr import files, progress
from jaxcorr.compensation import baselines
from jaxcorr.compensation.baselines import Method, PlantMethod
from jaxcorr.compensation.cases import Case, printers
from jaxcorr.compensation.judge import Judged, band_hz, judge_layer
from jaxcorr.identify import shapers
from jaxcorr.printer import drive
from jaxcorr.printer.drive import REST_S, Command, Driven, Layer
from jaxcorr.printer.planner import Plan
from jaxcorr.printer_spec import Simulation
from jaxcorr.units import SIGN, unit_of

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
STRUCT = "commands"  # in a .mat file
FILE_RATE_HZ = 1000.0  # of commands in files
# Not a seed of any training data: jitter and floor are met for the first time.
SEED = 7_000_003


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
        names: of `cases.printers`, the nominal one first.
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


def command_columns(layer: Layer, command: Command) -> dict[str, Float[ndarray, " n"]]:
    """What a file of commands holds, by name, at FILE_RATE_HZ from the plan's first instant.

    `time` (s), `x_ref`, `y_ref` (mm), `vx_ref`, `vy_ref` (mm/s) of the reference, and `x_cmd` to
    `vy_cmd` of the command; correction = command - reference.
    """
    begin, every = round(REST_S * layer.rate_hz), round(layer.rate_hz / FILE_RATE_HZ)
    kept = np.arange(begin, len(layer.time_s), every)
    kept = kept[layer.time_s[kept] <= layer.plan.total_s]
    table = {"time": layer.time_s[kept]}
    for ending, motion in (("ref", layer.reference), ("cmd", command)):
        for prefix, values in (("", motion.position_mm), ("v", motion.velocity_mm_s)):
            table |= {f"{prefix}{axis}_{ending}": values[kept, i] for i, axis in enumerate("xy")}
    return table


def write_commands(
    folder: Path, stem: str, layer: Layer, command: Command, notes: Mapping[str, Any]
) -> list[Path]:
    """Writes a layer's commands for controllers and for MATLAB: `.mat`, `.npz` and `.csv`.

    Each is whole or not there at all; the `.mat` file holds the columns in one struct `commands`.

    Args:
        folder: is made where it is missing.
        stem: of the files' names.
        layer: which was commanded.
        command: for it.
        notes: numbers and texts that the .mat and .npz files keep beside the columns.
    """
    folder.mkdir(parents=True, exist_ok=True)
    table = command_columns(layer, command)
    kept = {
        "sign": f"command = reference + correction; {SIGN} (mm)",
        "rate_hz": FILE_RATE_HZ,
        **notes,
    }
    pair = files.save_columns(folder, stem, STRUCT, table, kept)
    csv = folder / f"{stem}.csv"
    head = ",".join(f"{name}_{unit_of(name)}".replace("/", "_") for name in table)
    with files.write_whole(csv) as partial:
        rows = np.column_stack(list(table.values()))
        np.savetxt(partial, rows, "%.6f", ",", header=head, comments="")
    return [*pair, csv]


def _describe(case: Case) -> str:
    return f"{case.file_stem}, {case.plan.total_s:.1f} s of motion"


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


def _error_at_knots(layer: Layer, driven: Driven, column: int) -> ndarray:
    every = round(drive.JUDGE_RATE_HZ / layer.knot_rate_hz)
    return driven.error_mm[::every, column][: layer.num_knots]
