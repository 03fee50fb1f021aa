"""Naive correction, the command less the predicted error, and the proof that it does harm.

The simulated printer is driven along the reference, and along the reference less the predicted
error, and both are compared by frequency: for an elastic axis of response H, subtracting even a
perfect prediction turns an error of -H r into one of -H^2 r, which is worse above 0.71 of its
natural frequency.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from jaxcorr.compensation.model_map import INPUTS, OUTPUTS
from jaxcorr.deploy.predictor import Predictor
from jaxcorr.errors import InputError
from jaxcorr.printer import drive
from jaxcorr.printer.drive import Layer
from jaxcorr.printer.planner import Plan
from jaxcorr.printer_spec import Simulation

# Edges of the bands; the axes resonate at 24.06 and 21.22 Hz, and 0.71 of that is 17 and 15 Hz.
BANDS_HZ = (0.0, 5.0, 10.0, 15.0, 20.0, 30.0, 50.0)
NONE, NETWORK, PERFECT = "none", "network", "perfect"


def check_model(predictor: Predictor) -> None:
    """Checks that a model takes a planned reference and gives the errors of x and y.

    Raises:
        InputError: it takes or gives something else, or at another rate.
    """
    data = predictor.spec.data
    is_known = data.features in INPUTS and data.targets in OUTPUTS
    if not is_known or drive.JUDGE_RATE_HZ % data.sample_rate_hz:
        raise InputError(
            f"demo-control: expected a model from {', '.join(INPUTS[0])} to "
            f"{', '.join(OUTPUTS[0])}, or from references to errors, at a rate that divides "
            f"{drive.JUDGE_RATE_HZ:g} Hz, got {', '.join(data.features)} to "
            f"{', '.join(data.targets)} at {data.sample_rate_hz:g} Hz. Choose another run."
        )


def subtract(predictor: Predictor, plan: Plan, options: Simulation, seed: int) -> dict[str, Any]:
    """What subtracting a prediction from the command does, in the simulated printer.

    The network predicts for the whole planned layer at its own rate, from the reference; the
    perfect prediction is the error that the plain run had. Both are subtracted as they are.

    Args:
        predictor: at the model's own rate, at rest.
        options: which sources are on, and the printer.
        seed: of the random sources; the same in all runs.
    Returns:
        `total_um` and `bands_um` (see `band_rms`) by kind (none, network, perfect), and `edges_hz`.
    """
    layer = drive.make_layer(plan, options.plant_rate_hz, predictor.spec.data.sample_rate_hz)
    plain = drive.drive(layer, [layer.reference], [options], options, seed)
    every = round(drive.JUDGE_RATE_HZ / layer.knot_rate_hz)
    errors = {
        NETWORK: predicted_error(predictor, layer),
        PERFECT: plain.error_mm[::every, 0][: layer.num_knots],
    }
    commands = [layer.reference, *(drive.corrected(layer, -error) for error in errors.values())]
    driven = drive.drive(layer, commands, [options] * len(commands), options, seed)
    by_kind = dict(zip((NONE, *errors), np.moveaxis(driven.error_mm, 1, 0), strict=True))
    bands = {kind: band_rms(error, drive.JUDGE_RATE_HZ) for kind, error in by_kind.items()}
    return {
        "edges_hz": [*BANDS_HZ, drive.JUDGE_RATE_HZ / 2],
        "bands_um": {kind: (1e3 * values).tolist() for kind, values in bands.items()},
        "total_um": {
            kind: 1e3 * float(np.sqrt(np.mean(np.sum(error**2, axis=1))))
            for kind, error in by_kind.items()
        },
    }


def predicted_error(predictor: Predictor, layer: Layer) -> Float[ndarray, "k 2"]:
    """The network's prediction at each knot of a layer (mm), from the plan alone.

    With a horizon of h samples a prediction belongs h samples later; knots without one get zero.
    """
    position, velocity = layer.reference[:2]
    knots = np.hstack([position[layer.at_knots], velocity[layer.at_knots]])
    predicted = predictor.predict_ahead(knots)
    horizon, ahead = predictor.spec.data.horizon, np.zeros((len(knots), 2))
    begin, end = max(horizon, 0), len(knots) + min(horizon, 0)
    if begin < end:
        ahead[begin:end] = predicted[begin - horizon : end - horizon]
    return ahead


def band_rms(error: Float[ndarray, "n 2"], rate_hz: float) -> Float[ndarray, " bands"]:
    """RMS length of an error in each band, in its unit; their squares add up to the whole's.

    Bands are those between BANDS_HZ, and the rest above.
    """
    power = np.sum(np.abs(np.fft.rfft(error, axis=0)) ** 2, axis=1) / len(error) ** 2
    # All but the constant, and the Nyquist line of an even length, stand for two lines.
    power[1 : (len(error) + 1) // 2] *= 2
    lines_hz = np.fft.rfftfreq(len(error), 1 / rate_hz)
    band = np.searchsorted(BANDS_HZ, lines_hz, side="right") - 1
    return np.sqrt(np.bincount(band, power, minlength=len(BANDS_HZ)))


def verdict(figures: Mapping[str, Any]) -> str:
    """The figures of `subtract` in a sentence."""
    edges, bands, totals = figures["edges_hz"], figures["bands_um"], figures["total_um"]
    is_worse = np.array(bands[PERFECT]) > np.array(bands[NONE])
    # Neighbouring bands are one stretch: its ends are where better and worse meet.
    ends = np.flatnonzero(np.diff(is_worse, prepend=False, append=False))
    stretches = [f"{edges[i]:g} to {edges[j]:g} Hz" for i, j in zip(*[iter(ends)] * 2, strict=True)]
    where = f"worse from {' and '.join(stretches)}" if stretches else "worse nowhere"
    return (
        f"Subtracting even a perfect prediction makes the printer {where}; in all the error goes "
        f"from {totals[NONE]:.1f} to {totals[PERFECT]:.1f} um RMS, and to {totals[NETWORK]:.1f} um "
        "with the network's. A correction has to be solved for."
    )
