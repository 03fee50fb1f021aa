"""The figure of accuracy against horizon: the network beside its baselines.

It draws what `horizons.outcome` found, and computes no metric.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxcorr import plotting
from jaxcorr.plotting import PALETTE

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
