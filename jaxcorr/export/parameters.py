"""A trained model's parameters as plain arrays, and the facts that label its exported files.

Forms written by hand (C, MATLAB) read their numbers here and nowhere else, so the
layout of the network's parameters is spelled out once. The module writes no files.
"""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from jaxcorr.data.windows import Samples
from jaxcorr.models import plant_path
from jaxcorr.models.network import PATH, Weights
from jaxcorr.models.normalize import Scale
from jaxcorr.spec import Spec, own_positions, own_velocities
from jaxcorr.units import unit_of

NORM_EPSILON = 1e-6  # of Flax's LayerNorm


class Dense(NamedTuple):
    """outputs = inputs @ kernel + bias."""

    kernel: Float32[ndarray, "i o"]
    bias: Float32[ndarray, " o"]


class Recurrent(NamedTuple):
    """One LSTM layer of h units; the axis g holds the gates i, f, g, o of h values each."""

    inputs: Float32[ndarray, "d g"]
    recurrent: Float32[ndarray, "h g"]
    bias: Float32[ndarray, " g"]

    @property
    def size(self) -> int:
        """h."""
        return len(self.recurrent)


class SmoothPath(NamedTuple):
    """A regression on smooth functions of velocity, see smooth_path.py; A axes.

    Attributes:
        velocities: its columns of the features.
        most, scale, knots, rest: of the regressors.
        response: mm that each regressor of an axis adds at the sample itself and at later ones.
        offset: mm.
    """

    velocities: tuple[int, ...]
    most: Float32[ndarray, " A"]
    scale: Float32[ndarray, "scales A"]
    knots: Float32[ndarray, " knots"]
    rest: float
    response: Float32[ndarray, "A regressors lags"]
    offset: Float32[ndarray, " A"]

    @property
    def num_remembered(self) -> int:
        """Values that a stream remembers of it: shares of later errors."""
        return (self.response.shape[-1] - 1) * len(self.offset)


class PlantPath(NamedTuple):
    """The identified plant of A axes, see plant_path.py; p periods.

    Attributes:
        positions, velocities: its columns of the features.
        num_steps: in a sample.
        first_period: mm, the longest; each of the others is half the one before.
        sample_s: from sample to sample.
        horizon: samples from the newest one to the error.
        samples_ahead: that the plant goes on for, where the error lies ahead.
    """

    positions: tuple[int, ...]
    velocities: tuple[int, ...]
    transition: Float32[ndarray, "2 2 A"]
    command: Float32[ndarray, "2 3 A"]
    force: Float32[ndarray, "2 A"]
    friction: Float32[ndarray, "2 *motors A"]  # of each motor on a CoreXY
    slope: Float32[ndarray, " A"]
    friction_velocity: Float32[ndarray, " A"]
    sine: Float32[ndarray, "p A"]
    cosine: Float32[ndarray, "p A"]
    offset: Float32[ndarray, " A"]
    num_steps: int
    first_period: float
    sample_s: float
    horizon: int
    samples_ahead: int

    @property
    def num_remembered(self) -> int:
        """Values that a stream remembers of it; see `plant_path.initialize`."""
        return (2 + max(-self.horizon, 0)) * len(self.offset) + plant_path.NUM_RECALLED


class Plain(NamedTuple):
    """A trained model in the order of its arithmetic, in arrays of its own.

    Attributes:
        inputs, targets: scales of the derived inputs, and of the errors in mm.
        limit: mm, which no prediction exceeds.
        encoder: into the layer normalisation.
        norm_scale, norm_bias: of the layer normalisation, before the ReLU.
        layers: of the LSTM, first to last.
        head: of the last layer's h to the normalised errors.
        path: what runs beside the network; None where there is nothing.
    """

    inputs: Scale
    targets: Scale
    limit: Float32[ndarray, " k"]
    encoder: Dense
    norm_scale: Float32[ndarray, " e"]
    norm_bias: Float32[ndarray, " e"]
    layers: tuple[Recurrent, ...]
    head: Dense
    path: SmoothPath | PlantPath | None


class Facts(NamedTuple):
    """What a file says of itself."""

    run: str
    features: tuple[str, ...]
    feature_units: tuple[str, ...]
    targets: tuple[str, ...]
    target_units: tuple[str, ...]
    horizon: int
    sample_rate_hz: float
    window: int


def plain(spec: Spec, weights: Weights) -> Plain:
    """Takes a model's parameters apart."""
    network = weights.network
    layers = [network[f"lstm_{i}"] for i in range(spec.model.num_layers)]
    return Plain(
        inputs=Scale(*map(_copy, weights.inputs)),
        targets=Scale(*map(_copy, weights.targets)),
        limit=_copy(weights.limit_mm),
        encoder=_dense(network["encoder"]),
        norm_scale=_copy(network["norm"]["scale"]),
        norm_bias=_copy(network["norm"]["bias"]),
        layers=tuple(
            Recurrent(*_dense(layer["input"])[:1], _copy(layer["recurrent_kernel"]), bias)
            for layer in layers
            for bias in [_copy(layer["input"]["bias"])]
        ),
        head=_dense(network["head"]),
        path=_path(spec, network[PATH]) if PATH in network else None,
    )


def facts(run_id: str, spec: Spec) -> Facts:
    """The labels of a run's exported files."""
    data = spec.data
    return Facts(
        run=run_id,
        features=data.features,
        feature_units=tuple(map(unit_of, data.features)),
        targets=data.targets,
        target_units=tuple(map(unit_of, data.targets)),
        horizon=data.horizon,
        sample_rate_hz=data.sample_rate_hz,
        window=data.window,
    )


def side_by_side(samples: Samples) -> Float32[ndarray, "t b f"]:
    """All traces as parallel streams, shorter ones continued with zeros that nobody reads."""
    longest = int(samples.num_rows.max(initial=0))
    block = np.zeros((longest, len(samples.num_rows), samples.features.shape[1]), np.float32)
    for stream, span in enumerate(samples.spans()):
        block[: span.stop - span.start, stream] = samples.features[span]
    return block


def end_to_end(samples: Samples, block: ndarray) -> Float32[ndarray, "rows k"]:
    """What `side_by_side` streams gave, back in the order of the samples' rows."""
    return np.concatenate([block[:rows, stream] for stream, rows in enumerate(samples.num_rows)])


def _dense(parameters: Any) -> Dense:
    return Dense(_copy(parameters["kernel"]), _copy(parameters["bias"]))


def _path(spec: Spec, parameters: Any) -> SmoothPath | PlantPath:
    data, velocities = spec.data, own_velocities(spec.data) or ()
    if spec.model.path == "plant":
        return PlantPath(
            positions=own_positions(data) or (),
            velocities=velocities,
            transition=_copy(parameters["transition"]),
            command=_copy(parameters["command"]),
            force=_copy(parameters["force"]),
            friction=_copy(parameters["friction"]),
            slope=_copy(parameters["slope"]),
            friction_velocity=_copy(parameters["friction_velocity_mm_s"]),
            sine=_copy(parameters["sine_mm"]),
            cosine=_copy(parameters["cosine_mm"]),
            offset=_copy(parameters["offset_mm"]),
            num_steps=len(parameters["share"]) - 1,
            first_period=plant_path.PERIODS_MM[0],
            sample_s=1.0 / data.sample_rate_hz,
            horizon=data.horizon,
            samples_ahead=plant_path.count_ahead(data.horizon, data.sample_rate_hz),
        )
    return SmoothPath(
        velocities=velocities,
        most=_copy(parameters["most_mm_s"]),
        scale=_copy(parameters["scale_mm_s"]),
        knots=_copy(parameters["knots_mm_s"]),
        rest=float(parameters["rest_mm_s"][0]),
        response=_copy(np.moveaxis(np.asarray(parameters["response"]), -1, 0)),
        offset=_copy(parameters["offset_mm"]),
    )


def _copy(values: Any) -> Float32[ndarray, "..."]:
    return np.array(values, np.float32)
