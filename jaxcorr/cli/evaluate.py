"""The commands that judge models: `eval`, and what compares or trains several for a judgement.

Arguments in, results out. Heavy modules load inside the commands that use them.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

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
    from jaxcorr.cli import console
    from jaxcorr.evaluation import evaluate, tracks
    from jaxcorr.evaluation import report as reports
    from jaxcorr.training import path_first

    done = evaluate.evaluate_run(found, traces)
    if not done.loaded.is_finished:
        best = path_first.name_best(done.loaded.spec, done.loaded.best_epoch)
        console.err.print(f"training has not ended; using its best so far, {best}")
    if as_json:
        print(json.dumps(done.assessment.found))
    else:
        show_evaluation(done.assessment.found, found.id)
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
    from jaxcorr.evaluation import compare as versus

    found = versus.compare(a, b, traces)
    if as_json:
        print(json.dumps(found))
    else:
        show_comparison(found)


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
    from jaxcorr.cli import session
    from jaxcorr.studies import leave_out as crossvals

    session.prepare(loaded)
    name = loaded.train.name or spec.stem
    folds = crossvals.plan_folds(loaded.data, by)
    jobs = [[*changes, *crossvals.changes(fold, name)] for fold in folds]
    done = session.train_all(spec, jobs, runs / "crossval", True)
    outcomes = [crossvals.outcome(fold, run) for fold, run in zip(folds, done, strict=True)]
    mean = crossvals.average(outcomes)
    if as_json:
        print(json.dumps({"by": by, "folds": outcomes, "mean": mean}))
    else:
        show_folds(outcomes, mean, by)


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
        print(json.dumps({"horizons": outcomes, "files": [str(path) for path in paths]}))
    else:
        show_horizons(outcomes)
        console.out.print(f"drawn: {', '.join(map(str, paths))}", markup=False)


def _load(path: Path, overrides: list[str], epochs: int | None) -> tuple[Any, list[str]]:
    """The spec with its changes, and these."""
    from jaxcorr import spec as specs

    changes = [*overrides, *([f"train.epochs={epochs}"] if epochs else [])]
    return specs.load(path, changes), changes


COLUMNS = ("", "MAE um", "RMSE um", "R2", "corr.", "max um")
GROUPS = {
    "feature_type": "by kind of line",
    "speed": "by speed",
    "corner_distance": "by way since the last corner or stop",
    "acceleration": "by acceleration",
    "feedrate": "by feedrate",
}
TARGETS = {
    "mae_mm": ("MAE", "<=", " mm"),
    "r2": ("R2", ">=", ""),
    "inference_ms": ("time of a prediction, p99,", "<=", " ms"),
}
MOST_LEFT_OUT = 3  # named; the JSON has them all
MOST_TRACES = 12  # more would push the verdict off the screen; the JSON has them all

Found = Mapping[str, Any]


def show_evaluation(found: Found, run_id: str) -> None:
    """Prints accuracy, uncertainty, rivals, breakdown, latency, and a verdict for each target."""
    from rich.markup import escape

    from jaxcorr.cli import console

    test = found["test"]
    console.out.print(
        f"[bold]{escape(run_id)}[/bold]: judged on {test['num_traces']} traces of "
        f"{test['num_layers']} layers, {test['num_samples']:,} samples; it predicts "
        f"{_horizon(found['horizon'])}"
    )
    _show_accuracy(found)
    _show_uncertainty(found)
    _show_rivals(found)
    _show_groups(found)
    _show_latency(found["latency"])
    _show_verdicts(found)


def _horizon(horizon: int) -> str:
    if horizon == 0:
        return "the error at the newest sample"
    where = "after" if horizon > 0 else "before"
    plural = "" if abs(horizon) == 1 else "s"
    return f"the error {abs(horizon)} sample{plural} {where} the newest"


def _show_accuracy(found: Found) -> None:
    from jaxcorr.cli import console

    test = found["test"]
    names = [n for n, v in test.items() if isinstance(v, dict) and "mae_mm" in v]
    rows = [metric_row(name, test[name]) for name in names]
    if "window" in found:
        rows.append(metric_row("overall, window from zero", found["window"]["overall"]))
    console.out.print(console.table("accuracy, streamed sample by sample", COLUMNS, rows))
    percentiles = "  ".join(
        f"{key.removesuffix('_mm')} {um(value)}" for key, value in test["percentiles"].items()
    )
    console.out.print(f"absolute residual, um: {percentiles}")


def _show_uncertainty(found: Found) -> None:
    from jaxcorr.cli import console

    intervals = found["intervals"]
    spelled = [
        f"{heading} {'n/a' if bounds is None else f'{form(bounds[0])}..{form(bounds[1])}'}"
        for heading, form, bounds in (
            ("MAE", um, intervals["mae_mm"]),
            ("RMSE", um, intervals["rmse_mm"]),
            ("R2", ratio, intervals["r2"]),
            ("corr.", ratio, intervals["correlation"]),
        )
    ]
    console.out.print(f"95% intervals, um: {'  '.join(spelled)}")
    console.out.print(f"  ({intervals['method']}, {intervals['num_blocks']} blocks)")
    if moving := found["dynamic"]:
        console.out.print(
            f"dynamic part alone (less {moving['offset']}): {um(moving['rms_mm'])} um RMS, "
            f"R2 {ratio(moving['r2'])}"
        )


def _show_rivals(found: Found) -> None:
    """Network, baselines and ceiling on the same rows, best first."""
    from jaxcorr.cli import console

    rivals = {name: entry["overall"] for name, entry in found["baselines"].items()}
    if rivals:
        everyone = {"network": found["test"]["overall"], **rivals}
        order = sorted(everyone, key=lambda name: everyone[name]["rmse_mm"])
        rows = [metric_row(name, everyone[name]) for name in order]
        if best := found["ceiling"]:
            rows.insert(0, metric_row("noise ceiling", best))
        console.out.print(console.table("on the same samples", COLUMNS, rows))
        for axis, mode in found["identified"].items():
            console.out.print(
                f"physics, {axis}: {mode['frequency_hz']:.2f} Hz, damping ratio "
                f"{mode['damping_ratio']:.3f}"
            )
        console.out.print(found["against_best_baseline"]["sentence"])
    else:
        console.out.print(
            "no baselines: this run began before they were fitted; train it again for them"
        )
    if best := found["ceiling"]:
        console.out.print(
            f"noise ceiling: MAE {um(best['mae_mm'])} um, R2 {ratio(best['r2'])}; "
            f"{share(best['explained_share'])} of the explainable variance is explained, the "
            f"MAE is {console.number(1 / best['mae_share'] if best['mae_share'] else None, 2)} "
            "times as large as it has to be"
        )


def _show_groups(found: Found) -> None:
    from jaxcorr.cli import console

    columns = ("", "samples", "true RMS um", "MAE um", "RMSE um", "R2")
    for kind, entries in found["breakdown"].items():
        rows = [_group_row(entry["label"], entry) for entry in entries]
        console.out.print(console.table(GROUPS[kind], columns, rows))
    traces = sorted(found["per_trace"], key=lambda entry: -entry["rmse_mm"])
    rows = [_group_row(entry["name"], entry) for entry in traces[:MOST_TRACES]]
    left = len(traces) - MOST_TRACES
    title = "by trace, worst first" + (f"; {left} more with --json" if left > 0 else "")
    console.out.print(console.table(title, columns, rows))


def _group_row(name: str, entry: Found) -> list[str]:
    from rich.markup import escape

    lengths = (um(entry[key]) for key in ("true_rms_mm", "mae_mm", "rmse_mm"))
    return [escape(name), f"{entry['num_samples']:,}", *lengths, ratio(entry["r2"])]


def _show_latency(latency: Found) -> None:
    from jaxcorr.cli import console

    keys = ("p50_us", "p90_us", "p99_us", "p99_9_us", "max_us")
    spelled = ", ".join(
        f"{key.removesuffix('_us').replace('_', '.')} {latency[key]:.1f} us" for key in keys
    )
    console.out.print(
        f"inference: {spelled}; {latency['num_calls']:,} calls, one sample at a time, "
        f"{latency['calls_per_s']:,.0f} a second"
    )
    console.out.print(
        f"  (limit {latency['limit_us']:g} us, a sample every {latency['period_us']:g} us)"
    )


def _show_verdicts(found: Found) -> None:
    from jaxcorr.cli import console

    for key, entry in found["targets"].items():
        name, sign, unit = TARGETS[key]
        value = f"{console.number(entry['value'], 4)}{unit}"
        if key == "mae_mm":
            value += f" ({um(entry['value'])} um)"
        mark = "[green]met[/green]" if entry["is_met"] else "[red]missed[/red]"
        console.out.print(f"target {name} {sign} {entry['goal']:g}{unit}: {value}, {mark}")
    verdict = "meets all targets" if found["meets_all_targets"] else "misses a target"
    console.out.print(f"[bold]the model {verdict}[/bold]")


def metric_row(name: str, values: Found) -> list[str]:
    """A name and the columns of COLUMNS; empty where a figure is not known."""
    lengths = [um(values[key]) if key in values else "" for key in ("mae_mm", "rmse_mm")]
    correlation = ratio(values["correlation"]) if "correlation" in values else ""
    most = f"{1e3 * values['max_mm']:.1f}" if "max_mm" in values else ""
    return [name, *lengths, ratio(values["r2"]), correlation, most]


def um(value_mm: float | None) -> str:
    """A length in um, with two decimals."""
    from jaxcorr.cli import console

    return console.number(None if value_mm is None else round(1e3 * value_mm, 2) + 0.0, 2)


def ratio(value: float | None) -> str:
    """R2 or a correlation, with four decimals."""
    from jaxcorr.cli import console

    # Adding zero keeps a rounded -0.00004 from showing as -0.0000.
    return console.number(None if value is None else round(value, 4) + 0.0, 4)


def share(value: float | None) -> str:
    """A percentage, or `n/a`."""
    return "n/a" if value is None else f"{100 * value:.2f}%"


def show_comparison(found: Found) -> None:
    """Prints two runs side by side, and whether they differ."""
    from rich.markup import escape

    from jaxcorr.cli import console

    console.out.print(
        f"A = [bold]{escape(found['a'])}[/bold], {_horizon(found['horizon_a'])}\n"
        f"B = [bold]{escape(found['b'])}[/bold], {_horizon(found['horizon_b'])}\n"
        f"{found['num_traces']} traces, {found['num_samples']:,} samples; "
        f"{found['method']}, {found['num_blocks']} blocks"
    )
    for entry in found["left_out"]:
        traces, more = entry["traces"][:MOST_LEFT_OUT], len(entry["traces"]) - MOST_LEFT_OUT
        rest = f" and {more} more" if more > 0 else ""
        console.out.print(escape(f"left out, since {entry['reason']}: {', '.join(traces)}{rest}"))
    columns = ("", "A", "B", "A - B", "95% interval", "")
    rows = [_comparison_row(name, entry) for name, entry in found["metrics"].items()]
    console.out.print(console.table("", columns, rows))
    console.out.print(
        f"A has the lower RMSE on {found['a_better_on']} of {found['num_traces']} traces"
    )
    console.out.print(f"[bold]{found['sentence']}[/bold]")


def _comparison_row(name: str, entry: Found) -> list[str]:
    form = um if name.endswith("_mm") else ratio
    label = name.replace("_mm", " um").replace("mae", "MAE").replace("r2", "R2")
    bounds, differs = entry["interval"], entry["differs"]
    values = (form(entry[key]) for key in ("a", "b", "difference"))
    interval = "n/a" if bounds is None else f"{form(bounds[0])}..{form(bounds[1])}"
    verdict = {True: "differs", False: "within chance", None: "cannot be told"}[differs]
    return [label.replace("rmse", "RMSE"), *values, interval, verdict]


def show_folds(outcomes: Sequence[Found], mean: Found, by: str) -> None:
    """Prints a row a held-out part, acceleration or feedrate, and their mean."""
    from rich.markup import escape

    from jaxcorr.cli import console

    columns = (
        f"{by} held out", "traces", "samples", "MAE um", "RMSE um", "R2", "R2 95%", "of ceiling",
        "best baseline", "RMSE ratio",
    )  # fmt: skip
    rows = [
        [
            escape(row["label"]),
            str(row["num_traces"]),
            f"{row['num_samples']:,}",
            *_fold_figures(row),
            row["best_baseline"] or "n/a",
            console.number(row["rmse_ratio"], 2),
        ]
        for row in outcomes
    ]
    averages = [*_fold_figures({**mean, "intervals": {"r2": None}}), ""]
    rows.append(["mean", "", "", *averages, console.number(mean["rmse_ratio"], 2)])
    console.out.print(console.table("trained without, tested on", columns, rows))


def _fold_figures(row: Found) -> list[str]:
    bounds = row["intervals"]["r2"]
    interval = "" if bounds is None else f"{ratio(bounds[0])}..{ratio(bounds[1])}"
    lengths = (um(row["mae_mm"]), um(row["rmse_mm"]))
    return [*lengths, ratio(row["r2"]), interval, share(row["explained_share"])]


def show_horizons(outcomes: Sequence[Found]) -> None:
    """Prints a row a horizon: the network beside the better linear baseline and the oscillator."""
    from jaxcorr.cli import console

    columns = (
        "horizon", "R2", "MAE um", "linear R2", "linear MAE um", "best linear", "physics R2",
        "physics MAE um",
    )  # fmt: skip
    rows = [
        [
            f"{row['horizon']:+d}" if row["horizon"] else "0",
            *_pair(row["network"]),
            *_pair(row["linear"]),
            row["linear_name"] or "",
            *_pair(row["physics"]),
        ]
        for row in sorted(outcomes, key=lambda row: row["horizon"])
    ]
    console.out.print(console.table("horizon in samples, on the test split of each", columns, rows))


def _pair(values: Found | None) -> tuple[str, str]:
    return ("n/a", "n/a") if values is None else (ratio(values["r2"]), um(values["mae_mm"]))
