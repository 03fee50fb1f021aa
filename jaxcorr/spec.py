"""An experiment spec: one TOML file in, one frozen `Spec` out, or every mistake in it at once.

This is the only place where defaults live. It does not know how any of the values is used, whether
a trace exists, or what a run folder looks like.
"""

import difflib
import types
import typing
from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import tomli
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from jaxcorr.errors import InputError

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Rate = Annotated[float, Field(ge=0.0, lt=1.0)]
Positive = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]
Names = Annotated[tuple[str, ...], Field(min_length=1)]

# The reference's networks: hidden_size, num_layers.
SIZES = {"small": (56, 2), "medium": (96, 2), "large": (128, 3)}
NUM_LAGS = 20  # samples that the linear regressions look back on, the newest included


class Section(BaseModel):
    """A table of a TOML file: unknown keys are refused, and no value is converted."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Split(Section):
    """How traces are dealt to training, validation and test; a trace or part is never in two."""

    by: Literal["trace", "part"] = "trace"
    train: Fraction = 0.8
    val: Fraction = 0.1
    test: Fraction = 0.1
    test_parts: tuple[str, ...] = ()
    test_traces: tuple[str, ...] = ()  # patterns of names; these are the test, the rest is dealt
    seed: Seed = 0

    @model_validator(mode="after")
    def _ratios_sum_to_one(self) -> "Split":
        total = self.train + self.val + self.test
        if abs(total - 1.0) > 1e-6:
            raise ValueError(f"train + val + test to be 1|{total:g}")
        if self.train == 0.0:
            raise ValueError("train > 0|0")
        if self.test_parts and self.by != "part":
            raise ValueError(f"by = 'part' where test_parts is given|by = {self.by!r}")
        if self.test_traces and self.by != "trace":
            raise ValueError(f"by = 'trace' where test_traces is given|by = {self.by!r}")
        return self


class Augment(Section):
    """Changes made to training windows only; all are off by default."""

    input_noise: NonNegative = 0.0  # standard deviation, in standard deviations of each input
    time_shift: Annotated[int, Field(ge=0)] = 0  # samples; window starts move by up to this much
    target_scale: Rate = 0.0  # targets are scaled by a factor within 1 +- this


def _number_as_text(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


class Simulate(Section):
    """How to make the traces with the built-in simulator where there are none."""

    parts: Names  # bundled parts, or G-code files
    layers: Annotated[str, BeforeValidator(_number_as_text)] = "sampled:5"
    seed: Seed = 0
    accel_mm_s2: tuple[Positive, ...] = ()  # each layer once per value; empty: as in the G-code
    velocity_mm_s: tuple[Positive, ...] = ()
    probe_um: tuple[Positive, ...] = ()  # each layer once more per value: random RMS of the command
    mass_kg: tuple[Positive, Positive] = (0.35, 0.45)  # x and y
    stiffness_n_m: tuple[Positive, Positive] = (8000.0, 8000.0)
    damping_ns_m: tuple[NonNegative, NonNegative] = (15.0, 15.0)
    friction_n: tuple[NonNegative, NonNegative] = (0.8, 0.8)
    damping: Literal["relative", "ground"] = "relative"  # of the head, against motor or frame
    sources_off: tuple[str, ...] = ()
    microstep_um: NonNegative = 4.0
    jitter_cycles: NonNegative = 50.0
    floor_um: NonNegative = 2.0


class Data(Section):
    """Which traces are read and how they are cut into windows."""

    traces: Names
    features: Names = ("x_ref", "y_ref", "vx_ref", "vy_ref")
    targets: Names = ("error_x", "error_y")
    sample_rate_hz: Positive = 100.0
    window: Annotated[int, Field(ge=2)] = 50  # samples
    stride: Count = 4  # samples
    horizon: Annotated[int, Field(ge=-1000, le=1000)] = 0  # samples
    supervision: Literal["all", "last"] = "all"
    batch_size: Count = 32  # windows
    balance_parts: bool = True
    split: Split = Split()
    augment: Augment = Augment()
    simulate: Simulate | None = None

    @model_validator(mode="after")
    def _names_are_distinct(self) -> "Data":
        names = (*self.features, *self.targets)
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"features and targets to be distinct|{twice!r} twice")
        return self


class Model(Section):
    """The network: Dense(encoder_size) -> LayerNorm -> ReLU -> Dropout -> LSTM layers -> Dense."""

    hidden_size: Count = 96
    num_layers: Count = 2
    encoder_size: Count = 32
    dropout: Rate = 0.1
    inputs: Literal["raw", "kinematic"] = "kinematic"
    phase_periods_mm: tuple[Positive, ...] = ()  # of motor position: full step, four full steps
    linear_path: Literal["none", "binned"] = "none"  # a regression beside which the network learns


class Loss(Section):
    """hybrid = mae_ratio * MAE + (1 - mae_ratio) * MSE, on normalised targets."""

    name: Literal["mae", "mse", "hybrid"] = "hybrid"
    mae_ratio: Fraction = 0.7


class Optimizer(Section):
    """AdamW and its learning-rate schedule."""

    learning_rate: Positive = 3e-3
    weight_decay: NonNegative = 1e-4
    schedule: Literal["constant", "warmup_cosine", "cosine_restarts"] = "warmup_cosine"
    warmup_fraction: Rate = 0.05  # of all steps, for warmup_cosine
    restart_epochs: Count = 10  # length of the first cycle, for cosine_restarts
    restart_factor: Annotated[float, Field(ge=1.0)] = 2.0  # each cycle is this much longer
    final_fraction: Fraction = 0.01  # of learning_rate, at the end of a cosine
    clip_norm: NonNegative = 1.0  # 0 switches clipping off
    accumulation_steps: Count = 1


class Train(Section):
    """How long, how precisely and with what records."""

    name: str = ""  # part of the run's id; the spec's file name where empty
    epochs: Count = 40
    patience: Annotated[int, Field(ge=0)] = 15  # epochs without a better validation MAE; 0: never
    precision: Literal["float32", "bfloat16"] = "float32"
    device: Literal["auto", "cpu", "gpu"] = "auto"
    num_devices: Annotated[int, Field(ge=0)] = 0  # 0: all that a batch gives 8 windows or more
    seed: Seed = 0
    validation: Literal["stream", "window"] = "stream"
    tensorboard: bool = True
    histogram_every_epochs: Annotated[int, Field(ge=0)] = 5  # 0: no histograms
    keep_checkpoints: Count = 2
    steps_per_dispatch: Count = 16


class Targets(Section):
    """What "meets all targets" means in the evaluation."""

    mae_mm: Positive = 0.025
    r2: Annotated[float, Field(le=1.0)] = 0.67
    inference_ms: Positive = 1.0


class Spec(Section):
    """One experiment, every default filled in."""

    data: Data
    model: Model = Model()
    loss: Loss = Loss()
    optimizer: Optimizer = Optimizer()
    train: Train = Train()
    targets: Targets = Targets()

    @model_validator(mode="after")
    def _devices_get_equal_shares(self) -> "Spec":
        batch_size, num_devices = self.data.batch_size, self.train.num_devices
        if num_devices and batch_size % num_devices:
            rule = f"train.num_devices to divide data.batch_size = {batch_size}"
            raise ValueError(f"{rule}|{num_devices}")
        return self

    @model_validator(mode="after")
    def _kinematic_inputs_have_velocities(self) -> "Spec":
        half = len(self.data.features) // 2
        positions, velocities = self.data.features[:half], self.data.features[half:]
        is_kinematic = self.model.inputs == "kinematic" or self.model.phase_periods_mm
        if is_kinematic and velocities != tuple(f"v{p}" for p in positions):
            rule = "data.features to be positions, then their velocities, for model.inputs"
            raise ValueError(f"{rule} = 'kinematic'|{list(self.data.features)}")
        return self

    @model_validator(mode="after")
    def _linear_path_has_velocities(self) -> "Spec":
        if self.model.linear_path != "none" and len(own_velocities(self.data) or ()) != 2:
            rule = "two targets with their velocities among data.features for model.linear_path ="
            got = f"{list(self.data.targets)} of {list(self.data.features)}"
            raise ValueError(f"{rule} {self.model.linear_path!r}|{got}")
        return self

    @model_validator(mode="after")
    def _window_holds_what_a_linear_path_looks_back_on(self) -> "Spec":
        if self.model.linear_path != "none" and self.data.window < NUM_LAGS:
            rule = f"data.window >= {NUM_LAGS} for model.linear_path = {self.model.linear_path!r}"
            raise ValueError(f"{rule}|{self.data.window}")
        return self


def load(path: Path, overrides: Sequence[str] = ()) -> Spec:
    """Reads and checks a spec file with overrides; see `read_table` for both.

    Raises:
        InputError: as `read_table` and `from_table`.
    """
    return from_table(read_table(path, overrides), str(path))


def read_table(path: Path, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Reads a spec file and applies `section.key=value` overrides to it; checks only the form.

    Args:
        path: the TOML file.
        overrides: texts such as `train.epochs=5`; the value is TOML, or else taken as a string.
    Raises:
        InputError: the file is missing or no TOML, or an override has no such form.
    """
    try:
        table = tomli.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: expected a spec file, got none. Look in specs/.") from None
    except IsADirectoryError:
        raise InputError(f"{path}: expected a spec file, got a folder. Look in specs/.") from None
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: expected UTF-8 text, got byte {error.object[error.start]:#04x} at offset "
            f"{error.start}. Save the spec as UTF-8."
        ) from None
    except OSError as error:
        raise InputError(
            f"{path}: expected a readable file, got '{error.strerror}'. Check the path."
        ) from None
    except tomli.TOMLDecodeError as error:
        raise InputError(f"{path}: expected TOML, got {error}. Mend that line.") from None
    problems = []
    for text in overrides:
        try:
            _override(table, text)
        except InputError as error:
            problems.append(str(error))
    if problems:
        raise InputError("\n".join(problems))
    return table


def from_table(table: Mapping[str, Any], where: str) -> Spec:
    """Checks a nested table against the schema; `where` opens each line of an error.

    Raises:
        InputError: with one line for each mistake.
    """
    content, problems = _tuples(table), []
    dropped: set[tuple[str, ...]] = set()
    spec = None
    while spec is None:
        try:
            spec = Spec.model_validate(content)
        except ValidationError as error:
            problems += explain(error, where, ignored=dropped)
            # Rules across keys are checked only where each key is right: look again without them.
            wrong = {_names(problem["loc"]) for problem in error.errors()} - dropped
            dropped |= {path for path in wrong if _drop(content, path)}
            if not wrong & dropped:
                break
    if spec is None or problems:
        raise InputError("\n".join(dict.fromkeys(problems)))
    return spec


def explain(
    error: ValidationError,
    where: str,
    root: type[BaseModel] = Spec,
    ignored: Container[tuple[str, ...]] = (),
) -> list[str]:
    """All problems in the house's form, a line each.

    Args:
        where: opens each line.
        root: what was checked.
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


def to_table(spec: Spec) -> dict[str, Any]:
    """A spec as plain nested dictionaries and lists, every default filled in."""
    return spec.model_dump(mode="json")


def axis_of(target: str) -> str:
    """`x` for the targets `error_x` and `lag_x`; other targets keep their names."""
    return target.removeprefix("error_").removeprefix("lag_")


def own_velocities(data: Data) -> tuple[int, ...] | None:
    """Which column of the features is each target's velocity; None where one has none.

    `error_x` belongs to `vx_ref`, or to `vx_cmd` where the model is given the command.
    """
    found = []
    for target in data.targets:
        axis = target.rpartition("_")[2]
        names = [name for name in (f"v{axis}_ref", f"v{axis}_cmd") if name in data.features]
        if not names:
            return None
        found.append(data.features.index(names[0]))
    return tuple(found)


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


def _override(table: dict[str, Any], text: str) -> None:
    path, equals, raw = text.partition("=")
    keys = [key.strip() for key in path.split(".")]
    if not equals or len(keys) < 2 or not all(keys):
        raise InputError(
            f"--set {text!r}: expected section.key=value, got {text!r}. Example: train.epochs=5."
        )
    try:
        value = tomli.loads(f"value = {raw}")["value"]
    except tomli.TOMLDecodeError:
        value = raw.strip()
    for key in keys[:-1]:
        inner = table.setdefault(key, {})
        if not isinstance(inner, dict):
            raise InputError(
                f"--set {text!r}: expected '{key}' to be a section, got {inner!r}. Mend the path."
            )
        table = inner
    if isinstance(value, str) and isinstance(table.get(keys[-1]), list):
        value = [value]
    table[keys[-1]] = value


def _explain(problem: dict[str, Any], where: str, root: type[BaseModel]) -> str:
    """One pydantic problem in the house's form: place, rule, value, and what to do."""
    location = _names(problem["loc"])
    section, key = _section_label(location[:-1]), location[-1] if location else ""
    kind, context = problem["type"], problem.get("ctx", {})
    if kind == "extra_forbidden":
        known = _known_keys(location[:-1], root)
        hint = _nearest_key(key, location[:-1], known, root)
        return f"{where}{section}: unknown key {key!r}{hint or '.'} Known keys: {', '.join(known)}."
    if kind == "missing":
        return f"{where}{section}: expected key '{key}', got none. Add it."
    if kind == "value_error":
        rule, _, got = str(context["error"]).partition("|")
        return f"{where}{_section_label(location)}: expected {rule}, got {got}. Change one of them."
    rule = _rule(problem)
    got = repr(list(problem["input"]) if isinstance(problem["input"], tuple) else problem["input"])
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
