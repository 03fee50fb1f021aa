"""Disturbances of the motion: microsteps, timer jitter, a floor of noise, and random probes.

Pure functions on arrays, at the plant's rate; a probe is knots at a rate of its own.

  microstep  d(r) = A sin(2 pi r / 0.2 mm) + A sin(2 pi r / 0.8 mm): one and four full steps; the
             motor stands at r + d, at the velocity v (1 + d'(r))
  jitter     d = -v tau, tau uniform on +-(cycles / 72 MHz), drawn at each instant: a step pulse
             late by tau finds the motor v tau behind. Its velocity counts as 0
  floor      Gaussian noise through a second-order Butterworth low-pass, started long before, scaled
             to its RMS. Bilinear: K = tan(pi f / rate), D = 1 + K sqrt 2 + K^2,
             b = K^2 / D [1 2 1], a = [1, 2 (K^2 - 1) / D, (1 - K sqrt 2 + K^2) / D]

A probe is a small random perturbation of a command, from which a model learns what a correction
does: low-passed noise at the rate of the trace, knots of the curve of correction_curve.py. Its
random numbers come from the generator of Park and Miller, which `matlab/` has in the same few
lines, so that probed traces of both simulators can be compared number by number.

  seed     s = 1, then s = 48271 (s + word) mod p over all words that name the trace, p = 2^31 - 1
  uniform  s = 48271 s mod p, u = sqrt(12) (s / p - 1/2): mean 0, variance 1; x and y in turns
  knots    second-order Butterworth low-pass of u from rest (coefficients as above), scaled to the
           wanted RMS; the first knot is 0: every command starts on the reference

Source: Park and Miller, "Random number generators: good ones are hard to find", 1988; multiplier
48271 as they advise in 1993.
"""

from collections.abc import Iterable

import numpy as np
from jaxtyping import Float
from numpy import ndarray

MICROSTEP_PERIODS_MM = (0.2, 0.8)
TIMER_HZ = 72e6
SETTLE_PERIODS = 8  # of the low-pass, until nothing is left of its start
MODULUS = 2**31 - 1
MULTIPLIER = 48271
PROBE_HZ = 15.0  # the axes' resonances are at 21 and 24 Hz, where half of it is left
MOST_OF_RATE = 0.4  # for the cut-off of knots that are far apart


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


def seed_of(words: Iterable[int]) -> int:
    """One number below 2^31 - 1 from all the numbers that name a trace."""
    seed = 1
    for word in words:
        seed = MULTIPLIER * (seed + word) % MODULUS
    return seed


def draw_knots(
    seed: int, num_knots: int, rms_mm: float, rate_hz: float, cutoff_hz: float = PROBE_HZ
) -> Float[ndarray, "k 2"]:
    """Knots of a probe in mm, x and y; two generators of one seed give the same.

    Args:
        seed: from `seed_of`.
        num_knots: how many, the first of them zero.
        rms_mm: what the RMS of each axis tends to on a long trace; 0 for no probe.
        rate_hz: knots per second.
        cutoff_hz: half of the power is left here.
    """
    knots = np.zeros((num_knots, 2))
    white = _uniform(seed, 2 * (num_knots - 1)).reshape(-1, 2)
    knots[1:] = rms_mm * low_pass(white, min(cutoff_hz, MOST_OF_RATE * rate_hz), rate_hz)
    return knots


def low_pass(
    white: Float[ndarray, "T a"], cutoff_hz: float, rate_hz: float
) -> Float[ndarray, "T a"]:
    """White noise of variance 1 through the low-pass, from rest; its variance tends to 1 again."""
    from scipy.signal import lfilter  # here: its 0.8 s are not for who has the traces

    k = np.tan(np.pi * cutoff_hz / rate_hz)
    scale = 1.0 + np.sqrt(2.0) * k + k**2
    b = k**2 / scale * np.array([1.0, 2.0, 1.0])
    a = np.array([1.0, 2.0 * (k**2 - 1.0) / scale, (1.0 - np.sqrt(2.0) * k + k**2) / scale])
    impulse = np.zeros(int(np.ceil(SETTLE_PERIODS * rate_hz / cutoff_hz)))
    impulse[0] = 1.0
    gain = np.sqrt(np.sum(np.asarray(lfilter(b, a, impulse)) ** 2))
    return np.asarray(lfilter(b, a, white, axis=0)) / gain


def _uniform(seed: int, count: int) -> Float[ndarray, " n"]:
    """Numbers of mean 0 and variance 1."""
    drawn, seed = np.empty(count), max(seed, 1)  # zero would stay zero
    for i in range(count):
        seed = MULTIPLIER * seed % MODULUS
        drawn[i] = seed
    return np.sqrt(12.0) * (drawn / MODULUS - 0.5)
