"""The commands that judge models: `eval`, and what compares or trains several for a judgement.

Arguments in, results out. Heavy modules load inside the commands that use them.
"""

import json
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from jaxcorr.cli.interrupts import INTERRUPTED
from jaxcorr.cli.options import (
    JsonOption,
    RunArgument,
    RunsOption,
    SetOption,
    SpecArgument,
    TracesOption,
)

EpochsOption = Annotated[
    int | None, typer.Option(min=1, help="In place of the spec's; fewer are quicker.")
]


def evaluate(
    run: RunArgument,
    traces: TracesOption = [],
    report: Annotated[bool, typer.Option(help="Write a page with figures.")] = True,
    save_predictions: Annotated[
        bool, typer.Option("--save-predictions", help="Write .mat and .npz files of each trace.")
    ] = False,
    runs: RunsOption = Path("runs"),
    as_json: JsonOption = False,
) -> None:
    """Judges a run on its test split, as streaming delivers it, with metrics.json and a report."""
    from jaxcorr.training import run_folder as run_folders

    found = run_folders.find(run, runs)
    from jaxcorr.cli import console, console_evaluation
    from jaxcorr.evaluation import report as reports
    from jaxcorr.evaluation import tracks, whole_run
    from jaxcorr.training import path_first

    done = whole_run.evaluate_run(found, traces)
    if not done.loaded.is_finished:
        best = path_first.name_best(done.loaded.spec, done.loaded.best_epoch)
        console.err.print(f"training has not ended; using its best so far, {best}")
    if as_json:
        print(json.dumps(done.assessment.found))
    else:
        console_evaluation.show_evaluation(done.assessment.found, found.id)
    predicted, suffix = done.assessment.predicted, "_traces" if traces else ""
    if save_predictions:
        folder = found.path / f"predictions{suffix}"
        tracks.save(folder, done.samples, predicted, done.loaded.spec, found.id)
        console.err.print(f"predictions: {folder}", markup=False)
    if report:
        folder = reports.FOLDER + suffix
        page = reports.build(found, done.assessment.found, done.samples, predicted, folder)
        console.err.print(f"report: {page}", markup=False)


def compare(
    run_a: RunArgument,
    run_b: RunArgument,
    traces: TracesOption = [],
    runs: RunsOption = Path("runs"),
    as_json: JsonOption = False,
) -> None:
    """Says whether two runs differ beyond chance on the same test traces."""
    from jaxcorr.training import run_folder as run_folders

    a, b = (run_folders.find(text, runs) for text in (run_a, run_b))
    from jaxcorr.cli import console_evaluation
    from jaxcorr.evaluation import compare as versus

    found = versus.compare(a, b, traces)
    if as_json:
        print(json.dumps(found))
    else:
        console_evaluation.show_comparison(found)


def crossval(
    spec: SpecArgument,
    by: Annotated[
        Literal["part", "acceleration", "feedrate"], typer.Option(help="What is left out in turn.")
    ] = "part",
    epochs: EpochsOption = None,
    overrides: SetOption = [],
    runs: RunsOption = Path("runs"),
    as_json: JsonOption = False,
) -> None:
    """Leaves out one part (acceleration, feedrate) after the other: how well the spec carries over.

    Started again, it goes on where it was stopped.
    """
    loaded, changes = _load(spec, overrides, epochs)
    from jaxcorr.cli import console_evaluation, session
    from jaxcorr.studies import leave_out as crossvals

    session.prepare(loaded)
    name = loaded.train.name or spec.stem
    folds = crossvals.plan_folds(loaded.data, by)
    jobs = [[*changes, *crossvals.changes(fold, name)] for fold in folds]
    done = _train_all(spec, jobs, runs / "crossval", True)
    outcomes = [crossvals.outcome(fold, run) for fold, run in zip(folds, done, strict=True)]
    mean = crossvals.average(outcomes)
    if as_json:
        print(json.dumps({"by": by, "folds": outcomes, "mean": mean}))
    else:
        console_evaluation.show_folds(outcomes, mean, by)


def horizons(
    spec: SpecArgument,
    first: Annotated[int, typer.Option("--from", help="In samples; negative is preview.")] = -5,
    last: Annotated[int, typer.Option("--to", help="In samples.")] = 5,
    epochs: EpochsOption = None,
    overrides: SetOption = [],
    runs: RunsOption = Path("runs"),
    as_json: JsonOption = False,
) -> None:
    """Trains a spec for each horizon: R2 and MAE beside the baselines, as table and plot.

    Started again, it goes on where it was stopped.
    """
    loaded, changes = _load(spec, overrides, epochs)
    from jaxcorr.cli import console, console_evaluation, session
    from jaxcorr.studies import horizon_figures
    from jaxcorr.studies import horizons as horizon_plans

    planned = horizon_plans.plan(first, last)
    session.prepare(loaded)
    name = loaded.train.name or spec.stem
    # The newest sample first, then ever further away: an early end leaves what matters most.
    planned.sort(key=lambda horizon: (abs(horizon), horizon))
    folder = runs / "horizons"
    jobs = [[*changes, *horizon_plans.changes(horizon, name)] for horizon in planned]
    outcomes = [horizon_plans.outcome(run) for run in _train_all(spec, jobs, folder, False)]
    paths = [folder / f"{name}{suffix}" for suffix in (".png", ".svg")]
    horizon_figures.draw(outcomes, 1e3 / loaded.data.sample_rate_hz, *paths)
    if as_json:
        print(json.dumps({"horizons": outcomes, "files": [str(path) for path in paths]}))
    else:
        console_evaluation.show_horizons(outcomes)
        console.out.print(f"drawn: {', '.join(map(str, paths))}", markup=False)


def _load(path: Path, overrides: list[str], epochs: int | None) -> tuple[Any, list[str]]:
    """The spec with its changes, and these."""
    from jaxcorr import spec as specs

    changes = [*overrides, *([f"train.epochs={epochs}"] if epochs else [])]
    return specs.load(path, changes), changes


def _train_all(path: Path, jobs: list[list[str]], folder: Path, with_ceiling: bool) -> list[Any]:
    """The run of each job, trained where it is not there yet; a stop ends the command."""
    from jaxcorr.cli import console, session
    from jaxcorr.studies import trainings
    from jaxcorr.training import loop

    stop_requested, done = session.catch_interrupt(), []
    try:
        for run in trainings.work(
            path, jobs, folder, session.follow, lambda: bool(stop_requested), with_ceiling
        ):
            done.append(run)
            console.err.print(f"{len(done)} of {len(jobs)}: {run.id}", markup=False)
    except loop.NonFiniteLoss as error:
        print(error, file=sys.stderr)
        raise typer.Exit(1) from None
    if len(done) < len(jobs):
        console.err.print("interrupted and saved; the same command goes on")
        raise typer.Exit(INTERRUPTED)
    return done
