"""How far points lie from a planned path as a curve, and where on the path its corners are.

A printed line shows where the head went, not when: an error along the path costs nothing there.
The path is the plan's own straight moves, not samples of them, and a point is compared only with
the moves under way within WITHIN_S of its own time, so that a neighbouring line of the same layer
is never taken for the one being printed. The module knows plans and points; it knows no plant.
"""

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from jaxcorr.printer.planner import Plan

# No compensation, input shapers included, moves the head further along the path than this.
WITHIN_S = 0.05
# Below this a path is a curve cut into moves, above it a corner that starts the axes swinging.
CORNER_DEG = 30.0
CHUNK = 2048  # points whose candidates fit into the cache
TINY_MM = 1e-9


def deviation(
    plan: Plan, time_s: Float[ndarray, " n"], points_mm: Float[ndarray, "n *lanes 2"]
) -> Float[ndarray, "n *lanes 2"]:
    """From the nearest point of the path to each point, in mm; its length is the contour error.

    Args:
        plan: whose moves are the path.
        time_s: when the points are, from the start of the plan, increasing.
        points_mm: any number of points at each instant.
    """
    starts, ways, begin_s, end_s = _segments(plan)
    first = np.searchsorted(end_s, time_s - WITHIN_S, side="left")
    last = np.searchsorted(begin_s, time_s + WITHIN_S, side="right") - 1
    first = np.minimum(first, len(starts) - 1)
    last = np.maximum(last, first)
    flat = points_mm.reshape(len(points_mm), -1, 2)
    nearest = np.empty_like(flat)
    for begin in range(0, len(flat), CHUNK):
        rows = slice(begin, begin + CHUNK)
        nearest[rows] = _nearest(starts, ways, first[rows], last[rows], flat[rows])
    return nearest.reshape(points_mm.shape)


def corner_times_s(plan: Plan, least_deg: float = CORNER_DEG) -> Float[ndarray, " corners"]:
    """When the path turns by at least so much or comes to a stop; moves without a path count not.

    The end of the plan is a stop.
    """
    moving = np.flatnonzero(np.linalg.norm(plan.direction[:, :2], axis=1) > TINY_MM)
    if not len(moving):
        return np.zeros(0)
    u = plan.direction[moving, :2]
    u = u / np.linalg.norm(u, axis=1, keepdims=True)
    end_s = (plan.start_s + plan.duration_s)[moving]
    turns = np.sum(u[1:] * u[:-1], axis=1) <= np.cos(np.radians(least_deg)) + 1e-12
    stops = plan.exit_v[moving[:-1]] == 0.0
    return np.append(end_s[:-1][turns | stops], end_s[-1])


def _segments(plan: Plan) -> tuple[ndarray, ndarray, ndarray, ndarray]:
    """Starts (m, 2), ways (m, 2), and times of begin and end of the moves in the plane.

    Where nothing moves in the plane, the path is one point.
    """
    ways = (plan.end_mm - plan.start_mm)[:, :2]
    moving = np.flatnonzero(np.hypot(*ways.T) > TINY_MM)
    moving = moving if len(moving) else np.arange(1)
    end_s = (plan.start_s + plan.duration_s)[moving]
    return plan.start_mm[moving, :2], ways[moving], plan.start_s[moving], end_s


def _nearest(
    starts: ndarray, ways: ndarray, first: ndarray, last: ndarray, points: ndarray
) -> ndarray:
    """The shortest way from each point's candidates, moves first to last, to the point."""
    best = np.full(points.shape[:-1], np.inf)
    shortest = np.zeros_like(points)
    for k in range(int((last - first).max()) + 1):
        move = np.minimum(first + k, last)
        way = ways[move][:, None]
        rest = points - starts[move][:, None]
        length2 = np.maximum(np.sum(way**2, axis=-1), TINY_MM**2)
        along = np.clip(np.sum(rest * way, axis=-1) / length2, 0.0, 1.0)
        rest -= along[..., None] * way
        distance2 = np.sum(rest**2, axis=-1)
        closer = distance2 < best
        best = np.where(closer, distance2, best)
        shortest = np.where(closer[..., None], rest, shortest)
    return shortest
