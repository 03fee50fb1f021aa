"""The deployed predictor: one raw sample in, one predicted error out, state carried in between.

For control code. Everything is compiled and warm once a predictor is loaded, work and memory per
sample are constant, and no bad sample reaches the model. It reads a run folder and knows nothing of
training data or metrics.
"""

from pathlib import Path
from typing import Any, Literal, overload

import numpy as np
from numpy import ndarray
from numpy.typing import ArrayLike

from jaxcorr.data.ranges import Ranges
from jaxcorr.deploy import guard
from jaxcorr.deploy.compiled_step import Lanes, count_lanes
from jaxcorr.deploy.guard import ENDER3_V2_MM
from jaxcorr.deploy.predictor_group import MOST_BRIDGED, PredictorGroup, Status, Tally
from jaxcorr.errors import InputError
from jaxcorr.models.network import Weights
from jaxcorr.spec import Spec
from jaxcorr.training import restore, run_folder

Mode = Literal["strict", "hold"]
Volume = tuple[float, float, float]


class Predictor:
    """Predicts the error of one printer, sample by sample.

    At a control rate of n times the model's, n states take turns, sample i going to state i mod n:
    each is a genuine stream at the model's rate, and every call still costs one step.
    """

    def __init__(
        self,
        spec: Spec,
        weights: Weights,
        ranges: Ranges | None = None,
        *,
        rate_hz: float | None = None,
        mode: Mode = "strict",
        volume_mm: Volume = ENDER3_V2_MM,
    ):
        """Compiles and warms up.

        Args:
            ranges: what training saw; None: samples are judged by type and magnitude alone.
            rate_hz: of the samples that will come; None means the model's own.
            mode: on a bad sample, `strict` raises and `hold` returns the last good value.
            volume_mm: what the printer can reach in x, y, z, from 0; the training range counts too.
        Raises:
            InputError: an option is refused, or the weights are damaged.
        """
        self.spec = spec
        self._is_strict, self._tally = mode == "strict", Tally(has_ranges=ranges is not None)
        self._guard = guard.guard_for(spec, ranges, mode, volume_mm)
        self._lanes = Lanes(spec, weights, count_lanes(spec, rate_hz))
        # Of each lane: its last sample, and how many before the next one were made up.
        self._before: list[tuple[Any, ...] | None] = []
        self._num_missed: list[int] = []
        self.reset()

    @overload
    @classmethod
    def load(
        cls,
        run: str | Path,
        *,
        num_streams: None = None,
        rate_hz: float | None = None,
        mode: Mode = "strict",
        volume_mm: Volume = ENDER3_V2_MM,
    ) -> "Predictor": ...

    @overload
    @classmethod
    def load(
        cls,
        run: str | Path,
        *,
        num_streams: int,
        rate_hz: float | None = None,
        mode: Mode = "strict",
        volume_mm: Volume = ENDER3_V2_MM,
    ) -> PredictorGroup: ...

    @classmethod
    def load(
        cls,
        run: str | Path,
        *,
        num_streams: int | None = None,
        rate_hz: float | None = None,
        mode: Mode = "strict",
        volume_mm: Volume = ENDER3_V2_MM,
    ) -> "Predictor | PredictorGroup":
        """The predictor of a run: its folder, its id, a unique start of that, or `latest`.

        Args:
            run: which run.
            num_streams: of printers that are predicted together; its `step` takes and gives arrays.
            rate_hz: of the samples that will come: the model's, or a whole multiple of it.
            mode: on a bad sample, `strict` raises and `hold` returns the last good value.
            volume_mm: what the printer can reach in x, y, z, from 0; the training range counts too.
        Raises:
            InputError: no such run, a file of it is missing or damaged, or an option is refused.
        """
        loaded = restore.load_weights(run_folder.find(str(run)))
        known = (loaded.spec, loaded.weights, loaded.ranges)
        if num_streams is not None:
            return PredictorGroup(
                *known, num_streams=num_streams, rate_hz=rate_hz, mode=mode, volume_mm=volume_mm
            )
        return cls(*known, rate_hz=rate_hz, mode=mode, volume_mm=volume_mm)

    def step(self, *sample: Any) -> tuple[float, ...]:
        """Predicts the error that belongs to the newest sample and carries the state on.

        Args:
            sample: the features in the spec's order: x, y (mm), vx, vy (mm/s), of the reference or,
                as in medium_hybrid, of the command.
        Returns:
            error = actual - reference, or lag = actual - command, per axis (mm), `horizon` samples
            of the model after this one.
            In hold mode, for a bad sample, the last good value; zeros before there is one.
        Raises:
            InputError: in strict mode, for a bad sample (see `safety`); the state stays as it was.
        """
        lanes, turn = self._lanes, self._lanes.turn
        before = self._before[turn]
        if not self._guard.is_quiet(sample, before):
            found = self._guard.examine(sample, before, self._num_missed[turn])
            if found.problem is not None:
                return self._refuse(found.problem)
            self._tally.flag(found.outside)
        self._before[turn] = sample
        self._num_missed[turn] = 0
        self._good = errors = tuple(lanes.advance(sample).tolist())
        self._tally.num_steps += 1
        return errors

    def _refuse(self, problem: str) -> tuple[float, ...]:
        """Raises, or carries the stream over a bad sample: moves the last one on in its place."""
        self._tally.last_problem = problem
        if self._is_strict:
            raise InputError(
                f"step: {problem} The state is unchanged; pass a good sample, or reset() first if "
                "the printer was moved."
            )
        self._tally.num_held += 1
        turn = self._lanes.turn
        before = self._before[turn]
        if before is None or self._num_missed[turn] == MOST_BRIDGED:
            self._tally.num_restarts += before is not None
            self._before[turn], self._num_missed[turn] = None, 0
            self._lanes.reset_lane(turn)
            self._lanes.skip()
        else:
            self._before[turn] = stand_in = self._guard.move_on(before)
            self._num_missed[turn] += 1
            self._lanes.advance(stand_in)
        return self._good

    def predict_ahead(self, samples: ArrayLike) -> ndarray:
        """Errors (mm) for t samples that follow the newest one, in one call; the state stays.

        Args:
            samples: t rows of features, as `step` takes them.
        Returns:
            (t, targets), what t calls of `step` would give.
        Raises:
            InputError: the shape is wrong or a sample is bad, in either mode.
        """
        block = self._guard.check_table(samples, (None, len(self.spec.data.features)))
        nothing = (np.nan,) * block.shape[1]
        before = [nothing if last is None else last for last in self._before]
        self._guard.check_ahead(block, np.roll(np.array(before), -self._lanes.turn, axis=0))
        return self._lanes.look_ahead(block)

    def warm(self) -> None:
        """Computes a step that changes nothing.

        Called shortly before a sample is due it brings code and weights back into the caches, which
        a processor that slept 10 ms has lost: the call that counts is then several times as fast.
        """
        self._lanes.warm()

    def reset(self) -> None:
        """Back to before the first sample; the counts of `status` go on."""
        self._lanes.reset()
        self._good = (0.0,) * len(self.spec.data.targets)
        self._forget()

    def _forget(self) -> None:
        self._before = [None] * self._lanes.num_lanes
        self._num_missed = [0] * self._lanes.num_lanes

    @property
    def carry(self) -> ndarray:
        """A copy of the state, to go back to by assigning it: (size,), or (n, size) at n rates.

        After that the first sample is not compared with the one before.
        """
        return self._lanes.state

    @carry.setter
    def carry(self, value: Any) -> None:
        self._lanes.state = value
        self._forget()

    @property
    def status(self) -> Status:
        """What was met since loading."""
        return self._tally.status()
