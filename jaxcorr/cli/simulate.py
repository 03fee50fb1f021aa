"""The commands that make and explain motion: `plan` and `simulate`. Results go out."""

import json
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from jaxcorr import units
from jaxcorr.cli.options import (
    LAYERS_HELP,
    PARTS_HELP,
    FirmwareOption,
    JsonOption,
    PartArgument,
    PrinterOption,
    complete_part,
    given_simulation,
)

if TYPE_CHECKING:
    from jaxcorr.data.collect import Collected
    from jaxcorr.printer.gcode import Program
    from jaxcorr.printer.planner import Plan, PlanOptions
    from jaxcorr.printer_spec import Printer, Simulation


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
    layers: Annotated[bool, typer.Option("--layers", help="Print each layer's time.")] = False,
    firmware: FirmwareOption = None,
    printer: PrinterOption = "reference",
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
    from jaxcorr.printer_spec import Printer
    from jaxcorr.schema import check

    path, note = parts.find_part(part)
    options = planner.PlanOptions(
        junction_deviation_mm,
        square_corner_velocity_mm_s,
        classic_jerk_mm_s,
        accel_mm_s2,
        velocity_mm_s,
    )
    known = check(Printer, {"printer": printer}, "--printer")
    program = gcode.read(path, firmware, known)
    if layer is None:
        made = planner.plan_program(program, options)
        seconds = made.layer_times_s(program.num_layers).tolist()
    else:
        parts.select_layers(layer, program.num_layers)
        made = planner.plan_layer(program, layer - 1, options)
        seconds = [made.total_s]
    explained = _explain_limits(program, options, known, None if layer is None else layer - 1)
    if as_json:
        result = {
            "total_s": made.total_s,
            "layers": seconds,
            "num_moves": made.num_moves,
            "peak_velocity_mm_s": made.peak_velocity_mm_s,
            "slicer": program.slicer,
            "slicer_time_s": program.slicer_time_s,
            "firmware": program.firmware,
            "firmware_found_by": program.firmware_found_by,
            "limits": [one._asdict() for one in explained],
            "unknown_commands": program.unknown_commands,
            "passed_over": [one._asdict() for one in program.passed_over],
        }
        print(json.dumps(result))
        return
    console.err.print(note, markup=False)
    _show_plan(made, program, is_whole=layer is None)
    _show_limits(program, explained)
    if layers:
        _show_layer_times(seconds, first_layer=layer or 1)
    console.show_passed_over(program.passed_over, most=6)


def simulate(
    context: typer.Context,
    parts: Annotated[
        list[str],
        typer.Argument(help=f"G-code files, {PARTS_HELP}", autocompletion=complete_part),
    ],
    layers: Annotated[str, typer.Option(help=f"{LAYERS_HELP}.")] = "sampled:5",
    out: Annotated[Path, typer.Option(help="Where data_simulation_<part>_<layers>/ goes.")] = Path(
        "data"
    ),
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

    options = given_simulation(context)
    if plot is not None:
        from jaxcorr import plotting

        plotting.check_paths(plot)
    paths = {name: find_part(name)[0] for name in parts}
    from jaxcorr.printer import gcode

    # Before anything heavy loads, so that what is wrong in a file's first line is said at once.
    programs = {name: gcode.read(path, printer=options) for name, path in paths.items()}
    from jaxcorr.printer.planner import PlanOptions

    plan_options = PlanOptions(
        junction_deviation_mm,
        square_corner_velocity_mm_s,
        classic_jerk_mm_s,
        accel_mm_s2,
        velocity_mm_s,
    )
    _collect(programs, layers, options, plan_options, out, plot, as_json)


def _collect(
    programs: "dict[str, Program]",
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
    for name, program in programs.items():
        path, note = find_part(name)
        console.err.print(note, markup=False)
        part = part_name(name)
        made = collect.collect(part, path, layers, options, out, plan_options, program)
        files += console.follow_collection(made, part)
    problems = collect.judge_files(files, options.rate_hz)
    seconds = time.perf_counter() - began
    if plot is not None:
        inspection.draw_trace(trace.read(files[0].path), plot)
    if as_json:
        rows = [file._asdict() | {"path": str(file.path)} for file in files]
        passed_over = [one._asdict() for p in programs.values() for one in p.passed_over]
        result = {"files": rows, "seconds": seconds, "problems": problems}
        print(json.dumps(result | {"passed_over": passed_over}))
    else:
        _show_collection(files, seconds, problems)
        if plot is not None:
            console.out.print(f"drawn: {plot}", markup=False)
        for program in programs.values():
            console.show_passed_over(program.passed_over)
    if problems:
        raise typer.Exit(1)


class Explained(NamedTuple):
    """A limit, its range over a program, where that comes from, and what it slows down."""

    name: str
    in_force: str
    origin: str
    slowed: str  # "" where it binds nowhere


def _explain_limits(
    program: "Program", options: "PlanOptions", printer: "Printer", layer: int | None
) -> list[Explained]:
    """Every limit in force in a layer or all of it, in the order in which they are applied."""
    from jaxcorr.printer import planner

    cuts = planner.count_cuts(program, options, layer)
    of_axes = "x y z e"
    rows = [
        ("max_velocity_mm_s", "velocity mm/s", _moves(cuts.velocity)),
        ("max_feedrate_mm_s", f"feedrate {of_axes} mm/s", _per_axis(cuts.feedrate)),
        ("max_accel_mm_s2", f"acceleration {of_axes} mm/s2", _per_axis(cuts.accel)),
        ("print_accel_mm_s2", "acceleration printing mm/s2", ""),
        ("travel_accel_mm_s2", "acceleration travelling mm/s2", ""),
        ("retract_accel_mm_s2", "acceleration retracting mm/s2", ""),
        ("minimum_cruise_ratio", "cruise ratio", ""),
        ("classic_jerk_mm_s", f"corner by classic jerk {of_axes} mm/s", _corners(cuts.corner)),
        ("junction_deviation_mm", "corner by junction deviation mm", _corners(cuts.corner)),
        ("square_corner_velocity_mm_s", "corner at 90 degrees mm/s", _corners(cuts.corner)),
    ]
    replaced = {"accel_mm_s2": ("print_accel_mm_s2", "travel_accel_mm_s2")}
    told: dict[str, Any] = {}
    for option, value in vars(options).items():
        for field in replaced.get(option, (option,)) if value is not None else ():
            told[field] = value
    of_moves = program.limits_index[program.moves_of(layer)]
    used = [program.limits[i] for i in sorted(set(of_moves.tolist()))]
    explained = []
    for field, name, slowed in rows:
        values = [value for row in used if (value := getattr(row, field)) is not None]
        is_corner = name.startswith("corner")
        if field in told:
            explained.append(Explained(name, f"{told[field]:g}", "option", slowed))
        elif values and not (is_corner and options.scheme):
            in_force = _range(values)
            if in_force not in ("unlimited", "0"):
                line = program.limits_set_in_line.get(field)
                start = f"printer {printer.printer}" if field in printer.limits.given else ""
                start = start or f"default of {program.firmware}"
                origin = f"file, line {line}" if line else start
                explained.append(Explained(name, in_force, origin, slowed))
    return explained


def _range(values: Sequence[Any]) -> str:
    """The least and the largest of numbers, or of each axis."""
    rows = [value if isinstance(value, tuple) else (value,) for value in values]
    texts = []
    for column in zip(*rows, strict=True):
        low, high = min(column), max(column)
        texts.append(f"{low:g}" if low == high else f"{low:g} to {high:g}")
    text = (", " if any(" to " in one for one in texts) else " ").join(texts)
    return "unlimited" if set(text.split()) == {"inf"} else text


def _moves(count: int) -> str:
    return units.count(count, "move") if count else ""


def _per_axis(counts: Sequence[int]) -> str:
    """Moves slowed, with the axes that bind."""
    found = [f"{axis} {n:,}" for axis, n in zip("xyze", counts, strict=True) if n]
    return f"{_moves(sum(counts))} ({', '.join(found)})" if found else ""


def _corners(count: int) -> str:
    return units.count(count, "corner") if count else ""


def _show_layer_times(seconds: Sequence[float], first_layer: int) -> None:
    """Prints the planned time of each layer; as many in a line as a terminal has room for."""
    from jaxcorr.cli import console

    cells = [f"{first_layer + i:>5} {s:>8.2f}" for i, s in enumerate(seconds)]
    per_line = max(1, console.out.width // 16) if console.out.is_terminal else 1
    console.out.print("[bold]layer  s[/bold]")
    for at in range(0, len(cells), per_line):
        console.out.print("  ".join(cells[at : at + per_line]))


def _show_limits(program: "Program", explained: Sequence[Explained]) -> None:
    """Prints the firmware, and what limits its motion: in force, from where, how many it slows."""
    from jaxcorr.cli import console

    slicer = "" if program.slicer == "unknown" else f", sliced by {program.slicer}"
    found_by = f"{program.firmware} ({program.firmware_found_by}){slicer}"
    console.out.print(f"firmware {found_by}", markup=False, highlight=False)
    for one in explained:
        slowed = f"; slows {one.slowed}" if one.slowed else ""
        line = f"  {one.name}: {one.in_force} ({one.origin}){slowed}"
        console.out.print(line, markup=False, highlight=False)


def _show_plan(plan: "Plan", program: "Program", is_whole: bool) -> None:
    """Prints the planned time, and the slicer's own beside it."""
    from jaxcorr.cli import console

    moves = units.count(plan.num_moves, "move")
    layers = f" in {units.count(program.num_layers, 'layer')}" if is_whole else ""
    console.out.print(
        f"[bold]{plan.total_s:.3f} s[/bold] ({_clock(plan.total_s)}) for "
        f"{moves}{layers}, peak velocity {plan.peak_velocity_mm_s:.1f} mm/s"
    )
    theirs = program.slicer_time_s
    if theirs and is_whole:
        share = 100.0 * (plan.total_s / theirs - 1.0)
        console.out.print(
            f"slicer's estimate {theirs:.0f} s ({_clock(theirs)}); ours is {share:+.1f}%"
        )


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
        console.table("RMS in um, by source", ("folder", "traces", "samples", *sources), rows)
    )
    total = sum(file.num_samples for file in files)
    made = f"{units.count(len(files), 'trace')}, {units.count(total, 'sample')}"
    console.out.print(f"{made}, {seconds:.1f} s")
    for problem in problems:
        console.out.print(f"[red]{escape(problem)}[/red]")
    verdict = units.count(len(problems), "problem") if problems else "fit to train on"
    console.out.print(f"[bold]data quality: {verdict}[/bold]")


def _joint_rms(files: "Sequence[Collected]", source: str) -> float:
    """RMS over the samples of several files."""
    power = sum(file.num_samples * file.rms_um[source] ** 2 for file in files)
    return math.sqrt(power / sum(file.num_samples for file in files))
