"""The commands that make and explain motion: `plan` and `simulate`. Arguments in, results out."""

import json
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jaxcorr.cli.options import JsonOption, PartArgument, complete_part

if TYPE_CHECKING:
    from jaxcorr.data.collect import Collected


class _Default:
    """A default that only spec.py knows, looked up when it is used or shown.

    Importing spec.py takes longer than all of the help.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __call__(self) -> Any:
        from jaxcorr.spec import Simulate

        return Simulate.model_fields[self._name].default

    def __str__(self) -> str:
        value = self()
        return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _default(name: str) -> Any:
    """As the value that it becomes, for the type of the option."""
    return _Default(name)


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
    sweep_accel_mm_s2: Annotated[
        list[float], typer.Option(help="Each layer once per value; repeat the option.")
    ] = [],
    sweep_velocity_mm_s: Annotated[
        list[float], typer.Option(help="Each layer once per value; repeat the option.")
    ] = [],
    probe_um: Annotated[
        list[float],
        typer.Option(help="Each layer once more per value: RMS of a random change of the command."),
    ] = [],
    mass_kg: Annotated[
        tuple[float, float], typer.Option(help="Moving mass, x and y.", metavar="X Y")
    ] = _default("mass_kg"),
    stiffness_n_m: Annotated[
        tuple[float, float], typer.Option(help="Belt stiffness, x and y.", metavar="X Y")
    ] = _default("stiffness_n_m"),
    damping_ns_m: Annotated[
        tuple[float, float], typer.Option(help="Damping, x and y.", metavar="X Y")
    ] = _default("damping_ns_m"),
    friction_n: Annotated[
        tuple[float, float], typer.Option(help="Friction force, x and y.", metavar="X Y")
    ] = _default("friction_n"),
    damping: Annotated[
        str, typer.Option(help="Damping of head against: relative | ground.")
    ] = _default("damping"),
    off: Annotated[
        list[str], typer.Option(help="Switch a source of error off; repeat the option.")
    ] = [],
    microstep_um: Annotated[float, typer.Option(help="Amplitude of each period.")] = _default(
        "microstep_um"
    ),
    jitter_cycles: Annotated[float, typer.Option(help="Half range, 72 MHz cycles.")] = _default(
        "jitter_cycles"
    ),
    floor_um: Annotated[float, typer.Option(help="RMS of the disturbance per axis.")] = _default(
        "floor_um"
    ),
    rate_hz: Annotated[float, typer.Option(help="Rate of the traces.")] = 100.0,
    plant_rate_hz: Annotated[float, typer.Option(help="Rate of the integration.")] = 2000.0,
    seed: Annotated[int, typer.Option(help="Of the random sources.")] = _default("seed"),
    plot: Annotated[Path | None, typer.Option(help="Draw the first layer into this file.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Makes traces from G-code: firmware plan, elastic axes, error by source, .mat files."""
    from jaxcorr.data.parts import find_part

    for name in parts:
        find_part(name)
    from jaxcorr.printer.planner import PlanOptions
    from jaxcorr.printer.plant import PlantOptions
    from jaxcorr.printer.simulate import SimulateOptions, sources_without

    options = SimulateOptions(
        plan=PlanOptions(
            junction_deviation_mm,
            square_corner_velocity_mm_s,
            classic_jerk_mm_s,
            accel_mm_s2,
            velocity_mm_s,
        ),
        plant=PlantOptions.of_axes(
            mass_kg, stiffness_n_m, damping_ns_m, friction_n, damping=damping, rate_hz=plant_rate_hz
        ),
        sources=sources_without(off),
        microstep_um=microstep_um,
        jitter_cycles=jitter_cycles,
        floor_um=floor_um,
        rate_hz=rate_hz,
        seed=seed,
        sweep_accel_mm_s2=tuple(sweep_accel_mm_s2),
        sweep_velocity_mm_s=tuple(sweep_velocity_mm_s),
        probe_um=tuple(probe_um),
    )
    _collect(parts, layers, options, out, plot, as_json)


def _collect(
    parts: list[str],
    layers: str,
    options: Any,
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
        files += console.follow_collection(collect.collect(part, path, layers, options, out), part)
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
