"""Simulated printers driven along commands for a planned layer: what the head does, all sources on.

A layer is driven with a little rest before and after, so that a command may begin before the plan
and what swings at its end is seen. Many commands and many printers run side by side, in float64, at
the plant's rate; at each instant all of them meet the same jitter and the same floor.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from jaxcorr.printer import correction_curve
from jaxcorr.printer.planner import Plan, sample_plan
from jaxcorr.printer.plant import (
    discretize,
    initial_state,
    mean_velocity,
    respond,
    stack,
)
from jaxcorr.printer.simulate import deviate, draw_noise
from jaxcorr.printer_spec import Printer, Simulation

REST_S = 0.25  # before and after the plan; longer than any shaper, six periods of the axes
TAIL_S = 0.1  # of rest that knots cover: nothing would tell on the last ones, and they ran wild
JUDGE_RATE_HZ = 1000.0
BLOCK = 2000  # plant samples per call; layers of all lengths share one compiled function
SAMPLED = 10 * BLOCK  # plant samples of commands that are in memory

# Position in mm and velocity in mm/s of a command at plant samples: (t,) to two of (t, 2).
MotionFn = Callable[[Int[ndarray, " t"]], tuple[Float[ndarray, "t 2"], Float[ndarray, "t 2"]]]


class Command(NamedTuple):
    """What the motors get, at the plant's rate. Axes: T samples, 2 = x, y."""

    position_mm: Float[ndarray, "T 2"]
    velocity_mm_s: Float[ndarray, "T 2"]
    note: str = ""  # how a search for it ended

    def at(self, rows: Int[ndarray, " t"]) -> tuple[Float[ndarray, "t 2"], Float[ndarray, "t 2"]]:
        """A `MotionFn`: at the plant's samples; past the last one it is at rest there."""
        rows = np.minimum(rows, len(self.position_mm) - 1)
        return self.position_mm[rows], self.velocity_mm_s[rows]


class Layer(NamedTuple):
    """A planned layer, sampled at the plant's rate with REST_S of rest on either side."""

    plan: Plan
    rate_hz: float
    time_s: Float[ndarray, " T"]  # of the plan: negative before it begins
    reference: Command
    knot_rate_hz: float

    @property
    def num_knots(self) -> int:
        """How many knots at their rate; see `num_knots_at`."""
        return self.num_knots_at(self.knot_rate_hz)

    @property
    def at_knots(self) -> slice:
        """The plant samples that are knots at their rate."""
        return self.samples_at(self.knot_rate_hz)

    def samples_at(self, rate_hz: float) -> slice:
        """The plant samples that are knots at a rate."""
        per_knot, begin = round(self.rate_hz / rate_hz), round(REST_S * self.rate_hz)
        return slice(begin, begin + (self.num_knots_at(rate_hz) - 1) * per_knot + 1, per_knot)

    def num_knots_at(self, rate_hz: float) -> int:
        """Instants from the plan's first to TAIL_S after its end."""
        return count_knots(self.plan, rate_hz)


class Driven(NamedTuple):
    """What heads did from the plan's first instant on, at JUDGE_RATE_HZ.

    Axes: n instants, commands that were driven, 2 = x, y.
    """

    time_s: Float[ndarray, " n"]
    reference_mm: Float[ndarray, "n 2"]
    actual_mm: Float[ndarray, "n commands 2"]

    @property
    def error_mm(self) -> Float[ndarray, "n commands 2"]:
        """Actual less reference at the same instant."""
        return self.actual_mm - self.reference_mm[:, None]

    def until(self, end_s: float) -> "Driven":
        """The instants up to a time of the plan."""
        kept = self.time_s <= end_s
        return Driven(self.time_s[kept], self.reference_mm[kept], self.actual_mm[kept])


def count_knots(plan: Plan, rate_hz: float) -> int:
    """Knots of a correction from a plan's first instant to TAIL_S after its end."""
    return int(np.floor((plan.total_s + TAIL_S) * rate_hz + 1e-6)) + 1


def instants(total_s: float, rate_hz: float) -> Float[ndarray, " T"]:
    """Those of a plant along a plan of that length, with REST_S of rest on either side."""
    rest = round(REST_S * rate_hz)
    steps = int(np.ceil(total_s * rate_hz)) + rest
    steps += -(steps + rest) % round(rate_hz / JUDGE_RATE_HZ)
    return np.arange(-rest, steps + 1) / rate_hz


def make_layer(plan: Plan, rate_hz: float, knot_rate_hz: float) -> Layer:
    """Samples a plan at the plant's rate; corrections have knots at a rate that divides it."""
    time_s = instants(plan.total_s, rate_hz)
    at = sample_plan(plan, time_s)
    reference = Command(at.position_mm[:, :2], at.velocity_mm_s[:, :2])
    return Layer(plan, rate_hz, time_s, reference, knot_rate_hz)


def corrected(
    layer: Layer, knots_mm: Float[ndarray, "k 2"], rate_hz: float | None = None
) -> Command:
    """The reference plus a correction given by its knots, at the layer's or another rate
    (see correction_curve.py).

    Outside of the knots the correction stays what it is at the first and the last.
    """
    rate_hz = rate_hz or layer.knot_rate_hz
    position, velocity = correction_curve.curve(knots_mm, rate_hz, round(layer.rate_hz / rate_hz))
    before = round(REST_S * layer.rate_hz)
    after = len(layer.time_s) - before - len(position)
    edges = ((before, after), (0, 0))
    return Command(
        layer.reference.position_mm + np.pad(position, edges, mode="edge"),
        layer.reference.velocity_mm_s + np.pad(velocity, edges),
    )


def drive(
    layer: Layer,
    commands: Sequence[Command],
    printers: Sequence[Printer],
    options: Simulation,
    seed: int,
) -> Driven:
    """Drives printers along commands, one printer for each command.

    Args:
        layer: whose plan the commands are for.
        commands: as long as the layer's own reference.
        printers: one for each command, of which the axes count; all run at the layer's rate.
        options: which sources are on, and how large, and the kinematics of all printers; its own
            axes are not used.
        seed: of jitter and floor.
    """
    every, count = round(layer.rate_hz / JUDGE_RATE_HZ), len(layer.time_s)
    motions = [command.at for command in commands]
    actual = follow(motions, printers, options, layer.rate_hz, count, seed)
    time_s, reference = layer.time_s[every::every], layer.reference.position_mm[every::every]
    kept = (time_s >= 0.0) & (time_s <= layer.plan.total_s + TAIL_S)
    return Driven(time_s[kept], reference[kept], actual[kept])


def follow(
    motions: Sequence[MotionFn],
    printers: Sequence[Printer],
    options: Simulation,
    rate_hz: float,
    num_samples: int,
    seed: int,
) -> Float[ndarray, "n commands 2"]:
    """Where heads are in mm, at JUDGE_RATE_HZ from its second instant on.

    Args:
        motions: the commands, asked for SAMPLED samples at a time.
        printers, options, seed: see `drive`.
        rate_hz: of the plant.
        num_samples: of the plant.
    """
    every = round(rate_hz / JUDGE_RATE_HZ)
    late_s, floor_mm = draw_noise(seed, num_samples, options, rate_hz)
    scale = float("friction" in options.sources)
    matrices = stack([discretize(one, rate_hz) for one in printers])
    actual = []
    with jax.enable_x64(True), jax.default_device(jax.local_devices(backend="cpu")[0]):
        state = initial_state(matrices, jax.numpy.zeros((len(motions), 2)))
        for first in range(0, num_samples - 1, SAMPLED):
            rows = np.minimum(np.arange(first, first + SAMPLED + 1), num_samples - 1)
            position, velocity = _motors(motions, rows, late_s[rows], options)
            for begin in range(0, min(SAMPLED, num_samples - 1 - first), BLOCK):
                part = slice(begin, begin + BLOCK + 1)
                mean_v = mean_velocity(position[part], rate_hz)
                given = velocity[part], mean_v, scale
                states, state = respond(matrices, state, *given, every=every)
                at = slice(begin + every, begin + BLOCK + 1, every)
                error = np.asarray(states.error_mm)
                actual.append(position[at] + error + floor_mm[rows[at], None])
    return np.concatenate(actual)[: (num_samples - 1) // every]


def _motors(
    motions: Sequence[MotionFn],
    rows: ndarray,
    late_s: ndarray,
    options: Simulation,
) -> tuple[ndarray, ndarray]:
    """Positions and velocities of the motors, (t, commands, 2): microsteps and jitter included.

    Rows that repeat the last one stand still, as the layer's end does.
    """
    position, velocity = (
        np.stack(one, axis=1) for one in zip(*(motion(rows) for motion in motions), strict=True)
    )
    off = deviate(options, position, velocity, late_s[:, None])
    return position + off.micro_mm + off.late_mm, off.velocity_mm_s
