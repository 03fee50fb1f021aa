"""Checked tables: frozen pydantic models of TOML sections, and their refusals in one line each.

A rule across keys raises `ValueError("<rule>|<value>")`; everything else is said by field types.
"""

import difflib
import types
import typing
from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import tomli
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from jaxcorr import files
from jaxcorr.errors import MOST_SHOWN, InputError, shorten, show

RECORD_GROWTH = 256  # of a file that is all unknown keys, each a problem of its own to pydantic
MOST_PROBLEMS = 50  # that are listed at once
MOST_LEVELS = 20  # of tables and lists; a spec has three
MOST_TOML_BYTES = 256 << 10  # a spec of ours is 2 KiB; a million bytes take seconds to check

MOST = 1e9  # of any number: beyond it no unit of ours means anything, and sums overflow

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Rate = Annotated[float, Field(ge=0.0, lt=1.0)]
Positive = Annotated[float, Field(gt=0.0, le=MOST, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0.0, le=MOST, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]
CountOrNone = Annotated[int, Field(ge=0, le=1_000_000)]  # 0 has a meaning of its own
Seed = Annotated[int, Field(ge=0, lt=2**31)]
Names = Annotated[tuple[str, ...], Field(min_length=1, max_length=1000)]


# Unknown keys are refused, and no value is converted.
STRICT = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Section(BaseModel):
    """A table of a TOML file."""

    model_config = STRICT


class Record(BaseModel):
    """Results with names and types."""

    model_config = STRICT


M = TypeVar("M", bound=Section)
R = TypeVar("R", bound=Record)


def check(model: type[M], table: Mapping[str, Any], where: str) -> M:
    """Checks a nested table against a model; lists count as tuples.

    Args:
        model: a `Section`.
        table: key -> value, as TOML, JSON or the command line gave it.
        where: opens each line of an error.
    Raises:
        InputError: with one line for each mistake.
    """
    if _is_deep(table):
        raise InputError(f"{where}: expected at most {MOST_LEVELS} levels, got more. Flatten it.")
    content, problems = _tuples(table), []
    dropped: set[tuple[str, ...]] = set()
    checked = None
    while checked is None:
        try:
            checked = model.model_validate(content)
        except ValidationError as error:
            problems += explain(error, where, model, ignored=dropped)
            # Rules across keys are checked only where each key is right: look again without them.
            wrong = {_names(problem["loc"]) for problem in error.errors()} - dropped
            dropped |= {path for path in wrong if _drop(content, path)}
            if not wrong & dropped:
                break
    if checked is None or problems:
        lines = list(dict.fromkeys(problems))
        if len(lines) > MOST_PROBLEMS:
            more = f"{where}: and {len(lines) - MOST_PROBLEMS} more."
            lines = [*lines[:MOST_PROBLEMS], more]
        raise InputError("\n".join(lines))
    return checked


def read_toml(path: Path, what: str, mend: str) -> dict[str, Any]:
    """The tables of a TOML file.

    Args:
        what, mend: what the file should be, and what to do where there is none, for the error.
    Raises:
        InputError: the file is missing, not to be read, or no TOML.
    """
    if not path.exists():
        raise InputError(f"{path}: expected {what}, got none. {mend}")
    if path.is_dir():
        raise InputError(f"{path}: expected {what}, got a folder. {mend}")
    content = files.read_bytes(path, "a readable file", "Check the path.")
    if len(content) > MOST_TOML_BYTES:
        raise InputError(
            f"{path}: expected {what} of at most {MOST_TOML_BYTES >> 10} KiB, got "
            f"{len(content) >> 10:,} KiB. {mend}"
        )
    try:
        return parse_toml(content.decode())
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: expected UTF-8 text, got byte {error.object[error.start]:#04x} at offset "
            f"{error.start}. Save the file as UTF-8."
        ) from None
    except ValueError as error:
        said = shorten(str(error))
        raise InputError(f"{path}: expected TOML, got {said}. Mend that line.") from None


def parse_toml(text: str) -> dict[str, Any]:
    """The tables of a TOML text.

    Raises:
        ValueError: it is none, or has more levels or digits than there is use for.
    """
    too_deep = ValueError(f"more than {MOST_LEVELS} levels")
    try:
        table = tomli.loads(text)
    except RecursionError:
        raise too_deep from None
    if _is_deep(table):
        raise too_deep
    return table


def _is_deep(value: Any) -> bool:
    """Whether tables and lists are nested deeper than MOST_LEVELS, found level by level."""
    level = [value]
    for _ in range(MOST_LEVELS):
        inner = [list(v.values()) if isinstance(v, Mapping) else v for v in level]
        level = [v for each in inner if isinstance(each, list | tuple) for v in each]
        if not level:
            return False
    return True


def read_record(model: type[R], path: Path, absent: str, mend: str) -> R:
    """The record that a JSON file holds.

    Args:
        absent, mend: what to do where there is no such file, and where it holds something else.
    Raises:
        InputError: it cannot be read, or a key is missing, unknown or of another type.
    """
    content = files.read_bytes(path, "a readable file", absent, RECORD_GROWTH)
    try:
        return model.model_validate_json(content)
    except ValidationError as error:
        rule, value = first_problem(error)
        raise InputError(f"{path}: expected {rule}, got {value}. {mend}") from None


def first_problem(error: ValidationError) -> tuple[str, str]:
    """What pydantic expected first, and what it got."""
    problem: dict[str, Any] = dict(error.errors(include_url=False)[0])
    key = ".".join(str(part) for part in problem["loc"] if part != "axes")
    rule = problem["msg"].removeprefix("Input should be ")
    match problem["type"]:
        case "json_invalid":
            return "JSON", shorten(rule)
        case "missing" | "missing_argument":  # the second by pydantic before 2.14
            return f"key '{key}'", "none"
        case "extra_forbidden":
            return "known keys", f"'{shorten(key)}'"
    return (f"'{shorten(key)}' to be {rule}" if key else rule), show(problem["input"])


def explain(
    error: ValidationError,
    where: str,
    root: type[BaseModel],
    ignored: Container[tuple[str, ...]] = (),
) -> list[str]:
    """All problems in the house's form, a line each.

    Args:
        where: opens each line.
        root: the model that refused it.
        ignored: paths of keys whose absence is no problem.
    """
    lines = [
        _explain(dict(problem), where, root)
        for problem in error.errors()
        # A list whose entries are all wrong counts as empty too; its entries have their lines.
        if (problem["type"] != "too_short" or not problem["input"])
        and (problem["type"] != "missing" or _names(problem["loc"]) not in ignored)
    ]
    return list(dict.fromkeys(lines))


def _names(location: tuple[int | str, ...]) -> tuple[str, ...]:
    return tuple(part for part in location if isinstance(part, str))


def _drop(table: Any, path: tuple[str, ...]) -> bool:
    """Takes a key out of a nested table; False where there is none."""
    for key in path[:-1]:
        table = table.get(key) if isinstance(table, dict) else None
    return isinstance(table, dict) and bool(path) and table.pop(path[-1], table) is not table


def _tuples(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _tuples(item) for key, item in value.items()}
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value


def _explain(problem: dict[str, Any], where: str, root: type[BaseModel]) -> str:
    """One pydantic problem in the house's form: place, rule, value, and what to do."""
    location = _names(problem["loc"])
    section, key = _section_label(location[:-1]), location[-1] if location else ""
    kind, context = problem["type"], problem.get("ctx", {})
    if kind == "extra_forbidden":
        known = _known_keys(location[:-1], root)
        hint = _nearest_key(key, location[:-1], known, root)
        unknown = f"{where}{section}: unknown key {show(key)}{hint or '.'}"
        return f"{unknown} Known keys: {', '.join(known)}."
    if kind == "missing" and problem["loc"][-1] == key:
        return f"{where}{section}: expected key '{key}', got none. Add it."
    if kind == "value_error" and isinstance(context["error"], InputError):
        return str(context["error"])  # of another file, that this table names
    if kind == "value_error":
        rule, _, got = str(context["error"]).partition("|")
        rule, got = shorten(rule, 3 * MOST_SHOWN), shorten(got)
        return f"{where}{_section_label(location)}: expected {rule}, got {got}. Change one of them."
    rule = _rule(problem)
    got = show(list(problem["input"]) if isinstance(problem["input"], tuple) else problem["input"])
    return f"{where}{section} {key}: expected {rule}, got {got}. Change the value."


def _nearest_key(
    key: str, section: Sequence[str], known: Sequence[str], root: type[BaseModel]
) -> str:
    """Looks in the section first, by spelling and by initials (lr), then in every other section."""
    candidates = {name: "" for name in known}
    for name, field in root.model_fields.items():
        inner = field.annotation
        if (name,) == tuple(section) or not isinstance(inner, type):
            continue
        if issubclass(inner, BaseModel):
            for other in inner.model_fields:
                candidates.setdefault(other, f" in [{name}]")
    close = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    initials = [name for name in candidates if "".join(w[0] for w in name.split("_")) == key]
    elsewhere = difflib.get_close_matches(key, list(candidates), n=1, cutoff=0.6)
    for name in (*close, *initials, *elsewhere):
        return f"; did you mean '{name}'{candidates[name]}?"
    return ""


_TYPE_NAMES = {
    "int": "an integer",
    "float": "a number",
    "string": "a string",
    "bool": "true or false",
    "tuple": "a list",
    "model": "a section",
    "finite_number": "a finite number",
}
_BOUNDS = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}


def _rule(problem: dict[str, Any]) -> str:
    kind, context = problem["type"], problem.get("ctx", {})
    if kind == "literal_error":
        return "one of " + context["expected"].replace(" or ", ", ")
    if kind == "too_short":
        return "a list with at least one entry"
    if kind == "missing":
        return f"a list with more than {len(problem['input'])} entries"
    for name, sign in _BOUNDS.items():
        if name in context:
            noun = "an integer" if isinstance(context[name], int) else "a number"
            return f"{noun} {sign} {context[name]:.10g}"
    for name, text in _TYPE_NAMES.items():
        if kind.startswith(name):
            return text
    return problem["msg"]


def _section_label(path: Sequence[str]) -> str:
    return f" [{'.'.join(path)}]" if path else ""


def _known_keys(path: Sequence[str], root: type[BaseModel]) -> list[str]:
    model = root
    for name in path:
        annotation = model.model_fields[name].annotation
        options = typing.get_args(annotation) if _is_union(annotation) else (annotation,)
        model = next(item for item in options if isinstance(item, type))
    return list(model.model_fields)


def _is_union(annotation: Any) -> bool:
    return typing.get_origin(annotation) in (typing.Union, types.UnionType)
