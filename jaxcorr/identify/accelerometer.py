"""Klipper's accelerometer files: spectra of a resonance test, and raw series of acceleration.

A spectrum has the columns freq, psd_x, psd_y, psd_z and psd_xyz; where Klipper wrote shapers beside
them, it had divided the spectrum by its command's, which is undone here. A series has time in s and
accel_x, accel_y, accel_z in mm/s2; its spectrum is taken as Klipper takes it.
"""

import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from jaxcorr.errors import InputError
from jaxcorr.identify.resonance_test import WINDOW_S, power, window_spectra
from jaxcorr.identify.shapers import SPECTRUM_HZ, command_weight

DIRECTIONS = ("x", "y", "z")
PSD_COLUMNS = ("freq", "psd_x", "psd_y", "psd_z")
SERIES_COLUMNS = ("time", "accel_x", "accel_y", "accel_z")
# Below the test hardly moves an axis, above it has ended.
BAND_HZ = (15.0, 125.0)
SPACING_HZ = (0.5, 4.0)
ROUNDED_HZ = 0.1  # frequencies are written to a tenth
LEAST_TEST_S = 20.0
LONGEST_GAP_S = 0.1
SLOWEST_HZ = 400.0  # of an accelerometer
AGAIN = "Run TEST_RESONANCES once more."


class Spectrum(NamedTuple):
    """What an accelerometer measured in a resonance test.

    Attributes:
        path: of the file.
        axis: x or y, by the file's name; "" where that does not tell.
        frequency_hz: from 0 on, as the file rounds them.
        spacing_hz: of the frequencies.
        psd: of each direction, (mm/s2)^2/Hz.
    """

    path: Path
    axis: str
    frequency_hz: Float[ndarray, " f"]
    spacing_hz: float
    psd: Float[ndarray, "f 3"]

    @property
    def moved(self) -> int:
        """The direction that moved most: a tilted accelerometer has it in another than the axis."""
        band = (self.frequency_hz > BAND_HZ[0]) & (self.frequency_hz < BAND_HZ[1])
        return int(np.argmax((self.psd[band] / self.frequency_hz[band, None]).max(axis=0)))


def read(path: Path) -> Spectrum:
    """Reads an accelerometer file of either kind.

    Raises:
        InputError: the file is none of them, or its numbers are not those of a resonance test.
    """
    axis = _axis_of(path)
    num_lines, header = _find_header(path)
    names = header.lstrip("#").strip().lower().split(",")
    if set(names) >= set(SERIES_COLUMNS):
        columns = _read_numbers(path, num_lines, [names.index(name) for name in SERIES_COLUMNS])
        return _take_spectrum(path, axis, columns)
    if set(names) >= set(PSD_COLUMNS):
        columns = _read_numbers(path, num_lines, [names.index(name) for name in PSD_COLUMNS])
        # Any set of shapers that Klipper writes has this one.
        return _check_spectrum(path, axis, columns, is_divided="mzv" in header)
    raise InputError(
        f"{path}: expected columns {','.join(PSD_COLUMNS)} or #{','.join(SERIES_COLUMNS)}, got "
        f"'{header[:60]}'. Give a file that Klipper's TEST_RESONANCES wrote."
    )


def _axis_of(path: Path) -> str:
    """x or y where the file's name says so."""
    name = path.stem.lower()
    if "axis=" in name:
        raise InputError(
            f"{path}: expected a test of x or of y, got one along a diagonal, which moves both. "
            "Run TEST_RESONANCES AXIS=X and AXIS=Y."
        )
    found = re.search(r"(?:^|_)([xy])(?=_|$)", name)
    return found[1] if found else ""


def _find_header(path: Path) -> tuple[int, str]:
    """How many lines are before the numbers, and which of them names the columns."""
    header, num_lines = "", 0
    try:
        with path.open(encoding="utf-8-sig") as file:
            for line in file:
                if re.match(r"\s*[-+.\d]", line):
                    break
                num_lines += 1
                header = line.strip() or header
    except UnicodeDecodeError:
        raise InputError(f"{path}: expected text, got other bytes. {AGAIN}") from None
    except OSError as error:
        raise InputError(
            f"{path}: expected a readable file, got '{error.strerror}'. Check the path."
        ) from None
    return num_lines, header


def _read_numbers(path: Path, skip: int, places: Sequence[int]) -> Float[ndarray, "n 4"]:
    try:
        with path.open(encoding="utf-8-sig") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # where there are no rows, which is refused below
            lines = (line for i, line in enumerate(file) if i >= skip)
            columns = np.loadtxt(lines, delimiter=",", usecols=places, ndmin=2)
    except ValueError as error:
        text = str(error).partition(";")[0].rstrip(".")
        raise InputError(
            f"{path}: expected rows of numbers after line {skip}, got '{text}'. {AGAIN}"
        ) from None
    if len(columns) < 2:
        raise InputError(f"{path}: expected rows of numbers, got {len(columns)}. {AGAIN}")
    wrong = np.flatnonzero(~np.isfinite(columns).all(axis=1))
    if len(wrong):
        raise InputError(
            f"{path}:{skip + wrong[0] + 1}: expected finite numbers, got NaN or infinity in "
            f"{len(wrong)} rows. {AGAIN}"
        )
    return columns


def _check_spectrum(
    path: Path, axis: str, columns: Float[ndarray, "f 4"], is_divided: bool
) -> Spectrum:
    frequency_hz, psd = columns[:, 0], columns[:, 1:]
    count = np.arange(len(frequency_hz))
    spacing_hz = float(count @ frequency_hz / (count @ count))
    away = np.abs(frequency_hz - spacing_hz * count).max()
    if not SPACING_HZ[0] <= spacing_hz <= SPACING_HZ[1] or away > ROUNDED_HZ:
        raise InputError(
            f"{path}: expected frequencies from 0 Hz on, evenly spaced by {SPACING_HZ[0]:g} to "
            f"{SPACING_HZ[1]:g} Hz, got {frequency_hz[0]:g}, {frequency_hz[1]:g} to "
            f"{frequency_hz[-1]:g} Hz. Give the file as Klipper wrote it."
        )
    if frequency_hz[-1] < BAND_HZ[1]:
        raise InputError(
            f"{path}: expected a spectrum up to {BAND_HZ[1]:g} Hz or beyond, got "
            f"{frequency_hz[-1]:g} Hz. Test up to a higher frequency."
        )
    if (psd < 0.0).any() or not (psd > 0.0).any():
        raise InputError(f"{path}: expected powers above 0, got {psd.min():g} at least. {AGAIN}")
    if is_divided:
        psd = psd / command_weight(frequency_hz)[:, None]
    return Spectrum(path, axis, frequency_hz, spacing_hz, psd)


def _take_spectrum(path: Path, axis: str, columns: Float[ndarray, "n 4"]) -> Spectrum:
    """Klipper's spectrum of a series; the time is in the first column."""
    steps_s = np.diff(columns[:, 0])
    test_s = columns[-1, 0] - columns[0, 0]
    if steps_s.min() <= 0.0 or steps_s.max() > LONGEST_GAP_S:
        raise InputError(
            f"{path}: expected times that rise by less than {LONGEST_GAP_S:g} s, got steps of "
            f"{steps_s.min():.6g} to {steps_s.max():.6g} s. Samples were lost: mend the wiring of "
            "the accelerometer, and test again."
        )
    rate_hz = len(columns) / test_s
    if test_s < LEAST_TEST_S or rate_hz < SLOWEST_HZ:
        raise InputError(
            f"{path}: expected {LEAST_TEST_S:g} s or more at {SLOWEST_HZ:g} Hz or more, got "
            f"{len(columns):,} samples of {test_s:.1f} s at {rate_hz:.0f} Hz. Record the whole of "
            "TEST_RESONANCES AXIS=X OUTPUT=raw_data."
        )
    size = 1 << int(WINDOW_S * rate_hz - 1.0).bit_length()
    spacing_hz = rate_hz / size
    frequency_hz = spacing_hz * np.arange(size // 2 + 1)
    known = frequency_hz < SPECTRUM_HZ
    spectra = [window_spectra(accel, size)[:, known] for accel in columns.T[1:]]
    psd = np.stack([power(each, rate_hz, size) for each in spectra], axis=1)
    return Spectrum(path, axis, frequency_hz[known], spacing_hz, psd)
