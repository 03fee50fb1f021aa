"""What a trained network does about the error of a layer, and what limits it, piece by piece.

The network's prediction is subtracted, the naive way, or inverted by the solver. To see what a
missed goal is owed to, the plant takes the place of the network in the solver's two questions: what
error do these knots leave, and how does the head answer a knot. The module drives and judges
nothing.
"""

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from jaxcorr import compensate, drive, plant_map, remedies
from jaxcorr.compensate import Answer, ErrorFn
from jaxcorr.drive import KNOT_RATE_HZ, Command, Layer
from jaxcorr.errors import InputError
from jaxcorr.model_map import ModelMap
from jaxcorr.simulate import SimulateOptions
from jaxcorr.stream import Loaded
from jaxcorr.trial import LayerRemedy

SOLVED, NAIVE = "network, solved", "minus prediction"
FINE_RATE_HZ = 200.0


def load_map(loaded: Loaded) -> ModelMap:
    """A run's network as the solver's map.

    Raises:
        InputError: the run maps no commands of x and y, or at another rate than knots have.
    """
    rate_hz = loaded.spec.data.sample_rate_hz
    if rate_hz != KNOT_RATE_HZ:
        raise InputError(
            f"compensate: expected a run at {KNOT_RATE_HZ:g} Hz, got {rate_hz:g} Hz. "
            "Choose another run."
        )
    return ModelMap(loaded.spec, loaded.weights)


def remedies_of(network: ModelMap) -> dict[str, LayerRemedy]:
    """What a network can do, by name: what it is for, and the naive way beside it."""

    def solved(layer: Layer) -> Command:
        return solve(layer, predicted(network, layer), network.answer)

    def naive(layer: Layer) -> Command:
        nothing = np.zeros((layer.num_knots, 2))
        return remedies.subtracted(layer, predicted(network, layer)(nothing))

    return {SOLVED: solved, NAIVE: naive}


def pieces(network: ModelMap, options: SimulateOptions) -> dict[str, LayerRemedy]:
    """The solver with the plant in place of parts of the network, and with less or more, by name.

    Args:
        network: in whose place.
        options: sources and plant of the printer.
    """
    plant = options.plant
    own = plant_map.answer_of(plant)

    def steps(layer: Layer) -> Command:
        return solve(layer, predicted(network, layer), own)

    def errors(layer: Layer) -> Command:
        return solve(layer, plant_map.error_fn(layer, plant, options), network.answer)

    def coarse(layer: Layer) -> Command:
        known = plant_map.without(options, "microstep")
        return solve(layer, plant_map.error_fn(layer, plant, known), own)

    def fine(layer: Layer) -> Command:
        ask = plant_map.error_fn(layer, plant, options, FINE_RATE_HZ)
        return solve(layer, ask, plant_map.answer_of(plant, FINE_RATE_HZ), FINE_RATE_HZ)

    return {
        "network, steps of the plant": steps,
        "plant, steps of the network": errors,
        "plant without microsteps": coarse,
        f"plant, knots at {FINE_RATE_HZ:g} Hz": fine,
    }


def predicted(network: ModelMap, layer: Layer) -> ErrorFn:
    """Predicted actual - reference in mm of a layer, from the knots of its correction."""
    return network.error_fn(reference_at_knots(layer))


def reference_at_knots(layer: Layer) -> Float[ndarray, "k 4"]:
    """x, y in mm and vx, vy in mm/s."""
    return np.hstack([values[layer.at_knots] for values in layer.reference[:2]])


def solve(layer: Layer, ask: ErrorFn, answer: Answer, rate_hz: float = KNOT_RATE_HZ) -> Command:
    """The solver's command; its note says how it ended."""
    found = compensate.solve(ask, answer, layer.num_knots_at(rate_hz), rate_hz)
    return drive.corrected(layer, found.knots, rate_hz)._replace(note=found.outcome)
