"""What disturbs the motion besides its own inertia: microsteps, timer jitter, and a floor of noise.

Pure functions on arrays at the plant's rate. It knows neither the plant nor which source is on.

  microstep  d(r) = A sin(2 pi r / 0.2 mm) + A sin(2 pi r / 0.8 mm): one and four full steps; the
             motor stands at r + d, at the velocity v (1 + d'(r))
  jitter     d = -v tau, tau uniform on +-(cycles / 72 MHz), drawn at each instant: a step pulse
             late by tau finds the motor v tau behind. Its velocity counts as 0
  floor      Gaussian noise through a second-order Butterworth low-pass, started long before, scaled
             to its RMS. Bilinear: K = tan(pi f / rate), D = 1 + K sqrt 2 + K^2,
             b = K^2 / D [1 2 1], a = [1, 2 (K^2 - 1) / D, (1 - K sqrt 2 + K^2) / D]
"""

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.signal import lfilter

MICROSTEP_PERIODS_MM = (0.2, 0.8)
TIMER_HZ = 72e6
SETTLE_PERIODS = 8  # of the low-pass, until nothing is left of its start
SOURCES = ("junction_deviation", "resonance", "friction", "microstep", "jitter", "floor")


def microstep(
    position_mm: Float[ndarray, "..."], amplitude_mm: float
) -> tuple[Float[ndarray, "..."], Float[ndarray, "..."]]:
    """Deviation of the motor in mm, and its derivative by position (no unit)."""
    slope = 2.0 * np.pi / np.array(MICROSTEP_PERIODS_MM)
    angle = np.multiply.outer(position_mm, slope)
    return amplitude_mm * np.sin(angle).sum(axis=-1), amplitude_mm * (np.cos(angle) @ slope)


def timer_lateness(
    rng: np.random.Generator, num_samples: int, cycles: float
) -> Float[ndarray, "T 2"]:
    """Lateness tau of the step pulses in seconds, independent at each instant and axis."""
    return rng.uniform(-1.0, 1.0, (num_samples, 2)) * (cycles / TIMER_HZ)


def floor_noise(
    rng: np.random.Generator, num_samples: int, rms_mm: float, cutoff_hz: float, rate_hz: float
) -> Float[ndarray, "T 2"]:
    """Band-limited noise of the given RMS in mm, independent per axis."""
    settle = int(np.ceil(SETTLE_PERIODS * rate_hz / cutoff_hz))
    white = rng.standard_normal((settle + num_samples, 2))
    return rms_mm * low_pass(white, cutoff_hz, rate_hz)[settle:]


def low_pass(
    white: Float[ndarray, "T a"], cutoff_hz: float, rate_hz: float
) -> Float[ndarray, "T a"]:
    """White noise of variance 1 through the low-pass, from rest; its variance tends to 1 again."""
    k = np.tan(np.pi * cutoff_hz / rate_hz)
    scale = 1.0 + np.sqrt(2.0) * k + k**2
    b = k**2 / scale * np.array([1.0, 2.0, 1.0])
    a = np.array([1.0, 2.0 * (k**2 - 1.0) / scale, (1.0 - np.sqrt(2.0) * k + k**2) / scale])
    impulse = np.zeros(int(np.ceil(SETTLE_PERIODS * rate_hz / cutoff_hz)))
    impulse[0] = 1.0
    gain = np.sqrt(np.sum(np.asarray(lfilter(b, a, impulse)) ** 2))
    return np.asarray(lfilter(b, a, white, axis=0)) / gain
