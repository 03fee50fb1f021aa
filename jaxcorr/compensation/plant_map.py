"""The plant itself as the map that the solver inverts: the bound of what a learned map can reach.

It is asked at the layer's knots, like a model, and answers without the random sources, which nobody
can foresee. The module builds maps and answers; it judges nothing.
"""

import dataclasses

from jaxtyping import Float
from numpy import ndarray

from jaxcorr.compensation import linear_inverse, solver
from jaxcorr.compensation.baselines import Remedy
from jaxcorr.compensation.solver import Answer, ErrorFn
from jaxcorr.printer import drive
from jaxcorr.printer.drive import KNOT_RATE_HZ, Command, Layer
from jaxcorr.printer.plant import PlantOptions
from jaxcorr.printer.simulate import SimulateOptions

SOLVED = "plant, solved"
RANDOM = ("jitter", "floor")
TAPS_S = 0.8  # of an answer, after its knot; an axis has rung out by then


def without(options: SimulateOptions, *sources: str) -> SimulateOptions:
    """Options with these sources off too."""
    kept = tuple(source for source in options.sources if source not in sources)
    return dataclasses.replace(options, sources=kept)


def error_fn(
    layer: Layer,
    plant: PlantOptions,
    options: SimulateOptions,
    knot_rate_hz: float = KNOT_RATE_HZ,
) -> ErrorFn:
    """True actual - reference in mm at the knots, from the knots.

    Args:
        layer: which is driven.
        plant: that drives it.
        options: its sources; the random ones are left out.
        knot_rate_hz: of knots and errors; divides drive.JUDGE_RATE_HZ.
    """
    quiet, every = without(options, *RANDOM), round(drive.JUDGE_RATE_HZ / knot_rate_hz)

    def error(knots: Float[ndarray, "k 2"]) -> Float[ndarray, "k 2"]:
        command = drive.corrected(layer, knots, knot_rate_hz)
        driven = drive.drive(layer, [command], [plant], quiet, 0)
        return driven.error_mm[::every, 0][: len(knots)]

    return error


def answer_of(plant: PlantOptions, knot_rate_hz: float = KNOT_RATE_HZ) -> Answer:
    """What a knot does to the head of an axis that slides."""
    per_knot = round(plant.rate_hz / knot_rate_hz)
    whole = linear_inverse.single_answer(plant, per_knot, knot_rate_hz)
    taps = linear_inverse.SPAN + 1 + round(TAPS_S * knot_rate_hz)
    return Answer(whole[::per_knot][:taps], linear_inverse.SPAN)


def remedy(options: SimulateOptions) -> Remedy:
    """The solver with a perfect map of a plant, as a remedy that is told the plant."""

    def solved(layer: Layer, plant: PlantOptions) -> Command:
        ask, count = error_fn(layer, plant, options), layer.num_knots
        found = solver.solve(ask, answer_of(plant), count, KNOT_RATE_HZ)
        return drive.corrected(layer, found.knots)._replace(note=found.outcome)

    return solved
