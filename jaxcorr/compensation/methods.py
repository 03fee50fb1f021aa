"""Methods of compensation: the network inverted, streamed or subtracted, and the plant inverted.

A method maps a planned layer to a command. With the network, the solver inverts the run's model,
offline or block by block, except where the gate does not trust it; subtracting the prediction is
the naive way beside that. With the plant in the network's place the same solver gives the bound of
what a perfect model would reach, and, swapped piece by piece, what a missed goal is owed to. The
accuracy of the network along the commands of both is measured at the end.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from jaxcorr.compensation import baselines, gate, solver
from jaxcorr.compensation.baselines import Method, PlantMethod
from jaxcorr.compensation.closed_loop import NONE, Trial
from jaxcorr.compensation.compensator import Compensator
from jaxcorr.compensation.gate import Gate
from jaxcorr.compensation.model_map import ModelMap
from jaxcorr.compensation.solver import ErrorFn, ImpulseResponse, Options
from jaxcorr.errors import InputError
from jaxcorr.printer import drive
from jaxcorr.printer.drive import JUDGE_RATE_HZ, Command, Layer
from jaxcorr.printer_spec import Simulation
from jaxcorr.training.restore import Loaded

SOLVED, STREAMED, NAIVE = "network, solved", "network, streamed", "minus prediction"
PLANT_SOLVED = "plant, solved"
RANDOM = ("jitter", "floor")


class Accuracy(NamedTuple):
    """How well a network predicts actual - command along the commands of one method."""

    method: str
    r2: float
    rmse_um: float


# True and predicted actual - command in mm at the knots of a layer, by method.
Lags = dict[str, tuple[Float[ndarray, "_ 2"], Float[ndarray, "_ 2"]]]


def load_map(loaded: Loaded) -> ModelMap:
    """A run's network as the solver's map.

    Raises:
        InputError: the run maps no commands of x and y, or its rate does not suit the judge's.
    """
    rate_hz = loaded.spec.data.sample_rate_hz
    if JUDGE_RATE_HZ % rate_hz:
        raise InputError(
            f"compensate: expected a run at a rate that divides {JUDGE_RATE_HZ:g} Hz, got "
            f"{rate_hz:g} Hz. Choose another run."
        )
    return ModelMap(loaded)


def offline_methods(network: ModelMap, trust: Gate) -> dict[str, Method]:
    """The network solved for, a layer at a time, and the naive way beside it, by name.

    Args:
        network: the run's map.
        trust: where it is not trusted, the command is left as planned.
    """
    rate_hz = network.knot_rate_hz

    def solved(layer: Layer) -> Command:
        error_fn = predicted(network, layer)
        num_knots = layer.num_knots_at(rate_hz)
        solution = solver.solve(error_fn, network.response, num_knots, rate_hz, network.options)
        before, after = error_fn(np.zeros_like(solution.knots)), error_fn(solution.knots)
        reference = reference_of(network, layer)
        knots, trusted = gated(network, trust, reference, solution.knots, before, after)
        left = "" if trusted.all() else f", {100 * np.mean(~trusted):.1f}% left as planned"
        return drive.corrected(layer, knots, rate_hz)._replace(note=solution.outcome + left)

    def naive(layer: Layer) -> Command:
        no_correction = np.zeros((layer.num_knots_at(rate_hz), 2))
        return baselines.subtracted(layer, predicted(network, layer)(no_correction), rate_hz)

    return {SOLVED: solved, NAIVE: naive}


def streaming_methods(loaded: Loaded) -> dict[str, Method]:
    """The form for control code, by name: block by block, with what it sees ahead by default.

    Its clock stands still, so that a busy machine changes no result; being late is for the bench.
    """
    compensator = Compensator(loaded, clock=lambda: 0.0)

    def streamed(layer: Layer) -> Command:
        reference = reference_at(layer, compensator.rate_hz)
        compensator.reset()
        compensator.feed(reference)
        compensator.finish()
        blocks = []
        while len(block := compensator.next_block()):
            blocks.append(block)
        knots = np.concatenate(blocks)[:, :2] - reference[:, :2]
        left = compensator.status.num_blocks - compensator.status.num_compensated
        share = f", {100 * left / len(blocks):.1f}% left as planned" if left else ""
        command = drive.corrected(layer, knots, compensator.rate_hz)
        return command._replace(note=f"converged{share}")

    return {STREAMED: streamed}


def plant_solved(options: Simulation) -> PlantMethod:
    """The solver with a perfect map, the plant itself: the bound of what a network can reach."""

    def solved(layer: Layer, plant: Simulation) -> Command:
        rate_hz = layer.knot_rate_hz
        error_fn = true_error(layer, plant, options, rate_hz)
        return _solve(layer, error_fn, response_of(plant, rate_hz), rate_hz)

    return solved


def pieces(network: ModelMap, options: Simulation) -> dict[str, Method]:
    """The solver with the plant in place of parts of the network, and with less or more, by name.

    Args:
        network: in whose place.
        options: sources and plant of the printer.
    """
    plant, rate_hz = options, network.knot_rate_hz
    response = response_of(plant, rate_hz)

    def plant_steps(layer: Layer) -> Command:
        return _solve(layer, predicted(network, layer), response, rate_hz, network.options)

    def network_steps(layer: Layer) -> Command:
        return _solve(layer, true_error(layer, plant, options, rate_hz), network.response, rate_hz)

    def without_microsteps(layer: Layer) -> Command:
        reduced = without(options, "microstep")
        return _solve(layer, true_error(layer, plant, reduced, rate_hz), response, rate_hz)

    def finer_knots(layer: Layer) -> Command:
        error_fn = true_error(layer, plant, options, 2 * rate_hz)
        return _solve(layer, error_fn, response_of(plant, 2 * rate_hz), 2 * rate_hz)

    finer = {f"plant, knots at {2 * rate_hz:g} Hz": finer_knots}
    return {
        "network, steps of the plant": plant_steps,
        "plant, steps of the network": network_steps,
        "plant without microsteps": without_microsteps,
        **(finer if JUDGE_RATE_HZ % (2 * rate_hz) == 0 else {}),
    }


def predicted(network: ModelMap, layer: Layer) -> ErrorFn:
    """Predicted actual - reference in mm of a layer, from the knots of its correction."""
    return network.error_fn(reference_of(network, layer))


def gated(
    network: ModelMap,
    trust: Gate,
    reference: Float[ndarray, "t 4"],
    knots: Float[ndarray, "k 2"],
    before: Float[ndarray, "k 2"],
    after: Float[ndarray, "k 2"],
) -> tuple[Float[ndarray, "k 2"], Bool[ndarray, " k"]]:
    """Knots that fade to none where they are not trusted, and where they are.

    Args:
        network: the run's map.
        trust: the run's gate.
        reference: of `reference_of`.
        knots: of the correction in mm.
        before, after: predicted errors in mm at the knots, without and with it.
    """
    commands, rates = reference + network.moved(knots), (network.rate_hz, network.per_knot)
    trusted = gate.trusted_knots(trust, commands, before, after, *rates)
    return gate.fade(knots, trusted, network.knot_rate_hz), trusted


def true_error(
    layer: Layer,
    plant: Simulation,
    options: Simulation,
    knot_rate_hz: float,
) -> ErrorFn:
    """True actual - reference in mm at the knots, from the knots.

    Args:
        layer: which is driven.
        plant: that drives it.
        options: its sources; the random ones are left out.
        knot_rate_hz: of knots and errors; divides drive.JUDGE_RATE_HZ.
    """
    quiet, every = without(options, *RANDOM), round(JUDGE_RATE_HZ / knot_rate_hz)

    def error(knots: Float[ndarray, "k 2"]) -> Float[ndarray, "k 2"]:
        command = drive.corrected(layer, knots, knot_rate_hz)
        driven = drive.drive(layer, [command], [plant], quiet, 0)
        return driven.error_mm[::every, 0][: len(knots)]

    return error


def response_of(plant: Simulation, knot_rate_hz: float) -> ImpulseResponse:
    """Response of a sliding axis of a plant to a knot."""
    per_knot = round(plant.plant_rate_hz / knot_rate_hz)
    whole = baselines.knot_response(plant, per_knot, knot_rate_hz)
    num_taps = baselines.SPAN + 1 + round(solver.RESPONSE_S * knot_rate_hz)
    return ImpulseResponse(whole[::per_knot][:num_taps], baselines.SPAN).until_still()


def without(options: Simulation, *sources: str) -> Simulation:
    """Options with these sources off too."""
    return options.model_copy(update={"sources_off": (*options.sources_off, *sources)})


def reference_at(layer: Layer, rate_hz: float) -> Float[ndarray, "k 4"]:
    """x, y in mm and vx, vy in mm/s at a rate, to TAIL_S after the end."""
    return np.hstack([values[layer.samples_at(rate_hz)] for values in layer.reference[:2]])


def reference_of(network: ModelMap, layer: Layer) -> Float[ndarray, "t 4"]:
    """The same at the samples of a network, from the first of its knots to the last."""
    last = (layer.num_knots_at(network.knot_rate_hz) - 1) * network.per_knot
    return reference_at(layer, network.rate_hz)[: last + 1]


def lags(network: ModelMap, tried: Trial) -> Lags:
    """On the plain command and on the network's own, as the nominal plant has it."""
    rows = tried.layer.samples_at(network.rate_hz)
    every = round(JUDGE_RATE_HZ / network.rate_hz)
    by_method = {}
    for method in (NONE, SOLVED):
        position, velocity = (values[rows] for values in tried.commands[method][:2])
        actual = tried.driven.actual_mm[::every, tried.columns[method]]
        lag = network.lag(np.hstack([position, velocity]))
        by_method[method] = actual - position[: len(actual)], lag[: len(actual)]
    return by_method


def accuracies(layers: Sequence[Lags]) -> list[Accuracy]:
    """How well a network predicts plain commands and its own, over all layers."""
    results = []
    for method in (NONE, SOLVED):
        pairs = zip(*(one[method] for one in layers), strict=True)
        true, predicted_lag = (np.concatenate(parts) for parts in pairs)
        left = np.sum((predicted_lag - true) ** 2)
        spread = np.sum((true - true.mean(axis=0)) ** 2)
        rmse_um = 1e3 * float(np.sqrt(left / true.size))
        results.append(Accuracy(method, float(1.0 - left / spread), rmse_um))
    return results


def _solve(
    layer: Layer,
    error_fn: ErrorFn,
    response: ImpulseResponse,
    rate_hz: float,
    options: Options | None = None,
) -> Command:
    """The solver's command; its note says how it ended."""
    options = options or solver.DEFAULT.at_rate(rate_hz)
    solution = solver.solve(error_fn, response, layer.num_knots_at(rate_hz), rate_hz, options)
    return drive.corrected(layer, solution.knots, rate_hz)._replace(note=solution.outcome)
