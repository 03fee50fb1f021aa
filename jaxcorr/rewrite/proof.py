"""The proof of a rewritten file: read again, planned, driven through the printer, and compared.

Both files are read, each layer is planned by itself, and the run's printer drives both plans. What
a printed line shows is judged where a chosen feature prints: the distance of the head from the
original path (contour), and from the place on it that has as much filament behind it (tracking).
Filament is what tells which place of the rewritten path belongs to which of the original, so that
the proof needs the two files alone. Both are driven as their firmware plans them, from step to step
where the printer's steps are known (steps.py); what is judged against is the path in the file.
"""

import hashlib
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from jaxcorr.compensation.baselines import shaped_motion
from jaxcorr.compensation.judge import TINY_MM, UM, deviation
from jaxcorr.printer import drive
from jaxcorr.printer.gcode import Program
from jaxcorr.printer.motion_limits import LIMIT_COMMANDS
from jaxcorr.printer.planner import Plan, plan_program, sample_plan
from jaxcorr.printer_spec import Simulation
from jaxcorr.rewrite.dialect import Board
from jaxcorr.rewrite.selection import FileLayer, Selection, file_layer, layer_program
from jaxcorr.rewrite.source import MARKER, open_lines
from jaxcorr.rewrite.steps import Planned, planned

LAYERS_AT_ONCE = 8
SEED = 7_000_004  # of jitter and floor, the same for both files


class Judged(NamedTuple):
    """What a layer's chosen features look like; um."""

    num_samples: int
    contour_um: float
    contour_max_um: float
    rms_um: float  # tracking


class LayerProof(NamedTuple):
    """A layer of both files, original first."""

    layer: int  # from 1
    before: Judged
    after: Judged
    time_s: tuple[float, float]
    extruded_mm: tuple[float, float]
    correction_um: float  # largest
    num_pieces: int
    pieces_per_s: float  # of the rewritten moves' time
    busiest_per_s: float  # in any second, wherever it begins
    shortest_mm: tuple[float, float]  # of corrected moves, and of the pieces they became
    most_e_per_mm: tuple[float, float]
    shaped: Judged | None = None  # the original, with the firmware's input shaper on

    @property
    def gains(self) -> bool:
        """Whether the contour is better than before."""
        return self.after.contour_um < self.before.contour_um

    def is_too_thick(self, most_e_per_mm: float) -> bool:
        """Whether a line has more filament a millimetre than that, and than the original's have."""
        before, after = self.most_e_per_mm
        return after > max(most_e_per_mm, 1.001 * before)


def prove_layers(
    program: Program,
    selection: Selection,
    rewritten: Program,
    printer: Simulation,
    board: Board,
    shaper: str | None = None,
) -> Iterator[LayerProof]:
    """Compares the chosen layers of two files, in order.

    Args:
        program: the original.
        selection: of it.
        rewritten: as it was read again.
        printer: that drives both.
        board: of their firmware.
        shaper: one of shapers.KINDS, tuned to the printer, with which the original is driven too.
    """
    numbers = selection.layers
    for first in range(0, len(numbers), LAYERS_AT_ONCE):
        group = [file_layer(program, selection, n) for n in numbers[first : first + LAYERS_AT_ONCE]]
        again = [layer_program(rewritten, own.number) for own in group]
        loaded = [printer.loaded(program.filament_before_mm(own.number - 1)) for own in group]
        plans = [planned(one, board) for one in (*(own.program for own in group), *again)]
        heads = drive_plans([one.plan for one in plans], [*loaded, *loaded])
        if shaper is not None:
            heads += drive_plans([one.plan for one in plans[: len(group)]], loaded, shaper)
        for i, own in enumerate(group):
            of_layer = slice(i, None, len(group))
            yield _compare(own, plan_program(again[i]), plans[of_layer], heads[of_layer])


def pool(layers: Sequence[LayerProof]) -> LayerProof:
    """Several layers as if they were one, layer 0; each counts by its number of samples."""

    def both(name: str, of_fn: Callable[[Iterable[float]], float]) -> tuple[float, float]:
        before, after = zip(*(getattr(one, name) for one in layers), strict=True)
        return of_fn(before), of_fn(after)

    seconds = sum(one.num_pieces / max(one.pieces_per_s, TINY_MM) for one in layers)
    num_pieces = sum(one.num_pieces for one in layers)
    by_shaper = [one.shaped for one in layers if one.shaped is not None]
    return LayerProof(
        layer=0,
        before=_pooled([one.before for one in layers]),
        after=_pooled([one.after for one in layers]),
        time_s=both("time_s", math.fsum),
        extruded_mm=both("extruded_mm", math.fsum),
        correction_um=max(one.correction_um for one in layers),
        num_pieces=num_pieces,
        pieces_per_s=num_pieces / max(seconds, TINY_MM),
        busiest_per_s=max(one.busiest_per_s for one in layers),
        shortest_mm=both("shortest_mm", min),
        most_e_per_mm=both("most_e_per_mm", max),
        shaped=_pooled(by_shaper) if by_shaper else None,
    )


def _pooled(layers: Sequence[Judged]) -> Judged:
    num_samples = sum(one.num_samples for one in layers)

    def rms(name: str) -> float:
        squares = math.fsum(one.num_samples * getattr(one, name) ** 2 for one in layers)
        return math.sqrt(squares / max(num_samples, 1))

    largest = max(one.contour_max_um for one in layers)
    return Judged(num_samples, rms("contour_um"), largest, rms("rms_um"))


class Head(NamedTuple):
    """Where the head was. Axis: n instants."""

    time_s: Float[ndarray, " n"]
    position_mm: Float[ndarray, "n 2"]


def drive_plans(
    plans: Sequence[Plan], printers: Sequence[Simulation], shaper: str | None = None
) -> list[Head]:
    """Drives plans side by side, each on its printer, which differ in their loads alone.

    Args:
        plans: at most twice LAYERS_AT_ONCE.
        printers: one for each plan.
        shaper: one of shapers.KINDS, tuned to the printer; None for the plans as they are.
    """
    printer, rate_hz = printers[0], printers[0].plant_rate_hz
    time_s = drive.instants(max(plan.total_s for plan in plans), rate_hz)

    def motion(plan: Plan, one: Simulation) -> drive.MotionFn:
        def at(rows: Int[ndarray, " t"]) -> tuple[ndarray, ndarray]:
            if shaper is not None:
                return shaped_motion(plan, shaper, one, time_s[rows])
            sampled = sample_plan(plan, time_s[rows])
            return sampled.position_mm[:, :2], sampled.velocity_mm_s[:, :2]

        return at

    # Always as many, the others at rest, so that one compiled function does for all.
    more = 2 * LAYERS_AT_ONCE - len(plans)
    motions = [*map(motion, plans, printers), *[_rest] * more]
    every, printers = round(rate_hz / drive.JUDGE_RATE_HZ), [*printers, *[printer] * more]
    actual = drive.follow(motions, printers, printer, rate_hz, len(time_s), SEED)
    judged_s = time_s[every::every]
    kept = [(judged_s >= 0.0) & (judged_s <= plan.total_s) for plan in plans]
    return [Head(judged_s[rows], actual[rows, i]) for i, rows in enumerate(kept)]


def _rest(rows: Int[ndarray, " t"]) -> tuple[ndarray, ndarray]:
    return np.zeros((len(rows), 2)), np.zeros((len(rows), 2))


class Places(NamedTuple):
    """Instants of a plan that print a chosen feature, and where they are on the original path.

    Axis: n instants of those asked about.
    """

    is_judged: Bool[ndarray, " n"]
    nominal_mm: Float[ndarray, "n 2"]
    original_s: Float[ndarray, " n"]  # of the original plan, increasing


def find_places(own: FileLayer, planned: Planned, time_s: Float[ndarray, " n"]) -> Places:
    """Where the instants of a plan are on the original path, by the filament behind them."""
    original, (plan, printed, is_printing) = own.plan, planned
    at = sample_plan(plan, time_s)
    share = np.linalg.norm(at.position_mm - plan.start_mm[at.move], axis=1)
    share = np.clip(share / np.maximum(plan.length_mm[at.move], TINY_MM), 0.0, 1.0)
    pushed = np.cumsum(printed)[at.move] - printed[at.move] * (1.0 - share)
    of_original = _printed(original)
    moves = np.flatnonzero(of_original)
    behind = np.cumsum(of_original[moves])
    place = np.minimum(np.searchsorted(behind, pushed), len(moves) - 1)
    move = moves[place]
    part = np.clip(1.0 - (behind[place] - pushed) / of_original[move], 0.0, 1.0)
    way = original.end_mm[move] - original.start_mm[move]
    nominal = original.start_mm[move] + part[:, None] * way
    moving_s = original.duration_s[move] - original.dwell_s[move]
    when = original.start_s[move] + original.dwell_s[move] + part * moving_s
    is_judged = own.is_judged[move] & is_printing[at.move]
    return Places(is_judged, nominal[:, :2], np.maximum.accumulate(when))


def _printed(plan: Plan) -> ndarray:
    """Filament of each move that prints along X and Y."""
    is_moving = (plan.direction[:, :2] != 0.0).any(axis=1)
    return np.where(is_moving & (plan.extrude_mm > 0.0), plan.extrude_mm, 0.0)


def judge(own: FileLayer, places: Places, head: Head) -> Judged:
    """Judges a head where chosen features print."""
    kept = places.is_judged
    position = head.position_mm[kept]
    aside = contour_mm(own, places, head)
    apart = np.linalg.norm(position - places.nominal_mm[kept], axis=-1)
    if not len(aside):
        return Judged(0, 0.0, 0.0, 0.0)
    rms = [UM * float(np.sqrt(np.mean(values**2))) for values in (aside, apart)]
    return Judged(len(aside), rms[0], UM * float(aside.max()), rms[1])


def contour_mm(own: FileLayer, places: Places, head: Head) -> Float[ndarray, " n"]:
    """Distance from the original path where chosen features print."""
    kept = places.is_judged
    nearest = deviation(own.plan, places.original_s[kept], head.position_mm[kept])
    return np.linalg.norm(nearest, axis=-1)


def _compare(
    own: FileLayer, written: Plan, plans: Sequence[Planned], heads: Sequence[Head]
) -> LayerProof:
    """Compares a layer.

    Args:
        own: the layer of the original.
        written: its rewritten form, as the lines have it.
        plans: how the firmware plans both.
        heads: that followed these, and the one that was shaped, if any.
    """
    (first, second), (before, after, *more) = plans, heads
    places, plan = find_places(own, second, after.time_s), second.plan
    was, *by_shaper = (
        judge(own, find_places(own, first, head.time_s), head) for head in (before, *more)
    )
    path = sample_plan(plan, after.time_s).position_mm[:, :2]
    shift = np.linalg.norm(path - places.nominal_mm, axis=1)[places.is_judged]
    pieces = _pieces(own, written)
    seconds, begin_s = written.duration_s[pieces], written.start_s[pieces]
    in_1_s = np.searchsorted(begin_s, begin_s + 1.0) - np.arange(len(pieces))
    return LayerProof(
        layer=own.number,
        before=was,
        after=judge(own, places, after),
        time_s=(first.plan.total_s, plan.total_s),
        extruded_mm=(float(own.plan.extrude_mm.sum()), float(written.extrude_mm.sum())),
        correction_um=UM * float(shift.max(initial=0.0)),
        num_pieces=len(pieces),
        pieces_per_s=len(pieces) / max(float(seconds.sum()), TINY_MM),
        busiest_per_s=float(in_1_s.max(initial=0)),
        shortest_mm=(_shortest(own.plan, own.is_corrected), _shortest(written, pieces)),
        most_e_per_mm=(_thickest(own.plan), _thickest(written)),
        shaped=by_shaper[0] if by_shaper else None,
    )


def _pieces(own: FileLayer, plan: Plan) -> ndarray:
    """Moves of a rewritten plan that the original does not have: they end elsewhere."""
    known = {tuple(row) for row in np.column_stack([own.plan.end_mm, own.plan.extrude_mm]).tolist()}
    rows = np.column_stack([plan.end_mm, plan.extrude_mm]).tolist()
    is_new = np.array([tuple(row) not in known for row in rows], np.bool_)
    return np.flatnonzero(is_new & (plan.direction[:, :2] != 0.0).any(axis=1))


def _shortest(plan: Plan, moves: ndarray) -> float:
    return float(plan.length_mm[moves].min(initial=np.inf))


def _thickest(plan: Plan) -> float:
    """The most filament that a millimetre of way gets."""
    printed = _printed(plan)
    return float((printed / np.maximum(plan.length_mm, TINY_MM)).max(initial=0.0))


def digest(path: Path) -> str:
    """A hash of all lines that neither move the head nor set limits, nor are the marker."""
    found = hashlib.sha256()
    with open_lines(path) as stream:
        for line in stream:
            word = line.lstrip().split(maxsplit=1)[:1]
            name = word[0].upper() if word else ""
            is_move = name[:1] == "G" and name[1:].lstrip("0") in ("", "1", "2", "3")
            if not (is_move or name in LIMIT_COMMANDS or line.startswith(MARKER)):
                found.update(line.encode("utf-8", "surrogateescape"))
    return found.hexdigest()
