"""Arguments and options that several commands share, and the exit code of a stop by Ctrl-C."""

from pathlib import Path
from typing import Annotated

import typer

RunArgument = Annotated[str, typer.Argument(help="Run folder, id, unique start of one, or latest.")]
SpecArgument = Annotated[Path, typer.Argument(help="Experiment spec, a TOML file.")]
RunsOption = Annotated[Path, typer.Option("--runs", help="Folder of run folders.")]
SetOption = Annotated[
    list[str], typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Override a spec key.")
]
TracesOption = Annotated[
    list[str], typer.Option("--traces", help="Use these .mat files instead of the test split.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]

INTERRUPTED = 130
