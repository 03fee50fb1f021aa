"""How far ahead a spec can predict: one training for each horizon, beside the baselines.

The module plans trainings and reads what they reached; it trains nothing and prints nothing.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxcorr import plotting
from jaxcorr.errors import InputError
from jaxcorr.evaluation import evaluate
from jaxcorr.plotting import PALETTE
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
    found = run.read_json(evaluate.METRICS)
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


# Who is drawn, how, and in which order.
LINES = (
    ("network", "network", PALETTE[1], "o-"),
    ("linear", "best linear baseline", PALETTE[0], "s--"),
    ("physics", "fitted oscillator", PALETTE[2], "^:"),
)


def draw(outcomes: Sequence[Mapping[str, Any]], period_ms: float, *paths: Path) -> None:
    """Draws R2 and MAE against the horizon, with the network's 95% intervals.

    Args:
        outcomes: one of each horizon, in any order.
        period_ms: from sample to sample.
        paths: files to write, .png or .svg.
    """
    rows = sorted(outcomes, key=lambda row: row["horizon"])
    with plotting.style():
        figure, axes = plotting.new_figure(2, 1, 4.4, sharex=True)
        for key, label, colour, form in LINES:
            known = [row for row in rows if row[key] is not None]
            for axis, metric, factor in ((axes[0], "r2", 1.0), (axes[1], "mae_mm", 1e3)):
                points = [(r["horizon"], r[key][metric]) for r in known]
                points = [(h, factor * v) for h, v in points if v is not None]
                if points:
                    axis.plot(*zip(*points, strict=True), form, color=colour, label=label, ms=3.5)
        _draw_intervals(axes[0], rows, "r2", 1.0)
        _draw_intervals(axes[1], rows, "mae_mm", 1e3)
        axes[0].set(ylabel="R²")
        axes[1].set(
            xlabel=f"horizon / samples of {period_ms:g} ms (negative: with preview)",
            ylabel="MAE / µm",
        )
        axes[1].set_ylim(bottom=0)
        axes[1].set_xticks([row["horizon"] for row in rows])
        plotting.legend_above(axes[0], len(LINES))
        plotting.save(figure, *paths)


def _draw_intervals(axis: Any, rows: Sequence[Mapping[str, Any]], key: str, factor: float) -> None:
    """The network's 95% intervals, as a band."""
    known = [row for row in rows if row["intervals"][key] is not None]
    if known:
        low, high = zip(*(row["intervals"][key] for row in known), strict=True)
        at = [row["horizon"] for row in known]
        bounds = [[factor * value for value in values] for values in (low, high)]
        axis.fill_between(at, *bounds, color=PALETTE[1], alpha=0.2, lw=0)
