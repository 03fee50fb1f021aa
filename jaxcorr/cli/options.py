"""Arguments, options and their completion that several commands share, and how help looks.

Help is plain text: it reads the same in a pipe and in a narrow terminal, where typer's boxes cut
the names of options, and takes a third of the time. The options of a simulated printer follow from
the fields of `printer_spec.Simulation`; importing it takes longer than all of the help, so they are
made when their command is parsed or explained. Nothing heavy loads here.
"""

import functools
import inspect
import re
import typing
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from jaxcorr.data import parts
from jaxcorr.training import run_folder

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from jaxcorr.printer_spec import Simulation

MOST_COLUMNS = 120  # of help; longer lines are hard to read
GIVEN = "jaxcorr.simulation"  # where a context keeps the values of the options by field


class Group(TyperGroup):
    """Lists its commands with a whole sentence each, and in the order in which they were added."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Writes the list; the sentence is the first of the command's docstring."""
        listed = [(name, self.commands[name].help or "") for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl([(name, text.partition("\n\n")[0]) for name, text in listed])


class Command(TyperCommand):
    """Says of an argument that may be repeated what one of it is."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Its own parameters, then --help."""
        found: list[Any] = super().get_params(ctx)
        for one in found:
            if one.param_type_name == "argument" and one.nargs != 1:
                # typer's own text is <list[str]>.
                one.display_type_rich = lambda **_: "<path>"
        return found


def make_app(name: str, text: str) -> typer.Typer:
    """An application, or a command that has commands."""
    return typer.Typer(
        name=name,
        cls=Group,
        help=text,
        context_settings={"max_content_width": MOST_COLUMNS},
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )


def complete_run(context: typer.Context, incomplete: str) -> list[str]:
    """Ids of the runs in --runs, the newest first; a path is left to the shell."""
    folder = Path(context.params.get("runs") or "runs")
    known = [run.path.name for run in reversed(run_folder.list_all(folder))]
    return _offer([run_folder.LATEST, *known] if known else [], incomplete)


def _offer(names: Iterable[str], incomplete: str) -> list[str]:
    """Names that begin so and mean nothing else to a shell, which might run what is in them."""
    fine = [name for name in names if re.fullmatch(r"[\w.,+:=@/-]+", name)]
    return [name for name in fine if name.startswith(incomplete)]


def complete_spec(incomplete: str) -> list[str]:
    """The specs of a checkout; any other path is left to the shell."""
    return _offer(map(str, sorted(Path("specs").glob("*.toml"))), incomplete)


def find_spec(path: Path) -> Path:
    """A spec file; `specs/NAME.toml` that is not there is the one that a wheel brings."""
    packaged = Path(__file__).parent.parent / "specs" / path.name
    is_packaged = path.parent == Path("specs") and packaged.is_file() and not path.is_file()
    return packaged if is_packaged else path


def complete_part(incomplete: str) -> list[str]:
    """Names of bundled parts; a file is left to the shell."""
    return _offer(parts.BUNDLED, incomplete)


RunArgument = Annotated[
    str,
    typer.Argument(
        help="Run folder, id, unique start of one, or latest.", autocompletion=complete_run
    ),
]
SpecArgument = Annotated[
    Path,
    typer.Argument(
        help="Experiment spec, a TOML file.", autocompletion=complete_spec, callback=find_spec
    ),
]
PARTS_HELP = f"or a bundled part: {', '.join(parts.BUNDLED)}."
LAYERS_HELP = "sampled:N (every N-th layer), all, a number, or numbers as 3,7,12"
# As printer_spec.PRESETS, which takes longer to import than all of the help.
PRESETS = Path(__file__).parent.parent / "printer" / "presets"
PRINTERS = sorted(path.stem for path in PRESETS.glob("*.toml"))
PRINTERS_HELP = f"a TOML file, or {', '.join(PRINTERS)}"
PartArgument = Annotated[
    str,
    typer.Argument(help=f"G-code file, {PARTS_HELP}", autocompletion=complete_part),
]
FileArgument = Annotated[Path, typer.Argument(help="G-code as the slicer writes it.")]
PartOption = Annotated[
    str, typer.Option(help=f"G-code file, {PARTS_HELP}", autocompletion=complete_part)
]
FirmwareOption = Annotated[
    str | None,
    typer.Option(
        "--firmware",
        help="marlin2.0 | marlin2.1 | klipper | reprapfirmware; found in the file if left out.",
    ),
]
PrinterOption = Annotated[str, typer.Option("--printer", help=f"Printer: {PRINTERS_HELP}.")]
JudgedPrinterOption = Annotated[
    str | None,
    typer.Option(
        "--printer", help=f"Printer to judge on: {PRINTERS_HELP}; the run's own if left out."
    ),
]
RunsOption = Annotated[Path, typer.Option("--runs", help="Folder of run folders.")]
SetOption = Annotated[
    list[str],
    typer.Option(
        "--set", metavar="SECTION.KEY=VALUE", help="Change a spec key; repeat the option."
    ),
]
TracesOption = Annotated[
    list[str],
    typer.Option(
        "--traces", metavar="GLOB", help="Use these .mat files instead of the test split."
    ),
]
OutOption = Annotated[
    Path | None,
    typer.Option("--out", help="Write into this folder, for a run that can only be read."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
VerboseOption = Annotated[
    bool, typer.Option("--verbose", "-v", help="Print all tables, not only the verdict's.")
]


class SimulationCommand(Command):
    """A command whose function finds the values of these options by `given_simulation`."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Its own parameters, then these options, then --help."""
        own = super().get_params(ctx)
        return [*own[: len(self.params)], *_options(), *own[len(self.params) :]]


def given_simulation(context: typer.Context) -> "Simulation":
    """The printer and the way to simulate it that the command line describes.

    Raises:
        InputError: with one line for each value that is refused.
    """
    from jaxcorr.printer_spec import Simulation
    from jaxcorr.schema import check

    return check(Simulation, context.meta[GIVEN], "simulate")


@functools.cache
def _options() -> tuple[Any, ...]:
    """The options of a function that has one parameter for each field."""
    from jaxcorr.printer_spec import Simulation

    def options(**values: Any) -> None:
        del values

    fields = Simulation.model_fields.items()
    parameters = [_parameter(*item) for item in fields if item[1].description]
    options.__annotations__ = {one.name: one.annotation for one in parameters}
    vars(options)["__signature__"] = inspect.Signature(parameters)
    app = typer.Typer(add_completion=False)
    app.command()(options)
    command: Any = typer.main.get_command(app)
    return tuple(command.params)


def _parameter(name: str, field: "FieldInfo") -> inspect.Parameter:
    """A field as a parameter of a command."""
    kind, metavar, default = _kind(field.annotation), None, field.default
    words = PRINTERS if name == "printer" else _choices_of_items(field.annotation)
    text = f"{field.description} Words: {', '.join(words)}." if words else field.description
    if choices := _choices(field.annotation):
        metavar = "|".join(choices)
    elif any(typing.get_origin(one) is tuple for one in (kind, *typing.get_args(kind))):
        metavar = "X Y"
    elif typing.get_origin(kind) is list:
        default, metavar = list(default), "NAME" if words else "NUMBER"

    def keep(context: typer.Context, value: Any) -> Any:
        given = context.meta.setdefault(GIVEN, {})
        # What is left out is the printer's, which may be another than the default.
        source = context.get_parameter_source(own)
        if source is not None and source.name != "DEFAULT":
            given[name] = value
        return value

    own = field.serialization_alias or name
    option = typer.Option(
        f"--{own.replace('_', '-')}",
        help=text,
        metavar=metavar,
        callback=keep,
        expose_value=False,
    )
    return inspect.Parameter(
        own, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, option]
    )


def _choices(annotation: Any) -> tuple[str, ...]:
    """The values of a literal, or of one that may be left out."""
    inner = typing.get_args(annotation)
    if type(None) in inner:
        return _choices(inner[0])
    return inner if typing.get_origin(annotation) is typing.Literal else ()


def _choices_of_items(annotation: Any) -> tuple[str, ...]:
    """The values of each item of a list of literals."""
    inner = typing.get_args(annotation)
    return _choices(inner[0]) if typing.get_origin(annotation) is tuple and inner else ()


def _kind(annotation: Any) -> Any:
    """What the command line parses a field as: a number, a text, a pair, or a list of either."""
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        return _kind(inner[0])
    if type(None) in inner:
        return _kind(inner[0]) | None
    if origin is typing.Literal:
        return str
    if origin is tuple:
        kinds = [_kind(each) for each in inner if each is not Ellipsis]
        return list[kinds[0]] if Ellipsis in inner else tuple[tuple(kinds)]
    return annotation
