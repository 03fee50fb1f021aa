"""The commands that plan and simulate G-code: `plan` and `simulate`."""

import json
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jaxcorr.cli.options import JsonOption, PartArgument, complete_part
from jaxcorr.cli.printer_options import given_simulation

if TYPE_CHECKING:
    from jaxcorr.data.collect import Collected
    from jaxcorr.printer.planner import PlanOptions
    from jaxcorr.spec import Simulation


Accel = Annotated[
    float | None, typer.Option("--accel-mm-s2", help="Acceleration in place of the file's.")
]
Velocity = Annotated[
    float | None, typer.Option("--velocity-mm-s", help="Feedrate in place of the file's.")
]
JunctionDeviation = Annotated[
    float | None, typer.Option("--junction-deviation-mm", help="Corner by junction deviation.")
]
SquareCorner = Annotated[
    float | None, typer.Option("--square-corner-velocity-mm-s", help="Corner speed at 90 degrees.")
]
ClassicJerk = Annotated[
    float | None, typer.Option("--classic-jerk-mm-s", help="Corner by classic jerk, x and y.")
]


def plan(
    part: PartArgument,
    layer: Annotated[int | None, typer.Option(help="One layer alone, counted from 1.")] = None,
    junction_deviation_mm: JunctionDeviation = None,
    square_corner_velocity_mm_s: SquareCorner = None,
    classic_jerk_mm_s: ClassicJerk = None,
    accel_mm_s2: Accel = None,
    velocity_mm_s: Velocity = None,
    as_json: JsonOption = False,
) -> None:
    """Plans G-code as the printer's firmware does and prints how long it takes."""
    from jaxcorr.cli import console
    from jaxcorr.data import parts
    from jaxcorr.printer import gcode, planner

    path, note = parts.find_part(part)
    options = planner.PlanOptions(
        junction_deviation_mm,
        square_corner_velocity_mm_s,
        classic_jerk_mm_s,
        accel_mm_s2,
        velocity_mm_s,
    )
    program = gcode.read(path)
    if layer is None:
        made = planner.plan_program(program, options)
        layers = made.layer_times_s(program.num_layers).tolist()
    else:
        parts.select_layers(layer, program.num_layers)
        made = planner.plan_layer(program, layer - 1, options)
        layers = [made.total_s]
    result = {
        "total_s": made.total_s,
        "layers": layers,
        "num_moves": made.num_moves,
        "peak_velocity_mm_s": made.peak_velocity_mm_s,
        "unknown_commands": program.unknown_commands,
    }
    if as_json:
        print(json.dumps(result))
        return
    console.err.print(note, markup=False)
    _show_plan(result, first_layer=layer or 1)


def simulate(
    context: typer.Context,
    parts: Annotated[
        list[str],
        typer.Argument(help="G-code files, or bundled parts.", autocompletion=complete_part),
    ],
    layers: Annotated[str, typer.Option(help="sampled:N, all, a number or 3,7,12.")] = "sampled:5",
    out: Annotated[
        Path, typer.Option(help="Where data_simulation_<part>_<layers>/ goes.")
    ] = Path(),
    junction_deviation_mm: JunctionDeviation = None,
    square_corner_velocity_mm_s: SquareCorner = None,
    classic_jerk_mm_s: ClassicJerk = None,
    accel_mm_s2: Accel = None,
    velocity_mm_s: Velocity = None,
    plot: Annotated[Path | None, typer.Option(help="Draw the first layer into this file.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Makes traces from G-code: firmware plan, elastic axes, error by source, .mat files."""
    from jaxcorr.data.parts import find_part

    for name in parts:
        find_part(name)
    options = given_simulation(context)
    from jaxcorr.printer.planner import PlanOptions

    plan_options = PlanOptions(
        junction_deviation_mm,
        square_corner_velocity_mm_s,
        classic_jerk_mm_s,
        accel_mm_s2,
        velocity_mm_s,
    )
    _collect(parts, layers, options, plan_options, out, plot, as_json)


def _collect(
    parts: list[str],
    layers: str,
    options: "Simulation",
    plan_options: "PlanOptions",
    out: Path,
    plot: Path | None,
    as_json: bool,
) -> None:
    from jaxcorr.cli import console
    from jaxcorr.data import collect, inspection, trace
    from jaxcorr.data.parts import find_part, part_name

    began, files = time.perf_counter(), []
    for name in dict.fromkeys(parts):
        path, note = find_part(name)
        console.err.print(note, markup=False)
        part = part_name(name)
        made = collect.collect(part, path, layers, options, out, plan_options)
        files += console.follow_collection(made, part)
    problems = collect.judge_files(files)
    seconds = time.perf_counter() - began
    if plot is not None:
        inspection.draw_trace(trace.read(files[0].path), plot)
    if as_json:
        rows = [file._asdict() | {"path": str(file.path)} for file in files]
        print(json.dumps({"files": rows, "seconds": seconds, "problems": problems}))
    else:
        _show_collection(files, seconds, problems)
        if plot is not None:
            console.out.print(f"drawn: {plot}", markup=False)
    if problems:
        raise typer.Exit(1)


def _show_plan(result: dict[str, Any], first_layer: int) -> None:
    """Prints the planned times: in all, and of each layer."""
    from rich.markup import escape

    from jaxcorr.cli import console

    rows = [[str(first_layer + i), f"{s:.2f}"] for i, s in enumerate(result["layers"])]
    console.out.print(console.table("", ("layer", "s"), rows))
    console.out.print(
        f"[bold]{result['total_s']:.3f} s[/bold] ({_clock(result['total_s'])}) for "
        f"{result['num_moves']:,} moves, peak velocity {result['peak_velocity_mm_s']:.1f} mm/s"
    )
    if result["unknown_commands"]:
        listed = ", ".join(f"{name} ({n})" for name, n in result["unknown_commands"].items())
        console.out.print(f"unknown commands, passed over: {escape(listed)}")


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60} h {minutes % 60:02d} min {rest:02d} s"


def _show_collection(files: "Sequence[Collected]", seconds: float, problems: Sequence[str]) -> None:
    """Prints a row a folder: layers, samples, RMS by source; then the verdict."""
    from rich.markup import escape

    from jaxcorr.cli import console

    folders: dict[Path, list[Collected]] = {}
    for file in files:
        folders.setdefault(file.path.parent, []).append(file)
    sources = list(files[0].rms_um) if files else []
    rows = [
        [
            escape(str(folder)),
            str(len(members)),
            f"{sum(m.num_samples for m in members):,}",
            *(f"{_joint_rms(members, source):.1f}" for source in sources),
        ]
        for folder, members in folders.items()
    ]
    console.out.print(
        console.table("RMS in um, by source", ("folder", "layers", "samples", *sources), rows)
    )
    total = sum(file.num_samples for file in files)
    console.out.print(f"{len(files)} layers, {total:,} samples, {seconds:.1f} s")
    for problem in problems:
        console.out.print(f"[red]{escape(problem)}[/red]")
    verdict = f"{len(problems)} problems" if problems else "fit to train on"
    console.out.print(f"[bold]data quality: {verdict}[/bold]")


def _joint_rms(files: "Sequence[Collected]", source: str) -> float:
    """RMS over the samples of several files."""
    power = sum(file.num_samples * file.rms_um[source] ** 2 for file in files)
    return math.sqrt(power / sum(file.num_samples for file in files))
