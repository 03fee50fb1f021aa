"""How far ahead a spec can predict: one training for each horizon, beside the baselines.

The module plans trainings and reads what they reached; it trains nothing and prints nothing.
"""

from typing import Any

from jaxcorr.errors import InputError
from jaxcorr.evaluation import whole_run
from jaxcorr.studies.sweep_spec import override
from jaxcorr.training.run_folder import Run

LINEAR = ("linear_fir", "linear_binned")
FURTHEST = 1000  # as data.horizon


def plan(first: int, last: int) -> list[int]:
    """All horizons from the one to the other, in samples, lowest first.

    Raises:
        InputError: one of them is further than a spec allows.
    """
    low, high = sorted((first, last))
    if low < -FURTHEST or high > FURTHEST:
        raise InputError(
            f"horizons: expected --from and --to within {FURTHEST} samples, got {first} and "
            f"{last}. Choose nearer ones."
        )
    return list(range(low, high + 1))


def changes(horizon: int, name: str) -> list[str]:
    """The texts that set a spec's horizon.

    Args:
        name: of the experiment, part of the run's id.
    """
    words = f"ahead{horizon}" if horizon >= 0 else f"preview{-horizon}"
    return [
        override("data.horizon", horizon),
        override("train.name", f"{name}-{words}"),
    ]


def outcome(run: Run) -> dict[str, Any]:
    """What the training of one horizon reached, and the baselines on the same samples.

    Returns:
        horizon, run, num_samples, `network`, `linear` (the better of the two regressions, by RMSE)
        and `physics`, each with r2, mae_mm and rmse_mm, or None where there is none; `linear_name`;
        intervals of the network.
    """
    found = run.read_json(whole_run.METRICS)
    rivals = {name: entry["overall"] for name, entry in found["baselines"].items()}
    linear = min(
        (name for name in LINEAR if name in rivals),
        key=lambda name: rivals[name]["rmse_mm"],
        default=None,
    )
    return {
        "horizon": found["horizon"],
        "run": run.id,
        "num_samples": found["test"]["num_samples"],
        "network": found["test"]["overall"],
        "linear_name": linear,
        "linear": rivals.get(linear or ""),
        "physics": rivals.get("physics"),
        "intervals": found["intervals"],
    }
