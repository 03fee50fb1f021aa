"""An axis that answers a knot with a damped oscillation, and knots to be found again."""

import numpy as np

RATE_HZ = 100.0
LEAD = 1
TIME = np.arange(30)
# A damped oscillation that starts a sample before its knot, with a sum of 1; x and y differ.
TAPS = np.stack([np.exp(-TIME / 4) * np.cos(TIME / w) for w in (1.0, 1.5)], axis=1)
TAPS /= TAPS.sum(axis=0)


def respond(knots):
    """The answers of all knots; what lies outside of the samples is lost."""
    whole = [np.convolve(knots[:, i], TAPS[:, i]) for i in range(2)]
    return np.stack(whole, axis=1)[LEAD : LEAD + len(knots)]


def smooth_knots(num_knots, seed=0):
    """Knots that begin and end at zero, with room for their answer."""
    noise = np.random.default_rng(seed).normal(size=(num_knots, 2))
    noise[[0, *range(-40, 0)]] = 0.0
    return 0.05 * noise
