"""Figures of a compensated layer, coloured by its error, and of a control loop that predicts.

Matplotlib loads only when a figure is made.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from jaxcorr import plotting
from jaxcorr.compensation import naive
from jaxcorr.compensation.cases import NOMINAL
from jaxcorr.compensation.closed_loop import NONE, Trial
from jaxcorr.deploy.timing import Ticks
from jaxcorr.evaluation.path_figures import REFERENCE, round_down

STRETCH_S = 0.3  # drawn magnified, before and after the largest error
MOST_LABELLED = 100.0  # ratio of an axis's ends with labels at 1, 2 and 5; beyond, at 1 alone
ON_STRETCH = 0.15  # of its width that the largest error takes up once magnified

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


def draw_paths(trial: Trial, methods: Sequence[str], path: Path) -> None:
    """Draws a layer as the nominal printer printed it: with nothing, then with each method.

    Above the whole layer, the colour the error's length; below the stretch around the largest error
    with nothing, errors magnified.

    Args:
        trial: of these methods.
        methods: their names; NONE is drawn in any case, first.
        path: .png, .svg or .pdf, in a folder that exists.
    """
    names = [NONE, *(name for name in methods if name != NONE)]
    judged = {row.method: row.judged for row in trial.rows if row.printer == NOMINAL}
    errors = {name: trial.driven.error_mm[:, trial.columns[name]] for name in names}
    with plotting.style():
        figure, axes = plotting.new_figure(2, len(names), 5.2, squeeze=False)
        figure.set_size_inches(plotting.COLUMN_IN * len(names) * 0.9, 5.4)
        top_um = 1e3 * float(np.hypot(*errors[NONE].T).max())
        reference = trial.driven.reference_mm
        dots = None
        for axis, name in zip(axes[0], names, strict=True):
            size_um = 1e3 * np.hypot(*errors[name].T)
            look = {"s": 0.6, "lw": 0, "cmap": "viridis", "vmin": 0, "vmax": top_um}
            dots = axis.scatter(*reference.T, c=size_um, rasterized=True, **look)
            made = judged[name]
            axis.set_title(f"{name}\ncontour {made.contour_um:.1f} µm, RMS {made.rms_um:.1f} µm")
            axis.set(xlabel="x / mm", ylabel="y / mm")
        figure.colorbar(dots, ax=axes[0], label="size of the error / µm", aspect=15)
        _draw_stretch(axes[1], trial, errors)
        for axis in axes[0]:
            # A box of a fixed size: one that shrinks to the data would push labels off the page.
            axis.set_aspect("equal", adjustable="datalim")
        for axis in axes.flat:
            axis.locator_params(nbins=5)
        plotting.save(figure, path)


def draw_control(ticks: Ticks, subtraction: Mapping[str, Any], path: Path) -> None:
    """Draws a loop's latency and jitter over time, and the error by band and kind.

    Args:
        ticks: of `timing.run_loop`.
        subtraction: figures of `naive.subtract`.
        path: .png, .svg or .pdf.
    Raises:
        InputError: the ending is none of these, or the folder is not there.
    """
    plotting.check_paths(path)
    with plotting.style():
        figure, axes = plotting.new_figure(3, 1, 6.0)
        _draw_ticks(axes[0], ticks)
        _draw_histogram(axes[1], ticks)
        _draw_bands(axes[2], subtraction)
        plotting.save(figure, path)


def _draw_stretch(axes: np.ndarray, trial: Trial, errors: dict[str, np.ndarray]) -> None:
    """The surroundings of the largest error, the same in all columns."""
    reference, plain = trial.driven.reference_mm, np.hypot(*errors[NONE].T)
    reach = round(STRETCH_S / (trial.driven.time_s[1] - trial.driven.time_s[0]))
    worst = int(plain.argmax())
    rows = slice(max(worst - reach, 0), worst + reach + 1)
    side = max(float(np.ptp(reference[rows], axis=0).max()), 1.0)
    largest = float(plain[rows].max())
    factor = round_down(ON_STRETCH * side / largest) if largest else 1.0
    for axis, error in zip(axes, errors.values(), strict=True):
        axis.plot(*reference[rows].T, color=REFERENCE, lw=2.0)
        axis.plot(*(reference + factor * error)[rows].T, color=plotting.PALETTE[1], lw=0.9)
        axis.set(xlabel="x / mm", ylabel="y / mm")
        axis.set_title(f"around {trial.driven.time_s[worst]:.2f} s, error × {factor:g}")
    low, high = _limits([reference[rows] + factor * error[rows] for error in errors.values()])
    for axis in axes:
        axis.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), aspect="equal")


def _limits(points: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Corners of a square around all of them, with a margin."""
    stacked = np.concatenate(points)
    middle = (stacked.min(axis=0) + stacked.max(axis=0)) / 2
    half = 0.55 * max(float(np.ptp(stacked, axis=0).max()), 1.0)
    return middle - half, middle + half


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
    axis.set(xlabel=f"time at {ticks.rate_hz:g} Hz / s", ylabel="time / µs", ylim=(0.1, None))
    plotting.legend_above(axis, 3)


def _draw_histogram(axis: Any, ticks: Ticks) -> None:
    values = ticks.paced.latency_us
    edges = np.geomspace(max(values.min() / 1.5, 1.0), values.max() * 1.5, 60)
    axis.hist(values, edges, color=plotting.PALETTE[0], log=True)
    # On either side, since on a quiet machine both stand at nearly the same place.
    for percentile in (50, 99):
        value = float(np.percentile(values, percentile))
        axis.axvline(value, color="#000000", lw=0.8, ls=":")
        is_left = percentile == 50 or value > edges[0] ** 0.3 * edges[-1] ** 0.7
        place = {"xy": (value, 1.02), "xycoords": ("data", "axes fraction")}
        place["ha"] = "right" if is_left else "left"
        axis.annotate(f" p{percentile} {value:,.0f} ", **place)
    axis.set(xscale="log", xlabel="prediction takes / µs", ylabel="ticks")
    digits = (1, 2, 5) if edges[-1] / edges[0] < MOST_LABELLED else (1,)
    marks = [m * 10**e for e in range(7) for m in digits if edges[0] <= m * 10**e <= edges[-1]]
    axis.set_xticks(marks, [f"{mark:,g}" for mark in marks])
    axis.set_xticks([], minor=True)


def _draw_bands(axis: Any, subtraction: Mapping[str, Any]) -> None:
    edges, kinds = subtraction["edges_hz"], list(subtraction["bands_um"])
    place = np.arange(len(edges) - 1)
    width = 0.8 / len(kinds)
    for i, kind in enumerate(kinds):
        label = f"{LABELS[kind]}, {subtraction['total_um'][kind]:.0f} µm in all"
        offset = (i - (len(kinds) - 1) / 2) * width
        bars = subtraction["bands_um"][kind]
        axis.bar(place + offset, bars, width, color=COLOURS[kind], label=label)
    names = [f"{low:g}-{high:g}" for low, high in pairwise(edges)]
    axis.set_xticks(place, names)
    axis.set(xlabel="band / Hz", ylabel="error, RMS / µm")
    plotting.legend_above(axis, 1)
