"""The commands that only look: `inspect` at trace files and `runs` at run folders."""

import json
from pathlib import Path
from typing import Annotated

import typer

from jaxcorr.cli.options import JsonOption, RunsOption


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
    from jaxcorr.training import overview

    rows = overview.list_runs(runs)
    if as_json:
        print(json.dumps([row._asdict() for row in rows]))
    else:
        console.show_runs(rows)
