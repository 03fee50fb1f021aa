"""The commands that train many runs, `sweep` and `table`, and their tables."""

import json
import multiprocessing
import os
import shlex
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jaxcorr.cli.options import (
    JsonOption,
    RunsOption,
    SetOption,
    SpecArgument,
    complete_spec,
)
from jaxcorr.errors import InputError
from jaxcorr.interrupts import INTERRUPTED

if TYPE_CHECKING:
    from jaxcorr.studies.loss_table import Cell, Figure
    from jaxcorr.studies.sweep_spec import Sweep, Value
    from jaxcorr.studies.trials import Trial

RESULTS = ("val MAE um", "val R2", "best epoch", "epochs", "parameters", "s", "state", "run")


def sweep(
    spec: Annotated[
        Path, typer.Argument(help="Sweep spec, a TOML file.", autocompletion=complete_spec)
    ],
    workers: Annotated[int, typer.Option(min=1, help="Processes on this machine.")] = 1,
    runs: RunsOption = Path("runs"),
    as_json: JsonOption = False,
) -> None:
    """Searches a space of specs; started again, or on more machines, it goes on together."""
    from jaxcorr import spec as specs
    from jaxcorr.cli import session
    from jaxcorr.studies import sweep_spec

    loaded = sweep_spec.load(spec)
    from jaxcorr.studies import trials as study

    folder = runs / "sweeps" / loaded.name
    session.prepare(specs.load(loaded.base))
    study.open_study(loaded, folder)
    stop_requested = session.catch_interrupt()
    if workers == 1:
        _work(loaded, folder, lambda: bool(stop_requested))
        code = INTERRUPTED if stop_requested else 0
    else:
        code = _work_together(loaded, folder, workers, stop_requested)
    trials = study.list_trials(study.open_study(loaded, folder))
    written = write_sweep(loaded, trials, folder)
    if as_json:
        numbered = [trial._replace(number=trial.number + 1) for trial in trials]  # as in the table
        found = {"folder": str(folder), "num_trials": loaded.num_trials, "trials": numbered}
        print(json.dumps(plain(found)))
    else:
        show_sweep(loaded, trials, folder, written)
    if code:
        raise typer.Exit(code)


def table(
    spec: SpecArgument = Path("specs/medium_hybrid.toml"),
    seeds: Annotated[int, typer.Option(min=1, help="Trainings of each cell.")] = 3,
    epochs: Annotated[int | None, typer.Option(min=1, help="In place of the spec's.")] = None,
    losses: Annotated[str, typer.Option(help="Some of mae, mse, hybrid.")] = "mae,mse,hybrid",
    sizes: Annotated[
        str, typer.Option(help="Some of small, medium, large.")
    ] = "small,medium,large",
    overrides: SetOption = [],
    runs: RunsOption = Path("runs"),
    as_json: JsonOption = False,
) -> None:
    """Trains each loss with each size and seed, and shows whether the hybrid loss helps."""
    from jaxcorr import spec as specs
    from jaxcorr.cli import session

    changes = [*overrides, *([f"train.epochs={epochs}"] if epochs else [])]
    loaded = specs.load(spec, changes)
    from jaxcorr.studies import loss_table

    planned = loss_table.plan_jobs(_split(losses), _split(sizes), seeds)
    session.prepare(loaded)
    folder = runs / "table"
    jobs = [[*changes, *loss_table.changes(job)] for job in planned]
    done = session.train_all(spec, jobs, folder, with_ceiling=False)
    results = [loss_table.outcome(job, run) for job, run in zip(planned, done, strict=True)]
    cells = loss_table.summarize(results)
    verdict = loss_table.compare_losses(cells)
    _write_comparison(cells, verdict, folder / "table.md")
    if as_json:
        found = {"cells": cells, "runs": results, "verdict": verdict}
        print(json.dumps(plain(found)))
    else:
        _show_comparison(cells, verdict)


def _split(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _work(loaded: Any, folder: Path, should_stop: Callable[[], bool], num_workers: int = 1) -> None:
    """Runs trials as the only worker of this command, or quietly as one of several."""
    from jaxcorr.cli import console, session
    from jaxcorr.studies import sweep as sweeps

    follow = session.follow if num_workers == 1 else session.follow_quietly
    for trial in sweeps.work(loaded, folder, follow, should_stop, num_workers):
        console.err.print(_trial_line(loaded, trial))


def _work_together(loaded: Any, folder: Path, num_workers: int, stop_requested: list[int]) -> int:
    """Runs workers as processes of their own; returns the command's exit code."""
    # Each worker would otherwise take most of a GPU's memory for itself.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    context = multiprocessing.get_context("spawn")
    workers = [
        context.Process(target=_run_worker, args=(loaded, folder, os.getpid(), num_workers))
        for _ in range(num_workers)
    ]
    # What is ignored stays so in a process that is started: Ctrl-C is for its parent alone.
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    for worker in workers:
        worker.start()
    signal.signal(signal.SIGINT, handler)
    try:
        _wait(workers, stop_requested)
    except KeyboardInterrupt:
        for worker in workers:
            worker.kill()
        return INTERRUPTED
    killed = [worker.pid for worker in workers if (worker.exitcode or 0) < 0]
    for pid in killed:
        print(f"worker {pid} was killed; the same command goes on with its trial", file=sys.stderr)
    if stop_requested:
        return INTERRUPTED
    return 1 if killed else max(worker.exitcode or 0 for worker in workers)


def _wait(workers: list[Any], stop_requested: list[int]) -> None:
    """Waits for all workers, and tells them once when a stop is requested."""
    is_told = False
    while any(worker.is_alive() for worker in workers):
        if stop_requested and not is_told:
            is_told = True
            for worker in workers:
                worker.terminate()
        for worker in workers:
            worker.join(0.1)


def _run_worker(loaded: Any, folder: Path, parent: int, num_workers: int) -> None:
    """A process of one of several workers: stops when its parent says so, or is gone."""
    from jaxcorr import spec as specs
    from jaxcorr.cli import session

    stop_requested: list[int] = []
    # The terminal sends Ctrl-C to all processes; here only the parent's word counts, once.
    signal.signal(signal.SIGTERM, lambda number, _: stop_requested.append(number))
    session.start_jax(specs.from_table(loaded.base_table, str(loaded.base)))

    def should_stop() -> bool:
        return bool(stop_requested) or os.getppid() != parent

    try:
        _work(loaded, folder, should_stop, num_workers)
    except InputError as error:
        print(error, file=sys.stderr)
        sys.exit(2)


def write_sweep(sweep: "Sweep", trials: "Sequence[Trial]", folder: Path) -> list[Path]:
    """Writes the sweep's table and, once a trial has a result, its plot; returns the files."""
    import numpy as np

    from jaxcorr import files
    from jaxcorr.studies import sweep as sweeps

    columns, rows = _sweep_rows(sweep, trials)
    path = folder / "table.md"
    files.write_text(path, f"# {sweep.name}\n\n{_markdown(columns, rows)}")
    judged = [trial for trial in trials if trial.mae_mm is not None]
    if not judged:
        return [path]
    values = {p.key: [trial.values[p.key] for trial in judged] for p in sweep.parameters}
    mae_um = np.array([1e3 * (trial.mae_mm or 0.0) for trial in judged])
    is_complete = np.array([trial.state == "complete" for trial in judged])
    plot_paths = [folder / "sweep.png", folder / "sweep.svg"]
    for plot_path in plot_paths:
        sweeps.draw(values, mae_um, is_complete, plot_path)
    return [path, *plot_paths]


def show_sweep(
    sweep: "Sweep", trials: "Sequence[Trial]", folder: Path, written: Sequence[Path]
) -> None:
    """Prints the trials, best first, and what to do next."""

    from jaxcorr.cli import console

    columns, rows = _sweep_rows(sweep, trials)
    console.out.print(console.table("", columns, rows))
    ended = [trial for trial in trials if trial.state in ("complete", "pruned", "failed")]
    counts = ", ".join(
        f"{sum(trial.state == state for trial in trials)} {state}"
        for state in dict.fromkeys(trial.state for trial in trials)
    )
    console.out.print(f"{len(ended)} of {sweep.num_trials} trials have ended ({counts})")
    console.out.print(f"written: {', '.join(str(path) for path in written)}", markup=False)
    best = _best_first(trials)[0] if trials else None
    if best and best.mae_mm is not None:
        best_um = 1e3 * best.mae_mm
        console.out.print(f"[bold]best: {_choices(sweep, best)}: {best_um:.2f} um[/bold]")
        console.show_next(f"eval {shlex.quote(str(folder / (best.run or '')))}")


def _trial_line(sweep: "Sweep", trial: "Trial") -> str:
    """One line on a trial that has ended."""
    head = f"trial {trial.number + 1}: {_choices(sweep, trial)}"
    if trial.mae_mm is None:
        return f"{head}: {trial.state}, {trial.reason}"
    return (
        f"{head}: val MAE {1e3 * trial.mae_mm:.2f} um, {trial.epochs} epochs, "
        f"{trial.seconds or 0.0:.0f} s, {trial.state}"
    )


def plain(value: Any) -> Any:
    """Named tuples as dictionaries, however deep, for JSON."""
    if hasattr(value, "_asdict"):
        value = value._asdict()
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value


def _write_comparison(cells: "Sequence[Cell]", verdict: str, path: Path) -> None:
    """Writes the table of losses and sizes, and what it says."""
    from jaxcorr import files

    columns, rows = _comparison_rows(cells)
    files.write_text(path, f"{_markdown(columns, rows)}\n{verdict}\n")


def _show_comparison(cells: "Sequence[Cell]", verdict: str) -> None:
    """Prints the table of losses and sizes, and what it says."""
    from jaxcorr.cli import console

    columns, rows = _comparison_rows(cells)
    # The first column stands beside all others where a terminal is narrow.
    rows = [[f"{model}, {loss}", *rest] for model, loss, *rest in rows]
    console.out.print(console.table("", [", ".join(columns[:2]), *columns[2:]], rows))
    console.out.print(verdict)


def _comparison_rows(cells: "Sequence[Cell]") -> tuple[list[str], list[list[str]]]:
    from jaxcorr.spec import SIZES

    rows = [
        [
            "{} ({}×{})".format(cell.size, *SIZES[cell.size]),
            cell.loss,
            _figure(cell.r2, 4, 1.0),
            _figure(cell.mae_mm, 2, 1e3),
            _figure(cell.correlation, 4, 1.0),
            f"{cell.num_parameters:,}",
            f"{cell.seconds:.0f}",
            str(cell.num_seeds),
        ]
        for cell in cells
    ]
    return ["model", "loss", "R2", "MAE um", "correlation", "parameters", "s", "seeds"], rows


def _figure(figure: "Figure", digits: int, scale: float) -> str:
    if figure.mean is None:
        return "n/a"
    mean = f"{scale * figure.mean:.{digits}f}"
    return mean if figure.spread is None else f"{mean} ± {scale * figure.spread:.{digits}f}"


def _markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, first column left, the rest right."""
    lines = [columns, ["---", *["---:"] * (len(columns) - 1)], *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _sweep_rows(sweep: "Sweep", trials: "Sequence[Trial]") -> tuple[list[str], list[list[str]]]:
    from jaxcorr.cli import console

    names = [parameter.key for parameter in sweep.parameters]
    rows = [
        [
            str(trial.number + 1),
            *(_text(trial.values.get(name)) for name in names),
            "" if trial.mae_mm is None else f"{1e3 * trial.mae_mm:.2f}",
            "" if trial.mae_mm is None else console.number(trial.r2, 4),
            _text(trial.best_epoch),
            _text(trial.epochs),
            "" if trial.num_parameters is None else f"{trial.num_parameters:,}",
            "" if trial.seconds is None else f"{trial.seconds:.0f}",
            trial.state,
            trial.run or "",
        ]
        for trial in _best_first(trials)
    ]
    short = [name.rpartition(".")[2] for name in names]
    return ["#", *(short if len(set(short)) == len(short) else names), *RESULTS], rows


def _best_first(trials: "Sequence[Trial]") -> "list[Trial]":
    """Complete trials by MAE, then pruned ones, then the rest."""
    order = {"complete": 0, "pruned": 1}
    return sorted(trials, key=lambda t: (order.get(t.state, 2), t.mae_mm or 0.0, t.number))


def _choices(sweep: "Sweep", trial: "Trial") -> str:
    return ", ".join(
        f"{parameter.key.rpartition('.')[2]} {_text(trial.values.get(parameter.key))}"
        for parameter in sweep.parameters
    )


def _text(value: "Value | None") -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return "" if value is None else str(value)
