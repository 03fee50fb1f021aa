"""Cross-validation of a spec: each part, acceleration or feedrate is left out once and tested on.

What is left out may also be named trace by trace. The rest of the traces is dealt to training and
validation by layer.
"""

import glob
import json
import math
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from jaxcorr import metrics
from jaxcorr.data import strata, trace, windows
from jaxcorr.errors import InputError
from jaxcorr.metrics import Accuracy, Intervals, Record, Verdict
from jaxcorr.spec import Data
from jaxcorr.studies.sweep_spec import override
from jaxcorr.training import experiment
from jaxcorr.training.run_folder import Run

By = Literal["part", "acceleration", "feedrate"]
SWEPT = {"acceleration": ("accel_mm_s2", "mm/s2"), "feedrate": ("velocity_mm_s", "mm/s")}


class Fold(NamedTuple):
    """What one training leaves out."""

    label: str
    traces: tuple[str, ...]  # their names


class Outcome(Accuracy):
    """What one training reached on the traces that it did not see.

    Attributes:
        label: what was left out.
        run: id of the training.
        num_before: samples that are not scored, since their traces begin in motion.
        intervals: of the accuracy.
        ceiling_r2, ceiling_rmse_mm, explained_share: None where there is no noise ceiling.
        baselines_mm: RMSE of each on the same samples, by name.
        rmse_ratio: of the network to the best baseline.
    """

    label: str
    run: str
    num_traces: int
    num_samples: int
    num_before: int
    intervals: Intervals
    ceiling_r2: float | None
    ceiling_rmse_mm: float | None
    explained_share: float | None
    baselines_mm: dict[str, float]
    rmse_ratio: float | None
    verdict: Verdict


class Mean(Record):
    """Means over folds, each fold counting the same; None where a fold has no such figure."""

    r2: float | None
    mae_mm: float | None
    rmse_mm: float | None
    correlation: float | None
    explained_share: float | None
    rmse_ratio: float | None


def plan_folds(data: Data, by: By) -> list[Fold]:
    """The folds of a spec's traces, in the order of their labels.

    Raises:
        InputError: no traces, or fewer than two parts, accelerations or feedrates among them.
    """
    members: dict[Any, list[str]] = {}
    for path in experiment.find_traces(data).values():
        key = trace.part_of(path) if by == "part" else _swept(path, by)
        members.setdefault(key, []).append(trace.name_of(path))
    if len(members) < 2 or None in members:
        keys = ", ".join(_label(key, by) for key in members if key is not None) or "none"
        hint = (
            "Add traces of other parts"
            if by == "part"
            else "Simulate a sweep, with accel_mm_s2 or velocity_mm_s in [data.simulate]"
        )
        raise InputError(
            f"crossval --by {by}: expected traces of at least 2, each with a known {by}, got "
            f"{keys}. {hint}."
        )
    return [Fold(_label(key, by), tuple(members[key])) for key in sorted(members)]


def name_folds(data: Data, left_out: Sequence[str]) -> list[Fold]:
    """The folds that texts such as `fast=folder/*_03,folder/*_07` name, in their order.

    Raises:
        InputError: a text has no label or no pattern, or a pattern fits no trace.
    """
    names, folds = list(experiment.find_traces(data)), []
    for text in left_out:
        label, _, patterns = text.partition("=")
        if not (label.strip() and patterns):
            raise InputError(
                f"crossval --leave-out: expected LABEL=PATTERN,PATTERN, got '{text}'. "
                "Patterns are of names folder/file."
            )
        found = windows.match(names, patterns.split(","), "crossval --leave-out")
        folds.append(Fold(label.strip(), tuple(sorted(found))))
    return folds


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


def outcome(fold: Fold, run: Run) -> Outcome:
    """What one training reached, from its metrics.json."""
    evaluation = metrics.read(run.path / metrics.FILE)
    ceiling = evaluation.ceiling
    return Outcome(
        **evaluation.test.overall.model_dump(),
        label=fold.label,
        run=run.id,
        num_traces=evaluation.test.num_traces,
        num_samples=evaluation.test.num_samples,
        num_before=evaluation.test.num_before,
        intervals=evaluation.intervals,
        ceiling_r2=ceiling.r2 if ceiling else None,
        ceiling_rmse_mm=ceiling.rmse_mm if ceiling else None,
        explained_share=ceiling.explained_share if ceiling else None,
        baselines_mm={name: one.overall.rmse_mm for name, one in evaluation.baselines.items()},
        rmse_ratio=evaluation.verdict.against_best.rmse_ratio,
        verdict=evaluation.verdict,
    )


def average(outcomes: Sequence[Outcome]) -> Mean:
    """Means over all folds."""
    return Mean(
        r2=_mean(one.r2 for one in outcomes),
        mae_mm=_mean(one.mae_mm for one in outcomes),
        rmse_mm=_mean(one.rmse_mm for one in outcomes),
        correlation=_mean(one.correlation for one in outcomes),
        explained_share=_mean(one.explained_share for one in outcomes),
        rmse_ratio=_mean(one.rmse_ratio for one in outcomes),
    )


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
