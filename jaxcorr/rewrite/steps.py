"""What a firmware makes of short moves: ends on whole steps, and none of too few steps.

Marlin plans from step to step: where a move ends is rounded to whole steps of x and y (on a CoreXY
too, before the motors' sums), and a move of fewer than MIN_STEPS_PER_SEGMENT waits, with its
filament, for the next one. RepRapFirmware rounds the ends, and passes over a move of no step.
Klipper plans the way as it is written, and steps when a motor should be there.

Source: Marlin, Planner::_populate_block; RepRapFirmware, DDA; Klipper, Kinematics, "Generating
steps".
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from jaxcorr.printer.gcode import Program
from jaxcorr.printer.planner import Plan, plan_program
from jaxcorr.rewrite.dialect import Board
from jaxcorr.rewrite.selection import take

E_STEPS_PER_MM = 93.0  # of a stock Ender-3 V2; only decides whether a move is too short


class Stepped(NamedTuple):
    """A program as its firmware plans it."""

    program: Program
    carrier: Int[ndarray, " N"]  # which of its moves goes the way of each move as it is written


def stepped(program: Program, board: Board) -> Stepped:
    """The program with ends on whole steps, without moves of too few; the last one stays.

    Args:
        program: a layer, or a whole file.
        board: without steps nothing changes.
    """
    count = len(program.extrude_mm)
    if board.steps_per_mm is None or not count:
        return Stepped(program, np.arange(count))
    per_mm = np.array(board.steps_per_mm)
    begin, end = (np.round(at[:, :2] * per_mm) for at in (program.start_mm, program.end_mm))
    kept = _enough(program, begin, end, board.fewest_steps)
    carrier = np.cumsum(kept) - kept
    index = np.flatnonzero(kept)
    first = np.append(0, index[:-1] + 1)  # the first move that each one carries
    start_mm, end_mm = program.start_mm[first].copy(), program.end_mm[index].copy()
    start_mm[:, :2], end_mm[:, :2] = begin[first] / per_mm, end[index] / per_mm
    made = take(
        program,
        index,
        start_mm=start_mm,
        end_mm=end_mm,
        extrude_mm=np.bincount(carrier, program.extrude_mm),
        dwell_s=np.bincount(carrier, program.dwell_s),
    )
    return Stepped(replace(made, end_dwell_s=program.end_dwell_s), carrier)


class Planned(NamedTuple):
    """A program as its firmware runs it, from rest to rest. Axis: n moves of the plan."""

    plan: Plan
    printed_mm: Float[ndarray, " n"]  # filament of printing moves that goes along with each move
    is_printing: Bool[ndarray, " n"]  # whether it prints itself, not what it carries alone


def planned(program: Program, board: Board) -> Planned:
    """Plans a program as its firmware does."""
    made, carrier = stepped(program, board)
    is_moving = (program.start_mm != program.end_mm)[:, :2].any(axis=1)
    is_printing = is_moving & (program.extrude_mm > 0.0)
    printed_mm = np.bincount(carrier, np.where(is_printing, program.extrude_mm, 0.0))
    last = np.append(np.diff(carrier) > 0, True)
    return Planned(plan_program(made), printed_mm, is_printing[last])


def _enough(program: Program, begin: ndarray, end: ndarray, fewest: int) -> Bool[ndarray, " N"]:
    """Whether each move, with what it carries, has enough steps."""
    stays = program.start_mm[:, 2] == program.end_mm[:, 2]
    is_short = stays & (np.abs(end - begin).max(axis=1) < fewest)
    behind_home = np.append(False, (begin[1:] != end[:-1]).any(axis=1))
    goes_on = stays & ~behind_home
    goes_on[-1] = False
    kept = np.ones(len(stays), np.bool_)
    settled = 0
    for i in np.flatnonzero(is_short[:-1]).tolist():
        if i < settled:
            continue
        pushed, going = 0.0, i
        while going == i or goes_on[going]:
            pushed += program.extrude_mm[going]
            way = max(np.abs(end[going] - begin[i]).max(), abs(pushed) * E_STEPS_PER_MM)
            if way >= fewest:
                break
            kept[going] = False
            going += 1
        settled = going if behind_home[going] else going + 1
    return kept
