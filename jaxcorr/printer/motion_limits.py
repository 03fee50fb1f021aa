"""The motion limits in force, and what M201, M203, M204 and M205 do to them.

A bad value raises a ValueError that says `expected <rule>, got <value>`; the caller adds the file
and the line.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

Axes = tuple[float, float, float, float]

_LARGEST = 1e9


@dataclass(frozen=True)
class Limits:
    """Motion limits in force for a move. Axis order: x, y, z, e."""

    max_feedrate_mm_s: Axes  # M203
    max_accel_mm_s2: Axes  # M201
    print_accel_mm_s2: float  # M204 P
    travel_accel_mm_s2: float  # M204 T
    retract_accel_mm_s2: float  # M204 R
    classic_jerk_mm_s: Axes | None  # M205 X Y Z E
    junction_deviation_mm: float | None  # M205 J; the scheme set last is in force, the other None


# Source: Marlin's stock configuration of the Creality Ender-3 V2.
ENDER3_V2 = Limits(
    max_feedrate_mm_s=(500.0, 500.0, 5.0, 25.0),
    max_accel_mm_s2=(500.0, 500.0, 100.0, 5000.0),
    print_accel_mm_s2=500.0,
    travel_accel_mm_s2=500.0,
    retract_accel_mm_s2=500.0,
    classic_jerk_mm_s=(8.0, 8.0, 0.4, 5.0),
    junction_deviation_mm=None,
)


def apply_command(
    limits: Limits, command: str, words: Mapping[str, float], unit_mm: float
) -> Limits:
    """The limits after M201, M203, M204 or M205.

    Args:
        limits: In force before.
        command: One of the four.
        words: Letter to value, in the file's unit of length; letters without meaning are ignored.
        unit_mm: The file's unit of length: 1, or 25.4 for inches.

    Raises:
        ValueError: A limit is not positive (a jerk may be 0) or absurdly large.
    """
    if command == "M201":
        return replace(limits, max_accel_mm_s2=_axes(limits.max_accel_mm_s2, words, unit_mm))
    if command == "M203":
        return replace(limits, max_feedrate_mm_s=_axes(limits.max_feedrate_mm_s, words, unit_mm))
    if command == "M204":
        return _accelerations(limits, words, unit_mm)
    return _cornering(limits, words, unit_mm)


def _accelerations(limits: Limits, words: Mapping[str, float], unit_mm: float) -> Limits:
    """M204: S is the old spelling of P and T together; the newer letters win."""
    both = _positive(words, "S", unit_mm)
    printing = _positive(words, "P", unit_mm) or both or limits.print_accel_mm_s2
    travel = _positive(words, "T", unit_mm) or both or limits.travel_accel_mm_s2
    retract = _positive(words, "R", unit_mm) or limits.retract_accel_mm_s2
    return replace(
        limits, print_accel_mm_s2=printing, travel_accel_mm_s2=travel, retract_accel_mm_s2=retract
    )


def _cornering(limits: Limits, words: Mapping[str, float], unit_mm: float) -> Limits:
    """M205: J selects junction deviation, any of X Y Z E classic jerk; S, T and B mean neither."""
    deviation = _positive(words, "J", unit_mm)
    if deviation:
        return replace(limits, junction_deviation_mm=deviation, classic_jerk_mm_s=None)
    if not any(letter in words for letter in "XYZE"):
        return limits
    before = limits.classic_jerk_mm_s or ENDER3_V2.classic_jerk_mm_s
    assert before is not None
    jerk = _axes(before, words, unit_mm, is_zero_allowed=True)
    return replace(limits, classic_jerk_mm_s=jerk, junction_deviation_mm=None)


def _axes(
    before: Axes, words: Mapping[str, float], unit_mm: float, *, is_zero_allowed: bool = False
) -> Axes:
    """The four axes' values, those named replaced."""
    x, y, z, e = (
        old
        if (new := _positive(words, letter, unit_mm, is_zero_allowed=is_zero_allowed)) is None
        else new
        for letter, old in zip("XYZE", before, strict=True)
    )
    return x, y, z, e


def _positive(
    words: Mapping[str, float], letter: str, unit_mm: float, *, is_zero_allowed: bool = False
) -> float | None:
    """The value of a word in mm, None where it is absent."""
    value = words.get(letter)
    if value is None:
        return None
    if value > _LARGEST or value < 0 or (value == 0 and not is_zero_allowed):
        rule = f"{letter} {'>=' if is_zero_allowed else '>'} 0 and <= {_LARGEST:g}"
        raise ValueError(f"expected {rule}, got {value:g}")
    return value * unit_mm
