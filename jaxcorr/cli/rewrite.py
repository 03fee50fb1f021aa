"""The command `rewrite`: a file of G-code corrected for the printer of a run, or checked again.

Heavy modules load inside the command, after what is cheap to refuse.
"""

import contextlib
import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jaxcorr.cli.options import (
    FirmwareOption,
    JsonOption,
    JudgedPrinterOption,
    RunArgument,
    RunsOption,
)

if TYPE_CHECKING:
    from rich.progress import TaskID

    from jaxcorr.rewrite.proof import LayerProof
    from jaxcorr.rewrite.rewriting import FollowFn, Proved
    from jaxcorr.rewrite.solve import Solver
    from jaxcorr.training.run_folder import Run

OUTPUT_NAME = "SLIC3R_PP_OUTPUT_NAME"  # PrusaSlicer and its kin set it for their scripts
MOST_ROWS = 30
COLUMNS = (
    "layer", "contour um", "max um", "RMS um", "time s", "correction um", "E off %", "pieces/s",
    "shortest mm", "E/mm",
)  # fmt: skip


def rewrite(
    run: RunArgument,
    file: Annotated[
        Path | None, typer.Argument(help="G-code as the slicer writes it.", show_default=False)
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The corrected file.")] = None,
    in_place: Annotated[
        bool, typer.Option("--in-place", help="Replace FILE, as a slicer's script does.")
    ] = False,
    check: Annotated[
        Path | None, typer.Option(help="Repeat the proof of a corrected file; write nothing.")
    ] = None,
    features: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="What is corrected: all, or such as top_surface; repeat the option.",
        ),
    ] = None,
    layers: Annotated[str, typer.Option(help="all, sampled:N, a number or 3,7,12.")] = "all",
    accel_mm_s2: Annotated[
        float | None, typer.Option("--accel-mm-s2", help="Acceleration in place of the file's.")
    ] = None,
    pieces_per_s: Annotated[
        int | None,
        typer.Option(
            "--pieces-per-s", min=20, max=1000, help="Most moves that the board takes in a second."
        ),
    ] = None,
    shaper_only: Annotated[
        str | None,
        typer.Option(
            "--shaper-only", metavar="zv|mzv|ei", help="Set the firmware's shaper, and no more."
        ),
    ] = None,
    cura_script: Annotated[
        Path | None,
        typer.Option(
            "--cura-script",
            metavar="FOLDER",
            help="Write a script into Cura's folder of scripts, and no more.",
        ),
    ] = None,
    against_shaper: Annotated[
        str | None,
        typer.Option(
            "--against-shaper",
            metavar="zv|mzv|ei",
            help="Prove the original with a tuned shaper in the firmware, too.",
        ),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Draw the worst layer before and after into this file.")
    ] = None,
    firmware: FirmwareOption = None,
    printer: JudgedPrinterOption = None,
    runs: RunsOption = Path("runs"),
    as_json: JsonOption = False,
) -> None:
    """Corrects a G-code file for a run's printer, and proves what is written."""
    from jaxcorr import plotting
    from jaxcorr.cli import console
    from jaxcorr.errors import InputError
    from jaxcorr.identify import shapers
    from jaxcorr.rewrite import packing, selection, source
    from jaxcorr.spec import printer_of
    from jaxcorr.training import run_folder

    if cura_script is not None:
        written = _write_cura_script(run_folder.find(run, runs), cura_script)
        console.out.print(f"written: {written}", markup=False)
        return
    if file is None:
        raise InputError("rewrite: expected a G-code file, got none. Name it behind the run.")
    if check is not None and (out is not None or in_place):
        raise InputError("rewrite --check: expected nothing to write, got --out. Leave it out.")
    target = check or _target(file, out, in_place)
    if plot is not None:
        plotting.check_paths(plot)
    found = run_folder.find(run, runs)
    judged = printer_of(found.spec(), printer)
    names = tuple(features) if features else selection.WALLS
    for kind in (shaper_only, against_shaper):
        if kind is not None and kind not in shapers.KINDS:
            raise InputError(
                f"rewrite: expected a shaper of {', '.join(shapers.KINDS)}, got '{kind}'. Choose "
                "one of them."
            )
    with packing.opened(file) as text, _progress() as follow:
        source.survey(text, file.name)  # a slicer waits for what is refused
        from jaxcorr.rewrite import rewriting

        options = rewriting.Options(names, layers, accel_mm_s2, firmware, against_shaper)
        if pieces_per_s is not None:
            options = options._replace(pieces_per_s=pieces_per_s)
        if shaper_only is not None:
            with packing.packed(file, text, target) as made:
                rewriting.set_shapers(text, judged, options, made, shaper_only, found.id)
            console.out.print(f"written: {target}", markup=False)
            return
        original = rewriting.read(text, judged, options)
        if check is not None:
            with packing.opened(check) as made:
                proved = rewriting.prove(original, made, judged, follow)
                rewriting.check(original, made, proved)
        else:
            mark = f"{found.id}, {', '.join(names)}, layers {layers}"
            solver = _solver(found)
            with packing.packed(file, text, target) as made:
                proved = rewriting.rewrite(original, solver, judged, made, mark, follow)
        if plot is not None:
            from jaxcorr.rewrite import figures

            with packing.opened(target) as made:
                figures.draw_worst(original, made, judged, proved, plot)
    if as_json:
        print(json.dumps(as_table(proved)))
        return
    show(proved)
    console.out.print(f"{'checked' if check else 'written'}: {target}", markup=False)


def _target(file: Path, out: Path | None, in_place: bool) -> Path:
    """Where the corrected file goes.

    A slicer's post-processing script is called with one path, whose file it replaces.
    """
    from jaxcorr.errors import InputError

    if out is not None and not in_place:
        return out
    if out is None and (in_place or OUTPUT_NAME in os.environ):
        return file
    got = "both" if out is not None else "neither"
    raise InputError(
        f"rewrite: expected --out FILE or --in-place, got {got}. Name the corrected file."
    )


def _write_cura_script(found: "Run", folder: Path) -> Path:
    """Writes the script with which Cura calls this command for a run."""
    from jaxcorr import files
    from jaxcorr.errors import InputError

    if not folder.is_dir():
        raise InputError(
            f"--cura-script: expected the folder 'scripts' of Cura's configuration, got {folder}. "
            "Cura shows it under Help > Show Configuration Folder."
        )
    command = [sys.executable, "-m", "jaxcorr", "rewrite", str(found.path.resolve())]
    path = folder / "JaxcorrRewrite.py"
    with files.write_whole(path) as partial:
        text = files.render(f"{path.name}.j2", command=command)
        partial.write_text(text, encoding="utf-8")
    return path


def _solver(found: "Run") -> "Solver":
    from jaxcorr.compensation import gate, methods
    from jaxcorr.rewrite.solve import Solver
    from jaxcorr.training import restore

    loaded = restore.load_weights(found)
    return Solver(methods.load_map(loaded), gate.gate_of(loaded))


@contextlib.contextmanager
def _progress() -> "Iterator[FollowFn]":
    """Shows which layers are done, on a terminal."""
    from jaxcorr.cli import console

    with console.counting_bar() as bar:
        tasks: dict[str, TaskID] = {}

        def follow(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(f"{what} layers", total=total)
            bar.update(tasks[what], completed=done, total=total)

        yield follow


def as_table(proved: "Proved") -> dict[str, Any]:
    """The proof as JSON has it: a row for each layer, and all of them together."""
    rows = [_as_row(one) | {"is_left": one.layer in proved.left} for one in proved.layers]
    return {"layers": rows, "all": _as_row(proved.summary), "time_s": proved.time_s}


def _as_row(one: "LayerProof") -> dict[str, Any]:
    return one._asdict() | {
        name: judged._asdict()
        for name in ("before", "after", "shaped")
        if (judged := getattr(one, name)) is not None
    }


def show(proved: "Proved") -> None:
    """Prints a row for each layer, up to a screenful, and one for all."""
    from jaxcorr.cli import console

    shown = proved.layers
    if len(shown) > MOST_ROWS:
        every = -(-len(shown) // MOST_ROWS)
        shown = shown[::every]
    rows = [_row(str(one.layer), one) for one in shown]
    rows.append(_row("all", proved.summary))
    is_shaped = proved.summary.shaped is not None
    columns = (*COLUMNS, "shaped um") if is_shaped else COLUMNS
    console.out.print(console.table("before > after", columns, rows))
    before_s, after_s = proved.time_s
    console.out.print(
        f"print time {before_s:.0f} > {after_s:.0f} s ({100 * (after_s / before_s - 1):+.2f}%)",
        markup=False,
    )
    if proved.left:
        left = ", ".join(map(str, proved.left))
        why = "nothing to gain, or lines too thick"
        console.out.print(f"{why}, left as they were: layers {left}", markup=False)


def _row(name: str, one: "LayerProof") -> Sequence[str]:
    before, after = one.before, one.after
    off = abs(one.extruded_mm[1] / one.extruded_mm[0] - 1.0) if one.extruded_mm[0] else 0.0
    return (
        name,
        f"{before.contour_um:.1f} > {after.contour_um:.1f}",
        f"{before.contour_max_um:.0f} > {after.contour_max_um:.0f}",
        f"{before.rms_um:.1f} > {after.rms_um:.1f}",
        f"{one.time_s[0]:.1f} > {one.time_s[1]:.1f}",
        f"{one.correction_um:.0f}",
        f"{100 * off:.4f}",
        f"{one.busiest_per_s:.0f}",
        f"{one.shortest_mm[0]:.3f} > {one.shortest_mm[1]:.3f}",
        f"{one.most_e_per_mm[0]:.3f} > {one.most_e_per_mm[1]:.3f}",
        *(() if one.shaped is None else (f"{one.shaped.contour_um:.1f}",)),
    )
