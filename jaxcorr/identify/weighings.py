"""What moves with an axis, from resonance tests with known masses on it.

The frequency of a mode goes by one over the root of what moves, so that 1 / f^2 is a line over the
mass that was added; it meets zero at the moving mass, below what was there. With three tests and
more each one is also predicted by the others.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from jaxcorr.errors import InputError
from jaxcorr.identify.axis_response import AxisResponse, main_mode


class Weighing(NamedTuple):
    """Tests of one axis.

    Attributes:
        axis: x or y.
        added_kg: on it, by test.
        frequency_hz: of its main mode, by test.
        predicted_hz: the same, by the other tests; none of two tests.
        moving_kg: what moves without what was added.
    """

    axis: str
    added_kg: tuple[float, ...]
    frequency_hz: tuple[float, ...]
    predicted_hz: tuple[float, ...]
    moving_kg: float


def weigh(responses: Sequence[AxisResponse], added_kg: Sequence[float]) -> list[Weighing]:
    """The moving mass of each axis that was tested more than once.

    Args:
        responses: of the tests, with the same number of modes.
        added_kg: on the axis, by test; 0 for none.
    Raises:
        InputError: there is not one mass for each test, or the frequencies of an axis do not fall
            as its masses rise.
    """
    if len(added_kg) != len(responses):
        raise InputError(
            f"--added-kg: expected one for each of {len(responses)} files, got {len(added_kg)}. "
            "Give 0 for a file without any."
        )
    found = []
    for axis in sorted({one.spectrum.axis for one in responses}):
        chosen = [i for i, one in enumerate(responses) if one.spectrum.axis == axis]
        added = np.array([added_kg[i] for i in chosen])
        frequency = np.array([main_mode(responses[i].fit.modes).frequency_hz for i in chosen])
        if len(set(added)) < 2:
            raise InputError(
                f"--added-kg: expected files of {axis} with two masses or more, got "
                f"{added[0]:g} kg in each. Add a file."
            )
        found.append(_weigh_axis(axis, added, frequency))
    return found


def _weigh_axis(
    axis: str, added: Float[ndarray, " n"], frequency: Float[ndarray, " n"]
) -> Weighing:
    slope, level = _line(added, frequency)
    if not (slope > 0.0 and level > 0.0):
        listed = ", ".join(
            f"{f:.2f} Hz with {m:g} kg" for f, m in zip(frequency, added, strict=True)
        )
        raise InputError(
            f"--added-kg: expected a frequency of {axis} that falls as the mass rises, got "
            f"{listed}. Check the order of the masses, or fit as many --modes to each."
        )
    predicted = []
    for i in range(len(added)):
        others = np.arange(len(added)) != i
        if len(set(added[others])) > 1:
            slope_of, level_of = _line(added[others], frequency[others])
            square = slope_of * added[i] + level_of
            predicted.append(float(square**-0.5) if square > 0.0 else float("inf"))
    return Weighing(
        axis, tuple(added.tolist()), tuple(frequency.tolist()), tuple(predicted), level / slope
    )


def _line(added: Float[ndarray, " n"], frequency: Float[ndarray, " n"]) -> tuple[float, float]:
    """Slope and level of 1 / f^2 over the mass, each test as exact in its own f."""
    slope, level = np.polyfit(added, frequency**-2, 1, w=frequency**2)
    return float(slope), float(level)
