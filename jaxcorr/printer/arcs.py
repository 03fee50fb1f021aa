"""Arcs (G2 and G3) cut into chords in the XY plane, by the rule of Marlin 2.0.

An end off the circle is reached as firmwares reach it: along the start's circle, then straight.
A circle that cannot be raises a ValueError that says
`expected <rule>, got <value>`; the caller adds the file and the line.

Source: Marlin 2.0, MM_PER_ARC_SEGMENT = 1 and MIN_ARC_SEGMENTS = 24 (per full circle).
"""

import math

CHORD_MM = 1.0
MIN_CHORDS_PER_TURN = 24
MAX_CHORDS = 20_000

# Slicers write three decimals, so an arc's end lies off its circle by micrometres.
RADIUS_TOLERANCE_MM = 0.1
SAME_POINT_MM = 1e-6

Point = tuple[float, float]


def centre_from_radius(start: Point, end: Point, radius_mm: float, clockwise: bool) -> Point:
    """Finds the centre for the R form: the shorter arc for R > 0, the longer one for R < 0.

    Where start and end lie farther apart than the diameter, the centre is halfway, as in Marlin.

    Raises:
        ValueError: Start and end coincide.
    """
    dx, dy = end[0] - start[0], end[1] - start[1]
    chord = math.hypot(dx, dy)
    if chord < SAME_POINT_MM:
        raise ValueError("expected an end that differs from the start with R, got a full circle")
    height = math.sqrt(max(radius_mm**2 - chord**2 / 4, 0.0))
    # The centre lies to the right of the way for the shorter clockwise arc, else to the left.
    side = -1.0 if clockwise == (radius_mm > 0) else 1.0
    return (
        (start[0] + end[0]) / 2 - side * height * dy / chord,
        (start[1] + end[1]) / 2 + side * height * dx / chord,
    )


def miss_mm(start: Point, end: Point, centre: Point) -> float:
    """How far the end lies off the circle about the centre through the start; 0 within rounding."""
    miss = abs(math.dist(start, centre) - math.dist(end, centre))
    return miss if miss > RADIUS_TOLERANCE_MM else 0.0


def cut_arc(
    start: Point, end: Point, centre: Point, clockwise: bool, turns: int, rise_mm: float
) -> list[Point]:
    """Cuts an arc into `max(floor(length / 1 mm), ceil(24 angle / 2 pi), 1)` chords.

    The radius goes linearly from the start's to the end's, so that the last chord has no step; an
    end that is off by more than rounding is reached by a step.

    Args:
        start: Where the arc begins, mm; a full circle where `end` is the same point.
        end: Where it ends, mm.
        centre: Of the circle, mm.
        clockwise: G2 rather than G3.
        turns: Full turns added to the arc.
        rise_mm: Height of the helix; it counts in the length.

    Returns:
        The ends of the chords; the last is `end` itself.

    Raises:
        ValueError: The radius is 0, or the arc is too long.
    """
    ax, ay = start[0] - centre[0], start[1] - centre[1]
    bx, by = end[0] - centre[0], end[1] - centre[1]
    radius, end_radius = math.hypot(ax, ay), math.hypot(bx, by)
    if radius < SAME_POINT_MM:
        raise ValueError("expected a centre away from the start, got a radius of 0")
    if miss_mm(start, end, centre):
        end_radius = radius
    angle = _sweep(ax, ay, bx, by, clockwise) + 2 * math.pi * (-turns if clockwise else turns)
    length = math.hypot(radius * angle, rise_mm)
    # The small terms keep a length of exactly 5 mm at 5 chords on every machine.
    by_length = math.floor(length / CHORD_MM + 1e-9)
    by_angle = math.ceil(MIN_CHORDS_PER_TURN * abs(angle) / (2 * math.pi) - 1e-9)
    num = max(by_length, by_angle, 1)
    if num > MAX_CHORDS:
        raise ValueError(f"expected an arc of at most {MAX_CHORDS * CHORD_MM:g} mm, got {length:g}")
    first = math.atan2(ay, ax)
    points = []
    for i in range(1, num):
        r = radius + (end_radius - radius) * i / num
        at = first + angle * i / num
        points.append((centre[0] + r * math.cos(at), centre[1] + r * math.sin(at)))
    return [*points, end]


def _sweep(ax: float, ay: float, bx: float, by: float, clockwise: bool) -> float:
    """Signed angle from a to b about the centre, in the arc's sense; a full turn where a is b."""
    if math.hypot(bx - ax, by - ay) < SAME_POINT_MM:
        return -2 * math.pi if clockwise else 2 * math.pi
    angle = math.atan2(ax * by - ay * bx, ax * bx + ay * by)
    if clockwise and angle > 0:
        return angle - 2 * math.pi
    if not clockwise and angle < 0:
        return angle + 2 * math.pi
    return angle
