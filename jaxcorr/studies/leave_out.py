"""How well a spec generalises: each part, acceleration or feedrate is left out once and tested on.

The rest of the traces is dealt to training and validation by layer. The module plans trainings and
sums up what they reached; it trains nothing and prints nothing.
"""

import glob
import json
import math
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from jaxcorr.data import strata, trace
from jaxcorr.errors import InputError
from jaxcorr.evaluation import evaluate
from jaxcorr.spec import Data
from jaxcorr.studies.sweep_spec import override
from jaxcorr.training.run_folder import Run

By = Literal["part", "acceleration", "feedrate"]
SWEPT = {"acceleration": ("accel_mm_s2", "mm/s2"), "feedrate": ("velocity_mm_s", "mm/s")}
AVERAGED = ("r2", "mae_mm", "rmse_mm", "correlation", "explained_share", "rmse_ratio")


class Fold(NamedTuple):
    """What one training leaves out."""

    label: str
    traces: tuple[str, ...]  # their names


def plan_folds(data: Data, by: By) -> list[Fold]:
    """The folds of a spec's traces, in the order of their labels.

    Raises:
        InputError: no traces, or fewer than two parts, accelerations or feedrates among them.
    """
    members: dict[Any, list[str]] = {}
    for path in trace.find(data.traces):
        key = trace.part_of(path) if by == "part" else _swept(path, by)
        members.setdefault(key, []).append(trace.name_of(path))
    if len(members) < 2 or None in members:
        found = ", ".join(_label(key, by) for key in members if key is not None) or "none"
        hint = (
            "Add traces of other parts"
            if by == "part"
            else "Simulate a sweep, with accel_mm_s2 or velocity_mm_s in [data.simulate]"
        )
        raise InputError(
            f"crossval --by {by}: expected traces of at least 2, each with a known {by}, got "
            f"{found}. {hint}."
        )
    return [Fold(_label(key, by), tuple(members[key])) for key in sorted(members)]


def changes(fold: Fold, name: str) -> list[str]:
    """The texts that make a spec's training leave a fold out.

    Args:
        name: of the experiment, part of the run's id.
    """
    label = fold.label.replace("/", "").replace(" ", "")
    return [
        override("data.split.by", "trace"),
        "data.split.test_parts=[]",
        # JSON, since TOML's own writer would take several lines for a list.
        f"data.split.test_traces={json.dumps([glob.escape(item) for item in fold.traces])}",
        override("train.name", f"{name}-without-{label}"),
    ]


def outcome(fold: Fold, run: Run) -> dict[str, Any]:
    """What one training reached on the traces that it did not see."""
    found = run.read_json(evaluate.METRICS)
    best = found["ceiling"] or {}
    rival = found["against_best_baseline"] or {}
    return {
        "label": fold.label,
        "run": run.id,
        "num_traces": found["test"]["num_traces"],
        "num_samples": found["test"]["num_samples"],
        **found["test"]["overall"],
        "intervals": found["intervals"],
        "ceiling_r2": best.get("r2"),
        "explained_share": best.get("explained_share"),
        "best_baseline": found["best_baseline"],
        "rmse_ratio": rival.get("rmse_ratio"),
    }


def average(outcomes: Sequence[dict[str, Any]]) -> dict[str, float | None]:
    """Means over folds, each fold counting the same; None where a fold has no such figure."""
    return {key: _mean(entry[key] for entry in outcomes) for key in AVERAGED}


def _mean(values: Iterable[float | None]) -> float | None:
    known = list(values)
    present = [value for value in known if value is not None]
    return statistics.fmean(present) if present and len(present) == len(known) else None


def _swept(path: Path, by: By) -> float | None:
    """A trace's point in a sweep; None where it has none."""
    key, _ = SWEPT[by]
    value = strata.sweep_value(trace.read(path, ("time",)), key)
    return None if math.isnan(value) else value


def _label(key: Any, by: By) -> str:
    return str(key) if by == "part" else f"{key:g} {SWEPT[by][1]}"
