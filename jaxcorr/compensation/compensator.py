"""Receding-horizon compensation for control code: planned samples in, commands out by block.

At each block the solver looks ahead over a window of the plan, from the model's state after the
last command that was sent, and starts from what it found before (receding horizon). Its first
samples are sent, the rest is found anew with the next block. Where most of a block's own duration
is spent, the best knots so far go out if they take away half of the predicted error or more. A
block that comes too late for that, is not converged or not trusted goes out uncompensated: what is
left of the correction fades out within it. Nothing is compiled after loading.

  knots    ... c  | c+1 ... c+B-1 | c+B | ...      c is fixed, since the command before it depends
  sent     ... c-1| c   ... c+B-1                  on it; c+B becomes fixed with a block
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float
from numpy import ndarray
from numpy.typing import ArrayLike

from jaxcorr.compensation.gate import gate_of
from jaxcorr.compensation.knot_inverse import KnotInverse
from jaxcorr.compensation.model_map import ModelMap
from jaxcorr.compensation.solver import Options, descend
from jaxcorr.errors import InputError
from jaxcorr.models import network
from jaxcorr.models.network import Carry
from jaxcorr.training import restore, run_folder
from jaxcorr.training.restore import Loaded
from jaxcorr.units import MOST

SHARE = 0.7  # of a block's duration, after which no further step begins
GOOD_ENOUGH = 0.5  # of the uncompensated error, where the clock stops the solver
# At the end of a window the solver has no view of what follows: so many knots, or as long.
UNSURE = 6
UNSURE_S = 0.03
GAIN = 0.1  # of the solver: each knot is met in several windows, and begins where the last ended


class Status(NamedTuple):
    """What became of the blocks so far.

    Attributes:
        num_blocks: sent.
        num_compensated: of them, with a correction of their own.
        num_hurried: of these, stopped by the clock before they converged.
        num_late: sent as planned, since their solution came too late.
        num_unconverged: sent as planned, since no solution was found.
        num_distrusted: sent as planned, since the model was not trusted there.
        slowest_s: wall clock of the slowest.
    """

    num_blocks: int = 0
    num_compensated: int = 0
    num_hurried: int = 0
    num_late: int = 0
    num_unconverged: int = 0
    num_distrusted: int = 0
    slowest_s: float = 0.0


class Compensator:
    """Turns one printer's planned samples into commands, block by block.

    Feed the plan at least `lookahead` samples ahead of what `next_block` returns; what is missing
    of that is taken for going on straight, and not corrected.

    Args:
        loaded: the run; its model as `model_map.check` has it.
        lookahead_ms: how far the solver sees beyond the last command sent.
        block_ms: how much of that goes out at a time.
        options: of the solver; those of the model with GAIN if left out.
        clock: seconds, of a steady clock.

    Raises:
        InputError: the model is no map from commands, or the durations do not fit.
    """

    def __init__(
        self,
        loaded: Loaded,
        lookahead_ms: float = 300.0,
        block_ms: float = 100.0,
        options: Options | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ):
        model = ModelMap(loaded)
        options = options or model.options._replace(gain=GAIN)
        self.rate_hz, self._model = model.rate_hz, model
        self._unsure = max(UNSURE, round(UNSURE_S * model.knot_rate_hz))
        durations = block_ms, lookahead_ms
        self._block, num_knots = _lengths(*durations, model.knot_rate_hz, self._unsure)
        self._no_knots = np.zeros((num_knots, 2))
        self.block = self._block * model.per_knot
        self.lookahead = (num_knots - 1) * model.per_knot + 1
        self._gate, self._options, self._clock = gate_of(loaded), options, clock
        self._inverse = KnotInverse(
            *model.response, num_knots, model.knot_rate_hz, options.effort, options.bounds
        )
        self._start = network.carry_for(loaded.spec, 1)
        # Constants of the compiled functions, so that a call passes the state and the samples only.
        frozen = jax.tree.map(np.asarray, loaded.weights)

        def ahead(carry: Carry, samples: Array) -> tuple[Carry, Array]:
            after, lag = network.unroll(loaded.spec, frozen, carry, samples[:, None])
            return after, lag[:, 0]

        self._ahead_fn = jax.jit(ahead)
        self.reset()
        for length in (self.lookahead, self.block):
            for _ in range(2):
                jax.block_until_ready(
                    self._ahead_fn(self._start, np.zeros((length, 4), np.float32))
                )

    @classmethod
    def load(cls, run: str | Path, **options: Any) -> "Compensator":
        """The compensator of a run: its folder, its id, a unique start of that, or `latest`.

        Args:
            run: where it is.
            options: lookahead_ms, block_ms, options, clock; see the class.

        Raises:
            InputError: no such run, or its model is no map from commands.
        """
        return cls(restore.load_weights(run_folder.find(str(run))), **options)

    def reset(self) -> None:
        """Back to before the first sample of a layer."""
        self._carry = self._start
        self._reference = np.zeros((0, 4))
        self._is_finished = self._is_settled = False
        self._knots = self._no_knots
        self._knot_before: ndarray | None = None
        self.status = Status()

    def feed(self, samples: ArrayLike) -> None:
        """Takes planned samples that follow those fed before.

        Args:
            samples: rows of x, y (mm), vx, vy (mm/s) at the model's rate.

        Raises:
            InputError: a value is not finite or the shape is wrong, or the plan was finished; what
                was fed before stays.
        """
        rows = np.asarray(samples, np.float64)
        if rows.ndim != 2 or rows.shape[1] != 4 or not (np.abs(rows) < MOST).all():
            raise InputError(
                f"feed: expected finite rows of x, y, vx, vy within {MOST:g}, got shape "
                f"{rows.shape}. Pass one row for each sample."
            )
        if self._is_finished:
            raise InputError(
                "feed: expected no samples after finish, got some. Call reset before a new layer."
            )
        self._reference = np.concatenate([self._reference, rows])

    def finish(self) -> None:
        """Says that the plan ends with the last sample fed; the head rests there."""
        self._is_finished = True

    def compensate(self, planned: ArrayLike) -> Float[ndarray, "n 4"]:
        """Commands of a whole layer that is known at once, by the same blocks, without deadlines.

        Args:
            planned: all its samples, as `feed` takes them.

        Returns:
            A row for each of them.

        Raises:
            InputError: as `feed` does.
        """
        self.reset()
        self.feed(planned)
        self.finish()
        blocks = []
        while len(self._reference):
            blocks.append(self._next(np.inf))
        return np.concatenate([np.zeros((0, 4)), *blocks])

    def next_block(self) -> Float[ndarray, "n 4"]:
        """Commands of the next block: rows of x, y, vx, vy; none where the plan has ended.

        Raises:
            InputError: the plan goes on, but less of it was fed than a block and one sample.
        """
        num_known = len(self._reference)
        if num_known <= self.block and not self._is_finished:
            raise InputError(
                f"next_block: expected {self.block + 1} planned samples or more, got {num_known}. "
                "Feed further ahead, or call finish."
            )
        return self._next(SHARE * self.block / self.rate_hz) if num_known else np.zeros((0, 4))

    def _next(self, within_s: float) -> Float[ndarray, "n 4"]:
        """Commands of the next block of what is known, which is something."""
        num_known, began = len(self._reference), self._clock()
        window = self._window()
        knots, reasons = self._solve(window, began + within_s)
        commands = self._command(window, knots)[: self.block]
        self._carry, _ = self._ahead_fn(self._carry, commands.astype(np.float32))
        self._advance(knots)
        self._count(reasons, self._clock() - began)
        return commands[:num_known]

    def _window(self) -> Float[ndarray, "h 4"]:
        """The reference ahead; what is not known of it rests, or goes on straight."""
        known = self._reference[: self.lookahead]
        missing = self.lookahead - len(known)
        last = known[-1] if not self._is_finished else known[-1] * [1.0, 1.0, 0.0, 0.0]
        beyond = np.tile(last, (missing, 1))
        beyond[:, :2] += np.arange(1, missing + 1)[:, None] * last[2:] / self.rate_hz
        return np.concatenate([known, beyond])

    def _solve(self, window: ndarray, deadline: float) -> tuple[ndarray, tuple[str, ...]]:
        """Knots of the window, or those that fade out, and what to count them as."""
        if self._is_settled:
            return self._knots, ("compensated",)
        counts = np.ones(len(window), np.bool_)
        counts[len(self._reference) :] = self._is_finished
        per_knot = self._model.per_knot
        at_knots = counts[::per_knot]

        def error_fn(knots: ndarray) -> ndarray:
            error = knots + self._lag(window, knots)[::per_knot]
            return np.where(at_knots[:, None], error, 0.0)

        def has_time() -> bool:
            return self._clock() < deadline

        faded = self._fade()
        before = error_fn(faded)
        solution = descend(error_fn, self._inverse, self._knots, self._options, has_time)
        after = error_fn(solution.knots)
        # The end of a window is found anew in time; gain counts until there, since in a short rest
        # there is none, and inputs count where they are sent, and in what follows from that.
        far = np.flatnonzero(at_knots[: -self._unsure])
        near = np.flatnonzero(counts[: self.block + self._unsure * per_knot])
        is_hurried = solution.outcome == "out of time"
        if is_hurried and np.sum(after[far] ** 2) > GOOD_ENOUGH**2 * np.sum(before[far] ** 2):
            return faded, ("late",)
        # Where no step helps, the knots of the windows before are as good as they get.
        if solution.outcome in ("not finite", "too few steps"):
            return faded, ("unconverged",)
        is_within = self._gate.trusts(self._command(window, solution.knots)[near], self.rate_hz)
        if not (is_within and self._gate.believes(before[far], after[far])):
            return faded, ("distrusted",)
        self._is_settled = self._is_finished and len(self._reference) <= self.lookahead
        return solution.knots, ("compensated", "hurried")[: 1 + is_hurried]

    def _lag(self, window: ndarray, knots: ndarray) -> ndarray:
        samples = self._command(window, knots).astype(np.float32)
        return np.asarray(self._ahead_fn(self._carry, samples)[1], np.float64)

    def _command(self, window: ndarray, knots: ndarray) -> Float[ndarray, "h 4"]:
        """Reference plus correction at the samples of the window."""
        return window + self._model.moved(knots, self._knot_before)

    def _fade(self) -> Float[ndarray, "h 2"]:
        """From the fixed knot to none within a block, without a jump in speed at its end."""
        angle = np.pi * np.minimum(np.arange(len(self._knots)) / self._block, 1.0)
        return self._knots[0] * (1.0 + np.cos(angle))[:, None] / 2.0

    def _advance(self, knots: ndarray) -> None:
        """Moves on by a block; what the solver could not judge well it starts on anew."""
        self._knot_before = knots[self._block - 1]
        sure = len(knots) if self._is_settled else max(len(knots) - self._unsure, self._block + 1)
        carried_over = knots[self._block : sure]
        missing = len(knots) - len(carried_over)
        self._knots = np.concatenate([carried_over, np.repeat(carried_over[-1:], missing, axis=0)])
        self._reference = self._reference[self.block :]

    def _count(self, reasons: tuple[str, ...], seconds: float) -> None:
        keys = ["num_blocks", *(f"num_{reason}" for reason in reasons)]
        counted = {key: getattr(self.status, key) + 1 for key in keys}
        slowest = max(self.status.slowest_s, seconds)
        self.status = self.status._replace(**counted, slowest_s=slowest)


def _lengths(block_ms: float, lookahead_ms: float, rate_hz: float, unsure: int) -> tuple[int, int]:
    """Knots of a block and of the window."""
    block, lookahead = (round(ms * rate_hz / 1000.0) for ms in (block_ms, lookahead_ms))
    if not 1 <= block <= lookahead - unsure:
        raise InputError(
            f"compensator: expected block_ms of a knot or more and lookahead_ms of at least "
            f"{1000.0 * unsure / rate_hz:g} ms beyond that, got {block_ms:g} and "
            f"{lookahead_ms:g}. Look further ahead."
        )
    return block, lookahead
