"""Comparison of two runs on the same traces: a paired bootstrap of their differences.

Both answer for the very same instants, so what makes a stretch hard for both cancels. Chance here
is which layers were drawn, not how a training was seeded.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from jaxcorr.data.windows import printed_layer_of
from jaxcorr.errors import InputError
from jaxcorr.evaluation import bootstrap
from jaxcorr.evaluation.bootstrap import METRICS, Blocks, Paired
from jaxcorr.evaluation.tracks import Track, align
from jaxcorr.metrics import Interval, Record
from jaxcorr.models import bulk
from jaxcorr.spec import Data, axis_of
from jaxcorr.training import experiment, restore
from jaxcorr.training.run_folder import Run

BETTER_IS_HIGHER = {"r2", "correlation"}
DECISIVE = {"mae_mm": "MAE", "rmse_mm": "RMSE", "r2": "R2"}  # of the verdict, and their names
SAME_MM = 1e-6  # of true values; single precision keeps errors of a printer to 1e-8


class LeftOut(Record):
    """Traces on which the two runs are not compared, and why."""

    reason: str
    traces: tuple[str, ...]


class Difference(Record):
    """A metric of both runs, a less b, and whether that is beyond chance; None where undefined."""

    a: float | None
    b: float | None
    difference: float | None
    interval: Interval | None
    differs: bool | None


class Comparison(Record):
    """Two runs side by side.

    Attributes:
        a, b: their ids.
        horizon_a, horizon_b: in samples.
        period_us: from sample to sample.
        a_better_on: traces on which a's RMSE is lower.
        sentence: in which metrics a is better or worse than b beyond chance.
    """

    a: str
    b: str
    horizon_a: int
    horizon_b: int
    period_us: float
    num_traces: int
    num_samples: int
    method: str
    num_blocks: int
    left_out: tuple[LeftOut, ...]
    metrics: dict[str, Difference]
    a_better_on: int
    sentence: str


class Common(NamedTuple):
    """True and predicted errors (mm) of both runs, traces end to end; an axis a column.

    Attributes:
        names: of the traces.
        first_row, num_rows: where each trace lies.
        true: errors that happened.
        a, b: what each run predicted for these very instants.
        left_out: other traces of either run.
    """

    names: tuple[str, ...]
    first_row: ndarray
    num_rows: ndarray
    true: Float[ndarray, "rows k"]
    a: Float[ndarray, "rows k"]
    b: Float[ndarray, "rows k"]
    left_out: tuple[LeftOut, ...]


class _Side(NamedTuple):
    """A run's answers by trace, its own test traces, and the layers that it has seen."""

    data: Data
    tracks: Mapping[str, Track]
    test: frozenset[str]
    seen: frozenset[str]


def compare(a: Run, b: Run, patterns: Sequence[str] = ()) -> Comparison:
    """Compares two runs on their common test traces, or on other traces.

    Args:
        patterns: of `.mat` files to compare both on.
    Raises:
        InputError: as `pair`.
    """
    common = pair(a, b, patterns)
    counts = np.ones(len(common.true), np.bool_)
    layers = list(map(printed_layer_of, common.names))
    ours, theirs = (run.spec().data for run in (a, b))
    rows = common.first_row, common.num_rows
    blocks = bootstrap.cut(*rows, counts, layers, ours.sample_rate_hz)
    differences = _differences(common, blocks)
    return Comparison(
        a=a.id,
        b=b.id,
        horizon_a=ours.horizon,
        horizon_b=theirs.horizon,
        period_us=1e6 / ours.sample_rate_hz,
        num_traces=len(common.names),
        num_samples=len(common.true),
        method=f"paired bootstrap, {bootstrap.NUM_RESAMPLES} resamples of {blocks.method}",
        num_blocks=blocks.num_blocks,
        left_out=common.left_out,
        metrics=differences,
        a_better_on=_count_wins(common),
        sentence=say_differences(differences) + _caution(ours.horizon, theirs.horizon),
    )


def say_differences(differences: Mapping[str, Difference]) -> str:
    """One sentence: in which metrics a is better or worse than b beyond chance."""
    verdicts: dict[str, list[str]] = {"better": [], "worse": []}
    for key, name in DECISIVE.items():
        if differences[key].differs:
            is_higher = (differences[key].difference or 0.0) > 0
            verdicts["better" if is_higher == (key in BETTER_IS_HIGHER) else "worse"].append(name)
    clauses = [f"{how} in {_listed(names)}" for how, names in verdicts.items() if names]
    if clauses:
        return f"Beyond chance (95%), A is {', and '.join(clauses)} on these traces."
    if all(differences[key].differs is None for key in DECISIVE):
        return "There are too few samples to tell a difference from chance."
    return "A and B do not differ beyond chance (95%) on these traces."


def pair(a: Run, b: Run, patterns: Sequence[str] = ()) -> Common:
    """Lines up what two runs predict on their common test traces, or on traces of some patterns.

    Raises:
        InputError: a run is damaged, they answer for different axes or sampling rates, or no trace
            is left to compare them on.
    """
    ours, theirs = (_answer(run, patterns) for run in (a, b))
    _check_same(a, b, ours, theirs)
    shared = [name for name in ours.tracks if name in theirs.tracks]
    problems = {name: _problem(ours, theirs, name) for name in shared}
    for side, other, letter in ((ours, theirs, "A"), (theirs, ours, "B")):
        alone = [name for name in side.tracks if name not in other.tracks]
        problems |= dict.fromkeys(alone, f"only {letter} tests on them")
    left_out = _by_reason(problems)
    names = [name for name in shared if problems[name] is None]
    if not names:
        raise InputError(
            f"compare: expected traces on which both runs can be judged, got none of {a.id} and "
            f"{b.id}: {_say_left_out(left_out)}. Name traces for both with --traces."
        )
    pieces = [_line_up(ours.tracks[name], theirs.tracks[name]) for name in names]
    true, first, second = (np.concatenate(columns) for columns in zip(*pieces, strict=True))
    num_rows = np.array([len(piece[0]) for piece in pieces])
    first_row = np.cumsum(num_rows) - num_rows
    return Common(tuple(names), first_row, num_rows, true, first, second, left_out)


def _differences(common: Common, blocks: Blocks) -> dict[str, Difference]:
    """Each metric of both runs, and the interval of its difference."""
    sums_a, sums_b = (bootstrap.summarize(common.true, p, blocks) for p in (common.a, common.b))
    once = np.ones((1, blocks.num_blocks))
    ours, theirs = bootstrap.figures(sums_a, once), bootstrap.figures(sums_b, once)
    paired = bootstrap.compare(sums_a, sums_b)
    return {key: _difference(ours[key], theirs[key], paired[key]) for key in METRICS}


def _difference(ours: ndarray, theirs: ndarray, paired: Paired) -> Difference:
    a, b = (float(values[0]) if np.isfinite(values[0]) else None for values in (ours, theirs))
    bounds = paired.interval
    return Difference(
        a=a,
        b=b,
        difference=paired.value,
        interval=bounds,
        differs=None if bounds is None else not bounds.low <= 0 <= bounds.high,
    )


def _count_wins(common: Common) -> int:
    """Traces on which a's RMSE is lower."""
    wins = 0
    for first, rows in zip(common.first_row, common.num_rows, strict=True):
        span = slice(first, first + rows)
        ours, theirs = (np.mean((p - common.true)[span] ** 2) for p in (common.a, common.b))
        wins += bool(ours < theirs)
    return wins


def _caution(a: int, b: int) -> str:
    """What to bear in mind where the runs do not answer the same question."""
    if a == b:
        return ""
    return (
        f" They look ahead by {a} and {b} samples, and the further, the harder: this is no "
        "difference between networks alone."
    )


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if names[1:] else names)


def _answer(run: Run, patterns: Sequence[str]) -> _Side:
    loaded = restore.load_weights(run)
    samples = experiment.test_samples(run, loaded.spec, list(patterns))
    predicted = bulk.stream(loaded.spec, loaded.weights, samples)
    tracks = align(samples, predicted, loaded.spec)
    split = run.resolved().split
    return _Side(
        loaded.spec.data,
        {track.name: track for track in tracks},
        test=frozenset(split.test),
        seen=frozenset(map(printed_layer_of, [*split.train, *split.val])),
    )


def _check_same(a: Run, b: Run, ours: _Side, theirs: _Side) -> None:
    first, second = (sorted(map(axis_of, s.data.targets)) for s in (ours, theirs))
    pairs = [
        ("axes", ", ".join(first), ", ".join(second)),
        ("sampling rate", ours.data.sample_rate_hz, theirs.data.sample_rate_hz),
    ]
    for what, one, other in pairs:
        if one != other:
            raise InputError(
                f"compare: expected runs of the same {what}, got {one} in {a.id} and {other} "
                f"in {b.id}. Compare runs that answer the same question."
            )


def _problem(ours: _Side, theirs: _Side, name: str) -> str | None:
    """Why two runs cannot be compared on a trace that both have; None where they can."""
    seen = [letter for letter, side in (("A", ours), ("B", theirs)) if _has_seen(side, name)]
    if seen:
        return f"{' and '.join(seen)} trained or validated on their layers"
    common = _instants(ours.tracks[name], theirs.tracks[name])
    if not len(common):
        return "no instant has a prediction of both"
    first, second = (_true(side.tracks[name], common) for side in (ours, theirs))
    if np.abs(first - second).max() <= SAME_MM:
        return None
    names = [", ".join(side.data.targets) for side in (ours, theirs)]
    if names[0] != names[1]:
        return f"{names[0]} and {names[1]} differ there: the command is not the reference"
    return "their true errors differ: other files of the same name"


def _has_seen(side: _Side, name: str) -> bool:
    # A run may hold out one speed of a layer and train on others: its own split decides.
    return name not in side.test and printed_layer_of(name) in side.seen


def _instants(a: Track, b: Track) -> ndarray:
    """The instants, in samples since the trace began, that both tracks have."""
    return np.intersect1d(_numbered(a), _numbered(b))


def _numbered(track: Track) -> ndarray:
    return np.round(track.time_s * track.rate_hz).astype(np.int64)


def _at(track: Track, values: Float[ndarray, "n k"], instants: ndarray) -> Float[ndarray, "m k"]:
    """Rows of these instants, columns in the order of their axes' names."""
    rows = np.searchsorted(_numbered(track), instants)
    return values[rows][:, np.argsort(track.axes)]


def _true(track: Track, instants: ndarray) -> Float[ndarray, "m k"]:
    return _at(track, track.true_mm, instants)


def _line_up(a: Track, b: Track) -> tuple[ndarray, ndarray, ndarray]:
    """True errors and both predictions at the instants that both have."""
    common = _instants(a, b)
    first, second = (_at(track, track.predicted_mm, common) for track in (a, b))
    return _true(a, common), first, second


def _by_reason(problems: Mapping[str, str | None]) -> tuple[LeftOut, ...]:
    traces: dict[str, list[str]] = {}
    for name, reason in problems.items():
        if reason is not None:
            traces.setdefault(reason, []).append(name)
    return tuple(LeftOut(reason=why, traces=tuple(sorted(traces[why]))) for why in traces)


def _say_left_out(left_out: Sequence[LeftOut]) -> str:
    listed = [f"{len(entry.traces)} left out, since {entry.reason}" for entry in left_out]
    return "; ".join(listed) or "neither has test traces"
