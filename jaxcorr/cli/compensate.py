"""The commands `compensate` and `compensate-suite`: commands solved for, and judged.

Heavy modules load inside the commands that use them.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from jaxcorr import progress
from jaxcorr.cli.options import (
    LAYERS_HELP,
    FirmwareOption,
    JsonOption,
    JudgedPrinterOption,
    PartArgument,
    RunArgument,
    RunsOption,
    VerboseOption,
)

if TYPE_CHECKING:
    from jaxcorr.compensation.closed_loop import Row
    from jaxcorr.compensation.goals import OffsetShare, Summary, Verdict
    from jaxcorr.compensation.judge import Judged
    from jaxcorr.compensation.methods import Accuracy


AccelOption = Annotated[
    list[float],
    typer.Option(
        "--accel-mm-s2", metavar="NUMBER", help="In place of the file's; repeat the option."
    ),
]

SUITE_ACCELS_MM_S2 = [500.0, 1500.0, 3000.0, 5000.0]


def compensate(
    run: RunArgument,
    part: PartArgument,
    layers: Annotated[
        str | None,
        typer.Option(help=f"{LAYERS_HELP}; the held-out ones if left out."),
    ] = None,
    accel_mm_s2: AccelOption = [],
    out: Annotated[
        Path | None, typer.Option(help="Write results.json and the commands into this folder.")
    ] = None,
    plot: Annotated[bool, typer.Option("--plot", help="Draw each layer too; needs --out.")] = False,
    pieces: Annotated[
        bool, typer.Option("--pieces", help="Swap the plant for the network piece by piece.")
    ] = False,
    firmware: FirmwareOption = None,
    printer: JudgedPrinterOption = None,
    runs: RunsOption = Path("runs"),
    is_verbose: VerboseOption = False,
    as_json: JsonOption = False,
) -> None:
    """Finds better commands for layers; judges them and baselines on the simulated printer."""
    from jaxcorr.errors import InputError

    if plot and out is None:
        raise InputError("compensate --plot: expected --out FOLDER, got none. Name a folder.")
    from jaxcorr.data import parts
    from jaxcorr.printer import gcode
    from jaxcorr.spec import printer_of
    from jaxcorr.training import run_folder

    found = run_folder.find(run, runs)
    judged = printer_of(found.spec(), printer)
    program = gcode.read(parts.find_part(part)[0], firmware, judged)
    from jaxcorr.compensation import cases

    chosen = cases.of_part(found, part, layers, accel_mm_s2 or [None], program)
    start = _start(found, judged, out)
    from jaxcorr.compensation import closed_loop, methods

    own = start.methods | (methods.pieces(start.network, start.printer) if pieces else {})
    plant_methods = {methods.PLANT_SOLVED: methods.plant_solved(start.printer)}

    def follow(case: Any, tried: Any) -> None:
        if out is not None:
            _write_layer(out, case, tried, start.found.id, plot)

    tried = closed_loop.run_cases(chosen, start.printer, [cases.NOMINAL], own, plant_methods)
    show_fn = show_trials if is_verbose else show_all
    _finish(start, tried, follow, _Ending(out, as_json, is_verbose, show_fn), program.passed_over)


def compensate_suite(
    run: RunArgument,
    accel_mm_s2: AccelOption = SUITE_ACCELS_MM_S2,
    variants: Annotated[
        list[str],
        typer.Option(
            "--variant",
            metavar="NAME",
            help="Only this printer, such as 'frequency -20%'; repeat the option.",
        ),
    ] = [],
    printer: JudgedPrinterOption = None,
    bound: Annotated[bool, typer.Option(help="Solve on the plant itself, for comparison.")] = True,
    out: Annotated[Path | None, typer.Option(help="Write results.json into this folder.")] = None,
    runs: RunsOption = Path("runs"),
    is_verbose: VerboseOption = False,
    as_json: JsonOption = False,
) -> None:
    """Judges a run's compensation on its held-out layers and on printers unlike the trained one."""
    from jaxcorr.spec import printer_of
    from jaxcorr.training import run_folder

    found = run_folder.find(run, runs)
    judged = printer_of(found.spec(), printer)
    from jaxcorr.compensation import cases

    chosen = cases.of_held_out(found, accel_mm_s2, judged)
    names = cases.check_printers(judged, variants)
    start = _start(found, judged, out)
    from jaxcorr.compensation import closed_loop, methods

    plant_methods = {methods.PLANT_SOLVED: methods.plant_solved(start.printer)} if bound else {}
    tried = closed_loop.run_cases(chosen, start.printer, names, start.methods, plant_methods)
    show_fn = show_suite if is_verbose else show_printers
    _finish(start, tried, lambda *_: None, _Ending(out, as_json, is_verbose, show_fn))


class _Start(NamedTuple):
    """What both commands begin with: a run, its maps, and the printer that judges them."""

    found: Any
    network: Any
    methods: dict[str, Any]  # the run's own
    printer: Any


def _start(found: Any, printer: Any, out: Path | None) -> _Start:
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)  # now, rather than after minutes of solving
    progress.begin(f"loading {found.id}")
    from jaxcorr.compensation import gate, methods
    from jaxcorr.training import restore

    loaded = restore.load_weights(found)
    network, trust = methods.load_map(loaded), gate.gate_of(loaded)
    own = methods.offline_methods(network, trust) | methods.streaming_methods(loaded)
    return _Start(found, network, own, printer)


def _write_layer(folder: Path, case: Any, tried: Any, run_id: str, plot: bool) -> None:
    from jaxcorr.compensation import closed_loop, figures, methods

    notes = {"part": case.part, "layer": case.layer, "run": run_id}
    command = tried.commands[methods.SOLVED]
    closed_loop.write_commands(folder, case.file_stem, tried.layer, command, notes)
    if plot:
        shown = [methods.SOLVED]
        figures.draw_paths(tried, shown, folder / f"{case.file_stem}.png")


class _Ending(NamedTuple):
    """Where results go, and how much of them is printed."""

    out: Path | None
    as_json: bool
    is_verbose: bool
    show_fn: Any


def _finish(
    start: _Start,
    trials: Iterable[Any],
    follow_fn: Callable[[Any, Any], None],
    ending: _Ending,
    passed_over: Sequence[Any] = (),
) -> None:
    from jaxcorr import files
    from jaxcorr.cli import console
    from jaxcorr.compensation import goals, methods

    rows, lags = [], []
    for case, tried in trials:
        follow_fn(case, tried)
        rows += tried.rows
        lags.append(methods.lags(start.network, tried))
    verdicts = goals.judge_goals(rows, methods.SOLVED)
    shares = goals.offset_shares(rows)
    accuracies = methods.accuracies(lags)
    result = {
        **goals.as_tables(rows),
        "friction_offset": [one._asdict() for one in shares],
        "model": [one._asdict() for one in accuracies],
        "goals": [one._asdict() for one in verdicts],
        "passed_over": [one._asdict() for one in passed_over],
    }
    if ending.out is not None:
        files.write_json(ending.out / "results.json", result)
    if ending.as_json:
        print(json.dumps(result))
        return
    show_headline(rows, start.printer.printer)
    show_verdicts(verdicts)
    ending.show_fn(rows)
    show_offset(shares)
    if ending.is_verbose:
        show_accuracies(accuracies)
        show_searches(rows)
    console.show_passed_over(passed_over, most=9 if ending.is_verbose else 1)
    if ending.out is not None:
        console.out.print(f"written: {ending.out}", markup=False)


CONVERGED = "converged"
COLUMNS = ("contour um", "max um", "RMS um", "down", "mean um", "largest um", "ringing um",
           "correction um")  # fmt: skip
SHORT_COLUMNS = 4  # what the goals are about; fits 60 characters


def show_headline(rows: "Sequence[Row]", printer: str) -> None:
    """Prints what the network's commands make of the error, at each acceleration."""
    from rich.markup import escape

    from jaxcorr.cli import console
    from jaxcorr.compensation.cases import NOMINAL
    from jaxcorr.compensation.closed_loop import NONE
    from jaxcorr.compensation.goals import accel_text, summarize
    from jaxcorr.compensation.methods import SOLVED
    from jaxcorr.units import count

    of = {one[:3]: one.judged for one in summarize(rows) if one.printer == NOMINAL}
    num_layers = count(len({row.layer for row in rows}), "layer")
    for _, accel_mm_s2, method in of:
        if method != NONE:
            continue
        plain, solved = (of[NOMINAL, accel_mm_s2, name] for name in (NONE, SOLVED))
        console.out.print(
            f"[bold]contour error {plain.contour_um:.1f} -> {solved.contour_um:.1f} um, "
            f"RMS error {plain.rms_um:.1f} -> {solved.rms_um:.1f} um[/bold]: "
            f"{num_layers}, {accel_text(accel_mm_s2)}, on the simulated printer "
            f"{escape(printer)}"
        )


def show_all(rows: "Sequence[Row]") -> None:
    """Prints a table of all layers for each acceleration, of few methods where there are many."""
    from jaxcorr.compensation.closed_loop import LINEAR_FRICTION, NONE, PERFECT
    from jaxcorr.compensation.goals import accel_text, summarize
    from jaxcorr.compensation.methods import PLANT_SOLVED, SOLVED

    summaries = summarize(rows)
    accels = list(dict.fromkeys(one.accel_mm_s2 for one in summaries))
    few = (NONE, LINEAR_FRICTION, SOLVED, PLANT_SOLVED)
    for accel_mm_s2 in accels:
        mine = [
            one
            for one in summaries
            if one.accel_mm_s2 == accel_mm_s2
            and (one.method in few if len(accels) > 1 else one.method != PERFECT)
        ]
        title = f"all layers, {accel_text(accel_mm_s2)}; more with --verbose"
        _show(title, mine, SHORT_COLUMNS)


def show_trials(rows: "Sequence[Row]") -> None:
    """Prints a table for each layer, and one for all where there are several."""
    from jaxcorr.compensation.goals import accel_text, summarize

    summaries = summarize(rows)
    layers = list(dict.fromkeys((row.layer, row.accel_mm_s2) for row in rows))
    for name, accel_mm_s2 in layers:
        mine = [row for row in rows if row[:2] == (name, accel_mm_s2)]
        _show(f"{name}, {accel_text(accel_mm_s2)}", summarize(mine))
    for accel_mm_s2 in dict.fromkeys(accel for _, accel in layers):
        if sum(accel == accel_mm_s2 for _, accel in layers) > 1:
            mine = [one for one in summaries if one.accel_mm_s2 == accel_mm_s2]
            _show(f"all layers, {accel_text(accel_mm_s2)}", mine)


def show_offset(shares: "Sequence[OffsetShare]") -> None:
    """Prints how much of the error as planned is the constant offset of friction."""
    from jaxcorr.cli import console
    from jaxcorr.compensation.goals import accel_text

    parts = [f"{100 * one.share:.0f}% ({accel_text(one.accel_mm_s2)})" for one in shares]
    parts = parts if len(parts) > 1 else [f"{100 * one.share:.0f}%" for one in shares]
    console.out.print(
        f"constant offset of friction: {', '.join(parts)} of the squared error",
        markup=False,
    )


def show_accuracies(found: "Sequence[Accuracy]") -> None:
    """Prints how well the network predicts what plain commands and its own ones do."""
    from jaxcorr.cli import console
    from jaxcorr.compensation.closed_loop import NONE

    for one in found:
        commands = "plain commands" if one.method == NONE else f"commands of '{one.method}'"
        console.out.print(f"network on {commands}: R2 {one.r2:.4f}, RMSE {one.rmse_um:.2f} um")


def show_searches(rows: "Sequence[Row]") -> None:
    """Prints how long commands took to find, and every search that did not converge."""
    from jaxcorr.cli import console
    from jaxcorr.compensation.cases import NOMINAL
    from jaxcorr.compensation.goals import accel_text

    searches = [row for row in rows if row.note and row.printer == NOMINAL]
    for method in dict.fromkeys(row.method for row in searches):
        mine = [row for row in searches if row.method == method]
        seconds = sorted(row.solve_s for row in mine)
        # The first layer of all compiles; the median leaves it out.
        text = f"{method}: {len(mine)} solved, median {seconds[len(seconds) // 2]:.1f} s a layer"
        failed = [
            f"{row.layer} at {accel_text(row.accel_mm_s2)} {row.note}"
            for row in mine
            if row.note != CONVERGED
        ]
        console.out.print(f"{text}; {'; '.join(failed) or 'all converged'}")


def show_printers(rows: "Sequence[Row]") -> None:
    """Prints a table of the solved commands: printers down, accelerations across."""
    from jaxcorr.cli import console
    from jaxcorr.compensation.goals import accel_text, summarize
    from jaxcorr.compensation.methods import SOLVED

    mine = [one for one in summarize(rows) if one.method == SOLVED]
    accels = list(dict.fromkeys(one.accel_mm_s2 for one in mine))
    of = {one[:2]: one for one in mine}
    table = [
        [printer, *(_short(of[printer, accel]) for accel in accels)]
        for printer in dict.fromkeys(one.printer for one in mine)
    ]
    title = f"{SOLVED}: contour / RMS um (RMS down by)"
    console.out.print(console.table(title, ("", *map(accel_text, accels)), table))


def _short(one: "Summary") -> str:
    judged: Judged = one.judged
    return f"{judged.contour_um:.1f} / {judged.rms_um:.1f} ({100 * one.reduction:.0f}%)"


def show_suite(rows: "Sequence[Row]") -> None:
    """Prints a table of all layers for each printer and acceleration."""
    from jaxcorr.compensation.cases import NOMINAL
    from jaxcorr.compensation.goals import accel_text, summarize

    summaries = summarize(rows)
    for printer, accel in dict.fromkeys((one.printer, one.accel_mm_s2) for one in summaries):
        mine = [one for one in summaries if (one.printer, one.accel_mm_s2) == (printer, accel)]
        title = f"{printer}, {accel_text(accel)}" if printer != NOMINAL else accel_text(accel)
        _show(f"all layers, {title}", mine)


def show_verdicts(verdicts: "Sequence[Verdict]") -> None:
    """Prints a line for each goal: met or missed, and by what."""
    from jaxcorr.cli import console

    for one in verdicts:
        word = "[green]met[/green]   " if one.is_met else "[red]missed[/red]"
        console.out.print(f"{word} {one.goal}: {one.found}")


def _show(title: str, summaries: "Sequence[Summary]", most: int = len(COLUMNS)) -> None:
    from jaxcorr.cli import console

    rows = [_row(one)[: most + 1] for one in summaries]
    console.out.print(console.table(title, ("", *COLUMNS[:most]), rows))


def _row(one: "Summary") -> Sequence[str]:
    judged: Judged = one.judged
    return (
        one.method,
        f"{judged.contour_um:.1f}",
        f"{judged.contour_max_um:.0f}",
        f"{judged.rms_um:.1f}",
        f"{100 * one.reduction:.1f}%",
        f"{judged.mean_um:.1f}",
        f"{judged.max_um:.0f}",
        f"{judged.vibration_um:.1f}",
        f"{judged.correction_um:.0f}",
    )
