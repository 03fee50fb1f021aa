"""Corrections of many layers, solved side by side on the model of a run.

What the model makes of one layer takes as long as of sixteen, so that their searches advance in
step: each yields the knots that it wants to know the error of, and the model answers all at once.
Where the run's gate does not trust a correction, it fades to none (see compensation/gate.py).
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from jaxcorr.compensation import solver
from jaxcorr.compensation.gate import Gate
from jaxcorr.compensation.knot_inverse import KnotInverse
from jaxcorr.compensation.methods import gated
from jaxcorr.compensation.model_map import ModelMap
from jaxcorr.printer import drive
from jaxcorr.printer.planner import Plan, rows_at

GAIN = 0.02  # of a step; what smaller ones win is less than cutting into pieces loses
LANES = 16  # layers side by side; always as many, so that one compiled function does for all


class Solver:
    """The solver of a run.

    Args:
        network: the run's map.
        trust: where it is trusted.
    """

    def __init__(self, network: ModelMap, trust: Gate):
        self.network, self._trust = network, trust
        self._inverse: KnotInverse | None = None  # for the longest layer so far
        self._most_knots = 0

    def knots(self, plans: Sequence[Plan]) -> list[Float[ndarray, "k 2"]]:
        """The knots in mm of each layer's correction, at most LANES of them."""
        references = [self._reference(plan) for plan in plans]
        counts = [drive.count_knots(plan, self.network.knot_rate_hz) for plan in plans]
        searches = self._searches(counts)
        asked = [next(search) for search in searches]
        knots = list(asked)
        first: list[ndarray] = []
        running = set(range(len(plans)))
        while running:
            errors = self._errors(references, asked, running)
            first = first or list(errors)
            for i in sorted(running):
                try:
                    asked[i] = searches[i].send(errors[i])
                except StopIteration as end:
                    knots[i] = asked[i] = end.value.knots
                    running.remove(i)
        last = self._errors(references, knots, set(range(len(plans))))
        return [
            gated(self.network, self._trust, *of_layer)[0]
            for of_layer in zip(references, knots, first, last, strict=True)
        ]

    def _reference(self, plan: Plan) -> Float[ndarray, "t 4"]:
        """x, y in mm and vx, vy in mm/s of a plan at the model's samples, to the last knot."""
        network = self.network
        last = (drive.count_knots(plan, network.knot_rate_hz) - 1) * network.per_knot
        return rows_at(plan, np.arange(last + 1) / network.rate_hz)

    def _searches(self, num_knots: Sequence[int]) -> list[solver.Search]:
        options, rate_hz = self.network.options._replace(gain=GAIN), self.network.knot_rate_hz
        longest = max(num_knots)
        if self._inverse is None or longest > self._most_knots:
            weights = options.effort, options.bounds
            inverse = KnotInverse(*self.network.response, longest, rate_hz, *weights)
            self._inverse, self._most_knots = inverse, longest
        shorter = (self._inverse.shortened(count) for count in num_knots)
        return [
            solver.search(inverse, np.zeros((count, 2)), options)
            for inverse, count in zip(shorter, num_knots, strict=True)
        ]

    def _errors(
        self, references: list[ndarray], knots: list[ndarray], wanted: set[int]
    ) -> list[Float[ndarray, "k 2"]]:
        """Predicted actual - reference of each layer; nothing where it is not wanted."""
        longest = max(len(references[i]) for i in wanted)
        commands = np.zeros((longest, LANES, 4))
        for i in wanted:
            length = len(references[i])
            commands[:length, i] = references[i] + self.network.moved(knots[i])
            commands[length:, i, :2] = commands[length - 1, i, :2]
        lag = self.network.lag(commands)[:: self.network.per_knot]
        return [
            q + lag[: len(q), i] if i in wanted else np.zeros_like(q) for i, q in enumerate(knots)
        ]
