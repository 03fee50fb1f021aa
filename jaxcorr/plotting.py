"""Figures for people: drawn into files, labelled with units, safe for colour blindness.

It draws what it is given and computes no metric. Matplotlib loads only when a figure is made.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from jaxcorr import files
from jaxcorr.errors import InputError

# Okabe and Ito's palette, "Color Universal Design", 2008.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MOST_TICKS = 6  # a column with more different numbers gets an axis of numbers
FORMATS = (".png", ".svg", ".pdf")
COLUMN_IN = 3.5  # one column of a journal page, 89 mm
DPI = 300  # of a .png, and of what is dense enough to be drawn as points in a vector file
SCREEN_DPI = 150
STYLE: dict[Any, Any] = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "legend.handlelength": 1.6,
    "legend.handletextpad": 0.5,
    "legend.columnspacing": 1.0,
    "lines.linewidth": 1.0,
    "lines.markersize": 3.5,
    "svg.hashsalt": "jaxcorr",  # or the names inside of a file would be random
}


def draw_history(rows: Sequence[Mapping[str, Any]], *paths: Path) -> None:
    """Draws a training's curves into files: loss, MAE of training and validation, learning rate.

    Args:
        rows: of history.jsonl, one an epoch.
        paths: .png, .svg or .pdf; one figure, laid out once, is saved to all of them.
    Raises:
        InputError: an ending is none of these, or a folder is not there.
    """
    check_paths(*paths)
    with style():
        save(history(rows), *paths)


def history(rows: Sequence[Mapping[str, Any]]) -> Any:
    """The figure of a training's curves, one column wide; the best epochs are marked."""
    figure, axes = new_figure(3, 1, 3.8, height_ratios=(1.0, 1.4, 0.7), sharex=True)
    epochs = [row["epoch"] for row in rows]
    axes[0].semilogy(epochs, [row["train_loss"] for row in rows], color=PALETTE[0], marker=".")
    axes[0].set(ylabel="training loss")
    _label_plainly(axes[0])
    for name, label, colour in (
        ("train_mae_mm", "training", PALETTE[0]),
        ("val_mae_mm", "validation", PALETTE[1]),
    ):
        found = [(row["epoch"], 1e3 * row[name]) for row in rows if row.get(name) is not None]
        if found:
            best = min(found, key=lambda point: point[1])
            text = f"{label}, best {best[1]:.2f} µm at {best[0]}"
            axes[1].plot(*zip(*found, strict=True), color=colour, marker=".", label=text)
            axes[1].plot(*best, "o", color=colour, fillstyle="none", ms=6)
    axes[1].set(ylabel="MAE / µm", yscale="log")
    _label_plainly(axes[1])
    legend_above(axes[1], 1)
    axes[2].plot(epochs, [row["learning_rate"] for row in rows], color=PALETTE[2], marker=".")
    axes[2].set(ylabel="learning rate", xlabel="epoch", ylim=(0, None))
    axes[2].set_xlim(0, epochs[-1] + 1)
    axes[2].xaxis.get_major_locator().set_params(integer=True)
    return figure


def draw_sweep(
    values: Mapping[str, Sequence[Any]],
    mae_um: Float[ndarray, " trials"],
    is_complete: Bool[ndarray, " trials"],
    path: Path,
) -> None:
    """Draws the MAE of each trial against each swept key; pruned trials are hollow.

    Args:
        values: key -> its value in each trial. Numbers that span a decade get a logarithmic axis;
            texts and few different numbers get an even one, with the median of each.
        mae_um: best validation MAE of each trial.
        is_complete: false where the trial was pruned.
        path: .png, .svg or .pdf.
    Raises:
        InputError: the ending is none of these, or the folder is not there.
    """
    with style():
        figure, axes = tall_figure(path, (7.0, 2.6 * len(values)), (1.0,) * len(values))
        best = int(np.argmin(mae_um))
        for axis, (key, column) in zip(np.atleast_1d(axes), values.items(), strict=True):
            at = _place(axis, column)
            for rows, face in ((is_complete, PALETTE[0]), (~is_complete, "none")):
                axis.scatter(at[rows], mae_um[rows], s=22, facecolors=face, edgecolors=PALETTE[0])
            for place in np.unique(at) if len(np.unique(at)) <= MOST_TICKS else ():
                median = np.median(mae_um[at == place])
                axis.plot(place, median, marker="_", ms=26, mew=2, color=PALETTE[1])
            axis.plot(at[best], mae_um[best], marker="*", ms=15, color=PALETTE[1])
            axis.set(xlabel=key, ylabel="validation MAE / µm", yscale="log")
            _label_plainly(axis)
        save(figure, path, dpi=SCREEN_DPI)


def _label_plainly(axis: Any) -> None:
    """1, 2 and 5 of each decade of a logarithmic axis, which may span little more than one."""
    from matplotlib.ticker import LogLocator, NullFormatter

    axis.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.yaxis.set_major_formatter("{x:g}")
    axis.yaxis.set_minor_formatter(NullFormatter())


def _place(axis: Any, column: Sequence[Any]) -> Float[ndarray, " trials"]:
    """Where each value stands on the axis, whose scale and ticks are set to suit."""
    different = list(dict.fromkeys(column))
    is_number = all(isinstance(value, int | float) for value in different)
    if is_number and len(different) > MOST_TICKS:
        numbers = np.array(column, np.float64)
        axis.set_xscale("log" if numbers.min() > 0 and np.ptp(np.log10(numbers)) >= 1 else "linear")
        return numbers
    order = sorted(different) if is_number else sorted(different, key=str)
    axis.set_xticks(range(len(order)), [str(value) for value in order])
    axis.set_xlim(-0.5, len(order) - 0.5)
    return np.array([order.index(value) for value in column], np.float64)


def amplitude_spectrum(
    values: Float[ndarray, " n"], rate_hz: float
) -> tuple[Float[ndarray, " f"], Float[ndarray, " f"]]:
    """One-sided amplitude spectrum by Welch's method; a sine of amplitude A shows as A.

    Source: Welch, "The use of fast Fourier transform for the estimation of power spectra", 1967.
    """
    from scipy.signal import welch

    frequency_hz, power = welch(
        values, rate_hz, window="flattop", nperseg=min(512, len(values)), scaling="spectrum"
    )
    return frequency_hz, np.sqrt(2.0 * power)


def style() -> Any:
    """A context in which figures are drawn and saved: one font, sizes for one column of print."""
    from matplotlib import rc_context

    return rc_context(STYLE)


def new_figure(num_rows: int, num_columns: int, height_in: float, **options: Any) -> tuple:
    """A figure one column wide and its axes, laid out so that nothing overlaps."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(COLUMN_IN, height_in), layout="constrained")
    return figure, figure.subplots(num_rows, num_columns, **options)


def legend_above(axis: Any, num_columns: int) -> None:
    """A legend above the axis, clear of the data."""
    axis.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=num_columns, borderaxespad=0.2)


def save(figure: Any, *paths: Path, dpi: int = DPI) -> None:
    """Saves one figure to several files, each whole or not at all; its layout is made once."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for path in paths:
        # Without the date, the same figure is the same file.
        metadata = {"Date": None} if path.suffix == ".svg" else None
        with files.write_whole(path) as partial:
            figure.savefig(partial, dpi=dpi, metadata=metadata)


def check_paths(*paths: Path) -> None:
    """Checks that figures can be written there, before the work that they will show.

    Raises:
        InputError: the ending is unknown, or the folder is not there.
    """
    for path in paths:
        if path.suffix not in FORMATS or not path.parent.is_dir():
            raise InputError(
                f"{path}: expected a file ending in {', '.join(FORMATS)} in a folder that exists, "
                f"got '{path.name}' in '{path.parent}'. Choose another name."
            )


def tall_figure(path: Path, size: tuple[float, float], heights: Sequence[float]) -> tuple:
    """A figure for the screen: axes over one another."""
    check_paths(path)
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    return figure, figure.subplots(len(heights), 1, height_ratios=heights)
