"""Fades a layer's correction out where the gate does not trust it, block by block.

What the streaming compensator does as it goes, done for a whole layer at once: a block that looks
unlike training, or around which no gain is predicted, is left as it was planned, and the correction
fades within a block on either side. The module knows knots and a gate; it knows neither the solver
nor a plant.
"""

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray
from scipy.ndimage import minimum_filter1d, uniform_filter1d

from jaxcorr.compensation.gate import Gate
from jaxcorr.printer import correction_curve

BLOCK_S = 0.1
# Gain is judged over this much before and after a block: in a short rest there is nothing to gain.
AROUND_S = 0.5


def trusted_knots(
    trust: Gate,
    reference: Float[ndarray, "k 4"],
    knots: Float[ndarray, "k 2"],
    before: Float[ndarray, "k 2"],
    after: Float[ndarray, "k 2"],
    rate_hz: float,
) -> Bool[ndarray, " k"]:
    """True for the knots of blocks that the gate trusts.

    Args:
        trust: of the run.
        reference: x, y in mm, vx, vy in mm/s at the knots.
        knots: of the correction in mm.
        before, after: predicted errors in mm, without and with it.
        rate_hz: of all of these.
    """
    commands = reference + np.hstack([knots, correction_curve.slopes(knots, rate_hz)])
    size, around = round(BLOCK_S * rate_hz), round(AROUND_S * rate_hz)
    kept = np.zeros(len(knots), np.bool_)
    for first in range(0, len(knots), size):
        rows = slice(first, first + size)
        wide = slice(max(first - around, 0), first + size + around)
        is_known = trust.trusts(commands[rows], rate_hz)
        kept[rows] = is_known and trust.believes(before[wide], after[wide])
    return kept


def fade(
    knots: Float[ndarray, "k 2"], kept: Bool[ndarray, " k"], rate_hz: float
) -> Float[ndarray, "k 2"]:
    """Zero where knots are not kept, and a slope of a block's length on either side."""
    width = 2 * round(BLOCK_S * rate_hz / 2.0) + 1
    inner = minimum_filter1d(kept.astype(np.float64), width, mode="nearest")
    # Running sums leave rounding behind, and zero has to be zero.
    weight = np.where(kept, uniform_filter1d(inner, width, mode="nearest"), 0.0)
    return knots * np.clip(weight, 0.0, 1.0)[:, None]
