"""The command line `jaxcorr`: its commands in order, and exit codes for what fails.

Results go to stdout, progress to stderr. Exit codes: 0 done, 1 the run failed, 2 bad input, 130
interrupted. Heavy modules load inside the commands that use them, after what is cheap to refuse, so
that `--help` is quick and a misspelt name does not wait for jax.
"""

import contextlib
import os
import shutil
import sys
import textwrap
import warnings
from collections.abc import Callable, Sequence
from typing import Annotated, Any, NoReturn

import typer
from typer.exceptions import TyperException

from jaxcorr import errors, interrupts, progress
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
from jaxcorr.cli.options import Command, SimulationCommand, make_app
from jaxcorr.errors import InputError
from jaxcorr.interrupts import INTERRUPTED

app = make_app("jaxcorr", "Learns the trajectory error of a 3D printer, predicts and corrects it.")


def _add(
    command: Callable[..., None], *examples: str, name: str | None = None, **more: Any
) -> None:
    """Adds a command whose help ends with examples; the sign keeps their lines as they are."""
    epilog = "\n".join(["\b", "Examples:", *(f"  jaxcorr {one}" for one in examples)])
    options = {"cls": Command, "epilog": epilog if examples else None}
    app.command(name, **(options | more))(command)


# In the order of a first day: a model, what it is worth, what it is good for, where it comes from.
_add(
    train.train,
    "train specs/medium_hybrid.toml",
    "train specs/smoke.toml --set train.epochs=5",
)
_add(train.resume, "resume latest")
_add(train.pipeline, "pipeline specs/medium_hybrid.toml --simulator twin")
_add(
    train.printer,
    "printer part.gcode --printer ender3_v2",
    "printer part.gcode --printer mine.toml --resonances x.csv --resonances y.csv",
)
_add(train.list_runs, name="runs")
_add(
    evaluate.evaluate,
    "eval latest --verbose",
    "eval latest --traces 'mine/*.mat' --save-predictions",
    name="eval",
)
_add(evaluate.compare, "compare 20260101-120000 latest")
_add(evaluate.crossval, "crossval specs/small_physics.toml --epochs 10")
_add(evaluate.horizons, "horizons specs/small_physics.toml --from -2 --to 2")
_add(deploy.export, "export latest")
_add(deploy.demo_control, "demo-control latest --rate 1000 --plot loop.png")
_add(
    compensate.compensate,
    "compensate latest tugboat --out commands --plot",
    "compensate latest part.gcode --layers 3,7 --printer ender3_v2",
)
_add(compensate.compensate_suite, "compensate-suite latest --variant 'frequency -20%'")
_add(
    rewrite.rewrite,
    "rewrite latest part.gcode --out better.gcode --plot worst.png",
    "rewrite latest part.gcode --check better.gcode",
)
_add(sweep.sweep, "sweep specs/sweep_reference.toml --workers 2")
_add(sweep.table, "table specs/medium_hybrid.toml --seeds 3 --epochs 20")
_add(
    identify.import_logs,
    "import log.csv --time t --command x_cmd --actual x_act",
    name="import",
)
_add(train.inspect, "inspect 'mine/*.mat'")
_add(
    identify.identify,
    "identify resonances_x.csv resonances_y.csv --out mine.toml",
    "identify --ringing-mm 1.6 --ringing-mm 2.1 --speed-mm-s 80",
)
_add(
    simulate.simulate,
    "simulate tugboat part.gcode --layers sampled:10",
    "simulate boat --layers 3 --mass-kg 0.5 0.6 --plot layer.png",
    cls=SimulationCommand,
)
_add(simulate.plan, "plan part.gcode --printer ender3_v2")
app.add_typer(bench.app)


def _refuse_other_letters(arguments: Sequence[str]) -> None:
    """Refuses names that are no UTF-8, which specs, records and checkpoints could not hold."""
    for text in arguments:
        try:
            text.encode()
        except UnicodeEncodeError:
            raise InputError(
                f"jaxcorr: expected arguments in UTF-8, got {text!a}. Rename that file or folder."
            ) from None


def leave(code: int) -> NoReturn:
    """Ends the process, in which nothing is left to undo, without Python's own ending.

    That takes the modules down for longer than some commands last, and lets Ctrl-C meanwhile be
    lost. Threads of JAX in the middle of their work may crash when it does: two Ctrl-C in `eval`
    once ended in signal 11.
    """
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def main() -> None:
    """Entry point: runs a command and turns expected failures into one line and an exit code."""
    interrupts.watch()
    # A person needs the sentence, and not the line of code that it came from.
    warnings.formatwarning = lambda message, *_, **__: f"{_wrap(str(message))}\n"
    try:
        _refuse_other_letters(sys.argv[1:])
        code = app(prog_name="jaxcorr", standalone_mode=False)
        interrupts.end()
        sys.stdout.flush()  # what a full disk refuses should not pass for a success
        if code == INTERRUPTED:
            leave(INTERRUPTED)
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
            _, *words = command.split()
            ask = errors.command(" ".join([*words, "--help"])) if words else "jaxcorr --help"
            text = f"{command}: {text}{end} See `{ask}`."
        _complain(text)
        sys.exit(2)
    except (typer.Abort, KeyboardInterrupt):
        interrupts.end()
        leave(INTERRUPTED)
    except BrokenPipeError:
        _drop_output()  # the reader of a pipe has left
        sys.exit(1)
    except OSError as error:
        where = error.filename or "jaxcorr"
        refused = InputError(
            f"{where}: expected a file or folder that can be used, got '{error.strerror}'. "
            "Mend its permissions, make room, or choose another."
        )
        _complain(str(refused))
        _drop_output()
        sys.exit(2)


def _complain(text: str) -> None:
    print(_wrap(text), file=sys.stderr)


def _wrap(text: str) -> str:
    """A text for stderr; on a terminal no line ends inside a word."""
    if not sys.stderr.isatty():
        return text
    width = shutil.get_terminal_size().columns
    wrapper = textwrap.TextWrapper(width, break_long_words=False, break_on_hyphens=False)
    return "\n".join(map(wrapper.fill, text.splitlines()))


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
