"""The linear inverse: the correction with which an axis without friction follows its path best.

Least squares with the true linear model, as a controls engineer would do it: the axis answers a
correction with a sum of one answer h, shifted from knot to knot, so that the normal equations are a
Toeplitz band, solved exactly. What the axis is told beyond that (friction, microsteps) it does not
know. Axes are solved one by one.

  minimise over q   sum_t (y_t - H u_t - sum_k q_k h_{t - k n})^2 + effort sum_k q_k^2 sum_t h_t^2

u is a base command, H u its answer, y the path to follow, n samples a knot.
"""

import jax
import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.linalg import solveh_banded
from scipy.signal import correlate

from jaxcorr.printer import correction_curve
from jaxcorr.printer.drive import KNOT_RATE_HZ, Command, Layer
from jaxcorr.printer.plant import PlantOptions, discretize, initial_state, mean_velocity, respond

# An axis rings for a second at most (exp(-21) of it is left); a much looser one is cut off there.
ANSWER_S = 1.2
EFFORT = 1e-8
PAD = 20_000  # plant samples; commands are prolonged to a multiple, so that few lengths compile
SPAN = 2  # knots; the curve of one knot begins so many knots before it (see correction.py)


def answer(plant: PlantOptions, command: Command) -> Float[ndarray, "T 2"]:
    """Where the head goes, in mm, with friction off; it starts on the command and as fast."""
    count = len(command.position_mm)
    edges = ((0, -(count - 1) % PAD), (0, 0))
    position, velocity = (np.pad(values, edges, mode="edge") for values in command[:2])
    mean_v = mean_velocity(position, plant.rate_hz)
    with jax.enable_x64(True), jax.default_device(jax.local_devices(backend="cpu")[0]):
        start = initial_state(jax.numpy.asarray(velocity[0]))
        states, _ = respond(discretize(plant), start, velocity, mean_v, 0.0)
        error = np.concatenate([np.zeros((1, 2)), np.asarray(states.error_mm)])
    return command.position_mm + error[:count]


def invert(plant: PlantOptions, layer: Layer) -> Float[ndarray, "k 2"]:
    """Knots in mm, at KNOT_RATE_HZ from the plan's first instant, that follow a layer's plan."""
    wanted = layer.reference.position_mm - answer(plant, layer.reference)
    return solve(plant, wanted[layer.at_knots.start :], layer.num_knots)


def solve(
    plant: PlantOptions, wanted_mm: Float[ndarray, "T 2"], num_knots: int
) -> Float[ndarray, "k 2"]:
    """Knots whose answer is nearest to a wanted motion.

    Args:
        plant: the true one; its friction is left out.
        wanted_mm: what the correction should do, at the plant's rate from the first knot on; it
            ends at rest.
        num_knots: how many; the first SPAN stay at zero.
    """
    n = round(plant.rate_hz / KNOT_RATE_HZ)
    single = single_answer(plant, n)
    free, reach = num_knots - SPAN, -(-len(single) // n)
    knots = np.zeros((num_knots, 2))
    for axis in range(2 if free > 0 else 0):
        h = single[:, axis]
        auto = correlate(h, h, "full", "fft")[len(h) - 1 :: n]
        bands = np.tile(auto[: min(reach, free), None], (1, free))
        bands[0] += EFFORT * auto[0]
        padded = np.zeros((free - 1) * n + len(h))
        padded[: len(wanted_mm)] = wanted_mm[: len(padded), axis]
        against = correlate(padded, h, "valid", "fft")[::n]
        knots[SPAN:, axis] = solveh_banded(bands, against, lower=True)
    return knots


def single_answer(
    plant: PlantOptions, per_knot: int, knot_rate_hz: float = KNOT_RATE_HZ
) -> Float[ndarray, "h 2"]:
    """The answer to one knot of 1 mm, at the plant's rate, from SPAN knots before it."""
    knots = np.zeros((2 * SPAN + 1 + round(ANSWER_S * knot_rate_hz), 2))
    knots[SPAN] = 1.0
    return answer(plant, Command(*correction_curve.curve(knots, knot_rate_hz, per_knot)))
