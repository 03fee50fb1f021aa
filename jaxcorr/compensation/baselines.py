"""Baselines of compensation: shapers, linear inverse, friction feedforward, command less error.

Each maps a planned layer to a command of the motors. All but the last are tuned to a plant; the
plant that they are judged on may be another. Corrections are `command - reference`, so what takes
an error away has the opposite sign.

The linear inverse is the least-squares solution over the knots of a correction: as good as a model
without friction gets. Friction feedforward leads by the belt's stretch under friction, as the
reference's velocity has it. The impulses of shapers are in identify/shapers.
"""

from collections.abc import Callable

import jax
import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.signal import correlate

from jaxcorr.compensation.knot_inverse import ToeplitzInverse
from jaxcorr.identify.shapers import Shaper, make_shaper
from jaxcorr.printer import correction_curve
from jaxcorr.printer.drive import Command, Layer, corrected
from jaxcorr.printer.planner import Plan, sample_plan
from jaxcorr.printer.plant import (
    discretize,
    friction_stretch_mm,
    initial_state,
    mean_velocity,
    respond,
    to_motors,
)
from jaxcorr.printer_spec import Printer, Simulation

Method = Callable[[Layer], Command]
PlantMethod = Callable[[Layer, Simulation], Command]  # tuned to that plant

# An axis rings for a second at most (exp(-21) of it is left); a much looser one is cut off there.
RESPONSE_S = 1.2
EFFORT = 1e-8
PAD = 20_000  # plant samples; commands are prolonged to a multiple, so that few lengths compile
SPAN = 2  # knots; the curve of one knot begins so many knots before it (see correction_curve.py)


def shaped(kind: str) -> PlantMethod:
    """Each axis's reference through an input shaper of shapers.KINDS."""

    def method(layer: Layer, plant: Simulation) -> Command:
        return Command(*shaped_motion(layer.plan, kind, plant, layer.time_s))

    return method


def shaped_motion(
    plan: Plan, kind: str, plant: Simulation, time_s: Float[ndarray, " n"]
) -> tuple[Float[ndarray, "n 2"], Float[ndarray, "n 2"]]:
    """Position and velocity of a plan through an input shaper of shapers.KINDS, at any instants."""
    axes = [shape(shaper_for(kind, plant, i), time_s, _motion(plan, i)) for i in (0, 1)]
    position, velocity = np.stack(axes, axis=-1).swapaxes(0, 1)
    return position, velocity


def inverted(layer: Layer, plant: Simulation) -> Command:
    """The linear inverse: as good as a model without friction gets."""
    return corrected(layer, invert(plant, layer))


def friction_led(layer: Layer, plant: Simulation) -> Command:
    """The reference, led by the stretch that friction leaves in the belts."""
    return corrected(layer, friction_lead(plant, layer))


def inverted_and_led(layer: Layer, plant: Simulation) -> Command:
    """The linear inverse plus friction feedforward, both with the plant's own parameters."""
    return corrected(layer, invert(plant, layer) + friction_lead(plant, layer))


def subtracted(
    layer: Layer, error_mm: Float[ndarray, "k 2"], rate_hz: float | None = None
) -> Command:
    """The reference less an error, the naive way; errors are those at the layer's knots."""
    return corrected(layer, -error_mm, rate_hz)


def shaper_for(kind: str, printer: Printer, axis: int) -> Shaper:
    """A shaper tuned to the true frequency and damping of an axis, 0 for x and 1 for y."""
    return make_shaper(kind, *natural(printer, axis))


def natural(printer: Printer, axis: int) -> tuple[float, float]:
    """Undamped frequency in Hz and damping ratio of an axis's main mode, 0 for x and 1 for y."""
    mass, stiffness = printer.mass_kg[axis], printer.axis_stiffness_n_m[axis]
    w = np.sqrt(stiffness / mass)
    ratio = printer.axis_damping_ns_m[axis] / (2.0 * np.sqrt(stiffness * mass))
    return float(w / (2.0 * np.pi)), float(ratio)


def shape(
    shaper: Shaper,
    time_s: Float[ndarray, " n"],
    at_fn: Callable[[Float[ndarray, " n"]], Float[ndarray, "n *more"]],
) -> Float[ndarray, "n *more"]:
    """The shaped form of a function of time, sent earlier by the shaper's lag.

    Args:
        at_fn: the command at any instants; position and velocity are shaped alike.
    """
    early = (time_s + shaper.lag_s - late_s for late_s in shaper.times_s)
    parts = zip(shaper.amplitudes, early, strict=True)
    return np.sum([amplitude * at_fn(time) for amplitude, time in parts], axis=0)


def invert(plant: Simulation, layer: Layer) -> Float[ndarray, "k 2"]:
    """Knots in mm, at their rate from the plan's first instant, that follow a layer's plan."""
    wanted = layer.reference.position_mm - linear_response(plant, layer.reference)
    return solve(plant, wanted[layer.at_knots.start :], layer.num_knots, layer.knot_rate_hz)


def friction_lead(plant: Simulation, layer: Layer) -> Float[ndarray, "k 2"]:
    """Knots in mm, at their rate: F/k tanh(v/v_s) at the reference's velocity v, per motor.

    The head lags by F/k at constant speed, so the command leads by as much; nothing where friction
    is off.
    """
    velocity = layer.reference.velocity_mm_s[layer.at_knots]
    if "friction" not in plant.sources:
        return np.zeros_like(velocity)
    turned = np.tanh(to_motors(plant, velocity) / plant.friction_velocity_mm_s)
    return turned @ friction_stretch_mm(plant).T


def solve(
    plant: Simulation, wanted_mm: Float[ndarray, "T 2"], num_knots: int, knot_rate_hz: float
) -> Float[ndarray, "k 2"]:
    """Knots whose response is nearest to a wanted motion.

    Args:
        plant: the true one; its friction is left out.
        wanted_mm: what the correction should do, at the plant's rate from the first knot on; it
            ends at rest.
        num_knots: how many; the first SPAN stay at zero.
        knot_rate_hz: of the knots.
    """
    n = round(plant.plant_rate_hz / knot_rate_hz)
    response = knot_response(plant, n, knot_rate_hz)
    free, reach = num_knots - SPAN, -(-len(response) // n)
    knots = np.zeros((num_knots, 2))
    for axis in range(2 if free > 0 else 0):
        h = response[:, axis]
        auto = correlate(h, h, "full", "fft")[len(h) - 1 :: n]
        band = np.append((1.0 + EFFORT) * auto[0], auto[1 : min(reach, free)])
        padded = np.zeros((free - 1) * n + len(h))
        padded[: len(wanted_mm)] = wanted_mm[: len(padded), axis]
        against = correlate(padded, h, "valid", "fft")[::n]
        knots[SPAN:, axis] = ToeplitzInverse(band, free).solve(against)
    return knots


def linear_response(plant: Simulation, command: Command) -> Float[ndarray, "T 2"]:
    """Where the head goes, in mm, with friction off; it starts on the command and as fast."""
    count = len(command.position_mm)
    edges = ((0, -(count - 1) % PAD), (0, 0))
    position, velocity = (np.pad(values, edges, mode="edge") for values in command[:2])
    mean_v = mean_velocity(position, plant.plant_rate_hz)
    with jax.enable_x64(True), jax.default_device(jax.local_devices(backend="cpu")[0]):
        matrices = discretize(plant, plant.plant_rate_hz)
        start = initial_state(matrices, jax.numpy.asarray(velocity[0]))
        states, _ = respond(matrices, start, velocity, mean_v, 0.0)
        error = np.concatenate([np.zeros((1, 2)), np.asarray(states.error_mm)])
    return command.position_mm + error[:count]


def knot_response(plant: Simulation, per_knot: int, knot_rate_hz: float) -> Float[ndarray, "h 2"]:
    """The response of an axis to one knot of 1 mm of its own, at the plant's rate, from SPAN knots
    before it."""
    knots = np.zeros((2 * SPAN + 1 + round(RESPONSE_S * knot_rate_hz), 2))
    knots[SPAN] = 1.0
    moved = Command(*correction_curve.curve(knots, knot_rate_hz, per_knot))
    if plant.kinematics == "cartesian":
        return linear_response(plant, moved)
    # Belts that differ couple the axes: each one moves alone.
    alone = [Command(moved.position_mm * mask, moved.velocity_mm_s * mask) for mask in np.eye(2)]
    each = [linear_response(plant, command)[:, axis] for axis, command in enumerate(alone)]
    return np.stack(each, axis=1)


def _motion(plan: Plan, axis: int) -> Callable[[ndarray], Float[ndarray, "n 2"]]:
    """Position and velocity of an axis of the plan at any instants."""

    def motion(time_s: ndarray) -> ndarray:
        at = sample_plan(plan, time_s)
        return np.stack([at.position_mm[:, axis], at.velocity_mm_s[:, axis]], axis=1)

    return motion
