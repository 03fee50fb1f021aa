"""Figures of errors against frequency and against speed.

Each function draws aligned tracks as those of `error_figures`, or returns None where they lack what
a figure shows.
"""

import itertools
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from jaxcorr import plotting
from jaxcorr.evaluation.error_figures import (
    PREDICTED,
    RESIDUAL,
    TRUE,
    Drawing,
    residual_um,
    true_um,
)
from jaxcorr.evaluation.tracks import Track

NUM_SPEED_BANDS = 12
FEWEST_IN_BAND = 5  # samples; fewer say nothing of a median
FEWEST_FOR_SPECTRUM = 32  # samples


def spectrum(tracks: Sequence[Track]) -> Drawing | None:
    """Amplitude spectra of true and predicted error and of the residual, a panel an axis."""
    long = [track for track in tracks if len(track.time_s) >= FEWEST_FOR_SPECTRUM]
    if not long:
        return None
    names = tracks[0].axes
    figure, axes = plotting.new_figure(len(names), 1, 1.5 * len(names) + 0.5, sharex=True)
    peaks = []
    for i, (name, axis) in enumerate(zip(names, np.atleast_1d(axes), strict=True)):
        for attribute, label, colour in (
            ("true_mm", "true", TRUE),
            ("predicted_mm", "predicted", PREDICTED),
            ("residual_mm", "residual", RESIDUAL),
        ):
            frequency_hz, amplitude_um = _mean_spectrum(long, attribute, i)
            # An amplitude of nothing has no place on a logarithmic axis.
            axis.semilogy(frequency_hz, np.maximum(amplitude_um, 1e-4), color=colour, label=label)
            if attribute == "true_mm":
                peaks.append(f"{name} {frequency_hz[amplitude_um[1:].argmax() + 1]:.3g} Hz")
        axis.set(ylabel=f"{name}: amplitude / µm", xlim=(0, tracks[0].rate_hz / 2))
        axis.yaxis.set_major_formatter("{x:g}")
    np.atleast_1d(axes)[-1].set(xlabel="frequency / Hz")
    plotting.legend_above(np.atleast_1d(axes)[0], 3)
    return Drawing(
        "spectrum",
        "What frequencies are predicted",
        f"Amplitude spectra of true error, prediction and residual (Welch, mean over the traces by "
        f"power). Largest true amplitude above zero frequency: {', '.join(peaks)}. Where the "
        "residual meets the true error, nothing is predicted.",
        "Amplitude spectra of true error, predicted error and residual for each axis.",
        figure,
    )


def _mean_spectrum(
    tracks: Sequence[Track], attribute: str, column: int
) -> tuple[Float[ndarray, " f"], Float[ndarray, " f"]]:
    """Mean by power over tracks, weighted by length, on the frequencies of the shortest."""
    spectra, weights = [], [len(track.time_s) for track in tracks]
    for track in tracks:
        values = 1e3 * getattr(track, attribute)[:, column]
        spectra.append(plotting.amplitude_spectrum(values, track.rate_hz))
    grid = min((frequency for frequency, _ in spectra), key=len)
    power = [np.interp(grid, frequency, amplitude**2) for frequency, amplitude in spectra]
    return grid, np.sqrt(np.average(power, axis=0, weights=weights))


def residual_vs_speed(tracks: Sequence[Track]) -> Drawing | None:
    """Size of error and residual against the speed of the path, with medians of bands."""
    speeds = [track.speed_mm_s for track in tracks if len(track.time_s) > 1]
    held = [speed for speed in speeds if speed is not None]
    if not held or len(held) < len(tracks):
        return None
    speed = np.concatenate(held)
    sizes = {
        "true": np.linalg.norm(true_um(tracks), axis=1),
        "residual": np.linalg.norm(residual_um(tracks), axis=1),
    }
    figure, axis = plotting.new_figure(1, 1, 2.6)
    is_known = np.isfinite(speed)
    edges = np.linspace(0, max(float(speed[is_known].max(initial=0)), 1.0), NUM_SPEED_BANDS + 1)
    left = np.maximum(sizes["residual"], 1e-2)
    for (label, size), colour in zip(sizes.items(), (TRUE, RESIDUAL), strict=True):
        middle, low, high = _bands(speed, size, edges)
        axis.plot(middle, low, "o-", color=colour, label=f"{label}: median")
        axis.plot(middle, high, ":", color=colour, label=f"{label}: 90th percentile")
    dots = {"s": 1, "color": "#BBBBBB", "lw": 0, "zorder": 1, "rasterized": True}
    axis.scatter(speed, left, label="residual: each sample", **dots)
    axis.set(xlabel=f"speed of the {tracks[0].path} / mm/s", xlim=(0, edges[-1]))
    axis.set(ylabel="size of the error / µm", yscale="log")
    axis.yaxis.set_major_formatter("{x:g}")
    plotting.legend_above(axis, 2)
    axis.legend_.legend_handles[-1].set_sizes([12])
    return Drawing(
        "residual_vs_speed",
        "At what speed it is right",
        f"Length of the residual over all axes against speed, in bands of "
        f"{edges[1]:.3g} mm/s, beside the true error. Bands with fewer than {FEWEST_IN_BAND} "
        "samples are left out.",
        "Residual of each sample against speed, with median and 90th percentile of speed bands.",
        figure,
    )


def _bands(
    speed: Float[ndarray, " n"], size: Float[ndarray, " n"], edges: Float[ndarray, " e"]
) -> tuple[list[float], list[float], list[float]]:
    """Middle of each band, and median and 90th percentile in it."""
    middle, low, high = [], [], []
    for begin, end in itertools.pairwise(edges):
        # The last band holds its upper edge, or the fastest sample would be in none.
        values = size[(speed >= begin) & ((speed < end) | (end == edges[-1]) & (speed <= end))]
        if len(values) >= FEWEST_IN_BAND:
            middle.append((begin + end) / 2)
            low.append(float(np.median(values)))
            high.append(float(np.percentile(values, 90)))
    return middle, low, high
