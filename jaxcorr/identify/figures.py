"""The figure of a resonance test: what was measured, what the modes explain, one panel an axis."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jaxcorr import plotting
from jaxcorr.errors import plain
from jaxcorr.identify.accelerometer import DIRECTIONS
from jaxcorr.identify.axis_response import AxisResponse
from jaxcorr.identify.modes import FIT_HZ
from jaxcorr.identify.shapers import SPECTRUM_HZ


def draw(responses: Sequence[AxisResponse], path: Path) -> None:
    """Draws each spectrum, by direction, with the simulated test of its modes.

    Raises:
        InputError: the ending is unknown, or the folder is not there.
    """
    with plotting.style():
        size = (7.0, 2.6 * len(responses))
        figure, axes = plotting.tall_figure(path, size, [1.0] * len(responses))
        for axis, response in zip([axes] if len(responses) == 1 else axes, responses, strict=True):
            _draw_axis(axis, response)
        plotting.save(figure, path, dpi=plotting.SCREEN_DPI)


def _draw_axis(axis: Any, response: AxisResponse) -> None:
    spectrum = response.spectrum
    colours = {spectrum.moved: plotting.PALETTE[0]}
    others = [i for i in range(len(DIRECTIONS)) if i != spectrum.moved]
    colours |= dict(zip(others, plotting.PALETTE[4:], strict=False))
    for i, direction in enumerate(DIRECTIONS):
        axis.plot(
            spectrum.frequency_hz,
            spectrum.psd[:, i],
            color=colours[i],
            label=f"measured, {direction}",
            linewidth=1.2 if i == spectrum.moved else 0.6,
        )
    axis.plot(spectrum.frequency_hz, response.fit.psd, "--", color=plotting.PALETTE[1], label="fit")
    for mode in response.fit.modes:
        axis.axvline(mode.frequency_hz, color=plotting.PALETTE[6], linewidth=0.5, linestyle=":")
    low = spectrum.psd[:, spectrum.moved][1:].min()
    axis.set(
        yscale="log",
        xlim=(0.0, SPECTRUM_HZ),
        ylim=(0.5 * low, None),
        xlabel="frequency / Hz",
        ylabel="power density / ((mm/s²)²/Hz)",
        title=f"{plain(spectrum.path.name)}: axis {spectrum.axis}",
    )
    axis.axvspan(*FIT_HZ, color=plotting.PALETTE[6], alpha=0.05, linewidth=0.0, label="fitted")
    axis.legend(loc="upper right")
