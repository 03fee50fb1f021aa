"""The commands that train one run: `train` and `resume`. Arguments in, a run folder out.

What is wrong with a spec or a run's name is said before jax is loaded, which takes seconds.
"""

import json
import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from jaxcorr.cli.interrupts import INTERRUPTED
from jaxcorr.cli.options import (
    JsonOption,
    RunArgument,
    RunsOption,
    SetOption,
    SpecArgument,
)


def train(
    spec: SpecArgument,
    overrides: SetOption = [],
    runs: RunsOption = Path("runs"),
    as_json: JsonOption = False,
) -> None:
    """Trains the experiment of a spec into a new run folder."""
    from jaxcorr import spec as specs
    from jaxcorr.cli import session

    session.prepare(specs.load(spec, overrides), is_joined=True)
    from jaxcorr.training import experiment

    _fit(experiment.begin(spec, overrides, runs), as_json)


def resume(run: RunArgument, runs: RunsOption = Path("runs"), as_json: JsonOption = False) -> None:
    """Goes on with an interrupted training from its last checkpoint."""
    from jaxcorr.cli import session
    from jaxcorr.training import run_folder as run_folders

    found = run_folders.find(run, runs)
    from jaxcorr.training import experiment

    session.start_jax(experiment.with_recorded_devices(found), is_joined=True)
    _fit(experiment.reopen(found), as_json)


def _fit(begun: Any, as_json: bool) -> None:
    from jaxcorr.cli import console, session
    from jaxcorr.training import hosts, loop, path_first

    stop_requested = session.catch_interrupt()
    events = loop.fit(begun.spec, begun.data, begun.run, lambda: bool(stop_requested))
    try:
        done = session.follow(begun, events)
    except loop.NonFiniteLoss as error:
        print(error, file=sys.stderr)
        raise typer.Exit(1) from None
    if done.reason == "interrupted":
        if hosts.is_writer():
            again = f"just resume {shlex.quote(str(begun.run.path))}"
            console.err.print(f"interrupted and saved; go on with: {again}", markup=False)
        raise typer.Exit(INTERRUPTED)
    if not hosts.is_writer():
        return
    best = {"best_epoch": done.best_epoch, "best_mae_mm": done.best_mae_mm}
    result = {"run": str(begun.run.path), "ended_by": done.reason, **best}
    if as_json:
        print(json.dumps(result))
        return
    best_um = 1e3 * (done.best_mae_mm or 0.0)
    split = "validation" if begun.data.val.names else "training"
    console.out.print(
        f"{begun.run.path}: the best is {path_first.name_best(begun.spec, done.best_epoch)}, "
        f"{split} MAE {best_um:.2f} um "
        f"(ended by {done.reason})\nnext: just eval {shlex.quote(str(begun.run.path))}",
        markup=False,
    )


def inspect(
    files: Annotated[list[str], typer.Argument(help=".mat files, folders or glob patterns.")],
    sample_rate_hz: Annotated[float, typer.Option(help="Expected sampling rate.")] = 100.0,
    as_json: JsonOption = False,
) -> None:
    """Shows what trace files hold and whether they can be trained on."""
    from jaxcorr.cli import console
    from jaxcorr.data import inspection

    rows = inspection.inspect(files, sample_rate_hz)
    if as_json:
        print(json.dumps([row._asdict() for row in rows]))
    else:
        console.show_inspection(rows)
    if any(row.problem for row in rows):
        raise typer.Exit(2)


def list_runs(runs: RunsOption = Path("runs"), as_json: JsonOption = False) -> None:
    """Lists runs with state, best epoch and test metrics."""
    from jaxcorr.cli import console
    from jaxcorr.training import run_folder

    rows = run_folder.list_runs(runs)
    if as_json:
        print(json.dumps([row._asdict() for row in rows]))
    else:
        console.show_runs(rows)
