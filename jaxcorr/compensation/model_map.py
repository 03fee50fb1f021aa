"""A run's model as the map that compensation inverts, from commands to the path of the head.

The model sees the command, positions and velocities at the rate of its traces, and predicts how far
behind it the head is. Here that is tied to knots of a correction, and the impulse response of a
sliding axis to a knot is measured on the model itself.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32
from numpy import ndarray

from jaxcorr.compensation import solver
from jaxcorr.compensation.solver import ErrorFn, ImpulseResponse
from jaxcorr.errors import InputError
from jaxcorr.models import network
from jaxcorr.models.network import Carry, Weights
from jaxcorr.printer import correction_curve
from jaxcorr.printer.disturbance import MICROSTEP_PERIODS_MM as PERIODS_MM
from jaxcorr.spec import Spec
from jaxcorr.training.restore import Loaded

CHUNK = 512  # samples per call, so that layers of all lengths share one compiled function
INPUTS = (("x_cmd", "y_cmd", "vx_cmd", "vy_cmd"), ("x_ref", "y_ref", "vx_ref", "vy_ref"))
OUTPUTS = (("lag_x", "lag_y"), ("error_x", "error_y"))
# An axis that slides: its response is the mean over many places, directions and speeds, which makes
# the motors' own period in it vanish.
NUM_SLIDES = 64
WARM_UP_S = 0.6  # a model of the default size has forgotten all but 0.001 um by then
LEAD = 2  # taps before the knot, whose curve begins there
# Of the solver, by model.path. A network alone is least right about knots that turn sharply from
# one to the next: with the effort of the plant they take a predicted error away, not a true one,
# and the solver stops early, since no step lowers the cost of the whole layer (specs/LOG.md).
EFFORTS = {"none": 2e-2, "smooth": 2e-2, "plant": solver.DEFAULT.effort}


def check(spec: Spec) -> None:
    """Checks that a run's model maps commands of x and y to where the head is at that instant.

    Raises:
        InputError: it has other inputs or outputs, or predicts ahead or behind.
    """
    data = spec.data
    if data.features not in INPUTS or data.targets not in OUTPUTS or data.horizon:
        raise InputError(
            f"compensate: expected a run with features {', '.join(INPUTS[0])}, targets "
            f"{', '.join(OUTPUTS[0])} and horizon 0, got {', '.join(data.features)}, "
            f"{', '.join(data.targets)} and {data.horizon}. Train specs/compensation.toml."
        )


class ModelMap:
    """The map of one run.

    Attributes:
        rate_hz: of samples.
        knot_rate_hz: of knots.
        per_knot: samples per knot.
        response: of an axis that slides, to a knot.
        options: of the solver, as they suit this model.
    """

    def __init__(self, loaded: Loaded):
        spec, weights = loaded.spec, loaded.weights
        check(spec)
        self.rate_hz, self.knot_rate_hz = spec.data.sample_rate_hz, spec.data.knots_hz
        self.per_knot = round(self.rate_hz / self.knot_rate_hz)
        self._spec, self._weights = spec, weights
        self.response = measure_response(spec, weights)
        options = solver.DEFAULT._replace(effort=EFFORTS[spec.model.path])
        self.options = options.at_rate(self.knot_rate_hz)

    def lag(self, commands: Float[ndarray, "t *lanes 4"]) -> Float[ndarray, "t *lanes 2"]:
        """Where the head is, less where the command is, mm, along commands from rest."""
        lanes = commands.reshape(len(commands), -1, 4).astype(np.float32)
        carry, lags = network.carry_for(self._spec, lanes.shape[1]), []
        for first in range(0, len(commands), CHUNK):
            block = lanes[first : first + CHUNK]
            padded = np.pad(block, ((0, CHUNK - len(block)), (0, 0), (0, 0)), mode="edge")
            carry, lag = _unroll(self._spec, self._weights, carry, padded)
            lags.append(np.asarray(lag)[: len(block)])
        return np.concatenate(lags).astype(np.float64).reshape(*commands.shape[:-1], 2)

    def error_fn(self, reference: Float[ndarray, "t 4"]) -> ErrorFn:
        """Predicted actual - reference of a path, from the knots of its correction.

        Args:
            reference: x, y in mm and vx, vy in mm/s, at `rate_hz`; the last sample is a knot.
        """

        def error(knots: Float[ndarray, "k 2"]) -> Float[ndarray, "k 2"]:
            return knots + self.lag(reference + self.moved(knots))[:: self.per_knot]

        return error

    def moved(
        self, knots: Float[ndarray, "k 2"], before: Float[ndarray, " 2"] | None = None
    ) -> Float[ndarray, "t 4"]:
        """What knots add to the samples between the first and the last of them.

        Args:
            knots: in mm.
            before: the knot before the first, where that one is not the beginning.
        """
        return np.hstack(correction_curve.curve(knots, self.knot_rate_hz, self.per_knot, before))


@functools.partial(jax.jit, static_argnums=0)
def _unroll(spec: Spec, weights: Weights, carry: Carry, samples: Array) -> tuple[Carry, Array]:
    return network.unroll(spec, weights, carry, samples)


def measure_response(spec: Spec, weights: Weights) -> ImpulseResponse:
    """Response of a sliding axis of a model to a knot: its Jacobian, averaged over many slides."""
    taps = _slide(spec, weights, _draw_slides(spec, weights))
    return ImpulseResponse(np.asarray(taps, np.float64), LEAD).until_still()


def warm_up(spec: Spec) -> int:
    """Knots of a slide before its response begins."""
    return round(WARM_UP_S * spec.data.knots_hz)


def _draw_slides(spec: Spec, weights: Weights) -> Float32[ndarray, "t b 4"]:
    """Straight lines, both axes moving at half to one and a half times the usual speed."""
    rng = np.random.default_rng(0)
    first = 0 if spec.model.inputs == "kinematic" else 2
    usual = np.asarray(weights.inputs.std)[first : first + 2]
    start = 100.0 + rng.uniform(0.0, max(PERIODS_MM), (NUM_SLIDES, 2))
    velocity = rng.uniform(0.5, 1.5, (NUM_SLIDES, 2)) * usual
    velocity *= rng.choice([-1.0, 1.0], velocity.shape)
    rate_hz = spec.data.sample_rate_hz
    num_knots = warm_up(spec) + LEAD + round(solver.RESPONSE_S * spec.data.knots_hz)
    num_samples = (num_knots - 1) * round(rate_hz / spec.data.knots_hz) + 1
    time = np.arange(num_samples)[:, None, None] / rate_hz
    speeds = np.broadcast_to(velocity, (len(time), *velocity.shape))
    lines = np.concatenate([start + velocity * time, speeds], axis=-1)
    return lines.astype(np.float32)


@functools.partial(jax.jit, static_argnums=0)
def _slide(spec: Spec, weights: Weights, lines: Array) -> Float[Array, "taps 2"]:
    carry, rate_hz = network.carry_for(spec, NUM_SLIDES), spec.data.knots_hz
    per_knot = round(spec.data.sample_rate_hz / rate_hz)

    def actual(knots: Array) -> Array:
        moved = jnp.concatenate(correction_curve.curve(knots, rate_hz, per_knot), -1)
        lag = network.unroll(spec, weights, carry, lines + moved[:, None])[1]
        return knots + jnp.mean(lag, axis=1)[::per_knot]

    at_knot = warm_up(spec) + LEAD
    zero = jnp.zeros(((len(lines) - 1) // per_knot + 1, 2))
    own = [
        jax.jvp(actual, (zero,), (zero.at[at_knot, axis].set(1.0),))[1][warm_up(spec) :, axis]
        for axis in range(2)
    ]
    return jnp.stack(own, axis=-1)
