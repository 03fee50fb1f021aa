"""The command line: arguments in, run folders and printed results out; no logic of its own.

Results go to stdout, progress to stderr. Exit codes: 0 done, 1 the run failed, 2 bad input, 130
interrupted. Heavy modules load inside the commands that use them, so `--help` is quick.
"""

import json
import os
import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.exceptions import TyperException

from jaxcorr import (
    cli_bench,
    cli_compensation,
    cli_control,
    cli_evaluation,
    cli_export,
    cli_simulation,
    cli_sweep,
)
from jaxcorr.cli_options import (
    INTERRUPTED,
    JsonOption,
    RunArgument,
    RunsOption,
    SetOption,
    SpecArgument,
)
from jaxcorr.errors import InputError

app = typer.Typer(
    name="jaxcorr",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Learns the trajectory error of a 3D printer and predicts it in microseconds.",
)

app.command(name="eval")(cli_evaluation.evaluate)
app.command()(cli_evaluation.compare)
app.command()(cli_evaluation.crossval)
app.command()(cli_evaluation.horizons)
app.command()(cli_simulation.plan)
app.command()(cli_simulation.simulate)
app.command()(cli_compensation.compensate)
app.command()(cli_compensation.compensate_suite)
app.command()(cli_sweep.sweep)
app.command()(cli_sweep.table)
app.command()(cli_export.export)
app.command()(cli_control.demo_control)
app.add_typer(cli_bench.app, name="bench")


def main() -> None:
    """Entry point: runs a command and turns expected failures into one line and an exit code."""
    try:
        sys.exit(app(standalone_mode=False) or 0)
    except InputError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    except TyperException as error:
        # Its text is the whole help where a command with subcommands got none.
        text, context = error.format_message(), getattr(error, "ctx", None)
        if text and "\n" not in text:
            command = context.command_path if context else "jaxcorr"
            text = f"{command}: {text.rstrip('.')}. See `{command} --help`."
        print(text, file=sys.stderr)
        sys.exit(2)
    except (typer.Abort, KeyboardInterrupt):
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        # The reader of a pipe has left; what is still buffered has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        where = error.filename or "a file"
        print(
            f"{where}: expected a file or folder that can be used, got '{error.strerror}'. "
            "Mend its permissions, make room, or choose another.",
            file=sys.stderr,
        )
        sys.exit(2)


def _print_version(is_wanted: bool) -> None:
    if not is_wanted:
        return
    import importlib.metadata

    import jax

    devices = ", ".join(str(device) for device in jax.devices())
    version = importlib.metadata.version("jaxcorr")
    print(f"jaxcorr {version}, jax {jax.__version__}, {jax.default_backend()}: {devices}")
    raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print versions."),
    ] = False,
) -> None:
    del version


@app.command()
def train(
    spec: SpecArgument,
    overrides: SetOption = [],
    runs: RunsOption = Path("runs"),
    as_json: JsonOption = False,
) -> None:
    """Trains the experiment of a spec into a new run folder."""
    from jaxcorr import experiment, session
    from jaxcorr import spec as specs

    session.prepare(specs.load(spec, overrides), is_joined=True)
    _fit(experiment.begin(spec, overrides, runs), as_json)


@app.command()
def resume(
    run: RunArgument, folder: RunsOption = Path("runs"), as_json: JsonOption = False
) -> None:
    """Goes on with an interrupted training from its last checkpoint."""
    from jaxcorr import experiment, runs, session

    found = runs.find(run, folder)
    session.start_jax(experiment.with_recorded_devices(found), is_joined=True)
    _fit(experiment.reopen(found), as_json)


def _fit(begun: Any, as_json: bool) -> None:
    from jaxcorr import console, hosts, session, train

    stop_requested = session.catch_interrupt()
    events = train.fit(begun.spec, begun.data, begun.run, lambda: bool(stop_requested))
    try:
        done = session.follow(begun, events)
    except train.NonFiniteLoss as error:
        print(error, file=sys.stderr)
        raise typer.Exit(1) from None
    if done.reason == "interrupted":
        if hosts.is_writer():
            again = f"just resume {shlex.quote(str(begun.run.path))}"
            console.err.print(f"interrupted and saved; go on with: {again}")
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
        f"{begun.run.path}: best epoch {done.best_epoch}, {split} MAE {best_um:.2f} um "
        f"(ended by {done.reason})\nnext: just eval {shlex.quote(str(begun.run.path))}"
    )


@app.command()
def inspect(
    files: Annotated[list[str], typer.Argument(help=".mat files, folders or glob patterns.")],
    sample_rate_hz: Annotated[float, typer.Option(help="Expected sampling rate.")] = 100.0,
    as_json: JsonOption = False,
) -> None:
    """Shows what trace files hold and whether they can be trained on."""
    from jaxcorr import console, inspection

    rows = inspection.inspect(files, sample_rate_hz)
    if as_json:
        print(json.dumps([row._asdict() for row in rows]))
    else:
        console.show_inspection(rows)
    if any(row.problem for row in rows):
        raise typer.Exit(2)


@app.command(name="runs")
def list_runs(runs: RunsOption = Path("runs"), as_json: JsonOption = False) -> None:
    """Lists runs with state, best epoch and test metrics."""
    from jaxcorr import console, overview

    rows = overview.list_runs(runs)
    if as_json:
        print(json.dumps([row._asdict() for row in rows]))
    else:
        console.show_runs(rows)
