"""Marlin's look-ahead planner: how fast each move starts, cruises and ends, and where the head is.

It works in squared speeds; its samples are the reference that the printer is asked to follow.

Legend: u unit vector of a move over x, y, z, e (length over x, y, z; an E-only move has
(0, 0, 0, ±1) and length |E|), L length in mm, a acceleration in mm/s2, v speed along the move in
mm/s, v2 = v**2.

  cruise      v = min(feedrate, M203_i / |u_i|), along a path no more than Klipper's VELOCITY
  accel       a = min(P or T or R, M201_i / |u_i|)   P: E with XYZ, T: XYZ alone, R: E alone
  junction    see `motion_limits.junction_v2`; no faster than both cruise speeds; rest at the start,
              the end and at a dwell
  backward    v2_i <= v2_{i+1} + 2 a_i L_i;   forward  v2_{i+1} <= v2_i + 2 a_i L_i
  trapezoid   peak v2 = min(cruise v2, (2 a L + entry v2 + exit v2) / 2)
  smoothing   by Klipper's MINIMUM_CRUISE_RATIO r, see _smoothed_v2

A move of no length (a dwell and nothing else) is a full stop. An instant within 1 ns before a
boundary, of moves or of their phases, belongs to what comes next.
"""

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from jaxcorr.errors import InputError
from jaxcorr.printer.gcode import Limits, Program
from jaxcorr.printer.motion_limits import TINY, LimitTable, along, junction_v2, tabulate

BLOCK = 1 << 16  # moves that are looked at at once, which bounds the memory
BOUNDARY_S = 1e-9  # how far before a boundary an instant counts as past it
SCHEMES = ("junction_deviation_mm", "square_corner_velocity_mm_s", "classic_jerk_mm_s")


@dataclass(frozen=True)
class PlanOptions:
    """What replaces the file's own motion settings; None leaves them in force."""

    junction_deviation_mm: float | None = None  # one of these three at most
    square_corner_velocity_mm_s: float | None = None  # Klipper's measure: the speed at 90 degrees
    classic_jerk_mm_s: float | None = None  # x and y; z and e stay; by the file's firmware's rule
    accel_mm_s2: float | None = None  # M204 P and T; lifts M201 of x and y where they are lower
    velocity_mm_s: float | None = None  # feedrate of every move that leaves its place in x or y

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value is not None and not (np.isfinite(value) and value > 0):
                raise InputError(
                    f"plan options: expected {name} > 0, got {value:g}. "
                    "Leave it out to keep the file's own setting."
                )
        given = [name for name in SCHEMES if getattr(self, name) is not None]
        if len(given) > 1:
            raise InputError(
                f"plan options: expected one cornering scheme, got {' and '.join(given)}. "
                "Give one of them."
            )

    @property
    def scheme(self) -> str | None:
        """The field that replaces the file's cornering; None where nothing does."""
        return next((name for name in SCHEMES if getattr(self, name) is not None), None)


@dataclass(frozen=True)
class Plan:
    """Planned moves. Axes: N moves in execution order, 3 = x, y, z."""

    start_mm: np.ndarray  # (N, 3)
    end_mm: np.ndarray  # (N, 3)
    direction: np.ndarray  # (N, 3) unit vector; zero for an E-only move
    length_mm: np.ndarray  # (N,)
    extrude_mm: np.ndarray  # (N,)
    layer: np.ndarray  # (N,)
    feature: np.ndarray  # (N,) index into gcode.FEATURES
    accel_mm_s2: np.ndarray  # (N,)
    entry_v: np.ndarray  # (N,) mm/s along the move
    peak_v: np.ndarray  # (N,)
    exit_v: np.ndarray  # (N,)
    start_s: np.ndarray  # (N,) when the move begins, with its dwell
    dwell_s: np.ndarray  # (N,) pause before it sets off
    accel_s: np.ndarray  # (N,)
    cruise_s: np.ndarray  # (N,)
    decel_s: np.ndarray  # (N,)
    end_dwell_s: float = 0.0  # pause after the last move

    @property
    def num_moves(self) -> int:
        """Number of moves."""
        return len(self.length_mm)

    @property
    def duration_s(self) -> np.ndarray:
        """Time of each move with its dwell, (N,)."""
        return self.dwell_s + self.accel_s + self.cruise_s + self.decel_s

    @property
    def total_s(self) -> float:
        """Time of the whole plan."""
        return self.motion_s + self.end_dwell_s

    @property
    def motion_s(self) -> float:
        """When the last move ends."""
        return float(self.start_s[-1] + self.duration_s[-1]) if self.num_moves else 0.0

    @property
    def peak_velocity_mm_s(self) -> float:
        """Highest speed of the head; what E does alone does not count."""
        moving = np.any(self.direction != 0.0, axis=1)
        return float(self.peak_v[moving].max(initial=0.0))

    def layer_times_s(self, num_layers: int) -> np.ndarray:
        """Time spent in each layer, (num_layers,); moves that belong to none are left out."""
        known = self.layer >= 0
        return np.bincount(self.layer[known], self.duration_s[known], minlength=num_layers)


class Samples(NamedTuple):
    """The reference at T instants. Axes: T instants, 3 = x, y, z."""

    position_mm: np.ndarray  # (T, 3)
    velocity_mm_s: np.ndarray  # (T, 3)
    accel_mm_s2: np.ndarray  # (T, 3)
    move: np.ndarray  # (T,) index of the move that is under way


def plan_program(program: Program, options: PlanOptions = PlanOptions()) -> Plan:
    """Plans every move of a program in one go, from rest to rest.

    Raises:
        InputError: a move has no speed (its feedrate is not above zero).

    Source: Marlin's planner, `JUNCTION_DEVIATION_MM` and `CLASSIC_JERK`.
    """
    plan = _plan_moves(program, np.arange(len(program.extrude_mm)), options)
    return replace(plan, end_dwell_s=program.end_dwell_s)


def total_s(program: Program) -> float:
    """How long a program takes, as `plan_program` plans it, without a plan in memory.

    Raises:
        InputError: a move has no speed.
    """
    index = np.arange(len(program.extrude_mm))
    speeds = _find_speeds(program, index, PlanOptions())
    seconds = [program.end_dwell_s, float(program.dwell_s.sum())]
    for first in range(0, len(index), BLOCK):
        *_, accel_s, cruise_s, decel_s = _trapezoids(*speeds.part(first, first + BLOCK))
        seconds.append(float(np.sum(accel_s + cruise_s + decel_s)))
    return math.fsum(seconds)


def plan_layer(program: Program, layer: int, options: PlanOptions = PlanOptions()) -> Plan:
    """Plans the moves of one layer (counted from 0) on their own, from rest to rest.

    Raises:
        InputError: the program has no such layer, or a move of it has no speed.
    """
    index = program.moves_of(layer)
    if layer < 0 or not index.size:
        raise InputError(
            f"layer {layer + 1}: expected a layer from 1 to {program.num_layers}, got one without "
            "moves. Choose another layer."
        )
    return _plan_moves(program, index, options)


def sample_plan(plan: Plan, time_s: np.ndarray) -> Samples:
    """Evaluates a plan at any instants, each in closed form, so that nothing drifts.

    Args:
        plan: a plan with at least one move.
        time_s: (T,) instants from the start of the plan; past its end the head rests.
    """
    move = _move_at(plan, time_s)
    a, entry_v, exit_v = plan.accel_mm_s2[move], plan.entry_v[move], plan.exit_v[move]
    peak_v, length = plan.peak_v[move], plan.length_mm[move]
    t_accel, t_cruise = plan.accel_s[move], plan.cruise_s[move]
    t_motion = t_accel + t_cruise + plan.decel_s[move]
    since = time_s - plan.start_s[move] - plan.dwell_s[move]

    resting = (since < -BOUNDARY_S) | (time_s + BOUNDARY_S >= plan.motion_s)
    after_accel = since + BOUNDARY_S >= t_accel
    after_cruise = since + BOUNDARY_S >= t_accel + t_cruise
    t = np.maximum(since, 0.0)
    left = np.maximum(t_motion - t, 0.0)  # the way that is left, so that a move ends on its end
    ramp = (peak_v + entry_v) / 2.0 * t_accel
    distance = np.where(
        after_cruise,
        length - (exit_v * left + a * left**2 / 2.0),
        np.where(after_accel, ramp + peak_v * (t - t_accel), entry_v * t + a * t**2 / 2.0),
    )
    speed = np.where(
        after_cruise, exit_v + a * left, np.where(after_accel, peak_v, entry_v + a * t)
    )
    accel = np.where(after_cruise, -a, np.where(after_accel, 0.0, a))
    u = plan.direction[move]
    return Samples(
        position_mm=plan.start_mm[move] + distance[:, None] * u,
        velocity_mm_s=np.where(resting, 0.0, speed)[:, None] * u,
        accel_mm_s2=np.where(resting, 0.0, accel)[:, None] * u,
        move=move,
    )


def reference_rows(plan: Plan, rate_hz: float, until_s: float = np.inf) -> np.ndarray:
    """The plan as control code meets it: (t, 4) rows of x, y in mm and vx, vy in mm/s.

    Args:
        rate_hz: of the rows; the first is at the plan's start.
        until_s: rows end here, or with the plan.
    """
    count = int(np.floor(min(until_s, plan.total_s) * rate_hz + 1e-6)) + 1
    return rows_at(plan, np.arange(count) / rate_hz)


def rows_at(plan: Plan, time_s: np.ndarray) -> np.ndarray:
    """Such rows of a plan at any instants, (t,) to (t, 4); past its end they stay."""
    at = sample_plan(plan, time_s)
    return np.hstack([at.position_mm[:, :2], at.velocity_mm_s[:, :2]])


def sample_velocity_steps(plan: Plan, time_s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Samples the part of the motion that is velocity steps at junctions, and nothing else.

    Returns:
        The sum of all steps so far, (T, 3) mm/s, and its exact time integral, (T, 3) mm.
    """
    entry = plan.entry_v[:, None] * plan.direction
    leave = plan.exit_v[:, None] * plan.direction
    velocity = np.cumsum(entry - np.vstack([np.zeros((1, 3)), leave[:-1]]), axis=0)
    way = velocity[:-1] * np.diff(plan.start_s)[:, None]
    position = np.vstack([np.zeros((1, 3)), np.cumsum(way, axis=0)])
    move = _move_at(plan, time_s)
    since = (time_s - plan.start_s[move])[:, None]
    return velocity[move], position[move] + velocity[move] * since


def _move_at(plan: Plan, time_s: np.ndarray) -> np.ndarray:
    """Index of the move under way at each instant."""
    move = np.searchsorted(plan.start_s, time_s + BOUNDARY_S, side="right") - 1
    return np.maximum(move, 0)


def _geometry(program: Program, index: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Way over x, y, z and length, (N,) each, and unit vector, (N, 4), of the moves named."""
    way, extrude = program.end_mm[index] - program.start_mm[index], program.extrude_mm[index]
    path = np.linalg.norm(way, axis=1)
    length = np.where(path > 0.0, path, np.abs(extrude))
    return path, length, np.column_stack([way, extrude]) / np.maximum(length, TINY)[:, None]


class _Speeds(NamedTuple):
    """What the look-ahead leaves of N moves, from rest to rest."""

    length_mm: np.ndarray  # (N,)
    accel_mm_s2: np.ndarray  # (N,)
    cruise_v: np.ndarray  # (N,) at most
    node_v2: np.ndarray  # (N + 1,) at the ends of moves

    def part(self, first: int, behind: int) -> tuple[np.ndarray, ...]:
        """What `_trapezoids` takes of some moves."""
        of_moves = (values[first:behind] for values in self[:3])
        return (self.node_v2[first : behind + 1], *of_moves)


def _plan_moves(program: Program, index: np.ndarray, options: PlanOptions) -> Plan:
    """Plans the moves of a program that `index` names, from rest to rest."""
    direction, dwell = np.empty((len(index), 3)), program.dwell_s[index]
    speeds = _find_speeds(program, index, options, direction)
    ramps = _trapezoids(*speeds.part(0, len(index)))
    entry_v, peak_v, exit_v, accel_s, cruise_s, decel_s = ramps
    ends = np.cumsum(dwell + accel_s + cruise_s + decel_s)
    return Plan(
        start_mm=program.start_mm[index],
        end_mm=program.end_mm[index],
        direction=direction,
        length_mm=speeds.length_mm,
        extrude_mm=program.extrude_mm[index],
        layer=program.layer[index],
        feature=program.feature[index],
        accel_mm_s2=speeds.accel_mm_s2,
        entry_v=entry_v,
        peak_v=peak_v,
        exit_v=exit_v,
        start_s=np.concatenate([[0.0], ends[:-1]]) if len(index) else ends,
        dwell_s=dwell,
        accel_s=accel_s,
        cruise_s=cruise_s,
        decel_s=decel_s,
    )


def _find_speeds(
    program: Program, index: np.ndarray, options: PlanOptions, direction: np.ndarray | None = None
) -> _Speeds:
    """Plans the speeds of the moves that `index` names, a block at a time.

    Args:
        direction: filled with the moves' unit vectors, (N, 3); zero for an E-only move.
    """
    limits, num = _limit_table(program.limits, options), len(index)
    length, accel, cruise_v = np.empty((3, num))
    # One junction speed per boundary, N + 1 of them: rest at both ends, at a dwell, at no length.
    node_v2 = np.zeros(num + 1)
    for first in range(0, num, BLOCK):
        moves = index[first : first + BLOCK + 1]  # with the first of the next block
        of_move, part = program.limits_index[moves], slice(first, first + len(moves))
        path, length[part], u = _geometry(program, moves)
        feedrate, base = _wanted(program, moves, u, path > 0.0, limits, options)
        _check_speed(feedrate, length[part], program.line[moves])
        cruise_v[part] = cruise = along(limits.max_feedrate[of_move], u, feedrate)
        accel[part] = along(limits.max_accel[of_move], u, base)
        corner_v2 = junction_v2(u, path, cruise, accel[part], limits, of_move)
        slower_v2 = np.minimum(cruise[:-1], cruise[1:]) ** 2
        node_v2[first + 1 : first + len(moves)] = np.minimum(corner_v2, slower_v2)
        if direction is not None:
            direction[part] = np.where((path > 0.0)[:, None], u[:, :3], 0.0)
    node_v2[:-1][(program.dwell_s[index] > 0.0) | (length == 0.0)] = 0.0
    node_v2[1:][length == 0.0] = 0.0
    ratio = limits.cruise_ratio[program.limits_index[index]]
    if ratio.any():
        reach_v2 = 2.0 * accel * length
        smoothed_v2 = _smoothed_v2(node_v2, reach_v2, (1.0 - ratio) * reach_v2, cruise_v**2)
        cruise_v = np.sqrt(smoothed_v2)
        node_v2[1:-1] = np.minimum(node_v2[1:-1], np.minimum(smoothed_v2[:-1], smoothed_v2[1:]))
    return _Speeds(length, accel, cruise_v, _look_ahead(node_v2, 2.0 * accel * length))


def _limit_table(limits: tuple[Limits, ...], options: PlanOptions) -> LimitTable:
    """Limits as arrays with one row per entry of `Program.limits`, options applied."""
    table = tabulate(limits)
    if options.accel_mm_s2 is not None:
        table.accel[:, :2] = options.accel_mm_s2
        table.max_accel[:, :2] = np.maximum(table.max_accel[:, :2], options.accel_mm_s2)
    if options.classic_jerk_mm_s is not None:
        table.jerk[:, :2] = options.classic_jerk_mm_s
    if options.scheme is not None:
        table.deviation[:] = options.junction_deviation_mm or np.nan
        table.corner[:] = options.square_corner_velocity_mm_s or np.nan
    return table


def _wanted(
    program: Program,
    index: np.ndarray,
    u: np.ndarray,
    has_path: np.ndarray,
    limits: LimitTable,
    options: PlanOptions,
) -> tuple[np.ndarray, np.ndarray]:
    """Speed and acceleration of each move before the limits of axes, (N,) each."""
    of_move = program.limits_index[index]
    feedrate = program.feedrate_mm_s[index]
    if options.velocity_mm_s is not None:
        feedrate = np.where(np.any(u[:, :2] != 0.0, axis=1), options.velocity_mm_s, feedrate)
    kind = np.where(has_path, np.where(u[:, 3] != 0.0, 0, 1), 2)  # P, T, R
    of_path = np.where(has_path, limits.max_velocity[of_move], np.inf)
    return np.minimum(feedrate, of_path), limits.accel[of_move, kind]


class Cuts(NamedTuple):
    """How many moves or junctions each limit slows down."""

    velocity: int  # Klipper's VELOCITY
    feedrate: tuple[int, ...]  # by the axis that binds: x, y, z, e
    accel: tuple[int, ...]
    corner: int  # junctions slower than both of their moves


def count_cuts(program: Program, options: PlanOptions, layer: int | None = None) -> Cuts:
    """How many moves of a program or a layer are slower than asked for, and by which limit."""
    limits, chosen = _limit_table(program.limits, options), program.moves_of(layer)
    velocity, corner = 0, 0
    feedrate, accel = np.zeros(4, int), np.zeros(4, int)
    for first in range(0, len(chosen), BLOCK):
        index = chosen[first : first + BLOCK + 1]  # with the first of the next
        path, _, u = _geometry(program, index)
        of_move, count = program.limits_index[index], min(BLOCK, len(chosen) - first)
        asked, base = _wanted(program, index, u, path > 0.0, limits, options)
        cruise_v = along(limits.max_feedrate[of_move], u, asked)
        own = program.feedrate_mm_s[index]
        velocity += int(np.sum(((asked < own) & (asked == limits.max_velocity[of_move]))[:count]))
        feedrate += _count_axes(limits.max_feedrate[of_move], u, asked, count)
        accel += _count_axes(limits.max_accel[of_move], u, base, count)
        of_axes = along(limits.max_accel[of_move], u, base)
        corner_v2 = junction_v2(u, path, cruise_v, of_axes, limits, of_move)
        slower_v2 = np.minimum(cruise_v[:-1], cruise_v[1:]) ** 2
        corner += int(np.sum(corner_v2 < slower_v2 * (1.0 - 1e-9)))
    return Cuts(velocity, tuple(feedrate.tolist()), tuple(accel.tolist()), corner)


def _count_axes(
    axis_limit: np.ndarray, u: np.ndarray, wanted: np.ndarray, count: int
) -> np.ndarray:
    """How many of the first `count` wanted values each axis lowers, (4,)."""
    of_axis = axis_limit / np.maximum(np.abs(u), TINY)
    lowered = (np.min(of_axis, axis=1) < wanted * (1.0 - 1e-9))[:count]
    return np.bincount(np.argmin(of_axis, axis=1)[:count][lowered], minlength=4)


def _smoothed_v2(
    node_v2: np.ndarray, reach_v2: np.ndarray, smooth_v2: np.ndarray, cruise_v2: np.ndarray
) -> np.ndarray:
    """Squared speeds that Klipper lets moves reach, so that a short zigzag does not shake.

    A second look-ahead with the acceleration times 1 - r (smooth_v2 in place of reach_v2) finds
    the crests between speeding up and slowing down. A move that can speed up in it is no faster
    than the crest that it leads to; one that can only slow down is no faster than it begins.

    Source: Klipper, Kinematics, "Minimum cruise ratio".
    """
    v2, smoothed_v2 = _look_ahead(node_v2, reach_v2), _look_ahead(node_v2, smooth_v2)
    speeds_up = smoothed_v2[:-1] < smoothed_v2[1:] + smooth_v2
    slows_down = smoothed_v2[:-1] + smooth_v2 > smoothed_v2[1:]
    crest_v2 = (smoothed_v2[:-1] + smoothed_v2[1:] + smooth_v2) / 2.0
    is_crest = speeds_up & (slows_down | np.append(~speeds_up[1:], False))
    crests = np.append(np.flatnonzero(is_crest), len(crest_v2) - 1)
    leads_to = crests[np.searchsorted(crests, np.arange(len(crest_v2)))]
    allowed_v2 = np.minimum(cruise_v2, (v2[:-1] + v2[1:] + reach_v2) / 2.0)
    allowed = np.where(speeds_up, np.minimum(allowed_v2, crest_v2[leads_to]), v2[:-1]).tolist()
    for i in np.flatnonzero(~speeds_up).tolist():
        allowed[i] = min(allowed[i], allowed[i - 1]) if i else 0.0
    return np.array(allowed)


def _look_ahead(node_v2: np.ndarray, reach_v2: np.ndarray) -> np.ndarray:
    """Lowers the speeds at the N + 1 nodes until each move can change from one to the next."""
    node_v2, blocks = node_v2.copy(), range(0, len(reach_v2), BLOCK)
    for first in reversed(blocks):
        v2, reach = (x[first:][:n].tolist() for x, n in ((node_v2, BLOCK + 1), (reach_v2, BLOCK)))
        for i in range(len(reach) - 1, -1, -1):
            if v2[i] > v2[i + 1] + reach[i]:
                v2[i] = v2[i + 1] + reach[i]
        node_v2[first : first + len(v2)] = v2
    for first in blocks:
        v2, reach = (x[first:][:n].tolist() for x, n in ((node_v2, BLOCK + 1), (reach_v2, BLOCK)))
        for i in range(len(reach)):
            if v2[i + 1] > v2[i] + reach[i]:
                v2[i + 1] = v2[i] + reach[i]
        node_v2[first : first + len(v2)] = v2
    return node_v2


def _trapezoids(
    node_v2: np.ndarray, length: np.ndarray, accel: np.ndarray, cruise_v: np.ndarray
) -> tuple[np.ndarray, ...]:
    """Entry, peak and exit speed of each move, and the times it speeds up, cruises, slows down."""
    entry_v, exit_v = np.sqrt(node_v2[:-1]), np.sqrt(node_v2[1:])
    crest_v2 = (2.0 * accel * length + node_v2[:-1] + node_v2[1:]) / 2.0
    is_full = crest_v2 > cruise_v**2
    # A move that only just reaches its exit speed may round below it: it has no ramp then.
    peak_v = np.where(is_full, cruise_v, np.sqrt(crest_v2))
    peak_v = np.maximum(peak_v, np.maximum(entry_v, exit_v))
    ramps = (2.0 * peak_v**2 - node_v2[:-1] - node_v2[1:]) / (2.0 * accel)
    cruise_s = np.where(is_full, np.maximum(length - ramps, 0.0) / np.maximum(peak_v, TINY), 0.0)
    return entry_v, peak_v, exit_v, (peak_v - entry_v) / accel, cruise_s, (peak_v - exit_v) / accel


def _check_speed(feedrate: np.ndarray, length: np.ndarray, line: np.ndarray) -> None:
    stuck = np.flatnonzero((length > 0.0) & ~(feedrate > 0.0))
    if stuck.size:
        raise InputError(
            f"line {line[stuck[0]]}: expected a feedrate above 0 mm/s, got {feedrate[stuck[0]]:g}. "
            "Give the move an F."
        )
