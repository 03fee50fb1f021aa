"""The command `demo-control`: a paced loop beside the simulated printer. It formats nothing."""

import dataclasses
import json
from pathlib import Path
from typing import Annotated, Any

import typer

from jaxcorr.cli.options import JsonOption, PartOption, RunArgument, RunsOption
from jaxcorr.errors import InputError

RATES = (100, 1000)


def demo_control(
    run: RunArgument,
    rate: Annotated[int, typer.Option(help="Of the loop, in Hz: 100 or 1000.")] = 100,
    seconds: Annotated[float, typer.Option(min=0.01, max=3600, help="Of the loop.")] = 10.0,
    part: PartOption = "3dbenchy",
    layer: Annotated[int, typer.Option(help="Which, counted from 1.")] = 10,
    warm: Annotated[bool, typer.Option(help="Warm the caches up before each tick.")] = True,
    plot: Annotated[Path | None, typer.Option(help="Draw into this .png, .svg or .pdf.")] = None,
    runs: RunsOption = Path("runs"),
    as_json: JsonOption = False,
) -> None:
    """Predicts in a paced loop along a planned layer, and shows what naive correction would do."""
    from jaxcorr.data import parts
    from jaxcorr.printer import gcode, planner
    from jaxcorr.training import run_folder as run_folders

    if rate not in RATES:
        raise InputError(
            f"--rate: expected {' or '.join(map(str, RATES))} Hz, got {rate}. Choose one of them."
        )
    found_run = run_folders.find(run, runs)
    path, note = parts.find_part(part)
    program = gcode.read(path)
    parts.select_layers(layer, program.num_layers)
    plan = planner.plan_layer(program, layer - 1)
    from jaxcorr import plotting
    from jaxcorr.cli import console, console_control
    from jaxcorr.compensation import naive, trial_cases
    from jaxcorr.deploy.predictor import Predictor

    if plot is not None:
        plotting.check_paths(plot)
    own = Predictor.load(found_run.path)
    naive.check_model(own)
    # A demonstration goes on where a sample is refused, and says so.
    fast = Predictor.load(found_run.path, rate_hz=rate, mode="hold")
    console.err.print(f"{note}, layer {layer}; {seconds:g} s at {rate} Hz", markup=False)
    ticks = naive.run_loop(fast, plan, rate, seconds, warm)
    loop, status = naive.summarize_loop(ticks), fast.status
    found = naive.subtract(own, plan, trial_cases.printer_of(own.spec), seed=0)
    if plot is not None:
        from jaxcorr.compensation import control_figures

        control_figures.draw(ticks, found, plot)
    if as_json:
        result: dict[str, Any] = {"run": run, "part": part, "layer": layer, "loop": loop}
        result |= {"status": dataclasses.asdict(status), "subtraction": found}
        print(json.dumps(result))
        return
    console_control.show_loop(loop, status)
    console_control.show_subtraction(found)
    if plot is not None:
        console.out.print(f"drawn: {plot}", markup=False)
