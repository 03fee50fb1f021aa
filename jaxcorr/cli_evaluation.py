"""The commands that judge models: `eval`, and what compares or trains several for a judgement.

Arguments in, results out. Heavy modules load inside the commands that use them.
"""

import json
from pathlib import Path
from typing import Annotated

import typer

RunsOption = Annotated[Path, typer.Option("--runs", help="Folder of run folders.")]
RunArgument = Annotated[str, typer.Argument(help="Run folder, id, unique start of one, or latest.")]
TracesOption = Annotated[
    list[str], typer.Option("--traces", help="Use these .mat files instead of the test split.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


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
    from jaxcorr import console, console_evaluation, evaluation, predictions
    from jaxcorr import report as reports
    from jaxcorr import runs as run_folders

    found = run_folders.find(run, runs)
    done = evaluation.evaluate_run(found, traces)
    if not done.loaded.is_finished:
        console.err.print(
            f"training has not ended; using its best epoch so far, {done.loaded.best_epoch}"
        )
    if as_json:
        print(json.dumps(done.assessment.found))
    else:
        console_evaluation.show_evaluation(done.assessment.found, found.id)
    predicted, suffix = done.assessment.predicted, "_traces" if traces else ""
    if save_predictions:
        folder = found.path / f"predictions{suffix}"
        predictions.save(folder, done.samples, predicted, done.loaded.spec, found.id)
        console.err.print(f"predictions: {folder}")
    if report:
        folder = reports.FOLDER + suffix
        page = reports.build(found, done.assessment.found, done.samples, predicted, folder)
        console.err.print(f"report: {page}")
