"""Feedrates of pieces, found with the firmware's planner in the loop.

A piece of the solved command has an end and a time that it should take. The planner ramps between
feedrates and slows down at junctions, so that a piece whose feedrate is its length by its time
takes longer. It is planned with the limits that will be in force, each feedrate is corrected by how
much too long or too short its piece took, and so on until that stops helping.
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from jaxcorr.printer.gcode import Limits, Program
from jaxcorr.printer.planner import Plan, plan_program
from jaxcorr.rewrite.dialect import Board
from jaxcorr.rewrite.pieces import Pieces
from jaxcorr.rewrite.selection import FileLayer, take
from jaxcorr.rewrite.steps import stepped

MOST_ROUNDS = 8
GAIN = 0.02  # refining stops once a round improves the timing by less than this share
FASTEST = 2.0  # times the mean speed of a piece
SLOWEST_MM_S = 0.5
FEEDRATE_STEP_MM_S = 0.1 / 60.0  # of written feedrates


class Refined(NamedTuple):
    """Feedrates and what the planner makes of them. Axis: P as in Pieces."""

    feedrate_mm_s: Float[ndarray, " P"]
    plan: Plan
    late_s: tuple[float, ...]  # RMS of how much too long pieces took, of each round


def refine(own: FileLayer, pieces: Pieces, raised: tuple[Limits, ...], board: Board) -> Refined:
    """Feedrates with which the pieces of a layer take the time that they should.

    Args:
        own: the layer as the file has it.
        pieces: of it.
        raised: for each of the program's limits, those that hold for pieces.
        board: what becomes of short pieces.
    """
    start = _starts(own.program, pieces)
    length = np.linalg.norm(pieces.end_mm - start, axis=1)
    mean = length / np.maximum(pieces.wanted_s, 1e-6)
    asked = own.program.feedrate_mm_s[pieces.parent]
    highest = np.maximum(FASTEST * mean, asked)
    feedrate = np.where(pieces.is_piece, mean, asked)
    best: Refined | None = None
    late_s: list[float] = []
    for _ in range(MOST_ROUNDS):
        feedrate = np.clip(feedrate, SLOWEST_MM_S, np.maximum(highest, SLOWEST_MM_S))
        written = np.where(pieces.is_piece, _rounded(feedrate), asked)
        made = stepped(_program(own, pieces, start, written, raised), board)
        plan, carrier = plan_program(made.program), made.carrier
        took = (plan.duration_s - plan.dwell_s)[carrier]
        wanted = np.bincount(carrier, pieces.wanted_s)[carrier]
        late = np.where(pieces.is_piece, took - wanted, 0.0)
        late_s.append(float(np.sqrt(np.mean(late**2))))
        if best is None or late_s[-1] < min(late_s[:-1]):
            best = Refined(written, plan, tuple(late_s))
        if len(late_s) > 1 and late_s[-1] > (1.0 - GAIN) * late_s[-2]:
            break
        feedrate = feedrate * took / np.maximum(wanted, 1e-6)
    assert best is not None
    return best._replace(late_s=tuple(late_s))


def _rounded(feedrate_mm_s: ndarray) -> ndarray:
    return np.round(feedrate_mm_s / FEEDRATE_STEP_MM_S) * FEEDRATE_STEP_MM_S


def _starts(program: Program, pieces: Pieces) -> ndarray:
    """Where the piece before ends, or at home behind a G28."""
    start = np.concatenate([program.start_mm[:1], pieces.end_mm[:-1]])
    homed = (program.start_mm[1:] != program.end_mm[:-1]).any(axis=1)
    at = pieces.is_first & np.concatenate([[False], homed])[pieces.parent]
    start[at] = program.start_mm[pieces.parent[at]]
    return start


def _program(
    own: FileLayer, pieces: Pieces, start_mm: ndarray, feedrate: ndarray, raised: tuple[Limits, ...]
) -> Program:
    """The layer's program with its pieces in place of corrected moves."""
    program, parent = own.program, pieces.parent
    made = take(
        program,
        parent,
        start_mm=start_mm,
        end_mm=pieces.end_mm,
        extrude_mm=pieces.extrude_mm,
        feedrate_mm_s=feedrate,
        dwell_s=np.where(pieces.is_first, program.dwell_s[parent], 0.0),
        limits_index=program.limits_index[parent] + len(raised) * pieces.is_piece,
    )
    return replace(made, limits=(*program.limits, *raised))
