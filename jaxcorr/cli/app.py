"""The command line `jaxcorr`: its commands in order, and exit codes for what fails.

Results go to stdout, progress to stderr. Exit codes: 0 done, 1 the run failed, 2 bad input, 130
interrupted. Heavy modules load inside the commands that use them, after what is cheap to refuse, so
that `--help` is quick and a misspelt name does not wait for jax.
"""

import os
import shutil
import sys
import textwrap
from typing import Annotated

import typer
from typer.exceptions import TyperException

from jaxcorr import interrupts, progress
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


def _examples(*lines: str) -> str:
    """What ends a command's help; the sign keeps its lines as they are."""
    return "\n".join(["\b", "Examples:", *(f"  {line}" for line in lines)])


app = make_app("jaxcorr", "Learns the trajectory error of a 3D printer, predicts and corrects it.")

# In the order of a first day: a model, what it is worth, what it is good for, where it comes from.
app.command(
    epilog=_examples(
        "jaxcorr train specs/medium_hybrid.toml",
        "jaxcorr train specs/smoke.toml --set train.epochs=5",
    )
)(train.train)
app.command(epilog=_examples("jaxcorr resume latest"))(train.resume)
app.command(epilog=_examples("jaxcorr pipeline specs/medium_hybrid.toml --simulator twin"))(
    train.pipeline
)
app.command(
    epilog=_examples(
        "jaxcorr printer part.gcode --printer ender3_v2",
        "jaxcorr printer part.gcode --printer mine.toml --resonances x.csv --resonances y.csv",
    )
)(train.printer)
app.command(name="runs")(train.list_runs)
app.command(
    name="eval",
    epilog=_examples(
        "jaxcorr eval latest --verbose",
        "jaxcorr eval latest --traces 'mine/*.mat' --save-predictions",
    ),
)(evaluate.evaluate)
app.command(epilog=_examples("jaxcorr compare 20260101-120000 latest"))(evaluate.compare)
app.command(epilog=_examples("jaxcorr crossval specs/small_physics.toml --epochs 10"))(
    evaluate.crossval
)
app.command(epilog=_examples("jaxcorr horizons specs/small_physics.toml --from -2 --to 2"))(
    evaluate.horizons
)
app.command(epilog=_examples("jaxcorr export latest"))(deploy.export)
app.command(epilog=_examples("jaxcorr demo-control latest --rate 1000 --plot loop.png"))(
    deploy.demo_control
)
app.command(
    epilog=_examples(
        "jaxcorr compensate latest tugboat --out commands --plot",
        "jaxcorr compensate latest part.gcode --layers 3,7 --printer ender3_v2",
    )
)(compensate.compensate)
app.command(epilog=_examples("jaxcorr compensate-suite latest --variant 'frequency -20%'"))(
    compensate.compensate_suite
)
app.command(
    epilog=_examples(
        "jaxcorr rewrite latest part.gcode --out better.gcode --plot worst.png",
        "jaxcorr rewrite latest part.gcode --check better.gcode",
    )
)(rewrite.rewrite)
app.command(epilog=_examples("jaxcorr sweep specs/sweep_reference.toml --workers 2"))(sweep.sweep)
app.command(epilog=_examples("jaxcorr table specs/medium_hybrid.toml --seeds 3 --epochs 20"))(
    sweep.table
)
app.command(
    name="import",
    epilog=_examples("jaxcorr import log.csv --time t --command x_cmd --actual x_act"),
)(identify.import_logs)
app.command(epilog=_examples("jaxcorr inspect 'mine/*.mat'"))(train.inspect)
app.command(
    epilog=_examples(
        "jaxcorr identify resonances_x.csv resonances_y.csv --out mine.toml",
        "jaxcorr identify --ringing-mm 1.6 --ringing-mm 2.1 --speed-mm-s 80",
    )
)(identify.identify)
app.command(
    cls=SimulationCommand,
    epilog=_examples(
        "jaxcorr simulate tugboat part.gcode --layers sampled:10",
        "jaxcorr simulate boat --layers 3 --mass-kg 0.5 0.6 --plot layer.png",
    ),
)(simulate.simulate)
app.command(epilog=_examples("jaxcorr plan part.gcode --printer ender3_v2"))(simulate.plan)
app.add_typer(bench.app)


def main() -> None:
    """Entry point: runs a command and turns expected failures into one line and an exit code."""
    interrupts.watch()
    try:
        code = app(prog_name="jaxcorr", standalone_mode=False)
        sys.stdout.flush()  # what a full disk refuses should not pass for a success
        sys.exit(code or 0)
    except InputError as error:
        _complain(str(error))
        sys.exit(2)
    except TyperException as error:
        # Its text is the whole help where a command with subcommands got none.
        text, context = error.format_message(), getattr(error, "ctx", None)
        if text and "\n" not in text:
            # Where options are cut into words there is no context yet.
            command = context.command_path if context else " ".join(["jaxcorr", *sys.argv[1:2]])
            end = "" if text.endswith(("?", ".")) else "."
            text = f"{command}: {text}{end} See `{command} --help`."
        _complain(text)
        sys.exit(2)
    except (typer.Abort, KeyboardInterrupt):
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        _drop_output()  # the reader of a pipe has left
        sys.exit(1)
    except OSError as error:
        where = error.filename or "jaxcorr"
        _complain(
            f"{where}: expected a file or folder that can be used, got '{error.strerror}'. "
            "Mend its permissions, make room, or choose another."
        )
        _drop_output()
        sys.exit(2)


def _complain(text: str) -> None:
    """Prints lines to stderr; on a terminal none ends inside a word."""
    if sys.stderr.isatty():
        width = shutil.get_terminal_size().columns
        wrapper = textwrap.TextWrapper(width, break_long_words=False, break_on_hyphens=False)
        text = "\n".join(map(wrapper.fill, text.splitlines()))
    print(text, file=sys.stderr)


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


def _show_phases(told: progress.Progress) -> None:
    from jaxcorr.cli import console  # loads rich, which commands without phases do without

    console.phases(told)


@app.callback()
def _root(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print versions and devices."
        ),
    ] = False,
) -> None:
    del version
    context.with_resource(progress.listening(_show_phases))
