"""Pictures of a compensation: the printed path coloured by its error, before and after.

It draws what it is given and computes no metric. Matplotlib loads only when a figure is made.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from jaxcorr import plotting
from jaxcorr.compensation.closed_loop import NONE, Trial
from jaxcorr.evaluation.path_figures import REFERENCE, round_down

STRETCH_S = 0.3  # drawn magnified, before and after the largest error
ON_STRETCH = 0.15  # of its width that the largest error takes up once magnified


def draw_paths(trial: Trial, remedies: Sequence[str], path: Path) -> None:
    """Draws a layer as the nominal printer printed it: with nothing, then with each remedy.

    Above the whole layer, the colour the error's length; below the stretch around the largest error
    with nothing, errors magnified.

    Args:
        trial: with these remedies among its lanes.
        remedies: their names; NONE is drawn in any case, first.
        path: .png, .svg or .pdf, in a folder that exists.
    """
    names = [NONE, *(name for name in remedies if name != NONE)]
    errors = {name: trial.driven.error_mm[:, trial.lanes[name]] for name in names}
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
            rms_um = np.sqrt(np.mean(size_um**2))
            axis.set_title(f"{name}: RMS {rms_um:.1f} µm")
            axis.set(xlabel="x / mm", ylabel="y / mm")
        figure.colorbar(dots, ax=axes[0], label="|error| / µm", aspect=15)
        _draw_stretch(axes[1], trial, errors)
        for axis in axes[0]:
            # A box of a fixed size: one that shrinks to the data would push labels off the page.
            axis.set_aspect("equal", adjustable="datalim")
        for axis in axes.flat:
            axis.locator_params(nbins=5)
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
