"""Input validation of a deployed predictor: type and range of samples, and jumps between them.

Three outcomes: quiet (as in training, the common case, decided in about a microsecond), flagged
(further out than training went; the prediction is worth less), refused. A sample is refused where

  - a value is no real number, or not finite,
  - a position lies outside the printer's volume, MARGIN_MM around it allowed for; traces in other
    coordinates than 0..side mean a bed that may lie anywhere that holds all of training,
  - another value is more than FAR times as large as the largest of the training split,
  - the way since the sample before differs from what the speeds at both ends explain by more than
    FAR times as much as it ever did in training, or the velocity changes FAR times as fast.

Velocities share one largest value, and so do each axis's changes.
"""

import numbers
import re
from collections.abc import Sequence
from operator import le
from typing import Any, NamedTuple

import numpy as np
from numpy import ndarray
from numpy.typing import ArrayLike

from jaxcorr.data.trace import Axis, find_axes
from jaxcorr.data.trace_checks import explained_way_mm
from jaxcorr.errors import InputError, show
from jaxcorr.models.ranges import Ranges
from jaxcorr.spec import Spec
from jaxcorr.units import MOST, unit_of

FAR = 4.0
MARGIN_MM = 10.0
ENDER3_V2_MM = (220.0, 220.0, 250.0)
MODES = ("strict", "hold")
# A float32 of the tables differs from the float64 of a caller; of a feature's range and absolute.
ROUNDING = (1e-3, 1e-3)
# Exact types: a bool is an int and an array has a truth value, but neither is a number here.
NUMBERS = frozenset(
    {float, int, np.float16, np.float32, np.float64, np.int8, np.int16, np.int32, np.int64}
    | {np.uint8, np.uint16, np.uint32, np.uint64}
)


# An axis: most unexplained way (mm) and change of velocity (mm/s) that are quiet, not refused.
Bounds = tuple[Axis, float, float, float, float]


class Finding(NamedTuple):
    """What is wrong with a sample.

    Attributes:
        problem: why it is refused, "expected <rule>, got <value>."; None where it is not.
        outside: what is further out than in training, and by how much, in its unit.
    """

    problem: str | None
    outside: dict[str, float]


class Guard:
    """Judges the samples of streams of one model."""

    def __init__(
        self,
        features: Sequence[str],
        rate_hz: float,
        ranges: Ranges,
        volume_mm: Sequence[float],
        sees_position: bool,
    ):
        """Turns ranges into bounds.

        Args:
            features: names, in the order of a sample's values.
            rate_hz: of the model's samples.
            ranges: of the training split.
            volume_mm: printable, from 0, of x, y, z.
            sees_position: False where the model does not, so that one elsewhere than in training
                is nothing to flag.
        """
        self._names = tuple(features)
        self._period_s = 1.0 / rate_hz
        self._rate_hz = rate_hz
        sides = tuple(map(float, volume_mm))
        bounds = [self._bounds_of(i, ranges, sides, sees_position) for i in self._indices()]
        self._low, self._high, self._far_low, self._far_high = zip(*bounds, strict=True)
        axes: list[Bounds] = []
        for i, axis in enumerate(find_axes(self._names)):
            jump = ranges.jump_mm[i] + ROUNDING[1]
            change = ranges.accel_mm_s2[i] * self._period_s + ROUNDING[1]
            axes.append((axis, jump, change, FAR * jump, FAR * change))
        self._axes = tuple(axes)
        self._quiet_axes = tuple((a.position, a.velocity, *quiet) for a, *quiet, _, _ in axes)

    def _indices(self) -> range:
        return range(len(self._names))

    def _bounds_of(
        self, i: int, ranges: Ranges, volume_mm: tuple[float, ...], sees_position: bool
    ) -> tuple[float, float, float, float]:
        """Low and high of the quiet range, then of what is not refused."""
        low, high = ranges.low[i], ranges.high[i]
        slack = ROUNDING[0] * (high - low) + ROUNDING[1]
        quiet = (low - slack, high + slack)
        if match := re.fullmatch(r"([xyz])_(?:ref|cmd)", self._names[i]):
            far = _reach(low, high, volume_mm["xyz".index(match.group(1))])
            return (*(quiet if sees_position else far), *far)
        alike = [j for j in self._indices() if self._is_velocity(i) and self._is_velocity(j)] or [i]
        most = max(max(abs(ranges.low[j]), abs(ranges.high[j])) for j in alike)
        far = FAR * most + ROUNDING[1]
        return (*quiet, -far, far)

    def _is_velocity(self, i: int) -> bool:
        return unit_of(self._names[i]) == "mm/s"

    def is_quiet(self, sample: tuple[Any, ...], before: tuple[Any, ...] | None) -> bool:
        """True where there is nothing to say of a sample: `examine` would find nothing.

        Args:
            sample: as the caller gave it, of any form.
            before: the sample one period earlier; None at the start of a stream.
        """
        if len(sample) != len(self._names) or not NUMBERS.issuperset(map(type, sample)):
            return False
        # NaN fails every comparison.
        if not (all(map(le, self._low, sample)) and all(map(le, sample, self._high))):
            return False
        if before is None:
            return True
        rate_hz = self._rate_hz
        for p, v, jump, change in self._quiet_axes:
            v0, v1 = before[v], sample[v]
            if not -change <= v1 - v0 <= change:
                return False
            way = sample[p] - before[p]
            if not -jump <= way - explained_way_mm(v0, v1, rate_hz) <= jump:
                return False
        return True

    def examine(
        self, sample: tuple[Any, ...], before: tuple[Any, ...] | None, num_missed: int = 0
    ) -> Finding:
        """What is wrong with a sample, in words.

        Args:
            sample, before: of `numbers_of`.
            num_missed: samples between the two that `move_on` made up; their error is allowed for.
        """
        for name, value in zip(self._names, sample, strict=True):
            if not abs(value) < np.inf:
                return Finding(f"expected a finite {name}, got {value}.", {})
        outside: dict[str, float] = {}
        for i, value in enumerate(sample):
            if not self._far_low[i] <= value <= self._far_high[i]:
                return Finding(self._say_far(i, value), {})
            excess = max(self._low[i] - value, value - self._high[i])
            if excess > 0:
                outside[self._names[i]] = float(excess)
        for axis in self._axes if before is not None else ():
            problem = self._compare(axis, sample, before or (), num_missed, outside)
            if problem is not None:
                return Finding(problem, {})
        return Finding(None, outside)

    def numbers_of(self, sample: tuple[Any, ...]) -> tuple[Any, ...]:
        """A sample as plain numbers: arrays without axes and numbers of other libraries count too.

        Raises:
            InputError: the call is wrong in form, which no other sample would mend.
        """
        listed = ", ".join(self._names)
        if len(sample) != len(self._names):
            raise InputError(
                f"step: expected {len(self._names)} values ({listed}), got {len(sample)}. Pass "
                "them one by one, such as step(*row)."
            )
        plain = tuple(map(_as_number, sample))
        for name, value, given in zip(self._names, plain, sample, strict=True):
            if value is None:
                got = f"{show(given)} ({type(given).__name__})"
                raise InputError(
                    f"step: expected {name} to be a real number, got {got}. Pass {listed} one by "
                    "one, as numbers."
                )
        return plain

    def _say_far(self, i: int, value: float) -> str:
        name, unit = self._names[i], unit_of(self._names[i])
        low, high = self._far_low[i], self._far_high[i]
        if high == MOST:
            why = "no printer comes near"
        elif unit == "mm":
            why = f"the printer's volume and {MARGIN_MM:g} mm around"
        else:
            why = f"{FAR:g} times the most of training"
        got = f"{value:.6g}" if abs(value) < 1e300 else "an integer beyond 1e300"
        return f"expected {name} within {low:.4g}..{high:.4g} {unit} ({why}), got {got}."

    def _compare(
        self,
        bounds: Bounds,
        sample: tuple[Any, ...],
        before: tuple[Any, ...],
        num_missed: int,
        outside: dict[str, float],
    ) -> str | None:
        """Adds to `outside` what an axis's change exceeds; or says why it is refused."""
        (letter, p, v), jump, change, far_jump, far_change = bounds
        gap = num_missed + 1
        way, step_v = float(sample[p] - before[p]), float(sample[v] - before[v])
        explained = float(explained_way_mm(before[v], sample[v], self._rate_hz))
        excess = abs(way - explained)
        if excess > far_jump * gap**2:
            return (
                f"expected {self._names[p]} to move by {explained:.4g} mm as its speed says, within"
                f" {far_jump * gap**2:.2g} mm, got {way:.4g} mm."
            )
        if abs(step_v) > far_change * gap:
            return (
                f"expected {self._names[v]} to change by at most {far_change * gap:.4g} mm/s, "
                f"{FAR:g} times the most of training, got {step_v:.4g} mm/s."
            )
        if excess > jump * gap**2:
            outside[f"jump_{letter}"] = excess - jump * gap**2
        if abs(step_v) > change * gap:
            outside[f"accel_{letter}"] = (abs(step_v) - change * gap) / self._period_s
        return None

    def is_far(self, samples: ndarray, before: ndarray) -> ndarray:
        """True for each of many samples that `examine` refuses, in one go.

        Args:
            samples: (..., features) of numbers.
            before: of the same shape, the samples one period earlier; NaN where there is none.
        """
        within = (samples >= self._far_low) & (samples <= self._far_high)
        is_bad = np.asarray(~within.all(axis=-1))
        for (_, p, v), _, _, far_jump, far_change in self._axes:
            v0, v1 = before[..., v], samples[..., v]
            with np.errstate(invalid="ignore"):  # of infinite ones, which are bad already
                way = samples[..., p] - before[..., p]
                jump = way - explained_way_mm(v0, v1, self._rate_hz)
                # NaN compares false, so a stream without a sample before is let through.
                is_bad = is_bad | (np.abs(jump) > far_jump) | (np.abs(v1 - v0) > far_change)
        return is_bad

    def check_table(self, samples: ArrayLike, shape: Sequence[int | None]) -> ndarray:
        """Samples as an array of numbers of this shape; None stands for any length above 0.

        Raises:
            InputError: they are something else; whether they are good is not asked.
        """
        try:
            table = np.asarray(samples)
        except ValueError:
            table = np.zeros(0, object)
        fits = len(shape) == table.ndim and all(
            have == want or (want is None and have)
            for have, want in zip(table.shape, shape, strict=False)
        )
        if not fits or table.dtype.kind not in "fiu":
            wanted = ", ".join("t" if side is None else str(side) for side in shape)
            raise InputError(
                f"samples: expected real numbers of shape ({wanted}), got {table.dtype} of shape "
                f"{table.shape}. Give one row of {', '.join(self._names)} for each sample."
            )
        return table.astype(np.float64)

    def check_ahead(self, samples: ndarray, before: ndarray, caller: str = "predict_ahead") -> None:
        """Checks a block of samples, planned or past.

        Args:
            samples: (t, ..., features).
            before: (phases, ..., features), the last sample of each phase, next phase first, NaN
                where there is none; phases take turns along t.
            caller: opens the text.
        Raises:
            InputError: `examine` refuses one of them; the text names the first.
        """
        earlier = np.concatenate([before, samples])[: len(samples)]
        bad = np.argwhere(self.is_far(samples, earlier))
        if not len(bad):
            return
        row, *stream = map(int, bad[0])
        where = (row, *stream)
        finding = self.examine(tuple(samples[where].tolist()), as_before(earlier[where]))
        place = f"row {row}" + "".join(f", stream {i}" for i in stream)
        raise InputError(
            f"{caller}: {place}: {finding.problem} Nothing was predicted; plan within what the "
            "printer can do."
        )

    def move_on(self, sample: tuple[Any, ...]) -> tuple[Any, ...]:
        """The sample one period later at the same velocity: stands in for one that was refused."""
        later = list(sample)
        for axis in find_axes(self._names):
            later[axis.position] = sample[axis.position] + sample[axis.velocity] * self._period_s
        return tuple(later)


def _reach(low: float, high: float, side_mm: float) -> tuple[float, float]:
    """Where a printer of this side may be, if training was at low..high, and MARGIN_MM more.

    That is 0..side where training was within; in other coordinates the bed may lie anywhere that
    holds all of training.
    """
    if low >= 0.0 and high <= side_mm:
        return -MARGIN_MM, side_mm + MARGIN_MM
    return min(low, high - side_mm) - MARGIN_MM, max(high, low + side_mm) + MARGIN_MM


def as_before(sample: ndarray) -> tuple[float, ...] | None:
    """A row as `examine` takes it: None where it is NaN."""
    return None if np.isnan(sample[0]) else tuple(sample.tolist())


def guard_for(spec: Spec, ranges: Ranges, mode: str, volume_mm: Sequence[float]) -> Guard:
    """The guard of a model, once what a caller chose is checked.

    Raises:
        InputError: no such mode, or no such volume.
    """
    if mode not in MODES:
        raise InputError(
            f"mode: expected one of {', '.join(MODES)}, got {mode!r}. strict raises on a bad "
            "sample, hold returns the last good value."
        )
    if len(volume_mm) != 3 or not all(0 < side < MOST for side in volume_mm):
        raise InputError(
            f"volume_mm: expected three sides above 0 mm, got {tuple(volume_mm)}. Give x, y, z, or "
            "leave it out for an Ender-3 V2."
        )
    sees_position = spec.model.inputs == "raw"
    return Guard(spec.data.features, spec.data.sample_rate_hz, ranges, volume_mm, sees_position)


def _as_number(value: Any) -> Any:
    """A value as Python or numpy has it; None where it is no real number."""
    if type(value) in NUMBERS:
        return value
    dtype = getattr(value, "dtype", None)
    is_number = isinstance(value, numbers.Real) if dtype is None else dtype.kind in "fiuV"
    if isinstance(value, bool) or not is_number or getattr(value, "shape", ()) != ():
        return None
    try:  # `V` is bfloat16 of JAX, or a table's row
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return None
