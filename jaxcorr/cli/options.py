"""Arguments, options and their completion that several commands share, and how help looks.

Help is plain text: it reads the same in a pipe and in a narrow terminal, where typer's boxes cut
the names of options, and takes a third of the time. Nothing heavy loads here.
"""

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from jaxcorr.data import parts
from jaxcorr.training import run_folder


class Group(TyperGroup):
    """Lists its commands with a whole sentence each, and in the order in which they were added."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Writes the list; the sentence is the first of the command's docstring."""
        listed = [(name, self.commands[name].help or "") for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl([(name, text.partition("\n\n")[0]) for name, text in listed])


def make_app(name: str, text: str) -> typer.Typer:
    """An application, or a command that has commands."""
    return typer.Typer(
        name=name,
        cls=Group,
        help=text,
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )


def complete_run(context: typer.Context, incomplete: str) -> list[str]:
    """Ids of the runs in --runs, the newest first; a path is left to the shell."""
    folder = Path(context.params.get("runs") or "runs")
    known = [run.id for run in reversed(run_folder.list_all(folder))]
    return [name for name in (run_folder.LATEST, *known) if known and name.startswith(incomplete)]


def complete_spec(incomplete: str) -> list[str]:
    """The specs of a checkout; any other path is left to the shell."""
    names = map(str, sorted(Path("specs").glob("*.toml")))
    return [name for name in names if name.startswith(incomplete)]


def complete_part(incomplete: str) -> list[str]:
    """Names of bundled parts; a file is left to the shell."""
    return [name for name in parts.BUNDLED if name.startswith(incomplete)]


RunArgument = Annotated[
    str,
    typer.Argument(
        help="Run folder, id, unique start of one, or latest.", autocompletion=complete_run
    ),
]
SpecArgument = Annotated[
    Path, typer.Argument(help="Experiment spec, a TOML file.", autocompletion=complete_spec)
]
PartArgument = Annotated[
    str,
    typer.Argument(help="G-code file, or a bundled part.", autocompletion=complete_part),
]
PartOption = Annotated[
    str, typer.Option(help="G-code file, or a bundled part.", autocompletion=complete_part)
]
FirmwareOption = Annotated[
    str | None,
    typer.Option(
        "--firmware",
        help="marlin2.0 | marlin2.1 | klipper | reprapfirmware; found in the file if left out.",
    ),
]
RunsOption = Annotated[Path, typer.Option("--runs", help="Folder of run folders.")]
SetOption = Annotated[
    list[str], typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Override a spec key.")
]
TracesOption = Annotated[
    list[str], typer.Option("--traces", help="Use these .mat files instead of the test split.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
