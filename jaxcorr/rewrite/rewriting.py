"""A file of G-code rewritten: read, solved layer by layer, written, proved, and given its name.

Layers that the proof finds no better, or too thick, go back to what they were, and the proof begins
again. The result takes its name only when it is proved; until then it is a temporary file beside
it.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from jaxcorr import files
from jaxcorr.errors import InputError
from jaxcorr.printer import drive, gcode
from jaxcorr.printer.gcode import Program
from jaxcorr.printer.planner import total_s
from jaxcorr.printer_spec import Simulation
from jaxcorr.rewrite import dialect, pieces, proof, selection, shaper_lines, source, speeds, writer
from jaxcorr.rewrite.dialect import Board, Dialect
from jaxcorr.rewrite.pieces import Pieces
from jaxcorr.rewrite.proof import LayerProof
from jaxcorr.rewrite.selection import Selection
from jaxcorr.rewrite.solve import LANES, Solver
from jaxcorr.rewrite.speeds import Refined
from jaxcorr.rewrite.steps import stepped
from jaxcorr.rewrite.writer import Edits

MOST_EXTRUSION_OFF = 1e-4  # share of a layer's filament

FollowFn = Callable[[str, int, int], None]  # what is done, how many of how many


class Options(NamedTuple):
    """What is corrected, and how.

    Attributes:
        features: see `selection.choose`.
        layers: a selection.
        accel_mm_s2: of printing and travel in place of the file's; None leaves it.
        firmware: one of motion_limits.FIRMWARES; None to go by the printer, or the file.
        against_shaper: one of shapers.KINDS, with which the proof compares too.
        pieces_per_s: that the board takes, at most.
    """

    features: tuple[str, ...] = selection.WALLS
    layers: str = "all"
    accel_mm_s2: float | None = None
    firmware: str | None = None
    against_shaper: str | None = None
    pieces_per_s: int = dialect.MOST_IN_1_S


class Original(NamedTuple):
    """A file that can be rewritten."""

    path: Path
    program: Program  # with the limits that are wanted
    selection: Selection
    dialect: Dialect
    board: Board
    is_overridden: bool  # the limits are not those of the file
    against_shaper: str | None


class Proved(NamedTuple):
    """A rewritten file and its original."""

    layers: tuple[LayerProof, ...]
    left: tuple[int, ...]  # layers that had nothing to gain or became too thick; as they were
    time_s: tuple[float, float]  # of the whole print

    @property
    def summary(self) -> LayerProof:
        """All layers as one."""
        return proof.pool(self.layers)


def read(path: Path, printer: Simulation, options: Options) -> Original:
    """Reads a file, and chooses what is corrected.

    Raises:
        InputError: it cannot be rewritten, see `source.survey` and `selection.choose`.
    """
    surveyed = source.survey(path, path.name)
    program = gcode.read(path, options.firmware, printer)
    spoken = dialect.dialect_of(program, printer)
    if options.accel_mm_s2 is not None:
        wanted = [dialect.with_accel(own, options.accel_mm_s2) for own in program.limits]
        program = replace(program, limits=tuple(wanted))
        accels = {"print_accel_mm_s2", "travel_accel_mm_s2", "max_accel_mm_s2"}
        spoken = spoken._replace(known=spoken.known | accels)
    board = dialect.board_of(program, printer, options.pieces_per_s)
    most = board.most_e_per_mm
    chosen = selection.choose(program, options.features, options.layers, most, surveyed.relative)
    is_overridden = options.accel_mm_s2 is not None
    return Original(path, program, chosen, spoken, board, is_overridden, options.against_shaper)


def rewrite(
    original: Original,
    solver: Solver,
    printer: Simulation,
    out: Path,
    mark: str,
    follow_fn: FollowFn,
) -> Proved:
    """Writes a corrected file, proved.

    Args:
        original: the file.
        solver: of a run.
        printer: whose axes the proof drives.
        out: the rewritten file; an earlier one is replaced.
        mark: what its marker says.
        follow_fn: is told of the progress.

    Raises:
        InputError: nothing is gained, or the proof fails; nothing is written then.
    """
    edits = _solve(original, solver, printer, follow_fn)
    with files.write_whole(out) as partial:
        _write(original, edits, partial, mark)
        proved = prove(original, partial, printer, follow_fn)
        most = original.board.most_e_per_mm
        losing = {one.layer for one in proved.layers if not one.gains or one.is_too_thick(most)}
        if losing and len(losing) < len(proved.layers):
            edits = {n: one for n, one in edits.items() if n not in losing}
            _write(original, edits, partial, mark)
            again = prove(original, partial, printer, follow_fn, tuple(sorted(losing)))
            kept = [one for one in proved.layers if one.layer not in losing]
            whole = tuple(sorted([*kept, *again.layers]))
            proved = again._replace(layers=whole, left=tuple(sorted(losing)))
        check(original, partial, proved)
    return proved


def set_shapers(
    path: Path, printer: Simulation, options: Options, out: Path, kind: str, run_id: str
) -> None:
    """Writes a file that sets the firmware's input shaper layer by layer, and is else the same.

    Args:
        path: of plain text.
        printer: whose axes are shaped.
        options: of which the firmware counts.
        out: the file to be written, whole or not at all.
        kind: one of shapers.KINDS.
        run_id: of the run, for the marker.

    Raises:
        InputError: the file was rewritten already, or its firmware has no such shaper.
    """
    source.survey(path, path.name)
    program = gcode.read(path, options.firmware, printer)
    before = shaper_lines.settings(program, printer, kind)
    marker = f"{source.MARKER}: {run_id}, shapers alone"
    with files.write_whole(out) as partial:
        source.write_lines(path, partial, lambda lines: shaper_lines.lines(lines, before, marker))


def prove(
    original: Original,
    rewritten: Path,
    printer: Simulation,
    follow_fn: FollowFn,
    layers: Sequence[int] = (),
) -> Proved:
    """Reads a rewritten file again and compares it with its original.

    Args:
        original: the file.
        rewritten: plain text.
        printer: whose axes are driven.
        follow_fn: is told of the progress.
        layers: from 1; all that are chosen where none is named.

    Raises:
        InputError: it is not a rewritten form of that file.
    """
    program = original.program
    again = gcode.read(rewritten, program.firmware, printer)
    if again.num_layers != program.num_layers:
        raise InputError(
            f"{rewritten}: expected {program.num_layers} layers as in {original.path}, got "
            f"{again.num_layers}. Name the original of this file."
        )
    chosen = original.selection
    chosen = chosen._replace(layers=tuple(layers) or chosen.layers)
    found: list[LayerProof] = []
    how = original.board, original.against_shaper
    for one in proof.prove_layers(program, chosen, again, printer, *how):
        found.append(one)
        follow_fn("proving", len(found), len(chosen.layers))
    before_s, after_s = (total_s(stepped(one, original.board).program) for one in (program, again))
    return Proved(tuple(found), (), (before_s, after_s))


def check(original: Original, rewritten: Path, proved: Proved) -> None:
    """Checks what has to hold of a rewritten file.

    Raises:
        InputError: nothing is gained, or something of it does not hold.
    """
    name = original.path.name
    if proof.digest(original.path) != proof.digest(rewritten):
        raise InputError(
            f"{rewritten.name}: expected every line of {name} that is no move, got others. "
            "Rewrite the original again."
        )
    if not any(one.gains for one in proved.layers):
        one = proved.layers[0]
        raise InputError(
            f"{name}: expected a smaller contour error, got {one.after.contour_um:.1f} um from "
            f"{one.before.contour_um:.1f} um in layer {one.layer}. Choose a run of this printer."
        )
    most = original.board.most_e_per_mm
    for one in proved.layers:
        before, after = one.extruded_mm
        if abs(after - before) > MOST_EXTRUSION_OFF * max(abs(before), 1.0):
            raise InputError(
                f"{name}: expected {before:.5f} mm of filament in layer {one.layer}, got "
                f"{after:.5f}. Please report this file."
            )
        if one.is_too_thick(most):
            raise InputError(
                f"{name}: expected at most {most:.3f} mm of filament a millimetre in layer "
                f"{one.layer}, got {one.most_e_per_mm[1]:.3f}. Leave that layer out."
            )


def _solve(
    original: Original, solver: Solver, printer: Simulation, follow_fn: FollowFn
) -> dict[int, Edits]:
    """The pieces of each chosen layer, by its number."""
    program, numbers = original.program, original.selection.layers
    raised = tuple(original.dialect.raised(limits) for limits in program.limits)
    rate_hz = solver.network.knot_rate_hz
    found: dict[int, Edits] = {}
    for first in range(0, len(numbers), LANES):
        own = [
            selection.file_layer(program, original.selection, n) for n in numbers[first:][:LANES]
        ]
        # Only one layer at a time is sampled at the plant's rate.
        for one, knots in zip(own, solver.knots([one.plan for one in own]), strict=True):
            layer = drive.make_layer(one.plan, printer.plant_rate_hz, rate_hz)
            made = pieces.cut(one, layer, drive.corrected(layer, knots, rate_hz), original.board)
            found[one.number] = _columns(made, speeds.refine(one, made, raised, original.board))
        follow_fn("solving", len(found), len(numbers))
    return found


def _columns(made: Pieces, refined: Refined) -> Edits:
    """What is written of a layer."""
    kept = made.is_piece
    feedrate = refined.feedrate_mm_s[kept]
    return Edits(made.line[kept], made.end_mm[kept], made.extrude_mm[kept], feedrate)


def _write(original: Original, corrected: dict[int, Edits], path: Path, mark: str) -> None:
    """Writes the text with these layers' pieces."""
    edits = writer.join([corrected[n] for n in sorted(corrected)])
    marker = f"{source.MARKER}: {mark}"
    made = writer.Writer(edits, original.dialect, original.program, original.is_overridden, marker)
    source.write_lines(original.path, path, made.lines)
