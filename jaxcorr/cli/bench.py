"""The commands of `jaxcorr bench`, and the tables of their figures.

They measure speed on this machine, beside PyTorch, and memory by the size of the data.
"""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from jaxcorr import files
from jaxcorr.cli.options import (
    JsonOption,
    JudgedPrinterOption,
    PartOption,
    RunArgument,
    RunsOption,
    SetOption,
    complete_spec,
    find_spec,
    make_app,
)

app = make_app("bench", "Measures speed and memory on this machine.")

SpecOption = Annotated[
    Path,
    typer.Option(
        "--spec",
        help="The spec that trains and predicts.",
        autocompletion=complete_spec,
        callback=find_spec,
    ),
]
TracesOption = Annotated[
    list[str], typer.Option("--traces", metavar="GLOB", help="Train on these .mat files.")
]
SizesOption = Annotated[
    list[str],
    typer.Option(
        "--size", metavar="NAME", help="small, medium or large; repeat the option. All if left out."
    ),
]
TorchOption = Annotated[bool, typer.Option(help="Compare with PyTorch.")]

DEFAULT_SPEC = Path("specs/medium_hybrid.toml")
MOST_DRIFT_MM = 1e-5
DEFAULT_LAYERS = [40, 200, 2000]
RECIPES = {
    "all": "jaxcorr, all steps",
    "last": "jaxcorr, last step",
    "torch": "PyTorch, last step",
    "document_all": "jaxcorr, document's recipe, all steps",
    "torch_all": "PyTorch, document's recipe, all steps",
}
WAYS = {
    "predictor": "Predictor.step",
    "predictor_100_hz": "Predictor.step at 100 Hz",
    "predictor_100_hz_warm": "Predictor.step at 100 Hz after warm()",
    "predictor_1000_hz": "Predictor.step at 1 kHz",
    "predictor_1000_hz_warm": "Predictor.step at 1 kHz after warm()",
    "functional": "functional step",
    "onnxruntime": "onnxruntime, exported step",
    "c_step": "generated C step, by ctypes",
    "torch_eager": "PyTorch window, eager",
    "torch_script": "PyTorch window, TorchScript",
}


@app.command()
def train(
    spec: SpecOption = DEFAULT_SPEC,
    overrides: SetOption = [],
    traces: TracesOption = [],
    seconds: Annotated[
        float, typer.Option(min=0, help="Length of PyTorch's training; 0: none.")
    ] = 60.0,
    turn_seconds: Annotated[float, typer.Option(min=0.01, help="Length of a loop's turn.")] = 3.0,
    turns: Annotated[int, typer.Option(min=1, help="Number of turns of each loop.")] = 3,
    sizes: SizesOption = [],
    torch: TorchOption = True,
    as_json: JsonOption = False,
) -> None:
    """Measures targets per second, the pipeline's share, and the race to PyTorch's accuracy."""
    chosen = _sizes(sizes)
    checked = _load(spec, _with_traces(overrides, traces), torch)
    from jaxcorr.bench import training
    from jaxcorr.cli import console
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
        with files.scratch_folder() as folder:
            result["time_to_torch_mae"] = training.time_to_torch_mae(
                checked, data, seconds, Run(folder)
            )
    _show(result, as_json, _show_training)


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
    from jaxcorr.cli import console

    if torch:
        torch_reference.load_torch()
    result: dict[str, Any] = {"machine": training.describe(torch), "spec": str(spec), "latency": []}
    for size in chosen:
        console.err.print(f"timing {size}")
        result["latency"].append(latency.measure(checked, size, calls, torch))
    _show(result, as_json, _show_latency)


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
    from jaxcorr.cli import console

    checked = specs.load(spec, overrides)
    console.err.print(f"streaming {steps:,} samples")
    result: dict[str, Any] = {"machine": training.describe(False), "spec": str(spec)}
    result |= latency.endure(checked, steps)
    _show(result, as_json, _show_endurance)
    if result["worst_mm"] > MOST_DRIFT_MM:
        raise typer.Exit(1)


@app.command()
def data(
    spec: SpecOption = DEFAULT_SPEC,
    overrides: SetOption = [],
    layers: Annotated[
        list[int], typer.Option(metavar="NUMBER", min=1, help="Trace files; repeat the option.")
    ] = DEFAULT_LAYERS,
    samples: Annotated[int, typer.Option(min=2, help="Number of samples in each layer.")] = 5000,
    seconds: Annotated[float, typer.Option(min=0.01, help="Time for training steps.")] = 10.0,
    as_json: JsonOption = False,
) -> None:
    """Measures time a sample and peak memory for growing sets of layers, made for it."""
    from jaxcorr.bench import data_size, training
    from jaxcorr.cli import console

    result: dict[str, Any] = {"machine": training.describe(False), "spec": str(spec), "sets": []}
    for count in layers:
        console.err.print(f"loading and training on {count:,} layers")
        result["sets"].append(data_size.measure(spec, overrides, count, samples, seconds))
    _show(result, as_json, _show_data)


@app.command()
def compensate(
    run: RunArgument,
    part: PartOption = "3dbenchy",
    layer: Annotated[int, typer.Option(min=1, help="Counted from 1.")] = 21,
    accel_mm_s2: Annotated[
        list[float],
        typer.Option(metavar="NUMBER", help="In place of the file's; repeat the option."),
    ] = [],
    lookahead_ms: Annotated[float, typer.Option(help="Of the plan, ahead of a block.")] = 300.0,
    block_ms: Annotated[float, typer.Option(help="Sent at a time.")] = 100.0,
    times: Annotated[int, typer.Option(min=1, help="The layer by block.")] = 5,
    printer: JudgedPrinterOption = None,
    runs: RunsOption = Path("runs"),
    as_json: JsonOption = False,
) -> None:
    """Measures compensation: a layer offline, and by block against the block's own duration."""
    from jaxcorr.bench import compensation, training
    from jaxcorr.cli import console
    from jaxcorr.data import parts
    from jaxcorr.printer import gcode
    from jaxcorr.printer.planner import PlanOptions, plan_layer
    from jaxcorr.spec import printer_of
    from jaxcorr.training import restore
    from jaxcorr.training import run_folder as run_folders

    loaded = restore.load_weights(run_folders.find(run, runs))
    program = gcode.read(parts.find_part(part)[0], printer=printer_of(loaded.spec, printer))
    parts.select_layers(layer, program.num_layers)
    result: dict[str, Any] = {"machine": training.describe(False), "run": run, "layers": []}
    for accel in accel_mm_s2 or [None]:
        named = "the file's acceleration" if accel is None else f"{accel:g} mm/s2"
        console.err.print(f"compensating {part} layer {layer} at {named}", markup=False)
        planned = plan_layer(program, layer - 1, PlanOptions(accel_mm_s2=accel))
        measured = compensation.measure(loaded, planned, lookahead_ms, block_ms, times)
        result["layers"].append({"accel_mm_s2": accel, **measured})
    _show(result, as_json, show_compensation)


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


def _show_machine(machine: dict[str, Any]) -> None:
    """Prints what figures belong to."""
    from jaxcorr.cli import console

    versions = ", ".join(
        f"{name} {machine['versions'][name]}"
        for name in ("jaxcorr", "jax", "flax", "numpy", "torch")
        if name in machine["versions"]
    )
    console.out.print(
        f"{machine['machine']['processor']}, {machine['usable_cores']} cores, devices "
        f"{', '.join(dict.fromkeys(machine['devices']))}, load "
        f"{machine['load_average']:.1f}; Python {machine['python']}, {versions}"
    )


def show_compensation(result: dict[str, Any]) -> None:
    """Prints how long layers take offline and blocks take as they go."""
    from jaxcorr.cli import console

    _show_machine(result["machine"])
    rows = []
    for layer in result["layers"]:
        offline, blocks = layer["offline"], layer["blocks"]
        accel = layer["accel_mm_s2"]
        ended = "" if offline["outcome"] == "converged" else f", {offline['outcome']}"
        rows.append(
            (
                "the file's" if accel is None else f"{accel:g}",
                f"{layer['num_samples']:,}",
                console.number(offline["seconds"], 2),
                console.number(offline["seconds_a_minute"], 2),
                f"{offline['num_steps']}{ended}",
                console.number(blocks["p50_us"] / 1e3, 2),
                console.number(blocks["p99_us"] / 1e3, 2),
                console.number(blocks["max_us"] / 1e3, 2),
                console.number(blocks["block_us"] / 1e3, 0),
                f"{100 * blocks['p99_share']:.0f}",
                f"{blocks['num_compensated']:,} of {blocks['num_blocks']:,}",
                f"{blocks['num_hurried']}, {blocks['num_late']}",
            )
        )
    columns = (
        "mm/s2",
        "samples",
        "offline s",
        "a minute",
        "steps",
        "block p50 ms",
        "p99",
        "max",
        "has ms",
        "p99 %",
        "compensated",
        "hurried, late",
    )
    console.out.print(console.table("", columns, rows))


def _show_training(result: dict[str, Any]) -> None:
    """Prints rates and ratios of every size, then the race to PyTorch's accuracy."""
    from jaxcorr.cli import console

    _show_machine(result["machine"])
    rows = [_loop_row(entry, name) for entry in result["throughput"] for name in entry["loops"]]
    columns = (
        "training",
        "weights",
        "devices",
        "targets/s",
        "x PyTorch",
        "pipeline %",
        "in loop %",
        "compile s",
    )
    console.out.print(console.table("", columns, rows))
    race = result.get("time_to_torch_mae")
    if race is None:
        return
    reached = "was not reached" if race["seconds"] is None else f"took {race['seconds']:.1f} s"
    console.out.print(
        f"PyTorch ends {race['torch_seconds']:.0f} s ({race['torch_epochs']:.1f} epochs) with a "
        f"validation MAE of {1e3 * race['torch_val_mae_mm']:.2f} um; for jaxcorr that "
        f"[bold]{reached}[/bold], {race['epochs']} epochs"
    )


def _loop_row(entry: dict[str, Any], name: str) -> list[str]:
    from jaxcorr.bench.training import BFLOAT16

    kind = name.removesuffix(BFLOAT16)
    precision = ["bfloat16"] * (kind != name)
    loop = entry["loops"][name]
    shares = [loop.get("pipeline_share_alone"), loop.get("pipeline_share_in_loop")]
    return [
        " ".join([f"{entry['model']}: {RECIPES[kind]}", *precision]),
        f"{entry['parameters']:,}",
        _or_blank(loop.get("num_devices"), 0),
        f"{loop['targets_per_s']:,.0f}",
        _or_blank(entry["ratios"].get(name), 1),
        *(_or_blank(None if share is None else 100 * share, 1) for share in shares),
        _or_blank(loop.get("compile_s"), 1),
    ]


def _show_latency(result: dict[str, Any]) -> None:
    """Prints percentiles of every way to predict, a table a size."""
    from jaxcorr.cli import console

    _show_machine(result["machine"])
    for entry in result["latency"]:
        rows = [
            [
                WAYS[name],
                *(f"{found[f'{key}_us']:.1f}" for key in ("p50", "p90", "p99", "p99_9", "max")),
                _or_blank(entry["ratios"].get(name), 1),
                f"{found['num_calls']:,}",
            ]
            for name, found in entry["ways"].items()
        ]
        columns = ("us", "p50", "p90", "p99", "p99.9", "max", "x predictor", "calls")
        floor, parts = entry["floor"], entry["parts"]
        console.out.print(
            console.table(f"{entry['model']}, {entry['parameters']:,} parameters", columns, rows)
        )
        console.out.print(
            f"of {parts['step_us']:.1f} us: checks {parts['checks_us']:.1f}, dispatch "
            f"{parts['dispatch_us']:.1f}, transfer {parts['transfer_us']:.1f}, arithmetic "
            f"{parts['arithmetic_us']:.1f}, rest {parts['rest_us']:.1f}"
        )
        console.out.print(
            f"reading the parameters alone: {floor['from_memory_us']:.1f} us from memory "
            f"({floor['memory_gb_s']:.0f} GB/s), {floor['from_cache_us']:.1f} us from cache "
            f"({floor['cache_gb_s']:.0f} GB/s)"
        )


def _show_endurance(result: dict[str, Any]) -> None:
    """Prints how far a long stream is from one unroll, and what memory it took."""
    from jaxcorr.cli import console

    _show_machine(result["machine"])
    grown = result["grown_bytes"]
    memory = "unknown on this system" if grown is None else f"{grown / 2**20:+.1f} MiB"
    console.out.print(
        f"{result['num_steps']:,} steps and one unroll of them, {result['seconds']:.0f} s: at most "
        f"{result['worst_mm']:.1e} mm apart, memory {memory} over the last nine tenths"
    )


def _show_data(result: dict[str, Any]) -> None:
    """Prints a row for each set of layers: what a sample costs, and the peak of memory."""
    from jaxcorr.cli import console

    _show_machine(result["machine"])
    rows = [
        [
            f"{found['layers']:,}",
            f"{found['samples']:,}",
            f"{found['begin_s']:.1f}",
            *(
                f"{found[f'{key}_us']:.2f}"
                for key in ("load", "begin", "train", "batch", "validate")
            ),
            f"{found['targets_per_s']:,.0f}",
            f"{found['peak_mib']:,.0f}",
        ]
        for found in result["sets"]
    ]
    columns = (
        "layers",
        "samples",
        "begin s",
        "load us",
        "begin us",
        "train us",
        "batch us",
        "validate us",
        "targets/s",
        "peak MiB",
    )
    console.out.print(console.table("us are of one sample or target", columns, rows))


def _or_blank(value: float | None, digits: int) -> str:
    from jaxcorr.cli import console

    return "" if value is None else console.number(value, digits)
