"""Figures for people: drawn into files, labelled with units, safe for colour blindness.

It draws what it is given and computes no metric. Matplotlib loads only when a figure is made.
"""

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from jaxcorr.errors import InputError
from jaxcorr.simulate import SOURCES
from jaxcorr.trace import Trace

# Okabe and Ito's palette, "Color Universal Design", 2008.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
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
    partial = path.with_name(f".{path.stem}.partial{path.suffix}")
    try:
        figure.savefig(partial, dpi=150)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
