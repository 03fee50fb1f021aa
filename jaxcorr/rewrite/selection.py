"""Which moves of a file are corrected, and its layers as programs of their own.

A corrected move prints a chosen feature of a chosen layer, or it is a travel between such moves:
what swings when a travel ends would be seen where the wall begins. Whatever else moves the head in
the plane, infill or a wipe, stays as it is, and ends a corrected stretch. A move that leaves X and
Y alone, such as a retraction or a hop, stays too, and does not end one.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Int
from numpy import ndarray

from jaxcorr.data.parts import select_layers
from jaxcorr.errors import InputError
from jaxcorr.printer.gcode import FEATURES, Program
from jaxcorr.printer.planner import Plan, plan_program
from jaxcorr.printer.slicers import TRAVEL

WALLS = ("outer_wall", "inner_wall", "overhang_wall")
ALL = "all"
_OF_MOVES = (
    "start_mm", "end_mm", "extrude_mm", "feedrate_mm_s", "dwell_s", "layer", "feature", "line",
    "limits_index",
)  # fmt: skip


class Selection(NamedTuple):
    """What is corrected of a program. Axis: N moves."""

    layers: tuple[int, ...]  # from 1
    features: tuple[str, ...]
    is_judged: Bool[ndarray, " N"]  # prints a chosen feature of a chosen layer
    is_corrected: Bool[ndarray, " N"]  # that, and travels between them


class FileLayer(NamedTuple):
    """A layer of a file, planned from rest to rest. Axis: n moves of the layer."""

    number: int  # from 1
    program: Program
    plan: Plan
    is_judged: Bool[ndarray, " n"]
    is_corrected: Bool[ndarray, " n"]


def choose(
    program: Program,
    features: Sequence[str],
    layers: str,
    most_e_per_mm: float,
    relative: Sequence[tuple[int, int]] = (),
) -> Selection:
    """Chooses the moves to be corrected.

    Args:
        program: of the whole file.
        features: some of gcode.FEATURES, or ALL alone.
        layers: a selection, see `parts.select_layers`.
        most_e_per_mm: moves that have more filament a millimetre stay.
        relative: lines that move relatively (G91), first and behind the last; they stay.

    Raises:
        InputError: there is no such feature or layer, or no move of these.
    """
    printed = FEATURES[FEATURES.index("unknown") :]
    unknown = sorted(set(features) - {*printed, ALL})
    if unknown:
        raise InputError(
            f"--features: expected all or some of {', '.join(printed)}, got '{unknown[0]}'. "
            "Check its name."
        )
    names = printed if ALL in features else tuple(features)
    numbers = select_layers(layers, program.num_layers)
    way = program.end_mm - program.start_mm
    is_moving = (way[:, :2] != 0.0).any(axis=1)
    in_layers = np.isin(program.layer, np.array(numbers) - 1)
    for first, behind in relative:
        in_layers &= (program.line < first) | (program.line >= behind)
    of_features = np.isin(program.feature, [FEATURES.index(name) for name in names])
    is_thick = program.extrude_mm > most_e_per_mm * np.linalg.norm(way, axis=1)
    is_judged = in_layers & of_features & is_moving & (program.extrude_mm > 0.0) & ~is_thick
    if not is_judged.any() and (in_layers & of_features & is_thick).any():
        raise InputError(
            f"expected moves of {', '.join(names)} with at most {most_e_per_mm:.3f} mm of filament "
            "a millimetre, which the firmware takes, got thicker ones alone. Correct other "
            "features."
        )
    if not is_judged.any():
        found = ", ".join(FEATURES[code] for code in np.unique(program.feature[in_layers]))
        raise InputError(
            f"--features: expected a feature that these layers have, got {', '.join(names)} where "
            f"they have {found}. Choose --features all, or other layers."
        )
    is_travel = in_layers & (program.feature == TRAVEL) & is_moving & (program.extrude_mm == 0.0)
    is_corrected = is_judged | _between(is_judged, is_travel, is_moving)
    return Selection(tuple(numbers), names, is_judged, _whole_lines(is_corrected, program.line))


def file_layer(program: Program, selection: Selection, number: int) -> FileLayer:
    """One layer, by its number from 1."""
    index = program.moves_of(number - 1)
    own = take(program, index)
    judged, corrected = selection.is_judged[index], selection.is_corrected[index]
    return FileLayer(number, own, plan_program(own), judged, corrected)


def layer_program(program: Program, number: int) -> Program:
    """The moves of one layer, by its number from 1."""
    return take(program, program.moves_of(number - 1))


def take(program: Program, index: Int[ndarray, " n"], **columns: Any) -> Program:
    """The moves of a program that `index` names, with some columns replaced."""
    taken = {name: getattr(program, name)[index] for name in _OF_MOVES if name not in columns}
    return replace(program, **taken, **columns, end_dwell_s=0.0)


def _between(is_judged: ndarray, is_travel: ndarray, is_moving: ndarray) -> ndarray:
    """Travels that nothing but travels and moves on the spot separates from a chosen move."""
    reached = np.zeros(len(is_judged), np.bool_)
    others = is_moving & ~is_travel & ~is_judged
    for sides in (slice(None), slice(None, None, -1)):
        # The last chosen move and the last that ends a stretch, up to each move.
        place = np.arange(len(is_judged))
        chosen = np.maximum.accumulate(np.where(is_judged[sides], place, -1))
        ended = np.maximum.accumulate(np.where(others[sides], place, -1))
        reached[sides] |= chosen > ended
    return is_travel & reached


def _whole_lines(is_corrected: ndarray, line: ndarray) -> ndarray:
    """Without the moves of lines that are corrected in part: a line is replaced or stays."""
    mixed = np.unique(line[~is_corrected])
    return is_corrected & ~np.isin(line, mixed)
