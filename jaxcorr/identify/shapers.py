"""Input shapers, and the frequency that Klipper would set one to on a measured spectrum.

A shaper sends a command as a few impulses that leave no vibration at the frequency that it is set
to. Klipper chooses that frequency on the spectrum of its resonance test: vibrations left over,
with the axis's damping taken as the worst of three, and among frequencies that leave nearly as
little as the best the one that smooths corners least.

Sources: Singer and Seering, 1990 (ZV); Singhose, Seering and Singer, 1994 (EI); MZV has three
impulses at three quarters of ZV's spacing; the choice follows Klipper's documentation, "Measuring
Resonances", and the behaviour of its calibration.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray

EI_TOLERANCE = 0.05  # of vibration, the usual choice
KINDS = ("zv", "mzv", "ei")
# What Klipper's choice rests on.
LOWEST_HZ = {"zv": 21.0, "mzv": 23.0, "ei": 29.0}
HIGHEST_HZ, STEP_HZ = 150.0, 0.2
SPECTRUM_HZ = 200.0
LOW_HZ = 10.0  # below, noise of slow motion is faded out
REDUCTION = 20.0  # a vibration that much below the largest does not count
SHAPER_DAMPING = 0.1
AXIS_DAMPINGS = (0.075, 0.1, 0.15)
CORNER_ACCEL_MM_S2, CORNER_VELOCITY_MM_S = 5000.0, 5.0


class Shaper(NamedTuple):
    """Impulses of one axis.

    Attributes:
        amplitudes: sum 1.
        times_s: the first is 0.
    """

    amplitudes: Float[ndarray, " n"]
    times_s: Float[ndarray, " n"]

    @property
    def lag_s(self) -> float:
        """How far constant speed falls behind."""
        return float(self.amplitudes @ self.times_s)


class Setting(NamedTuple):
    """What a shaper is set to.

    Attributes:
        frequency_hz: of the shaper.
        vibrations: share of the vibrations that it leaves, 0 to 1.
    """

    frequency_hz: float
    vibrations: float


def make_shaper(kind: str, frequency_hz: float, damping_ratio: float) -> Shaper:
    """The impulses of a shaper of KINDS.

    Args:
        frequency_hz: undamped, of the axis.
        damping_ratio: of the axis, below 1.
    """
    root = np.sqrt(1.0 - damping_ratio**2)
    half_s = 0.5 / (frequency_hz * root)
    decay = np.exp(-np.pi * damping_ratio / root)
    if kind == "zv":
        weights, spacing = np.array([1.0, 1.0]), 1.0
    elif kind == "mzv":
        weights, spacing = np.array([1.0, np.sqrt(2.0), 1.0]), 0.75
    elif kind == "ei":
        weights = np.array([1.0 + EI_TOLERANCE, 2.0 * (1.0 - EI_TOLERANCE), 1.0 + EI_TOLERANCE])
        spacing = 1.0
    else:
        raise ValueError(f"kind = {kind!r} is none of {KINDS}")
    count = np.arange(len(weights))
    amplitudes = weights * decay ** (spacing * count)
    return Shaper(amplitudes / amplitudes.sum(), spacing * half_s * count)


def klippers_choice(
    kind: str, frequency_hz: Float[ndarray, " f"], psd: Float[ndarray, " f"]
) -> Setting:
    """The frequency that Klipper's calibration sets a shaper to.

    Args:
        kind: one of KINDS.
        frequency_hz, psd: of the resonance test, in (mm/s2)^2/Hz.
    """
    power = (command_weight(frequency_hz) * psd)[frequency_hz <= SPECTRUM_HZ]
    frequency_hz = frequency_hz[frequency_hz <= SPECTRUM_HZ]
    tried = np.arange(LOWEST_HZ[kind], HIGHEST_HZ, STEP_HZ)
    shapers = [make_shaper(kind, each, SHAPER_DAMPING) for each in tried]
    least = power.max() / REDUCTION
    whole = np.maximum(power - least, 0.0).sum()
    amplitudes = np.array([shaper.amplitudes for shaper in shapers])
    times_s = np.array([shaper.times_s for shaper in shapers])
    shares = np.zeros(len(tried))
    for damping_ratio in AXIS_DAMPINGS:
        left = residual_vibration(amplitudes, times_s, frequency_hz, damping_ratio)
        counted = np.maximum(left * power - least, 0.0).sum(axis=1) / whole
        shares = np.maximum(shares, counted)
    smoothing = np.array([corner_smoothing_mm(shaper) for shaper in shapers])
    score = smoothing * (shares**1.5 + 0.2 * shares + 0.01)
    # The highest frequency that leaves least is not improved upon by one that scores no better.
    best = len(tried) - 1 - int(np.argmin(shares[::-1]))
    good = np.flatnonzero((shares < 1.1 * shares[best] + 0.0005) & (score < score[best]))
    chosen = int(good[np.argmin(score[good])]) if len(good) else best
    return Setting(float(tried[chosen]), float(shares[chosen]))


def command_weight(frequency_hz: Float[ndarray, " f"]) -> Float[ndarray, " f"]:
    """What Klipper multiplies a test's spectrum with, since the command rises with the frequency.

    Below LOW_HZ it fades out, and at 0 Hz it is kept above 0, so that it can be undone.
    """
    fade = np.exp(1.0 - (LOW_HZ / (np.minimum(frequency_hz, LOW_HZ) + 0.1)) ** 2)
    return np.maximum(np.where(frequency_hz < LOW_HZ, fade, 1.0), 1e-30) / (frequency_hz + 0.1)


def residual_vibration(
    amplitudes: Float[ndarray, "s n"],
    times_s: Float[ndarray, "s n"],
    frequency_hz: Float[ndarray, " f"],
    damping_ratio: float,
) -> Float[ndarray, "s f"]:
    """What shapers leave of the vibration of an axis, 0 to 1, after the last impulse."""
    w = 2.0 * np.pi * frequency_hz[None, :, None]
    early_s = (times_s[:, -1:] - times_s)[:, None, :]
    phasors = np.exp((1j * np.sqrt(1.0 - damping_ratio**2) - damping_ratio) * w * early_s)
    return np.abs(np.einsum("sn,sfn->sf", amplitudes, phasors))


def corner_smoothing_mm(shaper: Shaper) -> float:
    """By how much a shaper cuts corners: the larger of a turn by 90 and by 180 degrees."""
    apart_s = shaper.times_s - shaper.lag_s
    late = apart_s >= 0.0
    half_accel = 0.5 * CORNER_ACCEL_MM_S2
    turned = shaper.amplitudes * (CORNER_VELOCITY_MM_S + half_accel * apart_s) * apart_s
    reversed_ = shaper.amplitudes @ (half_accel * apart_s**2)
    return float(max(np.sqrt(2.0) * turned[late].sum(), reversed_))
