"""Tries remedies against the error of planned layers, on printers that differ from the one assumed.

The plant is the judge, never a model: every command drives it at its own rate with all sources on.
A remedy that needs a model of the printer gets the nominal plant; where the printer differs from
it, remedies "tuned" get the printer itself, which nobody has in practice. A remedy that needs
neither (a network's) is solved once and driven on every printer. The module does not know what a
network is.
"""

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxcorr.compensation import baselines, shapers
from jaxcorr.compensation.baselines import Remedy
from jaxcorr.compensation.judge import Judged, judge
from jaxcorr.printer import drive
from jaxcorr.printer.drive import Command, Driven, Layer
from jaxcorr.printer.planner import Plan
from jaxcorr.printer.plant import AxisPlant, PlantOptions
from jaxcorr.printer.simulate import SimulateOptions

NOMINAL = "nominal"
NONE, PERFECT = "none", "minus true error"
TUNED = ", tuned"  # ends the name of a remedy that knows the printer it is judged on

# Needing a model of the printer, by name.
MODEL_BASED: dict[str, Remedy] = {
    **{kind.upper(): baselines.shaped(kind) for kind in shapers.KINDS},
    "linear inverse": baselines.inverted,
}

LayerRemedy = Callable[[Layer], Command]


class Row(NamedTuple):
    """What one remedy made of one layer on one printer."""

    layer: str
    accel_mm_s2: float | None  # None: as in the file
    printer: str
    remedy: str
    note: str  # how the search for the command ended, where there was one
    solve_s: float  # that finding the command took
    judged: Judged


class Trial(NamedTuple):
    """A layer's rows, and what drove it on the nominal printer, to be drawn or written."""

    layer: Layer
    rows: list[Row]
    commands: dict[str, Command]
    lanes: dict[str, int]
    driven: Driven


class Layout(NamedTuple):
    """Which layer, and how its rows are called."""

    name: str
    accel_mm_s2: float | None
    seed: int


def printers(nominal: PlantOptions, names: Sequence[str] = ()) -> dict[str, PlantOptions]:
    """The nominal plant and those that differ from it, by name; all where no names are given."""
    made = {NOMINAL: nominal}
    for percent in (10, -10, -20):
        # Mass: what a loaded bed changes. The offset of friction, F / k, stays.
        by = (1.0 + percent / 100.0) ** -2
        made[f"frequency {percent:+d}%"] = _scaled(nominal, "mass_kg", by)
    for name, field in (("damping", "damping_ns_m"), ("friction", "friction_n")):
        for factor in (0.5, 2.0):
            made[f"{name} x{factor:g}"] = _scaled(nominal, field, factor)
    return {name: made[name] for name in names} if names else made


def _scaled(plant: PlantOptions, field: str, factor: float) -> PlantOptions:
    def axis(of: AxisPlant) -> AxisPlant:
        return dataclasses.replace(of, **{field: factor * getattr(of, field)})

    return dataclasses.replace(plant, x=axis(plant.x), y=axis(plant.y))


class _Found(NamedTuple):
    """A remedy's command, and how long finding it took."""

    command: Command
    seconds: float


def _find(remedy: Callable[..., Command], *given: Any) -> _Found:
    began = time.perf_counter()
    return _Found(remedy(*given), time.perf_counter() - began)


def run(
    plan: Plan,
    layout: Layout,
    options: SimulateOptions,
    plants: Mapping[str, PlantOptions],
    learned: Mapping[str, LayerRemedy],
    aware: Mapping[str, Remedy] = {},
) -> Trial:
    """Tries every remedy on one planned layer, on every printer.

    Args:
        plan: of the layer.
        layout: its name and the seed of its random sources.
        options: sources, and the nominal plant.
        plants: the printers to judge on, the nominal one first.
        learned: remedies that know neither, by name.
        aware: remedies that are given a plant and know of its friction, by name.
    """
    layer = drive.make_layer(plan, options.plant.rate_hz)
    plain = drive.drive(
        layer, [layer.reference] * len(plants), list(plants.values()), options, layout.seed
    )
    fixed = {NONE: _Found(layer.reference, 0.0)}
    fixed |= {name: _find(fn, layer) for name, fn in learned.items()}
    given = MODEL_BASED | dict(aware)
    fixed |= {name: _find(fn, layer, options.plant) for name, fn in given.items()}
    found: dict[tuple[str, str], _Found] = {}
    for i, (printer, plant) in enumerate(plants.items()):
        own = fixed | {
            PERFECT: _find(baselines.subtracted, layer, _error_at_knots(layer, plain, i))
        }
        for name, fn in _worth_tuning(plant, options.plant, aware).items():
            own[name + TUNED] = _find(fn, layer, plant)
        found |= {(printer, name): one for name, one in own.items()}
    commands = [one.command for one in found.values()]
    driven = drive.drive(layer, commands, [plants[p] for p, _ in found], options, layout.seed)
    rows = [
        Row(layout.name, layout.accel_mm_s2, *key, one.command.note, one.seconds, judged)
        for (key, one), judged in zip(found.items(), judge(layer, driven, commands), strict=True)
    ]
    # Its lanes come first; what the other printers did is in the rows, and would fill the memory.
    names = [name for printer, name in found if printer == next(iter(plants))]
    nominal = driven.until(plan.total_s)
    nominal = nominal._replace(actual_mm=nominal.actual_mm[:, : len(names)].copy())
    lanes = {name: i for i, name in enumerate(names)}
    return Trial(layer, rows, dict(zip(names, commands, strict=False)), lanes, nominal)


def _worth_tuning(
    plant: PlantOptions, nominal: PlantOptions, aware: Mapping[str, Remedy]
) -> dict[str, Remedy]:
    """Remedies that do otherwise on this plant; most of them know of no friction."""
    if plant == nominal:
        return {}
    swings_otherwise = any(
        dataclasses.replace(mine, friction_n=0.0) != dataclasses.replace(other, friction_n=0.0)
        for mine, other in ((plant.x, nominal.x), (plant.y, nominal.y))
    )
    return (MODEL_BASED if swings_otherwise else {}) | dict(aware)


def _error_at_knots(layer: Layer, driven: Driven, lane: int) -> np.ndarray:
    every = round(drive.JUDGE_RATE_HZ / drive.KNOT_RATE_HZ)
    return driven.error_mm[::every, lane][: layer.num_knots]
