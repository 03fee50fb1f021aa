"""What can be done about the error of a layer: ways from its plan to the command of the motors.

Those that need a model of the printer take a plant, the one that they are tuned to; the plant that
they are judged on may be another. Corrections are `command - reference`: what takes an error away
has the opposite sign. The module does not judge, and knows no network.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from jaxcorr.compensation import linear_inverse, shapers
from jaxcorr.printer.drive import KNOT_RATE_HZ, Command, Layer, corrected
from jaxcorr.printer.planner import sample_plan
from jaxcorr.printer.plant import PlantOptions

Remedy = Callable[[Layer, PlantOptions], Command]


def none(layer: Layer, plant: PlantOptions) -> Command:
    """The reference itself."""
    del plant
    return layer.reference


def shaped(kind: str) -> Remedy:
    """Each axis's reference through an input shaper of `shapers.KINDS`."""

    def remedy(layer: Layer, plant: PlantOptions) -> Command:
        position, velocity = np.empty((2, len(layer.time_s), 2))
        for i, axis in enumerate((plant.x, plant.y)):
            total = shapers.shape(shapers.for_axis(kind, axis), layer.time_s, _motion(layer, i))
            position[:, i], velocity[:, i] = total.T
        return Command(position, velocity)

    return remedy


def _motion(layer: Layer, axis: int) -> Callable[[ndarray], Float[ndarray, "n 2"]]:
    """Position and velocity of an axis of the plan at any instants."""

    def motion(time_s: ndarray) -> ndarray:
        at = sample_plan(layer.plan, time_s)
        return np.stack([at.position_mm[:, axis], at.velocity_mm_s[:, axis]], axis=1)

    return motion


def inverted(layer: Layer, plant: PlantOptions) -> Command:
    """The linear inverse: as good as a model without friction gets."""
    return corrected(layer, linear_inverse.invert(plant, layer))


def subtracted(
    layer: Layer, error_mm: Float[ndarray, "k 2"], rate_hz: float = KNOT_RATE_HZ
) -> Command:
    """The reference less an error, the naive way; errors are those at the layer's knots."""
    return corrected(layer, -error_mm, rate_hz)
