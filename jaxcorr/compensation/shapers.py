"""Input shapers: impulses that a command is convolved with, so that an axis does not ring after it.

Each axis's command becomes the mean of itself at a few instants, weighted so that the vibrations
which they excite cancel. Written here from the condition itself: impulses A_i at t_i excite an axis
of frequency w (undamped, rad/s) and damping ratio z to the fraction of one impulse

  V = exp(-z w t_n) |sum A_i exp((z w + j wd) t_i)|,   wd = w sqrt(1 - z^2)

A vibration decays by K = exp(-pi z / sqrt(1 - z^2)) in half a damped period:

  ZV   two, [1, K] / (1 + K), half a period apart: V = 0, with a slope on both sides
  MZV  three, 3/8 of a period apart, K' = K^(3/4): [a, sqrt(2) a K', a K'^2]; 2 a cos(3 pi/4) +
       sqrt(2) a = 0 makes V = 0, with 0.62 of ZV's slope. Three quarters of a period long
  EI   three, half a period apart, [1 + v, 2 (1 - v) K, (1 + v) K^2] / 4, scaled to sum 1: V = v at
       the frequency itself, and no more over the widest range around it

A shaper delays by the mean of its impulses' times. A planner knows its plan ahead, so the command
is sent earlier by that much: constant speed then has no lag, and errors need no shift in time. The
module knows frequencies and instants; it knows neither plans nor plants.

Source: Singer and Seering, "Preshaping command inputs to reduce system vibration", 1990 (ZV);
Singhose, Seering and Singer, "Residual vibration reduction using vector diagrams to generate shaped
inputs", 1994 (EI); MZV is the name that printers' firmware gives to the second form.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from jaxcorr.printer.plant import AxisPlant

EI_TOLERANCE = 0.05  # of vibration, the usual choice
KINDS = ("zv", "mzv", "ei")


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


def make(kind: str, frequency_hz: float, damping_ratio: float) -> Shaper:
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


def for_axis(kind: str, axis: AxisPlant) -> Shaper:
    """A shaper tuned to the true frequency and damping of an axis."""
    return make(kind, *natural(axis))


def natural(axis: AxisPlant) -> tuple[float, float]:
    """Undamped frequency in Hz and damping ratio of an axis."""
    w = np.sqrt(axis.stiffness_n_m / axis.mass_kg)
    ratio = axis.damping_ns_m / (2.0 * np.sqrt(axis.stiffness_n_m * axis.mass_kg))
    return float(w / (2.0 * np.pi)), float(ratio)


def residual(shaper: Shaper, frequency_hz: float, damping_ratio: float) -> float:
    """V: vibration after the last impulse, as a fraction of what one impulse leaves.

    Source: Singer and Seering, 1990, equation of the residual amplitude.
    """
    w = 2.0 * np.pi * frequency_hz
    phase = w * np.sqrt(1.0 - damping_ratio**2) * shaper.times_s
    left = shaper.amplitudes * np.exp(damping_ratio * w * (shaper.times_s - shaper.times_s[-1]))
    return float(np.hypot(left @ np.cos(phase), left @ np.sin(phase)))


def shape(
    shaper: Shaper,
    time_s: Float[ndarray, " n"],
    at_fn: Callable[[Float[ndarray, " n"]], Float[ndarray, "n *more"]],
) -> Float[ndarray, "n *more"]:
    """The shaped form of a function of time, sent earlier by the shaper's lag.

    Args:
        at_fn: the command at any instants; position and velocity are shaped alike.
    """
    early = (time_s + shaper.lag_s - late_s for late_s in shaper.times_s)
    parts = zip(shaper.amplitudes, early, strict=True)
    return np.sum([amplitude * at_fn(time) for amplitude, time in parts], axis=0)
