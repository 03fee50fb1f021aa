"""The command line `jaxcorr`: its commands in order, and exit codes for what fails.

Results go to stdout, progress to stderr. Exit codes: 0 done, 1 the run failed, 2 bad input, 130
interrupted. Heavy modules load inside the commands that use them, after what is cheap to refuse, so
that `--help` is quick and a misspelt name does not wait for jax.
"""

import os
import sys
from typing import Annotated

import typer
from typer.exceptions import TyperException

from jaxcorr import interrupts
from jaxcorr.cli import (
    bench,
    compensate,
    deploy,
    evaluate,
    identify,
    rewrite,
    simulate,
    sweep,
    train,
)
from jaxcorr.cli.options import SimulationCommand, make_app
from jaxcorr.errors import InputError
from jaxcorr.interrupts import INTERRUPTED

app = make_app("jaxcorr", "Learns the trajectory error of a 3D printer, predicts and corrects it.")

# In the order of a first day: a model, what it is worth, what it is good for, where it comes from.
app.command()(train.train)
app.command()(train.resume)
app.command()(train.pipeline)
app.command(name="runs")(train.list_runs)
app.command(name="eval")(evaluate.evaluate)
app.command()(evaluate.compare)
app.command()(evaluate.crossval)
app.command()(evaluate.horizons)
app.command()(deploy.export)
app.command()(deploy.demo_control)
app.command()(compensate.compensate)
app.command()(compensate.compensate_suite)
app.command()(rewrite.rewrite)
app.command()(sweep.sweep)
app.command()(sweep.table)
app.command(name="import")(identify.import_logs)
app.command()(train.inspect)
app.command()(identify.identify)
app.command(cls=SimulationCommand)(simulate.simulate)
app.command()(simulate.plan)
app.add_typer(bench.app)


def main() -> None:
    """Entry point: runs a command and turns expected failures into one line and an exit code."""
    interrupts.watch()
    try:
        code = app(prog_name="jaxcorr", standalone_mode=False)
        sys.stdout.flush()  # what a full disk refuses should not pass for a success
        sys.exit(code or 0)
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
        _drop_output()  # the reader of a pipe has left
        sys.exit(1)
    except OSError as error:
        where = error.filename or "jaxcorr"
        print(
            f"{where}: expected a file or folder that can be used, got '{error.strerror}'. "
            "Mend its permissions, make room, or choose another.",
            file=sys.stderr,
        )
        _drop_output()
        sys.exit(2)


def _drop_output() -> None:
    """Lets what stdout refuses go nowhere, since Python would try to write it once more."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


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
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print versions and devices."
        ),
    ] = False,
) -> None:
    del version
