"""The commands of `jaxcorr bench`: speed here, beside PyTorch, and memory by the size of data."""

import json
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from jaxcorr.cli.options import (
    JsonOption,
    PartOption,
    RunArgument,
    RunsOption,
    SetOption,
    SpecArgument,
    complete_spec,
    make_app,
)

app = make_app("bench", "Measures speed and memory on this machine.")

SpecOption = Annotated[
    Path,
    typer.Option("--spec", help="The spec that trains and predicts.", autocompletion=complete_spec),
]
TracesOption = Annotated[
    list[str], typer.Option("--traces", metavar="GLOB", help="Train on these .mat files.")
]
SizesOption = Annotated[
    list[str],
    typer.Option("--size", help="small, medium or large; repeat the option. All if left out."),
]
TorchOption = Annotated[bool, typer.Option(help="Compare with PyTorch.")]

DEFAULT_SPEC = Path("specs/medium_hybrid.toml")
MOST_DRIFT_MM = 1e-5
DEFAULT_LAYERS = [40, 200, 2000]


@app.command()
def train(
    spec: SpecOption = DEFAULT_SPEC,
    overrides: SetOption = [],
    traces: TracesOption = [],
    seconds: Annotated[float, typer.Option(min=0, help="Of PyTorch's training; 0: none.")] = 60.0,
    turn_seconds: Annotated[float, typer.Option(min=0.01, help="Of a loop's turn.")] = 3.0,
    turns: Annotated[int, typer.Option(min=1, help="Of each loop.")] = 3,
    sizes: SizesOption = [],
    torch: TorchOption = True,
    as_json: JsonOption = False,
) -> None:
    """Measures targets per second, the pipeline's share, and the race to PyTorch's accuracy."""
    chosen = _sizes(sizes)
    checked = _load(spec, _with_traces(overrides, traces), torch)
    from jaxcorr.bench import training
    from jaxcorr.cli import console, console_bench
    from jaxcorr.training import experiment
    from jaxcorr.training.run_folder import Run

    data = experiment.load_data(checked.data)
    result: dict[str, Any] = {"machine": training.describe(torch), "spec": str(spec)}
    result["throughput"] = []
    for size in chosen:
        console.err.print(f"timing {size}")
        result["throughput"].append(
            training.throughput(checked, data, size, turn_seconds, turns, torch)
        )
    if torch and seconds:
        console.err.print(f"PyTorch trains for {seconds:g} s, then jaxcorr until it is as good")
        with tempfile.TemporaryDirectory() as folder:
            result["time_to_torch_mae"] = training.time_to_torch_mae(
                checked, data, seconds, Run(Path(folder))
            )
    _show(result, as_json, console_bench.show_training)


@app.command()
def step(
    spec: SpecOption = DEFAULT_SPEC,
    overrides: SetOption = [],
    calls: Annotated[int, typer.Option(min=1, help="Of the predictor, back to back.")] = 20_000,
    sizes: SizesOption = [],
    torch: TorchOption = True,
    as_json: JsonOption = False,
) -> None:
    """Measures the latency of one prediction, back to back and paced at 100 Hz and 1 kHz."""
    from jaxcorr import spec as specs

    checked, chosen = specs.load(spec, overrides), _sizes(sizes)
    from jaxcorr.bench import latency, torch_reference, training
    from jaxcorr.cli import console, console_bench

    if torch:
        torch_reference.load_torch()
    result: dict[str, Any] = {"machine": training.describe(torch), "spec": str(spec), "latency": []}
    for size in chosen:
        console.err.print(f"timing {size}")
        result["latency"].append(latency.measure(checked, size, calls, torch))
    _show(result, as_json, console_bench.show_latency)


@app.command()
def endurance(
    spec: SpecOption = DEFAULT_SPEC,
    overrides: SetOption = [],
    steps: Annotated[int, typer.Option(min=2000, help="Samples to stream.")] = 1_000_000,
    as_json: JsonOption = False,
) -> None:
    """Streams a million samples: no drift against one unroll, no growth of memory."""
    from jaxcorr import spec as specs
    from jaxcorr.bench import latency, training
    from jaxcorr.cli import console, console_bench

    checked = specs.load(spec, overrides)
    console.err.print(f"streaming {steps:,} samples")
    result: dict[str, Any] = {"machine": training.describe(False), "spec": str(spec)}
    result |= latency.endure(checked, steps)
    _show(result, as_json, console_bench.show_endurance)
    if result["worst_mm"] > MOST_DRIFT_MM:
        raise typer.Exit(1)


@app.command(name="against-torch")
def against_torch(
    spec: SpecArgument = DEFAULT_SPEC,
    overrides: SetOption = [],
    traces: TracesOption = [],
    seconds: Annotated[float, typer.Option(min=1, help="Of training, for each.")] = 60.0,
    runs: Annotated[
        Path | None, typer.Option("--runs", help="Keep jaxcorr's run in this folder.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Trains jaxcorr and PyTorch for the same time and evaluates both on the same test rows."""
    from jaxcorr.bench import contest, training
    from jaxcorr.cli import console, console_bench

    overrides = _with_traces(overrides, traces)
    _load(spec, overrides, True)
    result: dict[str, Any] = {"machine": training.describe(), "spec": str(spec)}
    with tempfile.TemporaryDirectory() as folder:
        result |= contest.against_torch(
            spec, overrides, seconds, runs or Path(folder), console.err.print
        )
    _show(result, as_json, console_bench.show_contest)


@app.command()
def data(
    spec: SpecOption = DEFAULT_SPEC,
    overrides: SetOption = [],
    layers: Annotated[
        list[int], typer.Option(min=1, help="Trace files; repeat the option.")
    ] = DEFAULT_LAYERS,
    samples: Annotated[int, typer.Option(min=2, help="In each layer.")] = 5000,
    seconds: Annotated[float, typer.Option(min=0.01, help="Of training steps.")] = 10.0,
    as_json: JsonOption = False,
) -> None:
    """Measures time a sample and peak memory for growing sets of layers, made for it."""
    from jaxcorr.bench import data_size, training
    from jaxcorr.cli import console, console_bench

    result: dict[str, Any] = {"machine": training.describe(False), "spec": str(spec), "sets": []}
    for count in layers:
        console.err.print(f"loading and training on {count:,} layers")
        result["sets"].append(data_size.measure(spec, overrides, count, samples, seconds))
    _show(result, as_json, console_bench.show_data)


@app.command()
def compensate(
    run: RunArgument,
    part: PartOption = "3dbenchy",
    layer: Annotated[int, typer.Option(min=1, help="Counted from 1.")] = 21,
    accel_mm_s2: Annotated[
        list[float], typer.Option(help="In place of the file's; repeat the option.")
    ] = [],
    lookahead_ms: Annotated[float, typer.Option(help="Of the plan, ahead of a block.")] = 300.0,
    block_ms: Annotated[float, typer.Option(help="Sent at a time.")] = 100.0,
    times: Annotated[int, typer.Option(min=1, help="The layer by block.")] = 5,
    runs: RunsOption = Path("runs"),
    as_json: JsonOption = False,
) -> None:
    """Measures compensation: a layer offline, and by block against the block's own duration."""
    from jaxcorr.bench import compensation, training
    from jaxcorr.cli import console, console_bench
    from jaxcorr.data import parts
    from jaxcorr.printer import gcode
    from jaxcorr.printer.planner import PlanOptions, plan_layer
    from jaxcorr.training import restore
    from jaxcorr.training import run_folder as run_folders

    loaded = restore.load_weights(run_folders.find(run, runs))
    program = gcode.read(parts.find_part(part)[0])
    parts.select_layers(layer, program.num_layers)
    result: dict[str, Any] = {"machine": training.describe(False), "run": run, "layers": []}
    for accel in accel_mm_s2 or [None]:
        named = "the file's acceleration" if accel is None else f"{accel:g} mm/s2"
        console.err.print(f"compensating {part} layer {layer} at {named}", markup=False)
        planned = plan_layer(program, layer - 1, PlanOptions(accel_mm_s2=accel))
        measured = compensation.measure(loaded, planned, lookahead_ms, block_ms, times)
        result["layers"].append({"accel_mm_s2": accel, **measured})
    _show(result, as_json, console_bench.show_compensation)


def _load(spec: Path, overrides: list[str], torch: bool) -> Any:
    """The checked spec, its traces made; nothing is measured where something is missing."""
    from jaxcorr import spec as specs

    checked = specs.load(spec, overrides)
    from jaxcorr.bench import torch_reference
    from jaxcorr.cli import session

    if torch:
        torch_reference.load_torch()
    # Seconds of compiling are of interest here, so they are spent.
    session.prepare(checked, is_cached=False)
    return checked


def _sizes(sizes: list[str]) -> list[str]:
    """The chosen sizes, all where none is named; loading them takes pydantic, so it comes late."""
    from jaxcorr.errors import InputError
    from jaxcorr.spec import SIZES

    unknown = sorted(set(sizes) - set(SIZES))
    if unknown:
        raise InputError(
            f"--size: expected some of {', '.join(SIZES)}, got '{unknown[0]}'. Check its name."
        )
    return sizes or list(SIZES)


def _with_traces(overrides: list[str], traces: list[str]) -> list[str]:
    return [*overrides, f"data.traces={json.dumps(traces)}"] if traces else overrides


def _show(result: dict[str, Any], as_json: bool, show_fn: Any) -> None:
    if as_json:
        print(json.dumps(result))
    else:
        show_fn(result)
