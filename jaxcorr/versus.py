"""Whether two runs differ beyond chance on the same traces: a paired bootstrap.

Both answer for the very same samples, so what makes a stretch hard for both cancels. Chance here is
which traces were drawn, not how a training was seeded. It reads runs, and prints nothing.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from jaxcorr import bootstrap, breakdown, experiment, predict, stream
from jaxcorr.bootstrap import METRICS
from jaxcorr.errors import InputError
from jaxcorr.runs import Run
from jaxcorr.windows import Samples

BETTER_IS_HIGHER = {"r2", "correlation"}
JUDGED = ("mae_mm", "rmse_mm", "r2")
CALLED = {"mae_mm": "MAE", "rmse_mm": "RMSE", "r2": "R2"}


class Side(NamedTuple):
    """One run's answers."""

    run: Run
    samples: Samples
    predicted: Float32[ndarray, "rows k"]


def compare(a: Run, b: Run, patterns: Sequence[str] = ()) -> dict[str, Any]:
    """Judges two runs on their common test split, or on other traces.

    Args:
        patterns: of `.mat` files to judge both on.
    Returns:
        a, b: ids; num_traces, num_samples, method, num_blocks; `metrics`: for each a, b, difference
        (a - b), interval of it, and `differs` (None where it cannot be told); `a_better_on`: traces
        on which a's RMSE is lower; `sentence`.
    Raises:
        InputError: the runs answer for different traces, targets or horizons.
    """
    first, second = (_answer(run, patterns) for run in (a, b))
    _check_same(first, second)
    samples = first.samples
    counts = predict.has_target(samples)
    if not counts.any():
        raise InputError(
            f"compare: expected test traces in both runs, got none in {a.id}. "
            "Name traces with --traces."
        )
    blocks = bootstrap.cut(samples.first_row, samples.num_rows, counts)
    sums = [bootstrap.summarize(samples.targets, s.predicted, blocks) for s in (first, second)]
    once = np.ones((1, blocks.num_blocks))
    whole = [bootstrap.figures(item, once) for item in sums]
    paired = bootstrap.compare(sums[0], sums[1])
    found = {
        name: {
            "a": _plain(whole[0][name]),
            "b": _plain(whole[1][name]),
            "difference": paired[name].value,
            "interval": paired[name].interval,
            "differs": _differs(paired[name].interval),
        }
        for name in METRICS
    }
    ours, theirs = (breakdown.per_trace(samples, s.predicted, counts) for s in (first, second))
    wins = sum(one["rmse_mm"] < other["rmse_mm"] for one, other in zip(ours, theirs, strict=True))
    return {
        "a": a.id,
        "b": b.id,
        "num_traces": len(samples.names),
        "num_samples": int(counts.sum()),
        "method": f"paired bootstrap, {bootstrap.NUM_RESAMPLES} resamples of {blocks.method}",
        "num_blocks": blocks.num_blocks,
        "metrics": found,
        "a_better_on": wins,
        "sentence": judge(found),
    }


def judge(found: dict[str, Any]) -> str:
    """One sentence: in which metrics a is better or worse than b beyond chance."""
    verdicts: dict[str, list[str]] = {"better": [], "worse": []}
    for name in JUDGED:
        entry = found[name]
        if entry["differs"]:
            is_higher = entry["difference"] > 0
            verdicts["better" if is_higher == (name in BETTER_IS_HIGHER) else "worse"].append(name)
    clauses = [
        f"{how} in {_listed([CALLED[name] for name in names])}"
        for how, names in verdicts.items()
        if names
    ]
    if clauses:
        return f"Beyond chance (95%), A is {', and '.join(clauses)} on these traces."
    if all(found[name]["differs"] is None for name in JUDGED):
        return "There are too few samples to tell a difference from chance."
    return "A and B do not differ beyond chance (95%) on these traces."


def _answer(run: Run, patterns: Sequence[str]) -> Side:
    loaded = stream.load_weights(run)
    samples = experiment.test_samples(run, loaded.spec, list(patterns))
    return Side(run, samples, predict.stream(loaded.spec, loaded.weights, samples))


def _check_same(a: Side, b: Side) -> None:
    ours, theirs = a.run.spec().data, b.run.spec().data
    pairs = [
        ("horizon", ours.horizon, theirs.horizon),
        ("targets", ", ".join(ours.targets), ", ".join(theirs.targets)),
        ("sampling rate", ours.sample_rate_hz, theirs.sample_rate_hz),
    ]
    for what, one, other in pairs:
        if one != other:
            raise InputError(
                f"compare: expected runs of the same {what}, got {one} in {a.run.id} and {other} "
                f"in {b.run.id}. Compare runs that answer the same question."
            )
    is_same = a.samples.names == b.samples.names and np.array_equal(
        a.samples.targets, b.samples.targets
    )
    if not is_same:
        shared = len({*a.samples.names} & {*b.samples.names})
        raise InputError(
            f"compare: expected runs with the same test traces, got {len(a.samples.names)} in "
            f"{a.run.id} and {len(b.samples.names)} in {b.run.id}, {shared} of them of the same "
            "name. Name traces for both with --traces."
        )


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if names[1:] else names)


def _differs(interval: bootstrap.Interval | None) -> bool | None:
    return None if interval is None else not interval[0] <= 0 <= interval[1]


def _plain(values: ndarray) -> float | None:
    value = float(values[0])
    return value if np.isfinite(value) else None
