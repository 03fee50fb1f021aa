"""What a trained network does about the error of a layer, and what limits it, piece by piece.

The network's prediction is subtracted, the naive way, or inverted by the solver, except where the
gate does not trust it. To see what a missed goal is owed to, the plant takes the place of the
network in the solver's two questions: what error do these knots leave, and how does the head answer
a knot. The module drives and judges nothing.
"""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from jaxcorr.compensation import baselines, gate, solver
from jaxcorr.compensation.baselines import Remedy
from jaxcorr.compensation.closed_loop import NONE, LayerRemedy, Trial
from jaxcorr.compensation.compensator import Compensator
from jaxcorr.compensation.gate import Gate, make_gate
from jaxcorr.compensation.model_map import ModelMap
from jaxcorr.compensation.solver import Answer, ErrorFn
from jaxcorr.errors import InputError
from jaxcorr.printer import drive
from jaxcorr.printer.drive import JUDGE_RATE_HZ, KNOT_RATE_HZ, Command, Layer
from jaxcorr.printer.plant import PlantOptions
from jaxcorr.printer.simulate import SimulateOptions
from jaxcorr.training.restore import Loaded

SOLVED, STREAMED, NAIVE = "network, solved", "network, streamed", "minus prediction"
FINE_RATE_HZ = 200.0


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
    return ModelMap(loaded.spec, loaded.weights)


def load_gate(loaded: Loaded) -> Gate:
    """What a run's training has seen.

    Raises:
        InputError: the run is too old to have kept it.
    """
    return make_gate(loaded.ranges, np.asarray(loaded.weights.targets.std, np.float64))


def remedies_of(network: ModelMap, trust: Gate) -> dict[str, LayerRemedy]:
    """What a network can do, by name: what it is for, and the naive way beside it.

    Args:
        network: the run's map.
        trust: where it is not trusted, the command is left as planned.
    """
    rate_hz = network.rate_hz

    def solved(layer: Layer) -> Command:
        ask = predicted(network, layer)
        found = solver.solve(ask, network.answer, layer.num_knots_at(rate_hz), rate_hz)
        before, after = ask(np.zeros_like(found.knots)), ask(found.knots)
        reference = reference_at(layer, rate_hz)
        kept = gate.trusted_knots(trust, reference, found.knots, before, after, rate_hz)
        left = "" if kept.all() else f", {100 * np.mean(~kept):.1f}% left as planned"
        command = drive.corrected(layer, gate.fade(found.knots, kept, rate_hz), rate_hz)
        return command._replace(note=found.outcome + left)

    def naive(layer: Layer) -> Command:
        nothing = np.zeros((layer.num_knots_at(rate_hz), 2))
        return baselines.subtracted(layer, predicted(network, layer)(nothing), rate_hz)

    return {SOLVED: solved, NAIVE: naive}


def streaming(loaded: Loaded, trust: Gate) -> dict[str, LayerRemedy]:
    """The form for control code, by name: block by block, with what it sees ahead by default.

    Its clock stands still, so that a busy machine changes no result; being late is for the bench.
    """
    compensator = Compensator(loaded.spec, loaded.weights, trust, clock=lambda: 0.0)

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


def pieces(network: ModelMap, options: SimulateOptions) -> dict[str, LayerRemedy]:
    """The solver with the plant in place of parts of the network, and with less or more, by name.

    Args:
        network: in whose place.
        options: sources and plant of the printer.
    """
    plant, rate_hz = options.plant, network.rate_hz
    own = answer_of(plant, rate_hz)

    def steps(layer: Layer) -> Command:
        return solve(layer, predicted(network, layer), own, rate_hz)

    def errors(layer: Layer) -> Command:
        ask = error_fn(layer, plant, options, rate_hz)
        return solve(layer, ask, network.answer, rate_hz)

    def coarse(layer: Layer) -> Command:
        known = without(options, "microstep")
        return solve(layer, error_fn(layer, plant, known, rate_hz), own, rate_hz)

    def fine(layer: Layer) -> Command:
        ask = error_fn(layer, plant, options, FINE_RATE_HZ)
        return solve(layer, ask, answer_of(plant, FINE_RATE_HZ), FINE_RATE_HZ)

    return {
        "network, steps of the plant": steps,
        "plant, steps of the network": errors,
        "plant without microsteps": coarse,
        f"plant, knots at {FINE_RATE_HZ:g} Hz": fine,
    }


class Accuracy(NamedTuple):
    """How well a network foresees actual - command along the commands of one remedy."""

    remedy: str
    r2: float
    rmse_um: float


# True and predicted actual - command in mm at the knots of a layer, by remedy.
Lags = dict[str, tuple[Float[ndarray, "_ 2"], Float[ndarray, "_ 2"]]]


def lags(network: ModelMap, tried: Trial) -> Lags:
    """On the plain command and on the network's own, as the nominal plant has it."""
    rows = tried.layer.samples_at(network.rate_hz)
    every = round(JUDGE_RATE_HZ / network.rate_hz)
    found = {}
    for remedy in (NONE, SOLVED):
        position, velocity = (values[rows] for values in tried.commands[remedy][:2])
        actual = tried.driven.actual_mm[::every, tried.lanes[remedy]]
        told = network.lag(np.hstack([position, velocity]))
        found[remedy] = actual - position[: len(actual)], told[: len(actual)]
    return found


def accuracies(layers: Sequence[Lags]) -> list[Accuracy]:
    """How well a network foresees plain commands and its own, over all layers."""
    found = []
    for remedy in (NONE, SOLVED):
        true, told = (np.concatenate(x) for x in zip(*(one[remedy] for one in layers), strict=True))
        left = np.sum((told - true) ** 2)
        spread = np.sum((true - true.mean(axis=0)) ** 2)
        rmse_um = 1e3 * float(np.sqrt(left / true.size))
        found.append(Accuracy(remedy, float(1.0 - left / spread), rmse_um))
    return found


def predicted(network: ModelMap, layer: Layer) -> ErrorFn:
    """Predicted actual - reference in mm of a layer, from the knots of its correction."""
    return network.error_fn(reference_at(layer, network.rate_hz))


def reference_at(layer: Layer, rate_hz: float) -> Float[ndarray, "k 4"]:
    """x, y in mm and vx, vy in mm/s at the knots of a rate."""
    return np.hstack([values[layer.samples_at(rate_hz)] for values in layer.reference[:2]])


def solve(layer: Layer, ask: ErrorFn, answer: Answer, rate_hz: float) -> Command:
    """The solver's command; its note says how it ended."""
    found = solver.solve(ask, answer, layer.num_knots_at(rate_hz), rate_hz)
    return drive.corrected(layer, found.knots, rate_hz)._replace(note=found.outcome)


PLANT_SOLVED = "plant, solved"
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
    whole = baselines.single_answer(plant, per_knot, knot_rate_hz)
    taps = baselines.SPAN + 1 + round(TAPS_S * knot_rate_hz)
    return Answer(whole[::per_knot][:taps], baselines.SPAN)


def remedy(options: SimulateOptions) -> Remedy:
    """The solver with a perfect map of a plant, as a remedy that is told the plant."""

    def solved(layer: Layer, plant: PlantOptions) -> Command:
        ask, count = error_fn(layer, plant, options), layer.num_knots
        found = solver.solve(ask, answer_of(plant), count, KNOT_RATE_HZ)
        return drive.corrected(layer, found.knots)._replace(note=found.outcome)

    return solved
