"""Corrected moves cut into straight pieces, at the ends of the original moves and in between.

A piece runs straight from one point of the solved command to another, and the planner drives it at
nearly one speed. It is cut where the command leaves that chord, taken at the same share of its
time, by more than a tolerance: short pieces behind a corner, long ones on a straight. Across the
chord the whole difference counts, along it a share, for that moves the head along a line that it is
on. Where a second of print would get more pieces than the firmware's board takes, its tolerance
grows. Where the correction shortens a piece, it stays as long as the board and its filament need.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from jaxcorr.printer.drive import Command, Layer
from jaxcorr.printer.planner import BOUNDARY_S, sample_plan
from jaxcorr.rewrite.dialect import Board
from jaxcorr.rewrite.selection import FileLayer

TOLERANCE_MM = 0.003
ALONG = 0.3  # of a difference along the chord
SHORTEST_S = 0.004
GROWTH = 1.1  # of the tolerance, where a second has too many pieces
LOOSEST_MM = 0.2
INNER = np.arange(1, 16) / 16.0  # shares of a piece where it may be cut
STEP_MM = 1e-3  # of written positions
# Of its way on the original path; a shorter piece would be thicker than what is around it.
LEAST_SHARE = 0.5


class Pieces(NamedTuple):
    """A layer's moves, corrected ones in pieces. Axis: P pieces and untouched moves, in order."""

    parent: Int[ndarray, " P"]  # move of the layer
    line: Int[ndarray, " P"]  # of the file
    is_piece: Bool[ndarray, " P"]
    end_s: Float[ndarray, " P"]  # when the original path is where the piece ends
    wanted_s: Float[ndarray, " P"]  # how long it should take
    nominal_mm: Float[ndarray, "P 3"]  # where the original path is then
    way_mm: Float[ndarray, " P"]  # on the original path
    end_mm: Float[ndarray, "P 3"]
    extrude_mm: Float[ndarray, " P"]

    @property
    def is_first(self) -> Bool[ndarray, " P"]:
        """Begins its move."""
        return np.diff(self.parent, prepend=-1) > 0


class _Cuts(NamedTuple):
    """Where corrected moves are cut, in no order. Axis: n pieces."""

    move: ndarray
    begin_s: ndarray
    end_s: ndarray


def cut(own: FileLayer, layer: Layer, command: Command, board: Board) -> Pieces:
    """Cuts the corrected moves of a layer.

    Args:
        own: the layer as the file has it.
        layer: its plan, sampled.
        command: solved for it.
        board: cut moves have no shorter pieces than it takes, and no piece, where the original is
            not, is thicker than it allows.
    """
    shortest_mm = board.shortest_mm
    # Each axis lies together: np.interp would copy a column of pairs at each call.
    axes = (np.ascontiguousarray(one.position_mm.T) for one in (layer.reference, command))
    path = _Path(layer.time_s, *axes)
    plan, moves = own.plan, np.flatnonzero(own.is_corrected)
    whole = _Cuts(
        moves, (plan.start_s + plan.dwell_s)[moves], (plan.start_s + plan.duration_s)[moves]
    )
    tolerance_mm = np.full(own.plan.num_moves, TOLERANCE_MM)
    cuts = _split(whole, path, tolerance_mm, shortest_mm)
    while (tight := _too_dense(cuts, tolerance_mm, board.most_in_1_s)).any():
        tolerance_mm[tight] *= GROWTH
        again = np.isin(whole.move, np.flatnonzero(tight))
        split = _split(_Cuts(*(x[again] for x in whole)), path, tolerance_mm, shortest_mm)
        kept = ~np.isin(cuts.move, np.flatnonzero(tight))
        cuts = _Cuts(*(np.concatenate([x[kept], y]) for x, y in zip(cuts, split, strict=True)))
    return _stretched(_without_slivers(_assemble(own, cuts, path), board), board)


class _Path(NamedTuple):
    """The reference and the command at steady instants, a row for each axis."""

    time_s: ndarray
    reference_mm: ndarray
    command_mm: ndarray

    def command(self, time_s: ndarray) -> ndarray:
        return _at(time_s, self.time_s, self.command_mm)

    def reference(self, time_s: ndarray) -> ndarray:
        return _at(time_s, self.time_s, self.reference_mm)


def _at(time_s: ndarray, known_s: ndarray, values: ndarray) -> ndarray:
    return np.stack([np.interp(time_s, known_s, axis) for axis in values], axis=-1)


def _split(cuts: _Cuts, path: _Path, tolerance_mm: ndarray, shortest_mm: float) -> _Cuts:
    """Cuts at the largest difference, again and again, until none is above the tolerance."""
    done: list[_Cuts] = []
    while len(cuts.move):
        move, begin, end = cuts
        time = begin[:, None] + INNER * (end - begin)[:, None]
        first, last = path.command(begin), path.command(end)
        off = path.command(time) - first[:, None] - INNER[:, None] * (last - first)[:, None]
        chord = last - first
        chord /= np.maximum(np.hypot(*chord.T), 1e-9)[:, None]
        along = np.sum(off * chord[:, None], axis=-1)
        across = off[..., 1] * chord[:, None, 0] - off[..., 0] * chord[:, None, 1]
        difference = np.hypot(across, ALONG * along)
        may_cut = np.minimum(time - begin[:, None], end[:, None] - time) >= SHORTEST_S
        for place in (path.reference, path.command):
            way = [place(time) - place(one)[:, None] for one in (begin, end)]
            may_cut &= np.linalg.norm(way, axis=-1).min(axis=0) >= shortest_mm
        worst = np.where(may_cut, difference, -1.0).argmax(axis=1)
        goes_on = (difference.max(axis=1) > tolerance_mm[move]) & may_cut.any(axis=1)
        done.append(_Cuts(*(x[~goes_on] for x in cuts)))
        at = time[np.arange(len(worst)), worst][goes_on]
        cuts = _Cuts(
            np.concatenate([move[goes_on]] * 2),
            np.concatenate([begin[goes_on], at]),
            np.concatenate([at, end[goes_on]]),
        )
    return _Cuts(*(np.concatenate(x) for x in zip(*done, strict=True)))


def _too_dense(cuts: _Cuts, tolerance_mm: ndarray, most_in_1_s: int) -> ndarray:
    """Moves that may be cut less, and begin a piece in any second that has too many."""
    order = np.argsort(cuts.begin_s)
    begin_s, move = cuts.begin_s[order], cuts.move[order]
    first, behind = np.arange(len(move)), np.searchsorted(begin_s, begin_s + 1.0)
    is_full = behind - first > most_in_1_s
    opened = np.zeros(len(move) + 1, np.int64)
    np.add.at(opened, first[is_full], 1)
    np.add.at(opened, behind[is_full], -1)
    tight = np.zeros(len(tolerance_mm), np.bool_)
    tight[move[np.cumsum(opened)[:-1] > 0]] = True
    is_cut = np.bincount(move, minlength=len(tolerance_mm)) > 1
    return tight & is_cut & (tolerance_mm < LOOSEST_MM)


def _assemble(own: FileLayer, cuts: _Cuts, path: _Path) -> Pieces:
    """Pieces and untouched moves in order, with their ends and what they extrude."""
    plan, program = own.plan, own.program
    others = np.flatnonzero(~own.is_corrected)
    parent = np.concatenate([cuts.move, others])
    end_s = np.concatenate([cuts.end_s, (plan.start_s + plan.duration_s)[others]])
    order = np.lexsort((end_s, parent))
    parent, end_s = parent[order], end_s[order]
    is_first, is_last = parent != np.roll(parent, 1), parent != np.roll(parent, -1)
    is_first[0] = is_last[-1] = True
    is_piece = own.is_corrected[parent]
    nominal = sample_plan(plan, end_s - 2 * BOUNDARY_S).position_mm
    nominal[is_last] = program.end_mm[parent[is_last]]
    nominal[is_piece] = np.round(nominal[is_piece] / STEP_MM) * STEP_MM
    begin = np.where(is_first[:, None], program.start_mm[parent], np.roll(nominal, 1, axis=0))
    way = np.linalg.norm(nominal - begin, axis=1)
    share = np.where(is_first & is_last, 1.0, way / np.maximum(plan.length_mm[parent], 1e-12))
    end_mm = nominal.copy()
    correction = path.command(end_s) - path.reference(end_s)
    end_mm[is_piece, :2] += correction[is_piece]
    end_mm[is_piece] = np.round(end_mm[is_piece] / STEP_MM) * STEP_MM
    # A move that leaves X and Y alone, such as a hop, stays where the piece before it has ended.
    is_held = ~is_piece & (program.start_mm == program.end_mm)[parent, :2].all(axis=1)
    moved = np.maximum.accumulate(np.where(is_held, 0, np.arange(len(parent))))
    end_mm[:, :2], nominal[:, :2] = end_mm[moved, :2], nominal[moved, :2]
    wanted_s = np.diff(end_s, prepend=0.0) - np.where(is_first, plan.dwell_s[parent], 0.0)
    extrude_mm = program.extrude_mm[parent] * share
    line = program.line[parent]
    return Pieces(parent, line, is_piece, end_s, wanted_s, nominal, way, end_mm, extrude_mm)


def _is_short(pieces: Pieces, board: Board) -> Bool[ndarray, " P"]:
    """Whether a piece is too short for its way or its filament or, one of several, for the board.

    So may a printing move be that stays, behind a piece that ends elsewhere than the original.
    """
    length = np.linalg.norm(np.diff(pieces.end_mm, axis=0), axis=1)
    way, pushed = pieces.way_mm, np.maximum(pieces.extrude_mm, 0.0)
    least = np.maximum(LEAST_SHARE * way, pushed / board.most_e_per_mm)
    same = np.diff(pieces.line) == 0
    is_part = pieces.is_piece & (np.append(same, False) | np.append(False, same))
    least = np.where(is_part, np.maximum(least, board.shortest_mm), least)
    can_be = pieces.is_piece | ((pushed > 0.0) & (way > 0.0))
    return can_be & np.concatenate([[False], length < np.minimum(least, way)[1:]])


def _without_slivers(pieces: Pieces, board: Board) -> Pieces:
    """Joins pieces that have become too short with a neighbour of the same line.

    The line's own end stays: what goes is the end of the first of both.
    """
    while True:
        same = (np.diff(pieces.line) == 0) & pieces.is_piece[1:] & pieces.is_piece[:-1]
        short = np.flatnonzero(_is_short(pieces, board))
        has_next, has_last = np.append(same, False)[short], np.append(False, same)[short]
        gone = np.where(has_next, short, short - 1)[has_next | has_last]
        if not len(gone):
            return pieces
        gone = gone[np.diff(gone, prepend=-3) > 2]  # no piece takes part in two joins at once
        pieces = _joined(pieces, gone)


def _joined(pieces: Pieces, gone: Int[ndarray, " n"]) -> Pieces:
    """These pieces become a part of those behind them."""
    columns = pieces._asdict()
    for name in ("extrude_mm", "wanted_s", "way_mm"):
        columns[name] = columns[name].copy()
        columns[name][gone + 1] += columns[name][gone]
    return Pieces(**{name: np.delete(values, gone, axis=0) for name, values in columns.items()})


def _stretched(pieces: Pieces, board: Board) -> Pieces:
    """Gives whole lines that have become too short their length again.

    Their end moves as far as their start; if that does not do, both go back to the original path.
    """
    end, nominal = pieces.end_mm.copy(), pieces.nominal_mm
    pieces = pieces._replace(end_mm=end)
    is_settled = ~pieces.is_piece
    while (short := np.flatnonzero(_is_short(pieces, board))).size:
        i = short[0]
        if not is_settled[i]:
            end[i] = end[i - 1] + nominal[i] - nominal[i - 1]
        else:
            before = np.flatnonzero(pieces.is_piece[:i])[-1]
            end[before:i, :2] = nominal[before:i, :2]
            is_settled[before] = True
            end[i] = nominal[i]
        is_settled[i] = True
    return pieces
