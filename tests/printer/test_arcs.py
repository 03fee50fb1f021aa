"""arcs.py: circles, against circles."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxcorr.printer.arcs import centre_from_radius, cut_arc, miss_mm


def lengths(start, points):
    path = [start, *points]
    return [math.dist(a, b) for a, b in itertools.pairwise(path)]


@given(
    centre=st.tuples(st.floats(-100, 100), st.floats(-100, 100)),
    radius=st.floats(0.5, 200),
    first=st.floats(-math.pi, math.pi),
    sweep=st.floats(0.05, 2 * math.pi - 0.05),
    clockwise=st.booleans(),
)
def test_chords_lie_on_the_circle_and_share_the_angle(centre, radius, first, sweep, clockwise):
    signed = -sweep if clockwise else sweep
    start, end = (
        (centre[0] + radius * math.cos(at), centre[1] + radius * math.sin(at))
        for at in (first, first + signed)
    )
    points = cut_arc(start, end, centre, clockwise, 0, 0.0)
    assert points[-1] == end
    for point in points:
        assert math.dist(point, centre) == pytest.approx(radius, abs=1e-9)
    # Equal chords that add up to the arc, from below; a chord is at most 2 mm and 15 degrees.
    each = lengths(start, points)
    assert max(each) - min(each) < 1e-6
    assert max(each) < 2.0
    assert sweep / len(points) <= math.radians(15) + 1e-9
    assert sum(each) == pytest.approx(radius * sweep, rel=0.003)
    # The R form finds the same centre: R > 0 for the shorter arc, R < 0 for the longer.
    if abs(sweep - math.pi) > 0.1:
        found = centre_from_radius(start, end, radius if sweep < math.pi else -radius, clockwise)
        assert found == pytest.approx(centre, abs=1e-6)


@pytest.mark.parametrize(
    ("radius", "turns", "rise", "num"),
    [(1.0, 0, 0.0, 24), (10.0, 0, 0.0, 62), (10.0, 1, 0.0, 125), (1.0, 0, 30.0, 30)],
)
def test_number_of_chords_of_full_circles(radius, turns, rise, num):
    points = cut_arc((radius, 0.0), (radius, 0.0), (0.0, 0.0), False, turns, rise)
    assert len(points) == num
    assert points[0][1] > 0  # counter-clockwise


def test_rounded_centre_leaves_no_step_at_the_end():
    # The end is 0.05 mm off the circle: the radius changes along the arc, not in the last chord.
    points = cut_arc((10.0, 0.0), (0.0, 10.05), (0.0, 0.0), False, 0, 0.0)
    each = lengths((10.0, 0.0), points)
    assert max(each) - min(each) < 0.01
    assert math.hypot(*points[len(points) // 2]) == pytest.approx(10.025, abs=0.003)


def test_an_end_off_the_circle_is_reached_by_a_step():
    points = cut_arc((10.0, 0.0), (0.0, 12.0), (0.0, 0.0), False, 0, 0.0)
    assert all(math.hypot(*point) == pytest.approx(10.0) for point in points[:-1])
    assert points[-1] == (0.0, 12.0)
    assert miss_mm((10.0, 0.0), (0.0, 12.0), (0.0, 0.0)) == pytest.approx(2.0)
    assert miss_mm((10.0, 0.0), (0.0, 10.05), (0.0, 0.0)) == 0.0


@pytest.mark.parametrize(
    ("end", "centre", "message"),
    [
        ((20.0, 0.0), (0.0, 0.0), "expected a centre away from the start, got a radius of 0"),
        ((0.0, 0.0), (9000.0, 0.0), "expected an arc of at most 20000 mm, got 56548.7"),
    ],
)
def test_impossible_circles_are_refused(end, centre, message):
    with pytest.raises(ValueError, match=message):
        cut_arc((0.0, 0.0), end, centre, True, 0, 0.0)


def test_radius_form_refusals():
    with pytest.raises(ValueError, match="expected an end that differs from the start with R"):
        centre_from_radius((1.0, 1.0), (1.0, 1.0), 4.0, True)
    # An R short of half the chord makes a half circle.
    assert centre_from_radius((0.0, 0.0), (10.0, 0.0), 4.0, True) == pytest.approx((5.0, 0.0))
    assert centre_from_radius((0.0, 0.0), (10.0, 0.0), 4.999, True) == pytest.approx((5.0, 0.0))
