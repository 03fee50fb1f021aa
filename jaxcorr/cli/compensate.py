"""The commands that make prints better and judge by how much: `compensate`, `compensate-suite`.

Arguments in, results out. Heavy modules load inside the commands that use them.
"""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from jaxcorr.cli.options import JsonOption, PartArgument, RunArgument, RunsOption

AccelOption = Annotated[
    list[float], typer.Option("--accel-mm-s2", help="In place of the file's; repeat the option.")
]

SUITE_ACCELS_MM_S2 = [500.0, 1500.0, 3000.0, 5000.0]


def compensate(
    run: RunArgument,
    part: PartArgument,
    layers: Annotated[
        str | None,
        typer.Option(help="sampled:N, all, a number or 3,7,12; the held-out ones if left out."),
    ] = None,
    accel_mm_s2: AccelOption = [],
    out: Annotated[
        Path | None, typer.Option(help="Write results.json and the commands into this folder.")
    ] = None,
    plot: Annotated[bool, typer.Option("--plot", help="Draw each layer too; needs --out.")] = False,
    pieces: Annotated[
        bool, typer.Option("--pieces", help="Swap the plant for the network piece by piece.")
    ] = False,
    runs: RunsOption = Path("runs"),
    as_json: JsonOption = False,
) -> None:
    """Finds better commands for layers and judges them, beside rivals, on the simulated printer."""
    from jaxcorr.errors import InputError

    if plot and out is None:
        raise InputError("compensate --plot: expected --out FOLDER, got none. Name a folder.")
    start = _start(run, runs, out, part)
    from jaxcorr.cli import console, console_compensation
    from jaxcorr.compensation import closed_loop, methods, plant_map, trial_cases

    cases = trial_cases.cases_of_part(start.found, part, layers, accel_mm_s2 or [None])
    own = start.own | (methods.pieces(start.network, start.printer) if pieces else {})
    aware = {plant_map.SOLVED: plant_map.remedy(start.printer)}

    def follow(case: Any, tried: Any) -> None:
        console.err.print(f"{case.file_stem}: {case.plan.total_s:.1f} s of motion", markup=False)
        if out is not None:
            _write_layer(out, case, tried, start.found.id, plot)

    tried = trial_cases.run_cases(cases, start.printer, [closed_loop.NOMINAL], own, aware)
    _finish(start, tried, follow, out, as_json, console_compensation.show_trials)


def compensate_suite(
    run: RunArgument,
    accel_mm_s2: AccelOption = SUITE_ACCELS_MM_S2,
    printers: Annotated[
        list[str], typer.Option("--printer", help="Only these; repeat the option.")
    ] = [],
    bound: Annotated[bool, typer.Option(help="Solve on the plant itself, for comparison.")] = True,
    out: Annotated[Path | None, typer.Option(help="Write results.json into this folder.")] = None,
    runs: RunsOption = Path("runs"),
    as_json: JsonOption = False,
) -> None:
    """Judges a run's compensation on its held-out layers and on printers unlike the trained one."""
    start = _start(run, runs, out)
    from jaxcorr.cli import console, console_compensation
    from jaxcorr.compensation import plant_map, trial_cases

    cases = trial_cases.cases_held_out(start.found, accel_mm_s2)
    names = trial_cases.check_printers(start.printer, printers)
    aware = {plant_map.SOLVED: plant_map.remedy(start.printer)} if bound else {}

    def follow(case: Any, tried: Any) -> None:
        console.err.print(f"{case.file_stem}: {len(tried.rows)} trials", markup=False)

    tried = trial_cases.run_cases(cases, start.printer, names, start.own, aware)
    _finish(start, tried, follow, out, as_json, console_compensation.show_suite)


class _Start(NamedTuple):
    """What both commands begin with: a run, its maps, and the printer that it learned from."""

    found: Any
    network: Any
    own: dict[str, Any]  # the run's own remedies
    printer: Any


def _start(run: str, runs: Path, out: Path | None, part: str | None = None) -> _Start:
    from jaxcorr.data import parts
    from jaxcorr.training import run_folder as run_folders

    found = run_folders.find(run, runs)
    if part is not None:
        parts.find_part(part)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)  # now, rather than after minutes of solving
    from jaxcorr.compensation import methods, trial_cases
    from jaxcorr.training import restore

    loaded = restore.load_weights(found)
    network, trust = methods.load_map(loaded), methods.load_gate(loaded)
    own = methods.remedies_of(network, trust) | methods.streaming(loaded, trust)
    return _Start(found, network, own, trial_cases.printer_of(loaded.spec))


def _write_layer(folder: Path, case: Any, tried: Any, run_id: str, plot: bool) -> None:
    from jaxcorr.compensation import command_files, figures, methods

    notes = {"part": case.part, "layer": case.layer, "run": run_id}
    command = tried.commands[methods.SOLVED]
    command_files.write(folder, case.file_stem, tried.layer, command, notes)
    if plot:
        shown = [methods.SOLVED]
        figures.draw_paths(tried, shown, folder / f"{case.file_stem}.png")


def _finish(
    start: _Start,
    trials: Iterable[Any],
    follow_fn: Callable[[Any, Any], None],
    out: Path | None,
    as_json: bool,
    show_fn: Any,
) -> None:
    from jaxcorr import files
    from jaxcorr.cli import console_compensation
    from jaxcorr.compensation import goals as verdicts
    from jaxcorr.compensation import methods

    rows, lags = [], []
    for case, tried in trials:
        follow_fn(case, tried)
        rows += tried.rows
        lags.append(methods.lags(start.network, tried))
    goals = verdicts.judge_goals(rows, methods.SOLVED)
    accuracies = methods.accuracies(lags)
    result = {
        **verdicts.as_tables(rows),
        "model": [one._asdict() for one in accuracies],
        "goals": [one._asdict() for one in goals],
    }
    if out is not None:
        files.write_json(out / "results.json", result)
    if as_json:
        print(json.dumps(result))
        return
    show_fn(rows)
    console_compensation.show_accuracies(accuracies)
    console_compensation.show_searches(rows)
    console_compensation.show_verdicts(goals)
    if out is not None:
        console_compensation.out.print(f"written: {out}", markup=False)
