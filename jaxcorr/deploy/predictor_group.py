"""Many printers predicted together: one row of samples in, one row of errors out.

Each row of a sample is a stream of its own, as if it had a `Predictor` to itself; one compiled call
moves all of them on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float32
from numpy import ndarray
from numpy.typing import ArrayLike

from jaxcorr.data.ranges import Ranges
from jaxcorr.deploy import guard
from jaxcorr.deploy.compiled_step import Lanes, count_lanes
from jaxcorr.deploy.guard import ENDER3_V2_MM
from jaxcorr.errors import InputError
from jaxcorr.models.network import Weights
from jaxcorr.spec import Spec

# In hold mode a stream is carried over so many refused samples in a row; after more of them it
# begins anew with the next good one.
MOST_BRIDGED = 10


@dataclass(frozen=True)
class Status:
    """What a predictor has met since it was loaded.

    Attributes:
        num_steps: samples that it predicted on; of all streams together.
        num_held: samples that it refused and answered with the last good value.
        num_flagged: samples on which it predicted though they were further out than in training.
        num_restarts: times that a stream began anew after too many refused samples.
        last_problem: why the newest refused sample was refused.
        outside: furthest outside the training ranges, by feature or `jump_x`, `accel_x`, in mm,
            mm/s, mm/s2.
        has_ranges: False for runs of before training ranges were kept: nothing is flagged then,
            and only type and magnitude are judged.
    """

    num_steps: int = 0
    num_held: int = 0
    num_flagged: int = 0
    num_restarts: int = 0
    last_problem: str | None = None
    outside: Mapping[str, float] = field(default_factory=dict)
    has_ranges: bool = True


class Tally:
    """Counts for `Status`."""

    def __init__(self, has_ranges: bool):
        self.num_steps = self.num_held = self.num_flagged = self.num_restarts = 0
        self.last_problem: str | None = None
        self._outside: dict[str, float] = {}
        self._has_ranges = has_ranges

    def flag(self, outside: Mapping[str, float]) -> None:
        """Counts a sample that was further out than training, if it was."""
        self.num_flagged += bool(outside)
        for name, excess in outside.items():
            self._outside[name] = max(excess, self._outside.get(name, 0.0))

    def status(self) -> Status:
        """The counts as they are now."""
        return Status(
            self.num_steps,
            self.num_held,
            self.num_flagged,
            self.num_restarts,
            self.last_problem,
            dict(self._outside),
            self._has_ranges,
        )


class PredictorGroup:
    """Predicts the errors of `num_streams` printers, one sample of each at a time."""

    def __init__(
        self,
        spec: Spec,
        weights: Weights,
        ranges: Ranges | None = None,
        *,
        num_streams: Any,
        rate_hz: float | None = None,
        mode: str = "strict",
        volume_mm: Sequence[float] = ENDER3_V2_MM,
    ):
        """Compiles and warms up; the arguments are those of `Predictor.load`."""
        if not isinstance(num_streams, int) or num_streams < 1:
            raise InputError(
                f"num_streams: expected an integer >= 1, got {num_streams!r}. Leave it out for one "
                "printer whose step takes plain numbers."
            )
        self.spec = spec
        self.num_streams = num_streams
        self._is_strict, self._tally = mode == "strict", Tally(has_ranges=ranges is not None)
        self._guard = guard.guard_for(spec, ranges, mode, volume_mm)
        self._lanes = Lanes(spec, weights, count_lanes(spec, rate_hz), num_streams)
        self._good = np.zeros((num_streams, len(spec.data.targets)), np.float32)
        sizes = (self._lanes.num_lanes, num_streams)
        self._before = np.full((*sizes, len(spec.data.features)), np.nan)
        self._num_missed = np.zeros(sizes, np.int64)

    def step(self, samples: ArrayLike) -> Float32[ndarray, "n k"]:
        """Predicts the errors that belong to every stream's newest sample; carries the states on.

        Args:
            samples: (num_streams, features), mm and mm/s.
        Returns:
            error = actual - reference (mm). In hold mode a stream with a bad sample gets its last
            good values.
        Raises:
            InputError: the shape or the type is wrong; or, in strict mode, a sample is bad. No
                state has changed.
        """
        table = self._guard.check_table(samples, self._before.shape[1:])
        turn = self._lanes.turn
        is_bad = self._judge(table)
        self._bridge(table, is_bad)
        # Where nothing is known that could stand in, zeros run through and are taken back.
        is_waiting = np.asarray(np.isnan(table).any(axis=1))
        errors = self._lanes.advance(np.where(is_waiting[:, None], 0.0, table))
        self._lanes.reset_lane(turn, is_waiting)
        self._before[turn] = table
        self._good = np.where(is_bad[:, None], self._good, errors)
        self._tally.num_steps += int(np.sum(~is_bad))
        return self._good.copy()

    def _judge(self, table: ndarray) -> ndarray:
        """True for each stream whose sample is refused; counts, and raises in strict mode."""
        turn, is_bad, outside = self._lanes.turn, np.zeros(len(table), np.bool_), []
        for i, row in enumerate(table.tolist()):
            sample, last = tuple(row), guard.as_before(self._before[turn, i])
            if self._guard.is_quiet(sample, last):
                continue
            found = self._guard.examine(sample, last, int(self._num_missed[turn, i]))
            outside.append(found.outside)
            if found.problem is not None:
                is_bad[i] = True
                self._tally.last_problem = f"stream {i}: {found.problem}"
                if self._is_strict:
                    raise InputError(
                        f"step: stream {i}: {found.problem} No state has changed; pass good "
                        f"samples, or reset({i}) first if that printer was moved."
                    )
        for excess in outside:
            self._tally.flag(excess)
        self._tally.num_held += int(np.sum(is_bad))
        return is_bad

    def _bridge(self, table: ndarray, is_bad: ndarray) -> None:
        """Puts in place of bad samples the last ones moved on; NaN where a stream begins anew."""
        before, missed = self._before[self._lanes.turn], self._num_missed[self._lanes.turn]
        missed[~is_bad] = 0
        for i in np.flatnonzero(is_bad):
            last = guard.as_before(before[i])
            if last is None or missed[i] == MOST_BRIDGED:
                table[i] = np.nan
                self._tally.num_restarts += last is not None
                missed[i] = 0
            else:
                table[i] = self._guard.move_on(last)
                missed[i] += 1

    def predict_ahead(self, samples: ArrayLike) -> Float32[ndarray, "t n k"]:
        """Errors (mm) for t samples of every stream that follow the newest; the states stay.

        Args:
            samples: (t, num_streams, features).
        Raises:
            InputError: the shape is wrong or a sample is bad, in either mode.
        """
        block = self._guard.check_table(samples, (None, *self._before.shape[1:]))
        self._guard.check_ahead(block, np.roll(self._before, -self._lanes.turn, axis=0))
        return self._lanes.look_ahead(block)

    def warm(self) -> None:
        """Computes a step that changes nothing, to have code and weights in the caches."""
        self._lanes.warm()

    def reset(self, streams: Any = None) -> None:
        """Some streams, by number from 0, or all of them, back to before their first sample.

        Raises:
            InputError: there is no such stream.
        """
        chosen = np.arange(self.num_streams) if streams is None else np.atleast_1d(streams)
        is_number = chosen.dtype.kind in "iu" and chosen.ndim == 1
        if not is_number or not all(0 <= i < self.num_streams for i in chosen):
            raise InputError(
                f"reset: expected streams from 0 to {self.num_streams - 1}, got {streams!r}. "
                "Leave it out to reset all."
            )
        self._lanes.reset(chosen)
        self._good[chosen] = 0.0
        self._forget(chosen)

    def _forget(self, streams: Any = slice(None)) -> None:
        self._before[:, streams] = np.nan
        self._num_missed[:, streams] = 0

    @property
    def carry(self) -> Float32[ndarray, "*lanes n size"]:
        """A copy of all states, to go back to by assigning it.

        After that the first sample of each stream is not compared with the one before.
        """
        return self._lanes.state

    @carry.setter
    def carry(self, value: Any) -> None:
        self._lanes.state = value
        self._forget()

    @property
    def status(self) -> Status:
        """What was met since loading, of all streams together."""
        return self._tally.status()
