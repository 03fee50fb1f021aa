"""Tries remedies against the error of planned layers, on printers that differ from the one assumed.

The plant is the judge, never a model: every command drives it at its own rate with all sources on.
A remedy that needs a model of the printer gets the nominal plant; where the printer differs from
it, remedies "tuned" get the printer itself, which nobody has in practice. A remedy that needs
neither (a network's) is solved once and driven on every printer. The module does not know what a
network is.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from jaxcorr import drive, remedies, shapers
from jaxcorr.drive import Command, Driven, Layer
from jaxcorr.judge import Judged, judge
from jaxcorr.planner import Plan
from jaxcorr.plant import AxisPlant, PlantOptions
from jaxcorr.remedies import Remedy
from jaxcorr.simulate import SimulateOptions

NOMINAL = "nominal"
NONE, PERFECT = "none", "minus true error"
TUNED = ", tuned"  # ends the name of a remedy that knows the printer it is judged on

# Needing a model of the printer, by name.
MODEL_BASED: dict[str, Remedy] = {
    **{kind.upper(): remedies.shaped(kind) for kind in shapers.KINDS},
    "linear inverse": remedies.inverted,
}

LayerRemedy = Callable[[Layer], Command]


class Row(NamedTuple):
    """What one remedy made of one layer on one printer."""

    layer: str
    accel_mm_s2: float | None  # None: as in the file
    printer: str
    remedy: str
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


def run(
    plan: Plan,
    layout: Layout,
    options: SimulateOptions,
    plants: Mapping[str, PlantOptions],
    learned: Mapping[str, LayerRemedy],
    model_based: Mapping[str, Remedy] = MODEL_BASED,
) -> Trial:
    """Tries every remedy on one planned layer, on every printer.

    Args:
        plan: of the layer.
        layout: its name and the seed of its random sources.
        options: sources, and the nominal plant.
        plants: the printers to judge on, the nominal one first.
        learned: remedies that know neither, by name.
        model_based: remedies that are given a plant, by name.
    """
    layer = drive.make_layer(plan, options.plant.rate_hz)
    plain = drive.drive(
        layer, [layer.reference] * len(plants), list(plants.values()), options, layout.seed
    )
    fixed = {NONE: layer.reference}
    fixed |= {name: remedy(layer) for name, remedy in learned.items()}
    fixed |= {name: remedy(layer, options.plant) for name, remedy in model_based.items()}
    commands: list[Command] = []
    labels: list[tuple[str, str]] = []
    for i, (printer, plant) in enumerate(plants.items()):
        own = fixed | {PERFECT: remedies.subtracted(layer, _error_at_knots(layer, plain, i))}
        if _swings_otherwise(plant, options.plant):
            own |= {name + TUNED: fn(layer, plant) for name, fn in model_based.items()}
        commands += own.values()
        labels += [(printer, name) for name in own]
    driven = drive.drive(
        layer, commands, [plants[printer] for printer, _ in labels], options, layout.seed
    )
    rows = [
        Row(layout.name, layout.accel_mm_s2, printer, name, judged)
        for (printer, name), judged in zip(labels, judge(layer, driven, commands), strict=True)
    ]
    first = next(iter(plants))
    lanes = {name: i for i, (printer, name) in enumerate(labels) if printer == first}
    return Trial(layer, rows, {name: commands[i] for name, i in lanes.items()}, lanes, driven)


def _swings_otherwise(plant: PlantOptions, nominal: PlantOptions) -> bool:
    """Whether it differs by more than friction, of which no remedy here knows."""
    return any(
        dataclasses.replace(mine, friction_n=0.0) != dataclasses.replace(other, friction_n=0.0)
        for mine, other in ((plant.x, nominal.x), (plant.y, nominal.y))
    )


def _error_at_knots(layer: Layer, driven: Driven, lane: int) -> np.ndarray:
    every = round(drive.JUDGE_RATE_HZ / drive.KNOT_RATE_HZ)
    return driven.error_mm[::every, lane][: layer.num_knots]
