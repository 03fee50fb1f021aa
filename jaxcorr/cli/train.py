"""The commands of runs: `train`, `resume`, `pipeline`, `printer`, `runs`, and `inspect` of traces.

Each stage of `pipeline` and `printer` keeps what it finished, so that the same command goes on
where it was stopped.
What is wrong with a spec or a run's name is said before jax is loaded, which takes seconds.
"""

import contextlib
import json
import re
import shlex
import signal
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from jaxcorr.cli.options import (
    PRINTERS_HELP,
    FileArgument,
    JsonOption,
    RunArgument,
    RunsOption,
    SetOption,
    SpecArgument,
    complete_spec,
    find_spec,
)
from jaxcorr.errors import command
from jaxcorr.interrupts import INTERRUPTED

if TYPE_CHECKING:
    from jaxcorr.data import inspection
    from jaxcorr.data.octave import Counted
    from jaxcorr.studies.workflow import Product
    from jaxcorr.training import run_folder

Simulator = Literal["auto", "octave", "twin"]
SimulatorOption = Annotated[
    Simulator,
    typer.Option(help="matlab/ under GNU Octave, the built-in twin, or Octave where it is there."),
]
SIGNALS = (signal.SIGINT, signal.SIGTERM)


def train(
    spec: SpecArgument,
    overrides: SetOption = [],
    runs: RunsOption = Path("runs"),
    as_json: JsonOption = False,
) -> None:
    """Trains the experiment of a spec into a new run folder."""
    from jaxcorr import spec as specs
    from jaxcorr.cli import session

    session.prepare(specs.load(spec, overrides), is_joined=True)
    from jaxcorr.training import experiment

    _fit(experiment.begin(spec, overrides, runs), as_json)


def resume(run: RunArgument, runs: RunsOption = Path("runs"), as_json: JsonOption = False) -> None:
    """Goes on with an interrupted training from its last checkpoint."""
    from jaxcorr.cli import session
    from jaxcorr.training import run_folder as run_folders

    found = run_folders.find(run, runs)
    from jaxcorr.training import experiment

    session.start_jax(experiment.with_recorded_devices(found), is_joined=True)
    _fit(experiment.reopen(found), as_json)


def _fit(begun: Any, as_json: bool) -> None:
    from jaxcorr.cli import console, session
    from jaxcorr.models import network
    from jaxcorr.training import checkpoint, hosts, loop
    from jaxcorr.training import run_folder as run_folders

    stop_requested = session.catch_interrupt()
    events = loop.fit(begun.spec, begun.data, begun.run, lambda: bool(stop_requested))
    with session.refusing_divergence():
        done = session.follow(begun, events)
    if hosts.is_writer():
        run_folders.point_latest(begun.run)
    if done.reason == "interrupted" and hosts.is_writer():
        session.stop(f"go on with: {command('resume')} {shlex.quote(str(begun.run.path))}")
    if done.reason == "interrupted":
        raise typer.Exit(INTERRUPTED)
    if not hosts.is_writer():
        return
    best = {"best_epoch": done.best_epoch, "best_mae_mm": done.best_mae_mm}
    result = {"run": str(begun.run.path), "ended_by": done.reason, **best}
    if as_json:
        print(json.dumps(result))
        return
    best_um = 1e3 * (done.best_mae_mm or 0.0)
    split = "validation" if begun.data.val.names else "training"
    path = network.used_path(begun.spec, done.path or {})
    named = checkpoint.name_best(done.best_epoch, path)
    console.out.print(
        f"{begun.run.path}: the best is {named}, "
        f"{split} MAE {best_um:.2f} um "
        f"(ended by {done.reason})",
        markup=False,
    )
    console.show_next(f"eval {shlex.quote(str(begun.run.path))}")


def inspect(
    files: Annotated[list[str], typer.Argument(help=".mat files, folders or glob patterns.")],
    sample_rate_hz: Annotated[float, typer.Option(help="Expected sampling rate.")] = 100.0,
    as_json: JsonOption = False,
) -> None:
    """Shows what trace files hold and whether they can be trained on."""
    from jaxcorr.data import inspection

    rows = inspection.inspect(files, sample_rate_hz)
    if as_json:
        print(json.dumps([row._asdict() for row in rows]))
    else:
        _show_inspection(rows)
    if any(row.problem for row in rows):
        raise typer.Exit(2)


def list_runs(runs: RunsOption = Path("runs"), as_json: JsonOption = False) -> None:
    """Lists runs with state, best epoch and test metrics."""
    from jaxcorr.training import run_folder

    rows = run_folder.list_runs(runs)
    if as_json:
        print(json.dumps([row._asdict() for row in rows]))
    else:
        _show_runs(rows)


def _show_inspection(rows: "Sequence[inspection.Row]") -> None:
    """Prints a row a trace file, then the problems, then the verdict on all of them."""
    from rich.markup import escape

    from jaxcorr.cli import console
    from jaxcorr.data import dataset
    from jaxcorr.units import count

    axes = list(dict.fromkeys(axis for row in rows for axis in row.ranges_mm or ()))
    columns = (
        *("file", "samples", "s", "Hz"),
        *(f"{axis} mm" for axis in axes),
        "peak mm/s",
        *(f"RMS {axis} um" for axis in axes),
        "",
    )
    folders = {Path(row.path).parent for row in rows}
    title = f"in {folders.pop()}" if len(folders) == 1 else ""
    body = [_inspection_row(row, axes, is_named_by_folder=not title) for row in rows]
    console.out.print(console.table(escape(title), columns, body))
    problems = [row for row in rows if row.problem]
    for row in problems:
        console.out.print(f"[red]{escape(row.problem or '')}[/red]")
    for line in dataset.merge_problems(
        (Path(row.path), text) for row in rows for text in row.unclear
    ):
        console.out.print(f"[yellow]{escape(line)}[/yellow]")
    left_out = dict.fromkeys(f"{n} ({kind})" for row in rows for n, kind in row.left_out.items())
    if left_out:
        console.out.print(f"left out, as nothing needs it: {', '.join(left_out)}", markup=False)
    total = sum(row.num_samples or 0 for row in rows if not row.problem)
    good = f"{len(rows) - len(problems)} of {count(len(rows), 'file')} can be trained on"
    console.out.print(f"[bold]{good}, {count(total, 'sample')}[/bold]")


def _inspection_row(
    row: "inspection.Row", axes: "Sequence[str]", is_named_by_folder: bool
) -> list[str]:
    from rich.markup import escape

    from jaxcorr.cli import console

    name = escape("/".join(Path(row.path).parts[-2 if is_named_by_folder else -1 :]))
    if row.num_samples is None:
        return [name, *("",) * (4 + 2 * len(axes)), "[red]unreadable[/red]"]
    ranges = [(row.ranges_mm or {}).get(axis) for axis in axes]
    return [
        name,
        f"{row.num_samples:,}",
        console.number(row.duration_s, 1),
        console.number(row.sample_rate_hz, 2),
        *("n/a" if ends is None else f"{ends[0]:.0f}..{ends[1]:.0f}" for ends in ranges),
        console.number(row.peak_speed_mm_s, 1),
        *(console.number((row.rms_um or {}).get(axis), 1) for axis in axes),
        "[red]refused[/red]" if row.problem else "[green]ok[/green]",
    ]


def _show_runs(rows: "Sequence[run_folder.Row]") -> None:
    """Prints a row a run."""
    from rich.markup import escape

    from jaxcorr.cli import console

    columns = ("run", "state", "age", "epochs", "val MAE um", "test MAE um", "test R2")
    body = [
        [
            escape(row.id),
            row.state,
            "" if row.age_s is None else _age(row.age_s),
            str(row.epochs),
            "" if row.val_mae_mm is None else f"{1e3 * row.val_mae_mm:.2f}",
            "" if row.test_mae_mm is None else f"{1e3 * row.test_mae_mm:.2f}",
            "" if row.test_r2 is None else f"{row.test_r2:.4f}",
        ]
        for row in rows
    ]
    hint = f"no runs yet; make one with: {command('train specs/medium_hybrid.toml')}"
    console.out.print(console.table("", columns, body) if body else hint)


def _age(seconds: float) -> str:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def pipeline(
    spec: SpecArgument = Path("specs/medium_hybrid.toml"),
    overrides: SetOption = [],
    simulator: SimulatorOption = "auto",
    runs: RunsOption = Path("runs"),
    as_json: JsonOption = False,
) -> None:
    """Runs the complete workflow of a spec: collect, train, evaluate with report, export.

    Started again, it goes on where it was stopped, and repeats nothing that is finished.
    """
    from jaxcorr import spec as specs

    loaded = specs.load(spec, overrides)
    from jaxcorr.cli import session

    try:
        with _interruptible() as asked:
            with _stage(1, "collect", asked):
                _collect(loaded, simulator)
            with _stage(2, "train", asked):
                run = _train(spec, overrides, loaded, runs)
            with _stage(3, "evaluate", asked):
                _evaluate(run)
            with _stage(4, "export", asked):
                _export(run)
            _show(run, loaded, as_json)
    except KeyboardInterrupt:
        session.stop()


def printer(
    file: FileArgument,
    printer: Annotated[
        str, typer.Option(help=f"Printer: {PRINTERS_HELP}; with --resonances a TOML file to make.")
    ] = "ender3_v2",
    resonances: Annotated[
        list[Path],
        typer.Option(
            metavar="FILE", help="Klipper's file of x, then of y: identify the printer first."
        ),
    ] = [],
    out: Annotated[
        Path | None, typer.Option(help="The corrected file; PART.corrected.gcode if left out.")
    ] = None,
    spec: Annotated[
        Path,
        typer.Option(
            help="What is trained, on this printer.",
            autocompletion=complete_spec,
            callback=find_spec,
        ),
    ] = Path("specs/ender3_v2.toml"),
    overrides: SetOption = [],
    runs: RunsOption = Path("runs"),
) -> None:
    """Corrects a G-code file for a printer: identify it, simulate, train, rewrite and prove.

    Started again, it goes on where it was stopped; a printer that has a run is not trained again.
    """
    from jaxcorr import spec as specs
    from jaxcorr.cli import console, identify, rewrite, session

    # part.gcode.3mf -> part.corrected.gcode.3mf, since it is packed as it was.
    target = out or file.with_name(re.sub(r"(\.b?gcode.*)?$", r".corrected\1", file.name, count=1))
    try:
        with _interruptible() as asked:
            with _stage(1, "identify the printer", asked):
                if resonances:
                    identify.identify([str(path) for path in resonances], out=Path(printer))
                else:
                    console.err.print(f"{printer}, as given", markup=False)
            changes = _for_printer(spec, file, printer, overrides)
            loaded = specs.load(spec, changes)
            with _stage(2, "simulate it", asked, "half a minute"):
                session.prepare(loaded)
            with _stage(3, "train", asked, "a minute on two cores"):
                run = _train(spec, changes, loaded, runs)
            with _stage(4, "rewrite and prove", asked, "1 s for each minute of print"):
                rewrite.rewrite(str(run.path), file, target, runs=runs)
    except KeyboardInterrupt:
        session.stop()


def _for_printer(spec: Path, file: Path, printer: str, overrides: list[str]) -> list[str]:
    """Changes of a spec for a printer, after a look at the file that is to be corrected.

    Its traces have a folder of their own, named by the printer and a digest of its numbers.
    """
    import zlib

    from jaxcorr import spec as specs
    from jaxcorr.printer_spec import Printer
    from jaxcorr.rewrite import packing, rewriting

    changes = [f"data.simulate.printer={json.dumps(printer)}", *overrides]
    judged = specs.printer_of(specs.load(spec, changes))
    with packing.opened(file) as text:
        rewriting.read(text, judged, rewriting.Options())
    numbers = judged.model_dump_json(include=set(Printer.model_fields) - {"printer"})
    name = f"{Path(printer).stem}-{zlib.crc32(numbers.encode()):08x}"
    traces = json.dumps([f"data/{name}/*/*.mat"])
    return [f"train.name={json.dumps(name)}", f"data.traces={traces}", *changes]


def _collect(loaded: Any, simulator: Simulator) -> None:
    from jaxcorr.cli import console, session
    from jaxcorr.data import collect, octave
    from jaxcorr.errors import InputError

    program, options = octave.find(), collect.traces_to_make(loaded.data)
    if options is None:
        console.err.print(f"traces as given: {', '.join(loaded.data.traces)}", markup=False)
    elif simulator == "octave" and program is None:
        raise InputError(
            "--simulator: expected GNU Octave and the folder matlab/, got none. Install it, or use "
            "--simulator twin."
        )
    elif program and (simulator == "octave" or (simulator == "auto" and octave.can_make(options))):
        files = octave.files_by_part(options, collect.home_of(loaded.data))
        if not all(path.exists() for paths in files.values() for path in paths):
            console.err.print(f"traces by {octave.version(program)}")
            _follow_files(octave.make(program, options, files), "simulating")
    else:
        console.err.print("traces by the built-in simulator")
    # Checks every trace, and makes those that are missing.
    session.prepare(loaded)


def _train(spec: Path, overrides: list[str], loaded: Any, folder: Path) -> Any:
    from jaxcorr.cli import console, session
    from jaxcorr.studies import trainings
    from jaxcorr.training import experiment, run_folder

    known = experiment.fingerprint(loaded.data)
    run = trainings.find(folder, loaded, known, experiment.name_of(loaded, spec))
    if run is not None and trainings.is_trained(run):
        console.err.print(f"{run.path} is trained already", markup=False)
        return run
    with _signals_restored():
        requested = session.catch_interrupt()
        with session.refusing_divergence():
            run, is_finished = trainings.train_on(
                run, spec, overrides, folder, session.follow, lambda: bool(requested)
            )
    run_folder.point_latest(run)
    # A stop that came after the last dispatch changes nothing there, but is meant for what follows.
    if requested or not is_finished:
        session.stop()
    return run


def _evaluate(run: Any) -> None:
    from jaxcorr.cli import console
    from jaxcorr.studies import workflow

    if workflow.is_evaluated(run):
        console.err.print("evaluated already")
    else:
        workflow.evaluate(run)


def _export(run: Any) -> None:
    from jaxcorr.cli import console
    from jaxcorr.studies import workflow

    if workflow.is_exported(run):
        console.err.print("exported already")
    else:
        workflow.export_model(run)


def _show(run: Any, loaded: Any, as_json: bool) -> None:
    from jaxcorr import metrics
    from jaxcorr.cli import evaluate
    from jaxcorr.studies import workflow

    made = list(workflow.list_products(run, loaded.data))
    evaluation = metrics.read(run.path / metrics.FILE)
    if as_json:
        rows = [product._asdict() | {"path": str(product.path)} for product in made]
        verdict = evaluation.verdict.model_dump(mode="json")
        print(json.dumps({"run": str(run.path), "verdict": verdict, "made": rows}))
        return
    evaluate.show_evaluation(evaluation, run.id, is_verbose=False)
    _show_products(made)


@contextlib.contextmanager
def _stage(number: int, name: str, asked: list[int], about: str = "") -> Iterator[None]:
    """Says on stderr that a stage begins, and how long it took; a stop that got lost comes here."""
    from jaxcorr.cli import console

    began = time.perf_counter()
    console.err.print(f"[bold]{number} of 4: {name}[/bold]{', about ' * bool(about)}{about}")
    yield
    if asked:
        raise KeyboardInterrupt
    console.err.print(f"{name}: {time.perf_counter() - began:.1f} s")


@contextlib.contextmanager
def _interruptible() -> Iterator[list[int]]:
    """Notes a Ctrl-C besides what it does anyway: where a callback runs, Python drops it.

    A signal that the process was started to ignore stays ignored.
    """
    asked: list[int] = []
    before = signal.getsignal(signal.SIGINT)
    stop = before if callable(before) else signal.default_int_handler

    def on_signal(number: int, frame: Any) -> None:
        asked.append(number)
        stop(number, frame)

    with _signals_restored():
        for number in SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, on_signal)
        yield asked


@contextlib.contextmanager
def _signals_restored() -> Iterator[None]:
    """Ctrl-C means after the block what it meant before."""
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _follow_files(counts: "Iterable[Counted]", title: str) -> None:
    """Shows how many files of a collection are there, until all are."""
    from jaxcorr.cli import console

    with console.counting_bar() as progress:
        task = progress.add_task(title, total=None)
        for count in counts:
            progress.update(task, completed=count.num_done, total=count.total)


def _show_products(made: "Iterable[Product]") -> None:
    """Prints a row for each."""
    from rich.markup import escape

    from jaxcorr.cli import console

    made = list(made)
    exports = [p for p in made if p.what == "export"]
    shown = [(p.path, p.what, p.num_bytes) for p in made if p not in exports]
    if exports:
        num_bytes = sum(p.num_bytes for p in exports)
        shown.append((exports[0].path.parent, f"export, {len(exports)} files", num_bytes))
    rows = [[escape(str(path)), what, f"{size / 1024:,.0f}"] for path, what, size in shown]
    console.out.print(console.table("", ("made", "what", "KiB"), rows))
