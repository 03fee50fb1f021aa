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
from jaxcorr.compensation.methods import gated, reference_of
from jaxcorr.compensation.model_map import ModelMap
from jaxcorr.printer import drive
from jaxcorr.printer.drive import Command, Layer

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

    def commands(self, layers: Sequence[Layer]) -> list[Command]:
        """The command of each layer, at most LANES of them, at the plant's rate."""
        rate_hz = self.network.knot_rate_hz
        references = [reference_of(self.network, layer) for layer in layers]
        searches = self._searches([layer.num_knots_at(rate_hz) for layer in layers])
        asked = [next(search) for search in searches]
        knots = list(asked)
        first: list[ndarray] = []
        running = set(range(len(layers)))
        while running:
            errors = self._errors(references, asked, running)
            first = first or list(errors)
            for i in sorted(running):
                try:
                    asked[i] = searches[i].send(errors[i])
                except StopIteration as end:
                    knots[i] = asked[i] = end.value.knots
                    running.remove(i)
        last = self._errors(references, knots, set(range(len(layers))))
        return [
            drive.corrected(
                layer, gated(self.network, self._trust, reference, q, e0, e1)[0], rate_hz
            )
            for layer, reference, q, e0, e1 in zip(
                layers, references, knots, first, last, strict=True
            )
        ]

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
