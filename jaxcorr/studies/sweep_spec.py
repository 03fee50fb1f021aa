"""A sweep spec: one TOML file in, one frozen `Sweep` out, or every mistake in it at once.

It names a base spec and, for some of that spec's keys, the values to try. Each value is checked as
the base spec's own would be.
"""

import functools
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import tomli_w
from pydantic import Field, ValidationError

from jaxcorr import spec as specs
from jaxcorr.errors import InputError
from jaxcorr.schema import Count, Section, Seed, explain

Value = bool | int | float | str


class Range(Section):
    """All numbers from low to high; log spreads them evenly over their logarithms."""

    low: float
    high: float
    log: bool = False


class Settings(Section):
    """The [sweep] table; `space` is checked apart, against the base spec."""

    base: Annotated[str, Field(min_length=1)]
    sampler: Literal["grid", "tpe"]
    trials: Count | None = None  # a grid has its own number, which this may cut
    seed: Seed = 0
    pruning: bool = True  # stop a trial that is worse than the median of the others at its epoch
    pruning_warmup_epochs: Annotated[int, Field(ge=0)] = 5
    space: Any


class _File(Section):
    sweep: Settings


class Parameter(NamedTuple):
    """One swept key: the values to choose from, or the range to search."""

    key: str
    choices: tuple[Value, ...]
    range: Range | None
    is_integer: bool


class Sweep(NamedTuple):
    """A checked sweep; `table` is the file's content and `base_table` the base's, with defaults."""

    name: str
    base: Path
    settings: Settings
    parameters: tuple[Parameter, ...]
    num_trials: int
    table: dict[str, Any]
    base_table: dict[str, Any]


def load(path: Path) -> Sweep:
    """Reads and checks a sweep spec and the base spec that it names.

    Args:
        path: the TOML file; its base is relative to the working folder.
    Raises:
        InputError: with one line for each mistake in either file.
    """
    table = specs.read_table(path)
    problems, raw = [], table.get("sweep")
    try:
        settings = _File.model_validate(table).sweep
    except ValidationError as error:
        problems, settings = explain(error, str(path), _File), None
    base, entries = None, {}
    if isinstance(raw, dict) and isinstance(raw.get("base"), str):
        try:
            base = specs.load(Path(raw["base"]))
            entries = _flatten(raw["space"]) if isinstance(raw.get("space"), dict) else {}
            problems += _check_space(f"{path} [sweep", raw, entries)
        except InputError as error:
            problems += str(error).splitlines()
    if base and not base.data.split.val:
        problems.append(
            f"{path} [sweep] base: expected a spec with data.split.val > 0, got 0. Trials are "
            "judged by validation traces."
        )
    if problems or settings is None or base is None:
        raise InputError("\n".join(problems))
    base_table = specs.to_table(base)
    parameters = tuple(_parameter(base_table, key, item) for key, item in sorted(entries.items()))
    grid = math.prod(len(p.choices) for p in parameters) if settings.sampler == "grid" else math.inf
    num_trials = int(min(grid, settings.trials or math.inf))
    return Sweep(
        path.stem, Path(settings.base), settings, parameters, num_trials, table, base_table
    )


def override(key: str, value: Value) -> str:
    """A value as the text that `--set` takes."""
    return f"{key}={tomli_w.dumps({'value': value}).removeprefix('value = ').strip()}"


def _flatten(space: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Dotted key -> values or range; keys may be quoted, or nested as TOML nests bare ones."""
    entries = {}
    for name, raw in space.items():
        is_section = isinstance(raw, dict) and raw and not raw.keys() & Range.model_fields.keys()
        entries |= _flatten(raw, f"{above}{name}.") if is_section else {f"{above}{name}": raw}
    return entries


def _check_space(where: str, raw: Mapping[str, Any], entries: Mapping[str, Any]) -> list[str]:
    """The mistakes in the space, and in what a sampler needs."""
    problems = [
        line
        for key, entry in entries.items()
        for line in _check(f"{where}.space]", raw, key, entry)
    ]
    if "space" in raw and not entries:
        problems.append(f"{where}.space]: expected keys of the base spec, got none. Add one.")
    if raw.get("sampler") == "tpe" and "trials" not in raw:
        problems.append(f"{where}] trials: expected a number with sampler 'tpe', got none. Add it.")
    return problems


def _check(where: str, raw: Mapping[str, Any], key: str, entry: Any) -> list[str]:
    """The mistakes in one entry of the space."""
    if "." not in key:
        return [f"{where} {key}: expected section.key, got '{key}'. Example: model.hidden_size."]
    if isinstance(entry, dict):
        problems = _check_range(f"{where} {key}", entry, raw.get("sampler") == "grid")
        values = [] if problems else [entry["low"], entry["high"]]
    else:
        problems = _check_choices(f"{where} {key}", entry)
        values = [] if problems else entry
    for value in values:
        try:
            changed = specs.read_table(Path(raw["base"]), [override(key, value)])
            specs.from_table(changed, where)
        except InputError as error:
            problems += str(error).splitlines()
    return problems


def _check_range(where: str, entry: Mapping[str, Any], is_grid: bool) -> list[str]:
    if is_grid:
        return [f"{where}: expected a list of values with sampler 'grid', got a range. List them."]
    try:
        tried = Range.model_validate(entry)
    except ValidationError as error:
        return explain(error, where, Range)
    if tried.low >= tried.high:
        return [f"{where}: expected low < high, got {tried.low:g} and {tried.high:g}. Swap them."]
    if tried.log and tried.low <= 0:
        return [f"{where} low: expected a number > 0 with log, got {tried.low:g}. Raise it."]
    return []


def _check_choices(where: str, raw: Any) -> list[str]:
    if not isinstance(raw, list) or not raw:
        return [
            f"{where}: expected a list of values or {{low, high, log}}, got {raw!r}. List some."
        ]
    bad = [item for item in raw if not isinstance(item, Value)]
    if bad:
        return [f"{where}: expected numbers, strings or booleans, got {bad[0]!r}. Change it."]
    twice = [item for i, item in enumerate(raw) if item in raw[:i]]
    if twice:
        return [f"{where}: expected different values, got {twice[0]!r} twice. Drop one."]
    return []


def _parameter(base_table: dict[str, Any], key: str, raw: Any) -> Parameter:
    before = functools.reduce(
        lambda table, name: (table or {}).get(name), key.split("."), base_table
    )
    is_integer = isinstance(before, int) and not isinstance(before, bool)
    if isinstance(raw, dict):
        return Parameter(key, (), Range.model_validate(raw), is_integer)
    return Parameter(key, tuple(raw), None, is_integer)
