"""The verdict on a model: whether it beats the best baseline beyond chance, and what to use.

What is simpler and no worse is to be preferred, so a model that is level with a baseline has not
won.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from jaxcorr.evaluation import bootstrap
from jaxcorr.evaluation.bootstrap import Blocks, Paired
from jaxcorr.metrics import (
    Advice,
    AgainstBaseline,
    Ceiling,
    Outcome,
    PathName,
    RatioIntervals,
    ReachedTargets,
    Verdict,
)
from jaxcorr.models import grey_box
from jaxcorr.models.baselines import Fitted
from jaxcorr.spec import Spec, own_velocities

Values = Float[ndarray, "rows k"]
# A model that is better on average, and this many times as far off at its worst, has not won.
MOST_LARGER = 2.0

BASELINE_OF: dict[PathName, str] = {"plant": "physics", "smooth": "linear_smooth"}
# What runs in a baseline's place; the smooth path holds each axis's own regressors of `linear_fir`.
IN_PLACE_OF: dict[str, Advice] = {
    "physics": "plant",
    "linear_smooth": "smooth",
    "linear_fir": "smooth",
    "mean": "mean",
    "zero": "zero",
}


class Model(NamedTuple):
    """What a run's predictions come from.

    Attributes:
        path: beside the network; none where the plant was of no use.
        has_network: false where the path alone was the best.
        paths: that could run on the inputs of this run.
    """

    path: PathName
    has_network: bool
    paths: tuple[PathName, ...]


def describe(spec: Spec, best_epoch: int, fitted: Fitted) -> Model:
    """What the predictions of a run come from.

    Args:
        best_epoch: whose weights are used; 0 where no epoch's are.
        fitted: the run's baselines.
    """
    paths: list[PathName] = []
    if fitted.plant is not None and grey_box.is_fit(fitted.plant):
        paths.append("plant")
    if own_velocities(spec.data):
        paths.append("smooth")
    path: PathName = spec.model.path if spec.model.path in paths else "none"
    return Model(path, best_epoch > 0 or path == "none", tuple(paths))


def compare_with_each(
    true: Values, predicted: Values, answers: Mapping[str, Values], blocks: Blocks
) -> dict[str, AgainstBaseline]:
    """The model against each baseline, on the same blocks.

    Args:
        true, predicted: errors that happened, and those that the model predicted (mm).
        answers: those that each baseline predicted (mm).
    """
    ours, counts = bootstrap.summarize(true, predicted, blocks), blocks.of_row >= 0
    largest, found = np.max(np.abs(predicted - true)[counts]), {}
    for name, theirs in answers.items():
        paired = bootstrap.compare(ours, bootstrap.summarize(true, theirs, blocks))
        theirs_largest = np.max(np.abs(theirs - true)[counts])
        ratio = float(largest / theirs_largest) if theirs_largest else None
        found[name] = against_baseline(name, paired, ratio)
    return found


def against_baseline(
    name: str, paired: Mapping[str, Paired], largest_ratio: float | None
) -> AgainstBaseline:
    """The model against one baseline.

    Args:
        paired: of `bootstrap.compare`, the model first.
        largest_ratio: of the model's largest residual to the baseline's.
    """
    rmse, mae, r2 = (paired[key] for key in ("rmse_ratio", "mae_ratio", "r2"))
    return AgainstBaseline(
        name=name,
        outcome=_outcome(rmse, largest_ratio),
        rmse_ratio=rmse.value,
        mae_ratio=mae.value,
        r2_difference=r2.value,
        largest_ratio=largest_ratio,
        intervals=RatioIntervals(
            rmse_ratio=rmse.interval, mae_ratio=mae.interval, r2_difference=r2.interval
        ),
    )


def judge(
    model: Model,
    against: Mapping[str, AgainstBaseline],
    targets: ReachedTargets,
    rmse_mm: float,
    ceiling: Ceiling | None,
) -> Verdict:
    """The verdict on a model.

    Args:
        against: each baseline, by name.
        targets: of the spec.
        rmse_mm: of the model.
        ceiling: of the same samples, where it is known.
    """
    own = BASELINE_OF.get(model.path)
    others = [one for one in against.values() if model.has_network or one.name != own]
    # The best baseline has the least RMSE, which may be none.
    best = max(others, key=lambda one: float("inf") if one.rmse_ratio is None else one.rmse_ratio)
    against_path = against[own] if own and model.has_network else None
    compared = [best, *([against_path] if against_path else [])]
    unbeaten = next((one for one in compared if one.outcome != "better"), None)
    beats = unbeaten is None
    meets = all(one.is_met for one in (targets.mae_mm, targets.r2, targets.inference_ms))
    return Verdict(
        path=model.path,
        has_network=model.has_network,
        against_best=best,
        against_path=against_path,
        ceiling_rmse_ratio=rmse_mm / ceiling.rmse_mm if ceiling and ceiling.rmse_mm else None,
        meets_targets=meets,
        beats_baselines=beats,
        meets_all_targets=meets and beats,
        advice=_advise(model, unbeaten) if unbeaten else "model",
    )


def _outcome(rmse_ratio: Paired, largest_ratio: float | None) -> Outcome:
    if rmse_ratio.value is None:
        return "worse"
    if rmse_ratio.interval is None:
        return "unknown"
    low, high = rmse_ratio.interval
    if high < 1 and largest_ratio is not None and largest_ratio > MOST_LARGER:
        return "wild"
    return "better" if high < 1 else "worse" if low > 1 else "level"


def _advise(model: Model, unbeaten: AgainstBaseline) -> Advice:
    """What to use where a baseline was not beaten."""
    if unbeaten.outcome == "unknown":
        return "more_traces"
    other = IN_PLACE_OF[unbeaten.name]
    if other in ("mean", "zero"):
        return other
    if not model.has_network and unbeaten.outcome == "level":
        return "model"  # one is as simple as the other
    is_itself = not model.has_network and other == model.path
    return "baseline" if is_itself or other not in model.paths else other
