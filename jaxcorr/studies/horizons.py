"""Accuracy against the prediction horizon: one training for each, beside the baselines."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jaxcorr import metrics, plotting
from jaxcorr.errors import InputError
from jaxcorr.metrics import Accuracy, Interval, Intervals, Record
from jaxcorr.plotting import PALETTE
from jaxcorr.studies.sweep_spec import override
from jaxcorr.training.run_folder import Run

LINEAR = ("linear_fir", "linear_smooth")
FURTHEST = 1000  # as data.horizon


class Outcome(Record):
    """What the training of one horizon reached, and the baselines on the same samples.

    Attributes:
        run: id of the training.
        linear: the better of the two regressions, by RMSE, and its name.
        physics: None where no plant could be fitted.
        intervals: of the network.
    """

    horizon: int
    run: str
    num_samples: int
    network: Accuracy
    linear_name: str
    linear: Accuracy
    physics: Accuracy | None
    intervals: Intervals


def plan(first: int, last: int) -> list[int]:
    """All horizons from the one to the other, in samples, lowest first.

    Raises:
        InputError: one of them is further than a spec allows, or they are turned round.
    """
    if first > last:
        raise InputError(
            f"horizons: expected --from at most --to, got {first} and {last}. Change their order."
        )
    if first < -FURTHEST or last > FURTHEST:
        raise InputError(
            f"horizons: expected --from and --to within {FURTHEST} samples, got {first} and "
            f"{last}. Choose nearer ones."
        )
    return list(range(first, last + 1))


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


def outcome(run: Run) -> Outcome:
    """What the training of one horizon reached, from its metrics.json."""
    evaluation = metrics.read(run.path / metrics.FILE)
    baselines = {name: one.overall for name, one in evaluation.baselines.items()}
    linear = min(LINEAR, key=lambda name: baselines[name].rmse_mm)
    return Outcome(
        horizon=evaluation.horizon,
        run=run.id,
        num_samples=evaluation.test.num_samples,
        network=evaluation.test.overall,
        linear_name=linear,
        linear=baselines[linear],
        physics=baselines.get("physics"),
        intervals=evaluation.intervals,
    )


def draw(outcomes: Sequence[Outcome], period_ms: float, *paths: Path) -> None:
    """Draws R2 and MAE against the horizon, with the network's 95% intervals.

    Args:
        outcomes: one of each horizon, in any order.
        period_ms: from sample to sample.
        paths: files to write, .png or .svg.
    """
    rows = sorted(outcomes, key=lambda row: row.horizon)
    lines = (
        ("network", PALETTE[1], "o-", [row.network for row in rows]),
        ("best linear baseline", PALETTE[0], "s--", [row.linear for row in rows]),
        ("identified plant", PALETTE[2], "^:", [row.physics for row in rows]),
    )
    at = [row.horizon for row in rows]
    with plotting.style():
        figure, axes = plotting.new_figure(2, 1, 4.4, sharex=True)
        for label, colour, form, accuracies in lines:
            r2 = [one.r2 if one else None for one in accuracies]
            mae_um = [1e3 * one.mae_mm if one else None for one in accuracies]
            for axis, values in zip(axes, (r2, mae_um), strict=True):
                points = [(h, v) for h, v in zip(at, values, strict=True) if v is not None]
                if points:
                    axis.plot(*zip(*points, strict=True), form, color=colour, label=label, ms=3.5)
        _draw_intervals(axes[0], at, [row.intervals.r2 for row in rows], 1.0)
        _draw_intervals(axes[1], at, [row.intervals.mae_mm for row in rows], 1e3)
        axes[0].set(ylabel="R²")
        axes[1].set(
            xlabel=f"horizon / samples of {period_ms:g} ms (negative: with preview)",
            ylabel="MAE / µm",
        )
        axes[1].set_ylim(bottom=0)
        axes[1].set_xticks(at)
        plotting.legend_above(axes[0], len(lines))
        plotting.save(figure, *paths)


def _draw_intervals(
    axis: Any, horizons: Sequence[int], intervals: Sequence[Interval | None], factor: float
) -> None:
    """The network's 95% intervals, as a band."""
    known = [(h, one) for h, one in zip(horizons, intervals, strict=True) if one is not None]
    if known:
        low, high = ([factor * one[side] for _, one in known] for side in (0, 1))
        axis.fill_between([h for h, _ in known], low, high, color=PALETTE[1], alpha=0.2, lw=0)
