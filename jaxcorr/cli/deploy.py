"""The commands `export` and `demo-control`: the deployed forms of a run, and a control loop."""

import dataclasses
import json
import warnings
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jaxcorr import progress
from jaxcorr.cli.options import (
    JsonOption,
    JudgedPrinterOption,
    OutOption,
    PartOption,
    RunArgument,
    RunsOption,
    TracesOption,
)
from jaxcorr.errors import InputError
from jaxcorr.units import count

if TYPE_CHECKING:
    from jaxcorr.deploy.compiled_step import Status


def export(
    run: RunArgument,
    runs: RunsOption = Path("runs"),
    traces: TracesOption = [],
    out: OutOption = None,
    as_json: JsonOption = False,
) -> None:
    """Writes a run's model as ONNX, StableHLO, C and for MATLAB, each form checked."""
    from jaxcorr.training import run_folder as run_folders

    found = run_folders.find(run, runs)
    progress.begin(f"loading {found.id}")
    from jaxcorr import metrics
    from jaxcorr.cli import console
    from jaxcorr.evaluation import wording
    from jaxcorr.export import all_forms
    from jaxcorr.training import experiment, restore

    place = console.prepare_out(found.path, out)
    loaded = restore.load_weights(found, is_strict=False)
    console.say_skipped(loaded.skipped)
    if not loaded.is_finished:
        console.err.print(f"training has not ended; using its best so far, {loaded.best}")
    progress.begin("reading the test traces")
    samples = experiment.test_samples(found, loaded.spec, traces)
    judgement = wording.for_card(found.path / metrics.FILE)
    manifest = all_forms.export(found, loaded, samples, judgement, place)
    folder = place / found.export.name
    if as_json:
        print(json.dumps(manifest | {"folder": str(folder)}))
    else:
        show_export(folder, manifest)


COLUMNS = ("file", "KiB", "samples", "worst mm", "one call")


def show_export(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Prints the files with their difference from the predictor, and what checked them."""
    from rich.markup import escape

    from jaxcorr.cli import console

    rows = [_row(name, entry) for name, entry in manifest["files"].items()]
    title = (
        f"{escape(str(folder))}: compared with the predictor over samples of "
        f"{count(manifest['num_traces'], 'trace')}"
    )
    console.out.print(console.table(title, (*COLUMNS, "checked with"), rows))


def _row(name: str, entry: Mapping[str, Any]) -> tuple[str, ...]:
    worst, us_per_call = entry.get("worst_mm"), entry.get("us_per_call")
    return (
        name,
        f"{entry['num_bytes'] / 1024:,.0f}",
        "" if worst is None else f"{entry['num_samples']:,}",
        "" if worst is None else f"{worst:.1e}",
        "" if us_per_call is None else f"{us_per_call:.1f} us",
        entry.get("checked_with", "written from the above"),
    )


MOST_HZ = 1000


def demo_control(
    run: RunArgument,
    rate: Annotated[
        int | None, typer.Option(help="Rate of the loop in Hz; the model's own if left out.")
    ] = None,
    seconds: Annotated[float, typer.Option(min=0.01, max=3600, help="Length of the loop.")] = 10.0,
    part: PartOption = "3dbenchy",
    layer: Annotated[int, typer.Option(help="Its layer, counted from 1.")] = 10,
    warm: Annotated[bool, typer.Option(help="Warm the caches up before each tick.")] = True,
    plot: Annotated[Path | None, typer.Option(help="Draw into this .png, .svg or .pdf.")] = None,
    printer: JudgedPrinterOption = None,
    runs: RunsOption = Path("runs"),
    as_json: JsonOption = False,
) -> None:
    """Predicts in a paced loop along a planned layer, and shows what naive correction would do."""
    from jaxcorr import plotting
    from jaxcorr.data import parts
    from jaxcorr.printer import gcode, planner
    from jaxcorr.spec import printer_of
    from jaxcorr.training import run_folder as run_folders

    found_run = run_folders.find(run, runs)
    own_hz = round(found_run.spec().data.sample_rate_hz)
    rate = own_hz if rate is None else rate
    if rate % own_hz or not 0 < rate <= MOST_HZ:
        raise InputError(
            f"--rate: expected a whole multiple of the model's {own_hz} Hz up to {MOST_HZ}, got "
            f"{rate}. Choose another."
        )
    judged = printer_of(found_run.spec(), printer)
    path, note = parts.find_part(part)
    program = gcode.read(path, printer=judged)
    parts.select_layers(layer, program.num_layers)
    plan = planner.plan_layer(program, layer - 1)
    if plot is not None:
        plotting.check_paths(plot)
    progress.begin(f"loading {found_run.id}")
    from jaxcorr.cli import console
    from jaxcorr.compensation import naive
    from jaxcorr.deploy import timing
    from jaxcorr.deploy.predictor import Predictor

    own = Predictor.load(found_run.path)
    naive.check_model(own)
    # A demonstration goes on where a sample is refused, and says so.
    with warnings.catch_warnings(action="ignore"):  # said already
        fast = Predictor.load(found_run.path, rate_hz=rate, mode="hold")
    console.err.print(f"{note}, layer {layer}; {seconds:g} s at {rate} Hz", markup=False)
    ticks = timing.run_loop(fast, plan, rate, seconds, warm)
    loop, status = timing.summarize_loop(ticks), fast.status
    subtraction = naive.subtract(own, plan, judged, seed=0)
    if plot is not None:
        from jaxcorr.compensation import figures

        figures.draw_control(ticks, subtraction, plot)
    if as_json:
        result: dict[str, Any] = {"run": run, "part": part, "layer": layer, "loop": loop}
        result |= {"status": dataclasses.asdict(status), "subtraction": subtraction}
        print(json.dumps(result))
        return
    show_loop(loop, status)
    show_subtraction(subtraction)
    if plot is not None:
        console.out.print(f"drawn: {plot}", markup=False)


BAR = 40  # characters


def show_loop(found: Mapping[str, Any], status: "Status") -> None:
    """Prints how a paced loop went."""
    from jaxcorr.cli import console

    rows = [
        [name, *(f"{found[key][f'{p}_us']:.1f}" for p in ("p50", "p90", "p99", "p99_9", "max"))]
        for name, key in (("prediction takes", "latency"), ("tick begins late by", "jitter"))
    ]
    title = f"{found['rate_hz']:g} Hz, {found['num_ticks']:,} ticks"
    console.out.print(console.table(title, ("us", "p50", "p90", "p99", "p99.9", "max"), rows))
    edges, counts = found["histogram"]["edges_us"], found["histogram"]["counts"]
    for (low, high), num_ticks in zip(pairwise(edges), counts, strict=True):
        end = f"to {high:>6,}" if high < edges[-1] else "or more  "
        if num_ticks:
            share = num_ticks / found["num_ticks"]
            bar = "#" * max(1, round(BAR * share))
            console.out.print(f"{low:>6,} {end} us {100 * share:5.1f}% {bar}")
    period_us = 1e6 / found["rate_hz"]
    console.out.print(
        f"[bold]{found['num_missed']} of {found['num_ticks']:,} deadlines missed[/bold] "
        f"(answers later than {period_us:,.0f} us after their tick)"
    )
    console.out.print(_describe(status))


def _describe(status: "Status") -> str:
    furthest = ", ".join(f"{name} by {value:.3g}" for name, value in status.outside.items())
    held = f"{count(status.num_held, 'sample')} refused" + (
        f" (the last: {status.last_problem})" if status.last_problem else ""
    )
    flagged = f"{status.num_flagged:,} beyond training" + (f" ({furthest})" if furthest else "")
    return f"{held}, {flagged}"


def show_subtraction(found: Mapping[str, Any]) -> None:
    """Prints the error by band before and after naive subtraction, and what it means."""
    from jaxcorr.cli import console
    from jaxcorr.compensation import naive

    edges, bands, totals = found["edges_hz"], found["bands_um"], found["total_um"]
    kinds = (naive.NONE, naive.NETWORK, naive.PERFECT)
    rows = [
        [f"{low:g} to {high:g} Hz", *(f"{bands[kind][i]:.1f}" for kind in kinds)]
        for i, (low, high) in enumerate(pairwise(edges))
    ]
    rows.append(["in all", *(f"{totals[kind]:.1f}" for kind in kinds)])
    columns = ("error, um RMS", "no correction", "minus network", "minus perfect")
    console.out.print(console.table("command = reference - predicted error", columns, rows))
    console.out.print(naive.verdict(found))
