"""The commands that train many runs: `sweep` and `table`. Arguments in, results out."""

import json
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from jaxcorr.cli.interrupts import INTERRUPTED
from jaxcorr.cli.options import (
    JsonOption,
    RunsOption,
    SetOption,
    SpecArgument,
    complete_spec,
)
from jaxcorr.errors import InputError


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
    from jaxcorr.cli import console_sweep
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
    files = console_sweep.write_sweep(loaded, trials, folder)
    if as_json:
        found = {"folder": str(folder), "num_trials": loaded.num_trials, "trials": trials}
        print(json.dumps(console_sweep.plain(found)))
    else:
        console_sweep.show_sweep(loaded, trials, folder, files)
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
    from jaxcorr.cli import console_sweep
    from jaxcorr.studies import loss_table
    from jaxcorr.training import loop

    jobs = loss_table.plan_jobs(_split(losses), _split(sizes), seeds)
    session.prepare(loaded)
    folder, stop_requested = runs / "table", session.catch_interrupt()
    results = []
    try:
        for result in loss_table.work(
            spec, changes, jobs, folder, session.follow, lambda: bool(stop_requested)
        ):
            results.append(result)
            print(console_sweep.result_line(result, len(results), len(jobs)), file=sys.stderr)
    except loop.NonFiniteLoss as error:
        print(error, file=sys.stderr)
        raise typer.Exit(1) from None
    if len(results) < len(jobs):
        print("interrupted and saved; the same command goes on", file=sys.stderr)
        raise typer.Exit(INTERRUPTED)
    cells = loss_table.summarize(results)
    verdict = loss_table.judge(cells)
    console_sweep.write_comparison(cells, verdict, folder / "table.md")
    if as_json:
        found = {"cells": cells, "runs": results, "verdict": verdict}
        print(json.dumps(console_sweep.plain(found)))
    else:
        console_sweep.show_comparison(cells, verdict)


def _split(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _work(loaded: Any, folder: Path, should_stop: Callable[[], bool], num_workers: int = 1) -> None:
    """Runs trials as the only worker of this command, or quietly as one of several."""
    from jaxcorr.cli import console, console_sweep, session
    from jaxcorr.studies import sweep as sweeps

    follow = session.follow if num_workers == 1 else session.follow_quietly
    for trial in sweeps.work(loaded, folder, follow, should_stop, num_workers):
        console.err.print(console_sweep.trial_line(loaded, trial))


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
