"""The options of a command that simulates a printer, one for each field of `spec.Simulation`.

Names, types, defaults and help come from the fields. Importing spec.py takes longer than all of the
help, so the options are made when their command is parsed or explained.
"""

import functools
import inspect
import typing
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from jaxcorr.spec import Simulation

GIVEN = "jaxcorr.simulation"  # where a context keeps the values of the options by field


class SimulationCommand(TyperCommand):
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
    from jaxcorr.schema import check
    from jaxcorr.spec import Simulation

    return check(Simulation, context.meta[GIVEN], "simulate")


@functools.cache
def _options() -> tuple[Any, ...]:
    """The options of a function that has one parameter for each field."""
    from jaxcorr.spec import Simulation

    def options(**values: Any) -> None:
        del values

    parameters = [_parameter(*item) for item in Simulation.model_fields.items()]
    options.__annotations__ = {one.name: one.annotation for one in parameters}
    vars(options)["__signature__"] = inspect.Signature(parameters)
    app = typer.Typer(add_completion=False)
    app.command()(options)
    command: Any = typer.main.get_command(app)
    return tuple(command.params)


def _parameter(name: str, field: "FieldInfo") -> inspect.Parameter:
    """A field as a parameter of a command."""
    kind, metavar, default = _kind(field.annotation), None, field.default
    if typing.get_origin(field.annotation) is typing.Literal:
        metavar = "|".join(typing.get_args(field.annotation))
    elif typing.get_origin(kind) is tuple:
        metavar = "X Y"
    elif typing.get_origin(kind) is list:
        default = list(default)

    def keep(context: typer.Context, value: Any) -> Any:
        context.meta.setdefault(GIVEN, {})[name] = value
        return value

    own = field.serialization_alias or name
    option = typer.Option(
        f"--{own.replace('_', '-')}",
        help=field.description,
        metavar=metavar,
        callback=keep,
        expose_value=False,
    )
    return inspect.Parameter(
        own, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, option]
    )


def _kind(annotation: Any) -> Any:
    """What the command line parses a field as: a number, a text, a pair, or a list of either."""
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        return _kind(inner[0])
    if origin is typing.Literal:
        return str
    if origin is tuple:
        kinds = [_kind(each) for each in inner if each is not Ellipsis]
        return list[kinds[0]] if Ellipsis in inner else tuple[tuple(kinds)]
    return annotation
