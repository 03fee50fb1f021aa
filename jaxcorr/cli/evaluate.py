"""The commands `eval`, `compare`, `crossval` and `horizons`: arguments in, results printed.

Heavy modules load inside the commands that use them.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from jaxcorr import progress
from jaxcorr.cli.options import (
    JsonOption,
    OutOption,
    RunArgument,
    RunsOption,
    SetOption,
    SpecArgument,
    TracesOption,
    VerboseOption,
)

if TYPE_CHECKING:
    from numpy import ndarray

    from jaxcorr.evaluation.compare import Comparison, Difference
    from jaxcorr.evaluation.wording import Table
    from jaxcorr.metrics import Accuracy, Evaluation, Interval
    from jaxcorr.models.ranges import Ranges
    from jaxcorr.studies import horizons as horizon_plans
    from jaxcorr.studies import leave_out

MOST_LEFT_OUT = 3  # named; the JSON has them all
OFTEN = 0.01  # of the samples
SHORT_COLUMNS = 4  # of the baselines: fits 60 characters and one screen
MOST_TRACES = 12  # more would push the verdict off the screen; the JSON has them all

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
    out: OutOption = None,
    runs: RunsOption = Path("runs"),
    is_verbose: VerboseOption = False,
    as_json: JsonOption = False,
) -> None:
    """Judges a run on its test split, as streaming delivers it, with metrics.json and a report."""
    from jaxcorr.training import run_folder as run_folders

    chosen = run_folders.find(run, runs)
    progress.begin(f"loading {chosen.id}")
    from jaxcorr.cli import console
    from jaxcorr.evaluation import evaluate, tracks
    from jaxcorr.evaluation import report as reports

    place = console.prepare_out(chosen.path, out)
    if report:
        reports.refuse_altered(chosen)
    done = evaluate.evaluate_run(chosen, traces, out=place, is_strict=False)
    console.say_skipped(done.loaded.skipped)
    if not done.loaded.is_finished:
        console.err.print(f"training has not ended; using its best so far, {done.loaded.best}")
    if traces:
        say_beyond(done.loaded.spec.data.features, done.loaded.ranges, done.samples.features)
    if as_json:
        print(json.dumps(done.evaluation.model_dump(mode="json")))
    else:
        show_evaluation(done.evaluation, chosen.id, is_verbose)
    suffix = "_traces" if traces else ""
    if save_predictions:
        folder = place / f"predictions{suffix}"
        tracks.save(folder, done.samples, done.predicted, done.loaded.spec, chosen.id)
        console.err.print(f"predictions: {folder}", markup=False)
    if report:
        folder = reports.FOLDER + suffix
        what = chosen, done.evaluation, done.samples, done.predicted
        page = reports.build(*what, folder, place)
        console.err.print(f"report: {page}", markup=False)


def say_beyond(names: Sequence[str], known: "Ranges", rows: "ndarray") -> None:
    """Prints which inputs of other traces often lie beyond what a run was trained on."""
    from jaxcorr.cli import console

    beyond = ((rows < known.low) | (rows > known.high)).mean(axis=0)
    for name, low, high, share in zip(names, known.low, known.high, beyond, strict=True):
        if share > OFTEN:
            text = f"{name}: {100 * share:.0f}% of samples beyond training, {low:.4g} to {high:.4g}"
            console.err.print(text, style="yellow", markup=False)


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
    progress.begin(f"loading {a.id} and {b.id}")
    from jaxcorr.evaluation import compare as comparisons

    comparison = comparisons.compare(a, b, traces)
    if as_json:
        print(json.dumps(comparison.model_dump(mode="json")))
    else:
        show_comparison(comparison)


def crossval(
    spec: SpecArgument,
    by: Annotated[
        Literal["part", "acceleration", "feedrate"], typer.Option(help="What is left out in turn.")
    ] = "part",
    left_out: Annotated[
        list[str],
        typer.Option(
            "--leave-out",
            metavar="LABEL=PATTERN,...",
            help="Leave out these traces (folder/file) in place of --by; repeat the option.",
        ),
    ] = [],
    epochs: EpochsOption = None,
    overrides: SetOption = [],
    runs: RunsOption = Path("runs"),
    as_json: JsonOption = False,
) -> None:
    """Leaves out one part (acceleration, feedrate) after the other: how well the spec carries over.

    Started again, it goes on where it was stopped.
    """
    loaded, changes = _load(spec, overrides, epochs)
    from jaxcorr import files
    from jaxcorr.cli import console, session
    from jaxcorr.studies import leave_out
    from jaxcorr.training import run_folder

    session.prepare(loaded)
    name = loaded.train.name or spec.stem
    if left_out:
        folds = leave_out.name_folds(loaded.data, left_out)
    else:
        folds = leave_out.plan_folds(loaded.data, by)
    jobs = [[*changes, *leave_out.changes(fold, name)] for fold in folds]
    done = session.train_all(spec, jobs, runs / "crossval", True)
    outcomes = [leave_out.outcome(fold, run) for fold, run in zip(folds, done, strict=True)]
    mean = leave_out.average(outcomes)
    folds_json = [one.model_dump(mode="json") for one in outcomes]
    how = {} if left_out else {"by": by}
    result = how | {"folds": folds_json, "mean": mean.model_dump(mode="json")}
    kind = "traces" if left_out else by
    written = runs / "crossval" / f"{run_folder.slug_of(name)}-by-{kind}.json"
    files.write_json(written, result)
    if as_json:
        print(json.dumps(result))
    else:
        show_folds(outcomes, mean, kind)
        console.out.print(f"written: {written}", markup=False)


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
    from jaxcorr.cli import console, session
    from jaxcorr.studies import horizons as horizon_plans

    planned = horizon_plans.plan(first, last)
    session.prepare(loaded)
    name = loaded.train.name or spec.stem
    # The newest sample first, then ever further away: an early end leaves what matters most.
    planned.sort(key=lambda horizon: (abs(horizon), horizon))
    folder = runs / "horizons"
    jobs = [[*changes, *horizon_plans.changes(horizon, name)] for horizon in planned]
    outcomes = [horizon_plans.outcome(run) for run in session.train_all(spec, jobs, folder, False)]
    paths = [folder / f"{name}{suffix}" for suffix in (".png", ".svg")]
    horizon_plans.draw(outcomes, 1e3 / loaded.data.sample_rate_hz, *paths)
    if as_json:
        rows = [one.model_dump(mode="json") for one in outcomes]
        print(json.dumps({"horizons": rows, "files": list(map(str, paths))}))
    else:
        show_horizons(outcomes)
        console.out.print(f"drawn: {', '.join(map(str, paths))}", markup=False)


def _load(path: Path, overrides: list[str], epochs: int | None) -> tuple[Any, list[str]]:
    """The spec with its changes, and these."""
    from jaxcorr import spec as specs

    changes = [*overrides, *([f"train.epochs={epochs}"] if epochs else [])]
    return specs.load(path, changes), changes


def show_evaluation(evaluation: "Evaluation", run_id: str, is_verbose: bool) -> None:
    """Prints the verdict, baselines and targets; if asked all else that metrics.json holds."""
    from rich.markup import escape

    from jaxcorr.cli import console
    from jaxcorr.evaluation import wording
    from jaxcorr.units import horizon_text

    show_verdict(evaluation)
    instant = horizon_text(evaluation.horizon, 1e6 / evaluation.period_us)
    console.out.print(f"[bold]{escape(run_id)}[/bold] predicts the error {instant}")
    baselines = wording.baselines_table(evaluation)
    if not is_verbose:
        rows = [row[:SHORT_COLUMNS] for row in baselines.rows]
        _show_table(baselines._replace(columns=baselines.columns[:SHORT_COLUMNS], rows=rows))
        _show_table(wording.targets_table(evaluation))
        return
    _show_table(wording.accuracy_table(evaluation))
    _show_sentences(
        wording.accuracy_sentence(evaluation),
        wording.interval_sentence(evaluation),
        wording.percentile_sentence(evaluation),
        wording.dynamic_sentence(evaluation),
    )
    _show_table(baselines)
    _show_sentences(
        wording.baselines_sentence(evaluation),
        wording.path_sentence(evaluation.verdict),
        wording.ceiling_sentence(evaluation),
    )
    for table in wording.breakdown_tables(evaluation):
        _show_table(table)
    _show_table(wording.traces_table(evaluation), MOST_TRACES)
    _show_table(wording.latency_table(evaluation))
    _show_sentences(wording.latency_sentence(evaluation))
    _show_table(wording.targets_table(evaluation))
    # Again, since the tables have moved the first lines off the screen.
    show_verdict(evaluation)


def show_verdict(evaluation: "Evaluation") -> None:
    """Prints how the model stands, and what to use."""
    from rich.markup import escape

    from jaxcorr.cli import console
    from jaxcorr.evaluation import wording

    console.out.print(f"[bold]{escape(wording.standing(evaluation.verdict))}[/bold]")
    _show_sentences(wording.recommendation(evaluation))


def _show_table(table: "Table", most: int | None = None) -> None:
    """Prints a table of texts, or its first rows; verdicts get a colour."""
    from rich.markup import escape

    from jaxcorr.cli import console

    marks = {"met": "[green]met[/green]", "missed": "[red]missed[/red]"}
    rows = [[marks.get(cell, escape(cell)) for cell in row] for row in table.rows[:most]]
    left = len(table.rows) - len(rows)
    caption = table.caption + (f"; {left} more with --json" if left else "")
    console.out.print(console.table(caption, table.columns, rows))


def _show_sentences(*sentences: str) -> None:
    from jaxcorr.cli import console

    for sentence in filter(None, sentences):
        console.out.print(sentence, markup=False)


def show_comparison(comparison: "Comparison") -> None:
    """Prints two runs side by side, and whether they differ."""
    from rich.markup import escape

    from jaxcorr.cli import console
    from jaxcorr.units import count, horizon_text

    rate_hz = 1e6 / comparison.period_us
    for letter, run_id, horizon in (
        ("A", comparison.a, comparison.horizon_a),
        ("B", comparison.b, comparison.horizon_b),
    ):
        instant = horizon_text(horizon, rate_hz)
        console.out.print(f"{letter} = [bold]{escape(run_id)}[/bold], the error {instant}")
    traces = count(comparison.num_traces, "trace")
    console.out.print(
        f"{traces}, {count(comparison.num_samples, 'sample')}; {comparison.method}, "
        f"{count(comparison.num_blocks, 'block')}"
    )
    for entry in comparison.left_out:
        named, more = entry.traces[:MOST_LEFT_OUT], len(entry.traces) - MOST_LEFT_OUT
        rest = f" and {more} more" if more > 0 else ""
        console.out.print(escape(f"left out, since {entry.reason}: {', '.join(named)}{rest}"))
    columns = ("", "A", "B", "A - B", "95% interval", "")
    rows = [_comparison_row(key, one) for key, one in comparison.metrics.items()]
    console.out.print(console.table("", columns, rows))
    console.out.print(f"A has the lower RMSE on {comparison.a_better_on} of {traces}")
    console.out.print(f"[bold]{comparison.sentence}[/bold]")


def _comparison_row(key: str, one: "Difference") -> list[str]:
    from jaxcorr.evaluation import wording

    values = (wording.figure(value, key) for value in (one.a, one.b))
    verdict = {True: "differs", False: "within chance", None: "cannot be told"}[one.differs]
    ends = [wording.difference(end, key) for end in one.interval or ()]
    interval = " to ".join(ends) or wording.UNDEFINED
    return [
        wording.METRICS[key],
        *values,
        wording.difference(one.difference, key),
        interval,
        verdict,
    ]


def show_folds(outcomes: "Sequence[leave_out.Outcome]", mean: "leave_out.Mean", by: str) -> None:
    """Prints a row for all that was held out and their mean, then each beside its baselines."""
    from rich.markup import escape

    from jaxcorr.cli import console

    columns = (
        f"{by} held out", "traces", "samples", "MAE um", "RMSE um", "R2", "R2 95%", "of ceiling",
        "times the best baseline",
    )  # fmt: skip
    rows = [
        [
            escape(one.label),
            str(one.num_traces),
            f"{one.num_samples:,}",
            *_fold_figures(one, one.intervals.r2),
        ]
        for one in outcomes
    ]
    rows.append(["mean", "", "", *_fold_figures(mean, None)])
    console.out.print(console.table("trained without, tested on", columns, rows))
    _show_beside(outcomes, by)


def _show_beside(outcomes: "Sequence[leave_out.Outcome]", by: str) -> None:
    """Prints a row for all that was held out: RMSE of the model and baselines, and what to use."""
    from rich.markup import escape

    from jaxcorr.cli import console
    from jaxcorr.evaluation import wording

    names = list(dict.fromkeys(name for one in outcomes for name in one.baselines_mm))
    names.remove("mean")
    rows = [
        [
            escape(one.label),
            wording.um(one.ceiling_rmse_mm),
            wording.um(one.rmse_mm),
            wording.bounds(one.intervals.rmse_mm, "rmse_mm"),
            *(wording.um(one.baselines_mm.get(name)) for name in names),
            wording.short_advice(one.verdict),
        ]
        for one in outcomes
    ]
    columns = (f"{by} held out", "ceiling", "model", "95%", *names, "use")
    console.out.print(console.table("RMSE um on the same samples", columns, rows))
    if num_before := sum(one.num_before for one in outcomes):
        console.out.print(
            f"not scored: {num_before:,} samples at the starts of traces that begin in motion, "
            "since what came before is not known there"
        )


def _fold_figures(
    one: "leave_out.Outcome | leave_out.Mean", r2_interval: "Interval | None"
) -> list[str]:
    from jaxcorr.cli import console
    from jaxcorr.evaluation.wording import bounds, percent, ratio, um

    interval = bounds(r2_interval, "r2") if r2_interval else ""
    figures = [um(one.mae_mm), um(one.rmse_mm), ratio(one.r2), interval]
    return [*figures, percent(one.explained_share), console.number(one.rmse_ratio, 2)]


def show_horizons(outcomes: "Sequence[horizon_plans.Outcome]") -> None:
    """Prints a row a horizon: the network beside the better linear baseline and the plant."""
    from jaxcorr.cli import console

    columns = (
        "horizon", "MAE um", "R2", "linear MAE um", "linear R2", "best linear", "physics MAE um",
        "physics R2",
    )  # fmt: skip
    rows = [
        [
            f"{one.horizon:+d}" if one.horizon else "0",
            *_pair(one.network),
            *_pair(one.linear),
            one.linear_name,
            *_pair(one.physics),
        ]
        for one in sorted(outcomes, key=lambda one: one.horizon)
    ]
    console.out.print(console.table("horizon in samples, on the test split of each", columns, rows))


def _pair(accuracy: "Accuracy | None") -> tuple[str, str]:
    from jaxcorr.evaluation.wording import UNDEFINED, ratio, um

    if accuracy is None:
        return UNDEFINED, UNDEFINED
    return um(accuracy.mae_mm), ratio(accuracy.r2)
