"""The commands of runs and their traces: `train`, `resume`, `runs` and `inspect`.

What is wrong with a spec or a run's name is said before jax is loaded, which takes seconds.
"""

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jaxcorr.cli.options import (
    JsonOption,
    RunArgument,
    RunsOption,
    SetOption,
    SpecArgument,
)
from jaxcorr.interrupts import INTERRUPTED

if TYPE_CHECKING:
    from jaxcorr.data import inspection
    from jaxcorr.training import run_folder


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
    with session.refusing_divergence():
        done = session.follow(begun, events)
    if done.reason == "interrupted" and hosts.is_writer():
        session.stop(f"go on with: just resume {shlex.quote(str(begun.run.path))}")
    if done.reason == "interrupted":
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
    from jaxcorr.data import inspection

    rows = inspection.inspect(files, sample_rate_hz)
    if as_json:
        print(json.dumps([row._asdict() for row in rows]))
    else:
        _show_inspection(rows)
    if any(row.problem for row in rows):
        raise typer.Exit(2)


def list_runs(runs: RunsOption = Path("runs"), as_json: JsonOption = False) -> None:
    """Lists runs with state, best epoch and test metrics."""
    from jaxcorr.training import run_folder

    rows = run_folder.list_runs(runs)
    if as_json:
        print(json.dumps([row._asdict() for row in rows]))
    else:
        _show_runs(rows)


def _show_inspection(rows: "Sequence[inspection.Row]") -> None:
    """Prints a row a trace file, then the problems, then the verdict on all of them."""
    from rich.markup import escape

    from jaxcorr.cli import console

    axes = list(dict.fromkeys(axis for row in rows for axis in row.ranges_mm or ()))
    columns = (
        *("file", "samples", "s", "Hz"),
        *(f"{axis} mm" for axis in axes),
        "peak mm/s",
        *(f"RMS {axis} um" for axis in axes),
        "",
    )
    body = [_inspection_row(row, axes) for row in rows]
    console.out.print(console.table("", columns, body))
    problems = [row for row in rows if row.problem]
    for row in problems:
        console.out.print(f"[red]{escape(row.problem or '')}[/red]")
    total = sum(row.num_samples or 0 for row in rows if not row.problem)
    good = f"{len(rows) - len(problems)} of {len(rows)}"
    console.out.print(f"[bold]{good} files can be trained on, {total:,} samples[/bold]")


def _inspection_row(row: "inspection.Row", axes: "Sequence[str]") -> list[str]:
    from rich.markup import escape

    from jaxcorr.cli import console

    name = escape("/".join(Path(row.path).parts[-2:]))
    if row.num_samples is None:
        return [name, *("",) * (4 + 2 * len(axes)), "[red]unreadable[/red]"]
    ranges = [(row.ranges_mm or {}).get(axis) for axis in axes]
    return [
        name,
        f"{row.num_samples:,}",
        console.number(row.duration_s, 1),
        console.number(row.sample_rate_hz, 2),
        *("n/a" if ends is None else f"{ends[0]:.0f}..{ends[1]:.0f}" for ends in ranges),
        console.number(row.peak_speed_mm_s, 1),
        *(console.number((row.rms_um or {}).get(axis), 1) for axis in axes),
        "[red]refused[/red]" if row.problem else "[green]ok[/green]",
    ]


def _show_runs(rows: "Sequence[run_folder.Row]") -> None:
    """Prints a row a run."""
    from rich.markup import escape

    from jaxcorr.cli import console

    columns = ("run", "state", "age", "epochs", "val MAE um", "test MAE um", "test R2")
    body = [
        [
            escape(row.id),
            row.state,
            "" if row.age_s is None else _age(row.age_s),
            str(row.epochs),
            "" if row.val_mae_mm is None else f"{1e3 * row.val_mae_mm:.2f}",
            "" if row.test_mae_mm is None else f"{1e3 * row.test_mae_mm:.2f}",
            "" if row.test_r2 is None else f"{row.test_r2:.4f}",
        ]
        for row in rows
    ]
    hint = "no runs yet; make one with: just train specs/medium_hybrid.toml"
    console.out.print(console.table("", columns, body) if body else hint)


def _age(seconds: float) -> str:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
