"""The plant identified from trace files: its numbers with their intervals, and as a printer."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxcorr.data import trace, trace_checks
from jaxcorr.data.trace import Trace
from jaxcorr.errors import InputError
from jaxcorr.identify import printer_file
from jaxcorr.models import grey_box
from jaxcorr.models.grey_box import Identified, Piece
from jaxcorr.models.plant_path import PERIODS_MM
from jaxcorr.printer_spec import Kinematics
from jaxcorr.spec import RATES_HZ, Data

AXES = ("x", "y")
NUMBERS = (
    "frequency_hz",
    "damping_ratio",
    "friction_mm",
    "friction_velocity_mm_s",
    "viscous_s",
    "offset_mm",
)
ON_COREXY = "other_friction_mm"  # one more
# Of the error's variance. Where motors of x and y leave more, those of a CoreXY are tried, and
# taken where they leave so much less: a wrong kind leaves a sixth to a third, the right one 5%.
MUCH_UNEXPLAINED = 0.1
SHARE_LEFT = 0.8


def from_traces(
    patterns: Sequence[str], rate_hz: float | None = None, kinematics: Kinematics | None = None
) -> Identified:
    """Identifies x and y from trace files, by command and lag.

    Args:
        patterns: files, folders or glob patterns.
        rate_hz: of the traces; that of the first where None.
        kinematics: of the machine; what explains more if left out.
    Raises:
        InputError: nothing matches, a file is refused, or no trace moves for a second.
    """
    groups = [tuple(name.format(a) for a in AXES) for name in ("{}_cmd", "v{}_cmd", "lag_{}")]
    names = [name for group in groups for name in group]
    pieces = []
    for path in trace.find(patterns):
        found = trace.read(path, (*names, "time"))
        rate_hz = rate_hz or _rate_hz_of(found)
        trace_checks.check(found, rate_hz, names)
        pieces.append(Piece(*(found.columns(group) for group in groups)))
    longest = max(len(piece.error_mm) for piece in pieces)
    assert rate_hz is not None  # a pattern that matches nothing is refused
    if longest < rate_hz or not any(np.any(piece.velocity_mm_s) for piece in pieces):
        raise InputError(
            f"{patterns[0]}: expected a trace that moves for a second or longer, got {longest} "
            "samples at most. Record a layer, or a few lines in several directions."
        )
    found = grey_box.identify(pieces, rate_hz, kinematics or "cartesian")
    if kinematics is None and np.max(found.unexplained) > MUCH_UNEXPLAINED:
        other = grey_box.identify(pieces, rate_hz, "corexy")
        if np.max(other.unexplained) < SHARE_LEFT * np.max(found.unexplained):
            return other
    return found


def kinematics_of(found: Identified) -> Kinematics:
    """How the axes are driven that were identified."""
    return "cartesian" if found.axes.other_friction_mm is None else "corexy"


def describe(found: Identified, names: Sequence[str]) -> dict[str, Any]:
    """Each axis's numbers, with `<name>_95` where the traces give an interval, as plain values.

    Args:
        found: of `grey_box.identify`.
        names: of its axes.
    Returns:
        Axis name -> NUMBERS, and on a CoreXY ON_COREXY; `stepper`, amplitude and phase of
        A sin(2 pi r / period + phase); `at_bound`, names of numbers that the traces do not tell;
        `unexplained_share` of the error's variance, its `unexplained_rms_mm`, and `num_samples` of
        the fit.
    """
    return {name: _describe_axis(found, i) for i, name in enumerate(names)}


def printer_of(found: Identified) -> printer_file.Identified:
    """What a printer file says of x and y."""
    axes, friction = found.axes, np.asarray(found.axes.friction_mm)
    if axes.other_friction_mm is not None:  # of each motor, by either axis
        friction = (friction + np.asarray(axes.other_friction_mm)[::-1]) / 2.0
    frequency_hz, damping_ratio, friction_mm = (
        (float(values[0]), float(values[1]))
        for values in (axes.frequency_hz, axes.damping_ratio, friction)
    )
    return printer_file.Identified(
        frequency_hz,
        damping_ratio,
        friction_mm,
        friction_velocity_mm_s=float(np.mean(axes.friction_velocity_mm_s)),
        kinematics=kinematics_of(found),
    )


def _rate_hz_of(found: Trace) -> float:
    """A trace's rate; the usual one where its own cannot be, which the checks then explain."""
    time = found.fields["time"]
    lasts_s = float(time[-1] - time[0]) if len(time) > 1 else 0.0
    own = round(found.sample_rate_hz, 3) if lasts_s > 0.0 else 0.0
    is_one = RATES_HZ[0] <= own <= RATES_HZ[1]
    return own if is_one else Data.model_fields["sample_rate_hz"].default


def _describe_axis(found: Identified, axis: int) -> dict[str, Any]:
    table: dict[str, Any] = {}
    names = NUMBERS if found.axes.other_friction_mm is None else (*NUMBERS, ON_COREXY)
    for name in names:
        value, low, high = (
            float(getattr(part, name)[axis]) for part in (found.axes, found.low, found.high)
        )
        table[name] = value
        if np.isfinite([low, high]).all() and high - low > 0.0:
            table[f"{name}_95"] = [low, high]
    table["stepper"] = [_describe_period(found, axis, i) for i in range(len(PERIODS_MM))]
    table["at_bound"] = [name for name in names if getattr(found.is_at_bound, name)[axis]]
    table["unexplained_share"] = float(found.unexplained[axis])
    table["unexplained_rms_mm"] = float(found.rms_mm[axis])
    table["num_samples"] = found.num_samples
    return table


def _describe_period(found: Identified, axis: int, place: int) -> dict[str, float]:
    sine, cosine = (float(part[place][axis]) for part in (found.axes.sine_mm, found.axes.cosine_mm))
    spread = [
        float(high[place][axis] - low[place][axis]) / 2.0
        for low, high in (
            (found.low.sine_mm, found.high.sine_mm),
            (found.low.cosine_mm, found.high.cosine_mm),
        )
    ]
    amplitude = float(np.hypot(sine, cosine))
    table = {
        "period_mm": PERIODS_MM[place],
        "amplitude_mm": amplitude,
        "phase_rad": float(np.arctan2(cosine, sine)),
    }
    if np.isfinite(spread).all() and amplitude > 0.0:
        # Along the phasor: of both parts, as far as each has a share in the amplitude.
        table["amplitude_mm_plus_minus"] = float(
            np.hypot(sine * spread[0], cosine * spread[1]) / amplitude
        )
    return table
