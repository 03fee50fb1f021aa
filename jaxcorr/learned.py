"""What a trained network does about the error of a layer: the naive subtraction of its prediction.

The network sees the reference as a command that nobody corrected, as it did in plain traces. The
module knows runs and layers; it drives and judges nothing.
"""

from pathlib import Path

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from jaxcorr import predict, remedies, windows
from jaxcorr.drive import KNOT_RATE_HZ, Command, Layer
from jaxcorr.errors import InputError
from jaxcorr.planner import sample_plan
from jaxcorr.stream import Loaded
from jaxcorr.trace import Trace
from jaxcorr.trial import LayerRemedy

NAIVE = "minus prediction"
BEST = NAIVE
OUTPUTS = ("x", "y")


def remedies_of(loaded: Loaded) -> dict[str, LayerRemedy]:
    """What a run's network can do, by name.

    Raises:
        InputError: the run predicts at another rate than knots have, or not the errors of x and y.
    """
    data = loaded.spec.data
    if data.sample_rate_hz != KNOT_RATE_HZ or len(data.targets) != len(OUTPUTS):
        raise InputError(
            f"compensate: expected a run that predicts x and y at {KNOT_RATE_HZ:g} Hz, got "
            f"{', '.join(data.targets)} at {data.sample_rate_hz:g} Hz. Choose another run."
        )

    def naive(layer: Layer) -> Command:
        return remedies.subtracted(layer, predict_plain(loaded, layer))

    return {NAIVE: naive}


def predict_plain(loaded: Loaded, layer: Layer) -> Float[ndarray, "k 2"]:
    """Predicted error in mm, at the layer's knots, of the reference as it is.

    A horizon is taken into account: what is predicted for an instant stands at that instant. Where
    it reaches none (the first or last |horizon| knots) there is zero.
    """
    data = loaded.spec.data
    table = windows.tabulate([reference_trace(layer, data.features, data.targets)], data)
    rows = predict.stream(loaded.spec, loaded.weights, table)
    predicted = np.zeros((layer.num_knots, len(OUTPUTS)))
    if data.horizon >= 0:
        predicted[data.horizon :] = rows
    else:
        predicted[: data.horizon] = rows[-data.horizon :]
    return predicted


def reference_trace(layer: Layer, features: tuple[str, ...], targets: tuple[str, ...]) -> Trace:
    """A layer's plan as a trace: the command is the reference; what happened is not known, zero.

    Raises:
        InputError: a feature is none that a plan has.
    """
    time_s = np.arange(layer.num_knots) / KNOT_RATE_HZ
    at = sample_plan(layer.plan, time_s)
    fields = {"time": time_s}
    for ending in ("ref", "cmd"):
        for letter, values in (("", at.position_mm), ("v", at.velocity_mm_s)):
            fields |= {f"{letter}{axis}_{ending}": values[:, i] for i, axis in enumerate("xyz")}
    fields |= {f"a{axis}_ref": at.accel_mm_s2[:, i] for i, axis in enumerate("xyz")}
    fields["v_mag_ref"] = np.linalg.norm(at.velocity_mm_s, axis=1)
    fields["a_mag_ref"] = np.linalg.norm(at.accel_mm_s2, axis=1)
    unknown = sorted(set(features) - fields.keys())
    if unknown:
        raise InputError(
            f"compensate: expected inputs that a plan has, got '{unknown[0]}'. Choose a run that "
            "was trained on positions and velocities."
        )
    fields |= {name: np.zeros(len(time_s)) for name in targets}
    return Trace(Path("plan.mat"), "plan", fields, {})
