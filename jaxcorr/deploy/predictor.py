"""The deployed predictor: one raw sample in, one predicted error out, state carried in between.

For control code. Everything is compiled and warm once a predictor is loaded, work and memory per
sample are constant, and no bad sample reaches the model. All that is read is a run folder.
"""

import warnings
from pathlib import Path
from typing import Any, Unpack, overload

import numpy as np
from numpy import ndarray
from numpy.typing import ArrayLike

from jaxcorr import metrics
from jaxcorr.deploy.compiled_step import StreamOptions, Streams
from jaxcorr.deploy.predictor_group import PredictorGroup
from jaxcorr.errors import InputError, command
from jaxcorr.training import restore, run_folder
from jaxcorr.training.restore import Loaded
from jaxcorr.training.run_folder import Run


def _warn_of_verdict(run: Run) -> None:
    path = run.path / metrics.FILE
    if path.exists() and not metrics.read(path).verdict.meets_all_targets:
        warnings.warn(
            f"{run.path}: its evaluation missed a target, or does not beat a baseline; "
            f"`{command('eval')}` says what to use",
            stacklevel=3,
        )


class Predictor(Streams):
    """Predicts the error of one printer, sample by sample.

    At a control rate of n times the model's, n states take turns, sample i going to state i mod n:
    each is a genuine stream at the model's rate, and every call still costs one step.
    """

    def __init__(self, loaded: Loaded, **options: Unpack[StreamOptions]):
        """Compiles and warms up.

        Args:
            loaded: the run's best model; without ranges of its training data, samples are judged by
                type and magnitude alone.
            options: rate_hz, mode, volume_mm; see `StreamOptions`.
        Raises:
            InputError: an option is refused, or the weights are damaged.
        """
        super().__init__(loaded, None, **options)
        # Of each phase: its last sample, and how many before the next one were made up.
        self._before: list[tuple[Any, ...] | None] = []
        self._num_missed: list[int] = []
        self.reset()

    @overload
    @classmethod
    def load(
        cls, run: str | Path, *, num_streams: None = None, **options: Unpack[StreamOptions]
    ) -> "Predictor": ...

    @overload
    @classmethod
    def load(
        cls, run: str | Path, *, num_streams: int, **options: Unpack[StreamOptions]
    ) -> PredictorGroup: ...

    @classmethod
    def load(
        cls, run: str | Path, *, num_streams: int | None = None, **options: Unpack[StreamOptions]
    ) -> "Predictor | PredictorGroup":
        """The predictor of a run: its folder, its id, a unique start of that, or `latest`.

        Warns where the run's own evaluation missed a target or a baseline.

        Args:
            run: which run.
            num_streams: of printers that are predicted together; its `step` takes and gives arrays.
            options: rate_hz, mode, volume_mm; see `StreamOptions`.
        Raises:
            InputError: no such run, a file of it is missing or damaged, or an option is refused.
        """
        if restore.IS_TOO_LATE:
            warnings.warn(
                "JAX computed before jaxcorr was loaded, so a prediction takes about twice as long;"
                " import Predictor before that, or set JAX_CPU_ENABLE_ASYNC_DISPATCH=0",
                stacklevel=2,
            )
        found = run_folder.find(str(run))
        loaded = restore.load_weights(found)
        _warn_of_verdict(found)
        if num_streams is not None:
            return PredictorGroup(loaded, num_streams, **options)
        return cls(loaded, **options)

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
            InputError: in strict mode, for a bad sample (see `guard`), and in both for a call that
                is wrong in form, such as a row that is not unpacked; the state stays as it was.
        """
        compiled, phase = self._compiled, self._compiled.phase
        before = self._before[phase]
        if not self._guard.is_quiet(sample, before):
            sample = self._guard.numbers_of(sample)
            finding = self._guard.examine(sample, before, self._num_missed[phase])
            if finding.problem is not None:
                return self._refuse(finding.problem)
            self._tally.flag(finding.outside)
        self._before[phase] = sample
        self._num_missed[phase] = 0
        self._good = errors = tuple(compiled.advance(sample).tolist())
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
        phase = self._compiled.phase
        before = self._before[phase]
        if before is None or self._num_missed[phase] == self._most_bridged:
            self._tally.num_restarts += before is not None
            self._before[phase], self._num_missed[phase] = None, 0
            self._compiled.reset_phase(phase)
            self._compiled.skip()
        else:
            self._before[phase] = stand_in = self._guard.move_on(before)
            self._num_missed[phase] += 1
            self._compiled.advance(stand_in)
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
        no_sample = (np.nan,) * block.shape[1]
        before = [no_sample if last is None else last for last in self._before]
        self._guard.check_ahead(block, np.roll(np.array(before), -self._compiled.phase, axis=0))
        return self._compiled.look_ahead(block)

    def start(self, samples: ArrayLike) -> None:
        """Begins anew in the middle of a motion, as if `step` had been given what came before.

        Args:
            samples: t rows of features, as `step` takes them, the newest last; a window of them,
                or 0.2 s, is enough.
        Raises:
            InputError: the shape is wrong or a sample is bad, in either mode; the state stays.
        """
        block = self._guard.check_table(samples, (None, len(self.spec.data.features)))
        no_sample = np.full((self._compiled.num_phases, block.shape[1]), np.nan)
        self._guard.check_ahead(block, no_sample, "start")
        self.reset()
        for sample in block.tolist():
            self.step(*sample)

    def reset(self) -> None:
        """Back to before the first sample; the counts of `status` go on."""
        self._compiled.reset()
        self._good = (0.0,) * len(self.spec.data.targets)
        self._forget()

    def _forget(self) -> None:
        self._before = [None] * self._compiled.num_phases
        self._num_missed = [0] * self._compiled.num_phases
