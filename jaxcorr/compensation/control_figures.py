"""The figure of `jaxcorr demo-control`: how late, how long, and what naive subtraction does.

It draws what `control.py` found. Matplotlib loads only when a figure is made.
"""

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from jaxcorr import plotting
from jaxcorr.compensation import naive
from jaxcorr.compensation.naive import Ticks

COLOURS = {
    naive.NONE: "#000000",
    naive.NETWORK: plotting.PALETTE[1],
    naive.PERFECT: plotting.PALETTE[0],
}
LABELS = {
    naive.NONE: "no correction",
    naive.NETWORK: "minus the network's prediction",
    naive.PERFECT: "minus a perfect prediction",
}


def draw(ticks: Ticks, found: Mapping[str, Any], path: Path) -> None:
    """Draws a loop's latency and jitter over time, and the error by band and kind.

    Args:
        ticks: of `control.run_loop`.
        found: of `control.subtract`.
        path: .png, .svg or .pdf.
    Raises:
        InputError: the ending is none of these, or the folder is not there.
    """
    plotting.check_paths(path)
    with plotting.style():
        figure, axes = plotting.new_figure(3, 1, 6.0)
        _draw_ticks(axes[0], ticks)
        _draw_histogram(axes[1], ticks)
        _draw_bands(axes[2], found)
        plotting.save(figure, path)


def _draw_ticks(axis: Any, ticks: Ticks) -> None:
    time_s = np.arange(len(ticks.paced.latency_us)) / ticks.rate_hz
    for values, label, colour in (
        (ticks.paced.latency_us, "prediction takes", plotting.PALETTE[0]),
        (ticks.paced.lateness_us, "tick begins late by", plotting.PALETTE[4]),
    ):
        shown = np.maximum(values, 0.1)
        axis.semilogy(time_s, shown, ".", ms=2, color=colour, label=label, rasterized=True)
    period_us = 1e6 / ticks.rate_hz
    axis.axhline(period_us, color="#000000", lw=0.8, ls="--", label="period")
    axis.set(xlabel=f"time at {ticks.rate_hz:g} Hz / s", ylabel="µs", ylim=(0.1, 3 * period_us))
    plotting.legend_above(axis, 3)


def _draw_histogram(axis: Any, ticks: Ticks) -> None:
    values = ticks.paced.latency_us
    edges = np.geomspace(max(values.min() / 1.5, 1.0), values.max() * 1.5, 60)
    axis.hist(values, edges, color=plotting.PALETTE[0], log=True)
    for percentile in (50, 99):
        value = float(np.percentile(values, percentile))
        axis.axvline(value, color="#000000", lw=0.8, ls=":")
        axis.annotate(
            f" p{percentile} {value:.0f}", (value, 0.9), xycoords=("data", "axes fraction")
        )
    axis.set(xscale="log", xlabel="prediction takes / µs", ylabel="ticks")
    marks = [m * 10**e for e in range(6) for m in (1, 2, 5) if edges[0] <= m * 10**e <= edges[-1]]
    axis.set_xticks(marks, [f"{mark:g}" for mark in marks])
    axis.set_xticks([], minor=True)


def _draw_bands(axis: Any, found: Mapping[str, Any]) -> None:
    edges, kinds = found["edges_hz"], list(found["bands_um"])
    place = np.arange(len(edges) - 1)
    width = 0.8 / len(kinds)
    for i, kind in enumerate(kinds):
        label = f"{LABELS[kind]}, {found['total_um'][kind]:.0f} µm in all"
        offset = (i - (len(kinds) - 1) / 2) * width
        bars = found["bands_um"][kind]
        axis.bar(place + offset, bars, width, color=COLOURS[kind], label=label)
    names = [f"{low:g}-{high:g}" for low, high in pairwise(edges)]
    axis.set_xticks(place, names)
    axis.set(xlabel="band / Hz", ylabel="error, RMS / µm")
    plotting.legend_above(axis, 1)
