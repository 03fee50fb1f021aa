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
from jaxcorr.simulate import SOURCES
from jaxcorr.trace import Trace

# Okabe and Ito's palette, "Color Universal Design", 2008.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MOST_TICKS = 6  # a column with more different numbers gets an axis of numbers
FORMATS = (".png", ".svg", ".pdf")


def draw_trace(trace: Trace, path: Path) -> None:
    """Draws a simulated layer: path coloured by error, error over time by source, spectrum.

    Args:
        trace: with x_ref, y_ref, error_x, error_y; sources are drawn where it has them.
        path: .png, .svg or .pdf.
    Raises:
        InputError: the ending is none of these, or the folder is not there.
    """
    figure, axes = _figure(path, 3, (8.0, 10.0), (2.2, 1.0, 1.0))
    fields = trace.fields
    size_um = 1e3 * np.hypot(fields["error_x"], fields["error_y"])
    dots = axes[0].scatter(fields["x_ref"], fields["y_ref"], c=size_um, s=3, cmap="viridis")
    axes[0].set(xlabel="x / mm", ylabel="y / mm", aspect="equal", title=f"{trace.name}: error")
    figure.colorbar(dots, ax=axes[0], label="|error| / um")
    _draw_sources(axes[1], trace)
    rate_hz = trace.sample_rate_hz
    for name, colour in zip(("error_x", "error_y"), PALETTE, strict=False):
        frequency_hz, amplitude_um = amplitude_spectrum(1e3 * fields[name], rate_hz)
        axes[2].semilogy(frequency_hz, amplitude_um, color=colour, lw=1, label=name[-1])
    axes[2].set(xlabel="frequency / Hz", ylabel="amplitude / um", xlim=(0, rate_hz / 2))
    axes[2].legend(frameon=False)
    _save(figure, path)


def draw_history(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draws a training's curves: loss, MAE of training and validation, learning rate.

    Args:
        rows: of history.jsonl, one an epoch.
        path: .png, .svg or .pdf.
    Raises:
        InputError: the ending is none of these, or the folder is not there.
    """
    figure, axes = _figure(path, 3, (7.0, 8.0), (1.0, 1.4, 0.7))
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
            axes[1].plot(*zip(*found, strict=True), color=colour, marker=".", label=label)
            best = min(found, key=lambda point: point[1])
            axes[1].plot(*best, "o", color=colour, fillstyle="none", ms=9)
            axes[1].lines[-1].set_label(f"best: {best[1]:.2f} um, epoch {best[0]}")
    axes[1].set(ylabel="MAE / um", yscale="log")
    _label_plainly(axes[1])
    axes[1].legend(frameon=False)
    axes[2].plot(epochs, [row["learning_rate"] for row in rows], color=PALETTE[2], marker=".")
    axes[2].set(ylabel="learning rate", xlabel="epoch", ylim=(0, None))
    for axis in axes:
        axis.set_xlim(0, epochs[-1] + 1)
        axis.xaxis.get_major_locator().set_params(integer=True)
    _save(figure, path)


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
    figure, axes = _figure(path, len(values), (7.0, 2.6 * len(values)), (1.0,) * len(values))
    best = int(np.argmin(mae_um))
    for axis, (key, column) in zip(np.atleast_1d(axes), values.items(), strict=True):
        at = _place(axis, column)
        for rows, face in ((is_complete, PALETTE[0]), (~is_complete, "none")):
            axis.scatter(at[rows], mae_um[rows], s=22, facecolors=face, edgecolors=PALETTE[0])
        for place in np.unique(at) if len(np.unique(at)) <= MOST_TICKS else ():
            median = np.median(mae_um[at == place])
            axis.plot(place, median, marker="_", ms=26, mew=2, color=PALETTE[1])
        axis.plot(at[best], mae_um[best], marker="*", ms=15, color=PALETTE[1])
        axis.set(xlabel=key, ylabel="validation MAE / um", yscale="log")
        _label_plainly(axis)
    _save(figure, path)


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


def _draw_sources(axis: Any, trace: Trace) -> None:
    """RMS over a sliding fifth of a second, total and per source, in a logarithmic scale."""
    time = trace.fields["time"]
    window = max(round(trace.sample_rate_hz / 5), 1)
    pairs = [("total", "error"), *((s, s) for s in SOURCES if f"{s}_x" in trace.fields)]
    for (label, prefix), colour in zip(pairs, ("#000000", *PALETTE), strict=False):
        power = trace.fields[f"{prefix}_x"] ** 2 + trace.fields[f"{prefix}_y"] ** 2
        mean = np.convolve(power, np.full(window, 1 / window), mode="same")
        axis.semilogy(
            time, 1e3 * np.sqrt(np.maximum(mean, 1e-12)), color=colour, lw=0.9, label=label
        )
    axis.set(xlabel="time / s", ylabel="RMS over 0.2 s / um", xlim=(time[0], time[-1]))
    axis.set_ylim(bottom=3e-3)
    axis.legend(frameon=False, ncols=4, fontsize=8, loc="lower right")


def _figure(
    path: Path, num_axes: int, size: tuple[float, float], heights: tuple[float, ...]
) -> tuple[Any, Any]:
    if path.suffix not in FORMATS or not path.parent.is_dir():
        raise InputError(
            f"{path}: expected a file ending in {', '.join(FORMATS)} in a folder that exists, got "
            f"'{path.name}' in '{path.parent}'. Choose another name."
        )
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    return figure, figure.subplots(num_axes, 1, height_ratios=heights)


def _save(figure: Any, path: Path) -> None:
    with files.write_whole(path) as partial:
        figure.savefig(partial, dpi=150)
