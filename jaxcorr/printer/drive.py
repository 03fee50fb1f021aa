"""Simulated printers driven along commands for a planned layer: what the head does, all sources on.

A layer is driven with a little rest before and after, so that a command may begin before the plan
and what swings at its end is seen. Many commands and many printers run side by side, in float64, at
the plant's rate; at each instant all of them meet the same jitter and the same floor.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float
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


class Command(NamedTuple):
    """What the motors get, at the plant's rate. Axes: T samples, 2 = x, y."""

    position_mm: Float[ndarray, "T 2"]
    velocity_mm_s: Float[ndarray, "T 2"]
    note: str = ""  # how a search for it ended


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
        return int(np.floor((self.plan.total_s + TAIL_S) * rate_hz + 1e-6)) + 1


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


def make_layer(plan: Plan, rate_hz: float, knot_rate_hz: float) -> Layer:
    """Samples a plan at the plant's rate; corrections have knots at a rate that divides it."""
    rest = round(REST_S * rate_hz)
    steps = int(np.ceil(plan.total_s * rate_hz)) + rest
    steps += -(steps + rest) % round(rate_hz / JUDGE_RATE_HZ)
    time_s = np.arange(-rest, steps + 1) / rate_hz
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
    every = round(layer.rate_hz / JUDGE_RATE_HZ)
    late_s, floor_mm = draw_noise(seed, len(layer.time_s), options, layer.rate_hz)
    scale = float("friction" in options.sources)
    matrices = stack([discretize(one, layer.rate_hz) for one in printers])
    actual = []
    with jax.enable_x64(True), jax.default_device(jax.local_devices(backend="cpu")[0]):
        state = initial_state(matrices, jax.numpy.zeros((len(commands), 2)))
        for first in range(0, len(layer.time_s) - 1, BLOCK):
            rows = np.minimum(np.arange(first, first + BLOCK + 1), len(layer.time_s) - 1)
            u, v = _motors(commands, rows, late_s[rows], options)
            mean_v = mean_velocity(u, layer.rate_hz)
            states, state = respond(matrices, state, v, mean_v, scale, every=every)
            error = np.asarray(states.error_mm)
            actual.append(u[every::every] + error + floor_mm[rows[every::every], None])
    time_s, reference = layer.time_s[every::every], layer.reference.position_mm[every::every]
    kept = (time_s >= 0.0) & (time_s <= layer.plan.total_s + TAIL_S)
    return Driven(time_s[kept], reference[kept], np.concatenate(actual)[: len(time_s)][kept])


def _motors(
    commands: Sequence[Command],
    rows: ndarray,
    late_s: ndarray,
    options: Simulation,
) -> tuple[ndarray, ndarray]:
    """Positions and velocities of the motors, (t, commands, 2): microsteps and jitter included.

    Rows that repeat the last one stand still, as the layer's end does.
    """
    position = np.stack([command.position_mm[rows] for command in commands], axis=1)
    velocity = np.stack([command.velocity_mm_s[rows] for command in commands], axis=1)
    off = deviate(options, position, velocity, late_s[:, None])
    return position + off.micro_mm + off.late_mm, off.velocity_mm_s
