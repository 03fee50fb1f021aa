"""A figure of the layer with the largest contour error, as both files print it."""

from pathlib import Path

import numpy as np

from jaxcorr import plotting
from jaxcorr.printer import gcode
from jaxcorr.printer_spec import Simulation
from jaxcorr.rewrite import dialect, proof
from jaxcorr.rewrite.rewriting import Original, Proved
from jaxcorr.rewrite.selection import file_layer, layer_program
from jaxcorr.rewrite.steps import planned


def draw_worst(
    original: Original, rewritten: Path, printer: Simulation, proved: Proved, path: Path
) -> None:
    """Draws the chosen features of a layer, the colour their contour error, before and after.

    Args:
        original: the file.
        rewritten: plain text.
        printer: whose axes are driven.
        proved: of both; its layer with the largest error before is drawn.
        path: .png, .svg or .pdf, in a folder that exists.
    """
    worst = max(proved.layers, key=lambda one: one.before.contour_um)
    own = file_layer(original.program, original.selection, worst.layer)
    again = gcode.read(rewritten, original.program.firmware, printer)
    board = dialect.board_of(original.program, printer)
    programs = own.program, layer_program(again, worst.layer)
    plans = [planned(one, board) for one in programs]
    loaded = printer.loaded(original.program.filament_before_mm(worst.layer - 1))
    heads = proof.drive_plans([one.plan for one in plans], [loaded, loaded])
    with plotting.style():
        figure, axes = plotting.new_figure(1, 2, 3.2, squeeze=False)
        figure.set_size_inches(2.0 * plotting.COLUMN_IN, 3.2)
        dots, top_um = None, 0.0
        named = zip(("as sliced", "corrected"), (worst.before, worst.after), strict=True)
        for axis, one, head, (name, judged) in zip(axes[0], plans, heads, named, strict=True):
            places = proof.find_places(own, one, head.time_s)
            aside_um = 1e3 * proof.contour_mm(own, places, head)
            top_um = top_um or float(np.percentile(aside_um, 99.0))
            look = {"s": 0.6, "lw": 0, "cmap": "viridis", "vmin": 0, "vmax": top_um}
            position = head.position_mm[places.is_judged]
            dots = axis.scatter(*position.T, c=aside_um, rasterized=True, **look)
            axis.set_title(f"layer {worst.layer} {name}: contour {judged.contour_um:.1f} µm")
            axis.set(xlabel="x / mm", ylabel="y / mm")
            axis.set_aspect("equal", adjustable="datalim")
        figure.colorbar(dots, ax=axes[0], label="distance from the path / µm", aspect=15)
        plotting.save(figure, path)
