"""What a resonance test tells of an axis: its modes, and where they would set input shapers."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from jaxcorr.errors import InputError
from jaxcorr.identify import accelerometer, modes
from jaxcorr.identify.accelerometer import DIRECTIONS, Spectrum
from jaxcorr.identify.modes import FIT_HZ, Fit
from jaxcorr.identify.printer_file import Identified
from jaxcorr.identify.resonance_test import Mode, stiff_share
from jaxcorr.identify.shapers import Setting, klippers_choice
from jaxcorr.units import count

AXES = ("x", "y")
SHAPERS = ("zv", "mzv")
# One mode does where it leaves no more than this, and sets MZV as the file does.
ONE_MODE_RESIDUAL = 0.25
SAME_SETTING = 0.02
LARGEST_RESIDUAL = 0.6
PEAK_HEIGHT = 1.6  # over the median, of power over frequency


class AxisResponse(NamedTuple):
    """An axis as its resonance test shows it.

    Attributes:
        spectrum: what was measured.
        fit: modes of the direction that moved most.
        on_file, on_model: by shaper, what Klipper sets it to on the file, and on the file with the
            model in place of the direction that moved.
        one_mode: the same with one mode, where two were needed.
    """

    spectrum: Spectrum
    fit: Fit
    on_file: dict[str, Setting]
    on_model: dict[str, Setting]
    one_mode: "AxisResponse | None" = None

    @property
    def moved(self) -> str:
        """The direction that moved most."""
        return DIRECTIONS[self.spectrum.moved]


def identify_files(paths: Sequence[Path], num_modes: int | None = None) -> list[AxisResponse]:
    """Identifies an axis from each file; where the names do not tell, x comes first, then y.

    Args:
        num_modes: 1 or 2, to have so many; two only where one does not do, if left out.
    Raises:
        InputError: with one line for each file that is refused.
    """
    found, problems = [], []
    for place, path in enumerate(paths):
        try:
            spectrum = accelerometer.read(path)
            if not spectrum.axis and place >= len(AXES):
                raise InputError(
                    f"{path}: expected _x or _y in the name of the third file and of later ones, "
                    "got neither. Rename it."
                )
            named = spectrum._replace(axis=spectrum.axis or AXES[place])
            found.append(identify(named, num_modes))
        except InputError as problem:
            problems.append(str(problem))
    if problems:
        raise InputError("\n".join(problems))
    return found


def identify(spectrum: Spectrum, num_modes: int | None = None) -> AxisResponse:
    """Fits one mode, and two where one does not do.

    Args:
        num_modes: 1 or 2, to have so many.
    Raises:
        InputError: the spectrum has no peak, or the modes do not explain it.
    """
    psd = spectrum.psd[:, spectrum.moved]
    _check_peak(spectrum, psd)
    one = None
    if num_modes != 2:
        one = _judge(spectrum, modes.fit(spectrum.spacing_hz, psd, 1))
        if num_modes == 1 or _does(one):
            return _accept(one)
    two = _judge(spectrum, modes.fit(spectrum.spacing_hz, psd, 2))
    return _accept(two._replace(one_mode=one))


def _does(one: AxisResponse) -> bool:
    """Whether one mode leaves little, and sets MZV as the file does."""
    ratio = one.on_model["mzv"].frequency_hz / one.on_file["mzv"].frequency_hz
    return one.fit.residual <= ONE_MODE_RESIDUAL and abs(ratio - 1.0) <= SAME_SETTING


def _accept(found: AxisResponse) -> AxisResponse:
    num_modes = len(found.fit.modes)
    if found.fit.residual > LARGEST_RESIDUAL:
        raise InputError(
            f"{found.spectrum.path}: expected the spectrum of {count(num_modes, 'mode')}, within "
            f"{LARGEST_RESIDUAL:g} of its logarithm, got {found.fit.residual:.2f}. Look for loose "
            "screws, belts and the accelerometer's mount, and test again."
        )
    return found


def main_mode(found: Sequence[Mode]) -> Mode:
    """The mode that gives way most, of those that move with the axis."""
    return next(mode for mode in found if mode.share > 0.0)


def printer_of(responses: Sequence[AxisResponse]) -> Identified | None:
    """The modes of x and of y; None unless there is one response of each."""
    by_axis = {one.spectrum.axis: one.fit.modes for one in responses}
    if set(by_axis) != set(AXES) or len(responses) != len(AXES):
        return None
    x, y = (main_mode(by_axis[axis]) for axis in AXES)
    others = [
        [one for one in by_axis[axis] if one is not main_mode(by_axis[axis])] for axis in AXES
    ]
    second_x, second_y = (next(iter(rest), None) for rest in others)
    return Identified(
        (x.frequency_hz, y.frequency_hz),
        (x.damping_ratio, y.damping_ratio),
        second=(second_x, second_y),
        stiff_share=(stiff_share(by_axis["x"]), stiff_share(by_axis["y"])),
    )


def _check_peak(spectrum: Spectrum, psd: Float[ndarray, " f"]) -> None:
    """Refuses a spectrum that only follows the command, or that begins or ends with its peak."""
    tried = np.flatnonzero(
        (spectrum.frequency_hz >= FIT_HZ[0]) & (spectrum.frequency_hz <= FIT_HZ[1])
    )
    height = psd[tried] / spectrum.frequency_hz[tried]
    top = int(np.argmax(height))
    share = float(height[top] / max(np.median(height), 1e-300))
    if share < PEAK_HEIGHT or top in (0, len(tried) - 1):
        raise InputError(
            f"{spectrum.path}: expected a peak between {FIT_HZ[0]:g} and {FIT_HZ[1]:g} Hz, "
            f"{PEAK_HEIGHT:g} times the median of power over frequency, got {share:.1f} times at "
            f"{spectrum.frequency_hz[tried[top]]:g} Hz. Fix the accelerometer to what moves, and "
            "test again."
        )


def _judge(spectrum: Spectrum, found: Fit) -> AxisResponse:
    with_model = spectrum.psd.copy()
    with_model[:, spectrum.moved] = found.psd
    on_file, on_model = (
        {kind: klippers_choice(kind, spectrum.frequency_hz, psd.sum(axis=1)) for kind in SHAPERS}
        for psd in (spectrum.psd, with_model)
    )
    return AxisResponse(spectrum, found, on_file, on_model)
