"""Many printers predicted together: one row of samples in, one row of errors out.

Each row of a sample is a stream of its own, as if it had a `Predictor` to itself; one compiled call
moves all of them on.
"""

from typing import Any, Unpack

import numpy as np
from jaxtyping import Float32
from numpy import ndarray
from numpy.typing import ArrayLike

from jaxcorr.deploy import guard
from jaxcorr.deploy.compiled_step import StreamOptions, Streams
from jaxcorr.errors import InputError
from jaxcorr.training.restore import Loaded


class PredictorGroup(Streams):
    """Predicts the errors of `num_streams` printers, one sample of each at a time."""

    def __init__(self, loaded: Loaded, num_streams: Any, **options: Unpack[StreamOptions]):
        """Compiles and warms up; the arguments are those of `Predictor` and of its `load`."""
        if not isinstance(num_streams, int) or num_streams < 1:
            raise InputError(
                f"num_streams: expected an integer >= 1, got {num_streams!r}. Leave it out for one "
                "printer whose step takes plain numbers."
            )
        super().__init__(loaded, num_streams, **options)
        self.num_streams = num_streams
        self._good = np.zeros((num_streams, len(self.spec.data.targets)), np.float32)
        # Of each phase and stream: its last sample, NaN before there is one, and how many since
        # then were made up.
        sizes = (self._compiled.num_phases, num_streams)
        self._before = np.full((*sizes, len(self.spec.data.features)), np.nan)
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
        phase = self._compiled.phase
        is_bad = self._refused(table)
        self._bridge(table, is_bad)
        # Where nothing is known that could stand in, zeros run through and are taken back.
        is_waiting = np.asarray(np.isnan(table).any(axis=1))
        errors = self._compiled.advance(np.where(is_waiting[:, None], 0.0, table))
        self._compiled.reset_phase(phase, is_waiting)
        self._before[phase] = table
        self._good = np.where(is_bad[:, None], self._good, errors)
        self._tally.num_steps += int(np.sum(~is_bad))
        return self._good.copy()

    def _refused(self, table: ndarray) -> ndarray:
        """True for each stream whose sample is refused; counts, and raises in strict mode."""
        phase, is_bad, outside = self._compiled.phase, np.zeros(len(table), np.bool_), []
        for i, row in enumerate(table.tolist()):
            sample, last = tuple(row), guard.as_before(self._before[phase, i])
            if self._guard.is_quiet(sample, last):
                continue
            finding = self._guard.examine(sample, last, int(self._num_missed[phase, i]))
            outside.append(finding.outside)
            if finding.problem is not None:
                is_bad[i] = True
                self._tally.last_problem = f"stream {i}: {finding.problem}"
                if self._is_strict:
                    raise InputError(
                        f"step: stream {i}: {finding.problem} No state has changed; pass good "
                        f"samples, or reset({i}) first if that printer was moved."
                    )
        for excess in outside:
            self._tally.flag(excess)
        self._tally.num_held += int(np.sum(is_bad))
        return is_bad

    def _bridge(self, table: ndarray, is_bad: ndarray) -> None:
        """Puts in place of bad samples the last ones moved on; NaN where a stream begins anew."""
        before, missed = self._before[self._compiled.phase], self._num_missed[self._compiled.phase]
        missed[~is_bad] = 0
        for i in np.flatnonzero(is_bad):
            last = guard.as_before(before[i])
            if last is None or missed[i] == self._most_bridged:
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
        self._guard.check_ahead(block, np.roll(self._before, -self._compiled.phase, axis=0))
        return self._compiled.look_ahead(block)

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
        self._compiled.reset(chosen)
        self._good[chosen] = 0.0
        self._forget(chosen)

    def _forget(self, streams: Any = slice(None)) -> None:
        self._before[:, streams] = np.nan
        self._num_missed[:, streams] = 0
