"""Klipper's resonance test: what it commands, and the spectrum of an axis that carries it out.

The test shakes an axis with pulses of acceleration: up for a quarter of a period, down for a half,
up for a quarter, while the frequency rises steadily and the acceleration with it. An axis answers
as a sum of modes, each with damping of the head against its motor,

    H(s) = (2 z w s + w^2) / (s^2 + 2 z w s + w^2),

each with a share of the motion. What is left to 1 follows the motor stiffly, since the axis goes
where the motor goes when it moves slowly. Spectra are Welch's, with the window and the length that
Klipper takes, so that one of the model compares with one of a file bin by bin.

Source: Klipper's documentation, "Measuring Resonances"; Welch, 1967; Kaiser's window, beta 6.
"""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Complex, Float
from numpy import ndarray

FIRST_HZ, LAST_HZ = 5.0, 135.0
RISE_HZ_S = 1.0
ACCEL_PER_HZ = 75.0  # mm/s2
WINDOW_S = 0.5  # or more, up to the next power of two in samples
KAISER_BETA = 6.0
MODEL_WINDOW = 1024  # samples of a window in the simulation: above 1 kHz for every file's spacing


class Mode(NamedTuple):
    """A mode of an axis.

    Attributes:
        frequency_hz: undamped.
        damping_ratio: of the critical.
        share: of the axis's motion when it moves slowly.
    """

    frequency_hz: float
    damping_ratio: float
    share: float = 1.0


def stiff_share(modes: Sequence[Mode]) -> float:
    """How much of an axis's motion follows the motor stiffly."""
    return 1.0 - sum(mode.share for mode in modes)


def command(rate_hz: float) -> Float[ndarray, " n"]:
    """The test's acceleration in mm/s2, averaged over each sample."""
    ends, accel = [0.0], []
    frequency_hz, sign = FIRST_HZ, 1.0
    while frequency_hz <= LAST_HZ:
        quarter_s = 0.25 / frequency_hz
        for direction in (sign, -sign):
            ends.append(ends[-1] + quarter_s)
            accel.append(direction * ACCEL_PER_HZ * frequency_hz)
        frequency_hz += 2.0 * quarter_s * RISE_HZ_S
        sign = -sign
    # Velocity is piecewise linear; its differences are the averages.
    velocity = np.concatenate([[0.0], np.cumsum(np.array(accel) * np.diff(ends))])
    time_s = np.arange(int(ends[-1] * rate_hz)) / rate_hz
    return np.diff(np.interp(time_s, ends, velocity)) * rate_hz


@functools.lru_cache(maxsize=2)
def _kaiser(size: int) -> Float[ndarray, " size"]:
    return np.kaiser(size, KAISER_BETA)


def window_spectra(values: Float[ndarray, " n"], size: int) -> Complex[ndarray, "windows bins"]:
    """Fourier transforms of half overlapping windows of `size` samples, without their means."""
    cut = np.lib.stride_tricks.sliding_window_view(values, size)[:: size // 2]
    cut = cut - cut.mean(axis=1, keepdims=True)
    cut *= _kaiser(size)
    return np.fft.rfft(cut)


def power(
    spectra: Complex[ndarray, "windows bins"], rate_hz: float, size: int
) -> Float[ndarray, " bins"]:
    """Power spectral density, one-sided, of spectra by window of `size` samples.

    Args:
        spectra: bins from 0 Hz on, none at half of the rate.
    """
    mean = np.square(np.abs(spectra)).mean(axis=0)
    density = 2.0 * mean / (rate_hz * np.sum(_kaiser(size) ** 2))
    density[0] /= 2.0
    return density


class ResonanceTest:
    """The test at the frequencies of one file; spectra of modes are kept, the latest few.

    Args:
        spacing_hz: of the file's frequencies.
        num_bins: how many, from 0 Hz on.
    """

    def __init__(self, spacing_hz: float, num_bins: int) -> None:
        self.rate_hz = spacing_hz * MODEL_WINDOW
        self.num_bins = num_bins
        self._command = command(self.rate_hz)
        self._commanded = window_spectra(self._command, MODEL_WINDOW)[:, :num_bins]
        self._answer = functools.lru_cache(maxsize=8)(self._answer_now)

    def psd(self, modes: Sequence[Mode]) -> Float[ndarray, " bins"]:
        """Power spectral density of the acceleration, (mm/s2)^2/Hz; of no modes: the command's."""
        spectra = stiff_share(modes) * self._commanded
        for mode in modes:
            spectra += mode.share * self._answer(mode.frequency_hz, mode.damping_ratio)
        return power(spectra, self.rate_hz, MODEL_WINDOW)

    def _answer_now(self, frequency_hz: float, damping_ratio: float) -> ndarray:
        moved = respond(self._command, self.rate_hz, frequency_hz, damping_ratio)
        return window_spectra(moved, MODEL_WINDOW)[:, : self.num_bins]


def respond(
    accel: Float[ndarray, " n"], rate_hz: float, frequency_hz: float, damping_ratio: float
) -> Float[ndarray, " n"]:
    """A mode's acceleration, exact for a command that is constant within each sample."""
    from scipy.signal import lfilter  # here: it takes 0.8 s to load

    w, step_s = 2.0 * np.pi * frequency_hz, 1.0 / rate_hz
    decay = np.exp(-damping_ratio * w * step_s)
    root = np.sqrt(1.0 - damping_ratio**2)
    cosine, sine = np.cos(w * root * step_s), np.sin(w * root * step_s)
    # The response to a step, at the first two samples, gives both numerators.
    first = 1.0 - decay * (cosine - damping_ratio / root * sine)
    poles = np.array([1.0, -2.0 * decay * cosine, decay**2])
    return np.asarray(lfilter([0.0, first, poles.sum() - first], poles, accel))
