"""Whether two runs differ beyond chance on the same traces: a paired bootstrap.

Both answer for the very same instants, so what makes a stretch hard for both cancels. Chance here
is which layers were drawn, not how a training was seeded. It prints nothing.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy import ndarray

from jaxcorr.data import windows
from jaxcorr.evaluation import bootstrap, pairing
from jaxcorr.evaluation.bootstrap import METRICS
from jaxcorr.evaluation.pairing import Common
from jaxcorr.training.run_folder import Run

BETTER_IS_HIGHER = {"r2", "correlation"}
JUDGED = ("mae_mm", "rmse_mm", "r2")
CALLED = {"mae_mm": "MAE", "rmse_mm": "RMSE", "r2": "R2"}


def compare(a: Run, b: Run, patterns: Sequence[str] = ()) -> dict[str, Any]:
    """Judges two runs on their common test traces, or on other traces.

    Args:
        patterns: of `.mat` files to judge both on.
    Returns:
        a, b: ids; horizon_a, horizon_b; num_traces, num_samples, method, num_blocks; `left_out`: a
        reason and its traces each; `metrics`: for each a, b, difference (a - b), interval of it,
        and `differs` (None where it cannot be told); `a_better_on`: traces on which a's RMSE is
        lower; `sentence`.
    Raises:
        InputError: as `pairing.pair`.
    """
    common = pairing.pair(a, b, patterns)
    counts = np.ones(len(common.true), np.bool_)
    layers = list(map(windows.printed_layer_of, common.names))
    blocks = bootstrap.cut(common.first_row, common.num_rows, counts, layers)
    sums = [bootstrap.summarize(common.true, p, blocks) for p in (common.a, common.b)]
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
    horizons = [run.spec().data.horizon for run in (a, b)]
    return {
        "a": a.id,
        "b": b.id,
        "horizon_a": horizons[0],
        "horizon_b": horizons[1],
        "num_traces": len(common.names),
        "num_samples": len(common.true),
        "method": f"paired bootstrap, {bootstrap.NUM_RESAMPLES} resamples of {blocks.method}",
        "num_blocks": blocks.num_blocks,
        "left_out": [entry._asdict() for entry in common.left_out],
        "metrics": found,
        "a_better_on": _count_wins(common),
        "sentence": judge(found) + _caution(*horizons),
    }


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


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if names[1:] else names)


def _differs(interval: bootstrap.Interval | None) -> bool | None:
    return None if interval is None else not interval[0] <= 0 <= interval[1]


def _plain(values: ndarray) -> float | None:
    value = float(values[0])
    return value if np.isfinite(value) else None
