"""Small random perturbations of a command, from which a model learns what a correction does.

The knots of a probe are low-passed noise at the rate of the trace (see correction.py for the curve
through them). Their random numbers come from the generator of Park and Miller, which `matlab/` has
in the same few lines, so that probed traces of both simulators can be compared number by number.
The module knows neither the plan nor the plant.

  seed     s = 1, then s = 48271 (s + word) mod p over all words that name the trace, p = 2^31 - 1
  uniform  s = 48271 s mod p, u = sqrt(12) (s / p - 1/2): mean 0, variance 1; x and y in turns
  knots    second-order Butterworth low-pass of u from rest (coefficients as in disturbance.py),
           scaled to the wanted RMS; the first knot is 0: every command starts on the reference

Source: Park and Miller, "Random number generators: good ones are hard to find", 1988; multiplier
48271 as they advise in 1993.
"""

from collections.abc import Iterable

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from jaxcorr.printer.disturbance import low_pass

MODULUS = 2**31 - 1
MULTIPLIER = 48271
CUTOFF_HZ = 15.0  # the axes' resonances are at 21 and 24 Hz, where half of it is left
MOST_OF_RATE = 0.4  # for the cut-off of knots that are far apart
MOST_UM = 1000.0  # no correction comes near


def seed_of(words: Iterable[int]) -> int:
    """One number below 2^31 - 1 from all the numbers that name a trace."""
    seed = 1
    for word in words:
        seed = MULTIPLIER * (seed + word) % MODULUS
    return seed


def draw_knots(
    seed: int, num_knots: int, rms_mm: float, rate_hz: float, cutoff_hz: float = CUTOFF_HZ
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


def _uniform(seed: int, count: int) -> Float[ndarray, " n"]:
    """Numbers of mean 0 and variance 1."""
    drawn, seed = np.empty(count), max(seed, 1)  # zero would stay zero
    for i in range(count):
        seed = MULTIPLIER * seed % MODULUS
        drawn[i] = seed
    return np.sqrt(12.0) * (drawn / MODULUS - 0.5)
