"""The command `pipeline`: collect, train, evaluate, export; then what was made and the verdict.

Each stage keeps what it finished, so the same command goes on where it was stopped.
"""

import contextlib
import json
import signal
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from jaxcorr.cli.options import JsonOption, RunsOption, SetOption, SpecArgument

if TYPE_CHECKING:
    from jaxcorr.data.octave import Counted
    from jaxcorr.studies.workflow import Product

Simulator = Literal["auto", "octave", "twin"]
SimulatorOption = Annotated[
    Simulator,
    typer.Option(help="matlab/ under GNU Octave, the built-in twin, or Octave where it is there."),
]
SIGNALS = (signal.SIGINT, signal.SIGTERM)


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
                _evaluate(run, as_json)
            with _stage(4, "export", asked):
                _export(run)
            _show(run, loaded, as_json)
    except KeyboardInterrupt:
        session.stop()


def _collect(loaded: Any, simulator: Simulator) -> None:
    from jaxcorr.cli import console, session
    from jaxcorr.data import collect, octave
    from jaxcorr.errors import InputError

    program, options = octave.find(), collect.traces_to_make(loaded.data)
    files = octave.files_by_part(options) if options else {}
    if all(path.exists() for paths in files.values() for path in paths):
        console.err.print("no traces to make")
    elif simulator == "octave" and program is None:
        raise InputError(
            "--simulator: expected GNU Octave and the folder matlab/, got none. Install it, or use "
            "--simulator twin."
        )
    elif options and program and simulator != "twin":
        console.err.print(f"traces by {octave.version(program)}")
        counts = octave.make(program, options, files)
        _follow_files(counts, "simulating")
    else:
        console.err.print("traces by the built-in simulator")
    # Checks every trace, and makes those that are missing.
    session.prepare(loaded)


def _train(spec: Path, overrides: list[str], loaded: Any, folder: Path) -> Any:
    from jaxcorr.cli import console, session
    from jaxcorr.studies import trainings
    from jaxcorr.training import experiment

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
    # A stop that came after the last dispatch changes nothing there, but is meant for what follows.
    if requested or not is_finished:
        session.stop()
    return run


def _evaluate(run: Any, as_json: bool) -> None:
    from jaxcorr.cli import console, evaluate
    from jaxcorr.studies import workflow

    if workflow.is_evaluated(run):
        console.err.print("evaluated already")
        return
    evaluation = workflow.evaluate(run)
    if not as_json:
        evaluate.show_evaluation(evaluation, run.id)


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
    _show_products(made)
    evaluate.show_verdict(evaluation)


@contextlib.contextmanager
def _stage(number: int, name: str, asked: list[int]) -> Iterator[None]:
    """Says on stderr that a stage begins, and how long it took; a stop that got lost comes here."""
    from jaxcorr.cli import console

    began = time.perf_counter()
    console.err.print(f"[bold]{number} of 4: {name}[/bold]")
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

    rows = [[escape(str(p.path)), p.what, f"{p.num_bytes / 1024:,.0f}"] for p in made]
    console.out.print(console.table("", ("made", "what", "KiB"), rows))
