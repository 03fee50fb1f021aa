"""An experiment's spec: one TOML file in, one frozen `Spec` out, or every mistake in it at once.

This is the only place where defaults live; a printer's are in printer_spec.py.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from jaxcorr.errors import InputError, shorten, show
from jaxcorr.printer_spec import PLANT_RATE_HZ, Kinematics, Simulation
from jaxcorr.schema import (
    MOST,
    MOST_LEVELS,
    Count,
    CountOrNone,
    Fraction,
    Names,
    NonNegative,
    Positive,
    Rate,
    Section,
    Seed,
    check,
    parse_toml,
    read_toml,
)

# The reference's networks: hidden_size, num_layers.
SIZES = {"small": (56, 2), "medium": (96, 2), "large": (128, 3)}
IN_MS = ("window", "stride", "horizon")  # of [data], which may be given in ms
RATES_HZ = (20.0, 2000.0)  # of traces: the slowest and the fastest
PATH_MEMORY_MS = 190.0  # how far regressions and model.path = "smooth" look back


# Of columns, as MATLAB takes them for fields: they stand in C, MATLAB and Python code.
Fields = Annotated[
    tuple[Annotated[str, Field(pattern=r"^[A-Za-z]\w{0,62}$")], ...],
    Field(min_length=1, max_length=100),
]


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
    time_shift: CountOrNone = 0  # samples; window starts move by up to this much
    target_scale: Rate = 0.0  # targets are scaled by a factor within 1 +- this


def _number_as_text(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


class Simulate(Simulation):
    """How to make the traces with the simulator where there are none."""

    parts: Names  # bundled parts, or G-code files
    layers: Annotated[str, BeforeValidator(_number_as_text)] = "sampled:5"


class Data(Section):
    """Which traces are read and how they are cut into windows.

    Window, stride and horizon may be given in ms, as window_ms and so on; samples come of it.
    """

    traces: Names
    features: Fields = ("x_ref", "y_ref", "vx_ref", "vy_ref")
    targets: Fields = ("error_x", "error_y")
    sample_rate_hz: Annotated[float, Field(ge=RATES_HZ[0], le=RATES_HZ[1])] = 100.0
    knot_rate_hz: Positive | None = None  # of corrections and probes; sample_rate_hz if left out
    window: Annotated[int, Field(ge=2, le=100_000)] = 50  # samples
    stride: Count = 4  # samples
    horizon: Annotated[int, Field(ge=-1000, le=1000)] = 0  # samples
    supervision: Literal["all", "last"] = "all"
    batch_size: Count = 32  # windows
    balance_parts: bool = True
    split: Split = Split()
    augment: Augment = Augment()
    kinematics: Kinematics | None = None  # of the machine; that of simulate if left out
    simulate: Simulate | None = None

    @property
    def knots_hz(self) -> float:
        """Knots of corrections and probes per second."""
        return self.knot_rate_hz or self.sample_rate_hz

    @model_validator(mode="before")
    @classmethod
    def _lengths_in_ms_become_samples(cls, table: Any) -> Any:
        found = {k for k in IN_MS if f"{k}_ms" in table} if isinstance(table, Mapping) else set()
        if not found:
            return table
        samples = {
            key: value for key, value in table.items() if key.removesuffix("_ms") not in found
        }
        rate_hz = table.get("sample_rate_hz", cls.model_fields["sample_rate_hz"].default)
        for key in sorted(found):
            value = table[f"{key}_ms"]
            if key in table:
                raise ValueError(f"{key} or {key}_ms|{table[key]!r} and {value!r}")
            if not all(type(each) in (int, float) for each in (value, rate_hz)):
                raise ValueError(f"numbers for {key}_ms and sample_rate_hz|{value!r}, {rate_hz!r}")
            if not abs(value * rate_hz) < 1e12:
                raise ValueError(f"{key}_ms of fewer samples|{value!r}")
            samples[key] = round(value * rate_hz / 1e3)
        return samples

    @model_validator(mode="before")
    @classmethod
    def _traces_are_made_at_their_rate(cls, table: Any) -> Any:
        simulate = table.get("simulate") if isinstance(table, Mapping) else None
        if not isinstance(simulate, Mapping):
            return table
        rate_hz = table.get("sample_rate_hz", cls.model_fields["sample_rate_hz"].default)
        rates = {"rate_hz": rate_hz, "knot_rate_hz": table.get("knot_rate_hz")}
        return {**table, "simulate": {**rates, **simulate}}

    @model_validator(mode="after")
    def _rates_agree(self) -> "Data":
        if self.simulate is not None and self.simulate.rate_hz != self.sample_rate_hz:
            rule = f"sample_rate_hz to be simulate.rate_hz = {self.simulate.rate_hz:g}"
            raise ValueError(f"{rule}|{self.sample_rate_hz:g}")
        if self.simulate is not None and self.simulate.knots_hz != self.knots_hz:
            rule = f"knot_rate_hz to be simulate.knot_rate_hz = {self.simulate.knots_hz:g}"
            raise ValueError(f"{rule}|{self.knots_hz:g}")
        if self.sample_rate_hz % self.knots_hz:
            rule = f"knot_rate_hz to divide sample_rate_hz = {self.sample_rate_hz:g}"
            raise ValueError(f"{rule}|{self.knots_hz:g}")
        return self

    @model_validator(mode="after")
    def _kinematics_agree(self) -> "Data":
        given, axes = self.kinematics, tuple(map(axis_of, self.targets))
        if self.simulate is not None and given not in (None, self.simulate.kinematics):
            rule = f"kinematics to be simulate.kinematics = {self.simulate.kinematics!r}"
            raise ValueError(f"{rule}|{given!r}")
        if given == "corexy" and axes != ("x", "y"):
            raise ValueError(f"targets of x and y for kinematics = 'corexy'|{list(self.targets)}")
        return self

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
    num_layers: Annotated[int, Field(ge=1, le=16)] = 2  # more would compile for hours
    encoder_size: Count = 32
    dropout: Rate = 0.1
    inputs: Literal["raw", "kinematic"] = "kinematic"
    phase_periods_mm: Annotated[
        tuple[Positive, ...], Field(max_length=16)
    ] = ()  # of motor position: full step, four full steps
    path: Literal["none", "plant", "smooth"] = "none"  # fitted first; the network learns the rest


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
    restart_factor: Annotated[float, Field(ge=1.0, le=1000.0)] = (
        2.0  # each cycle is this much longer
    )
    final_fraction: Fraction = 0.01  # of learning_rate, at the end of a cosine
    clip_norm: NonNegative = 1.0  # 0 switches clipping off
    accumulation_steps: Count = 1


class Train(Section):
    """How long, how precisely and with what records."""

    name: str = ""  # part of the run's id; the spec's file name where empty
    epochs: CountOrNone = 40  # 0: the path alone
    patience: CountOrNone = 15  # epochs without a better validation MAE; 0: never
    precision: Literal["float32", "bfloat16"] = "float32"
    device: Literal["auto", "cpu", "gpu"] = "auto"
    num_devices: CountOrNone = 0  # 0: all that a batch gives 8 windows or more
    seed: Seed = 0
    validation: Literal["stream", "window"] = "stream"
    tensorboard: bool = True
    histogram_every_epochs: CountOrNone = 5  # 0: no histograms
    keep_checkpoints: Count = 2
    steps_per_dispatch: Count = 16


class Targets(Section):
    """Numbers that a model has to meet, besides beating the best baseline, to meet all targets."""

    mae_mm: Positive = 0.025
    r2: Annotated[float, Field(ge=-MOST, le=1.0)] = 0.67
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
    def _path_has_what_it_follows(self) -> "Spec":
        path, own = self.model.path, own_velocities(self.data)
        rule = {
            "none": "",
            "plant": "" if own_positions(self.data) else "each target's position and velocity",
            "smooth": "" if own else "each target's velocity",
        }[path]
        if rule:
            got = f"{list(self.data.targets)} of {list(self.data.features)}"
            raise ValueError(f"{rule} among data.features for model.path = {path!r}|{got}")
        return self

    @model_validator(mode="after")
    def _window_holds_what_a_smooth_path_looks_back_on(self) -> "Spec":
        least = count_path_lags(self.data.sample_rate_hz)
        if self.model.path == "smooth" and self.data.window < least:
            rule = f"data.window >= {least} for model.path = 'smooth'"
            raise ValueError(f"{rule}|{self.data.window}")
        return self

    @model_validator(mode="after")
    def _something_is_fitted(self) -> "Spec":
        if self.train.epochs == 0 and self.model.path == "none":
            raise ValueError("train.epochs >= 1 for model.path = 'none'|0")
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
    table = read_toml(path, "a spec file", "Look in specs/.")
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
    return check(Spec, table, where)


def to_table(spec: Spec) -> dict[str, Any]:
    """A spec as plain nested dictionaries and lists, every default filled in."""
    return spec.model_dump(mode="json")


def printer_of(spec: Spec, named: str | None = None) -> Simulation:
    """The simulated printer that made a run's traces, or a named one.

    Raises:
        InputError: the traces are foreign and no printer is named, there is no such printer, or
            their rate does not divide that of its integration.
    """
    table = {"rate_hz": spec.data.sample_rate_hz, "knot_rate_hz": spec.data.knot_rate_hz}
    if PLANT_RATE_HZ % spec.data.sample_rate_hz:
        raise InputError(
            f"compensate: expected a run at a rate that divides {PLANT_RATE_HZ:g} Hz, got "
            f"{spec.data.sample_rate_hz:g} Hz. Train at 100, 200, 250, 500 or 1000 Hz."
        )
    if named is not None:
        return check(Simulation, table | {"printer": named}, "--printer")
    if spec.data.simulate is None:
        raise InputError(
            "compensate: expected a run of simulated traces, or a printer to judge on, got neither."
            " Name one: --printer reference, or a file of yours."
        )
    own = spec.data.simulate.model_dump(include=set(Simulation.model_fields))
    return check(Simulation, own | table, "data.simulate")


def count_path_lags(rate_hz: float) -> int:
    """Samples that model.path = "smooth" looks back on, the newest included."""
    return round(PATH_MEMORY_MS * rate_hz / 1e3) + 1


def axis_of(target: str) -> str:
    """`x` for the targets `error_x` and `lag_x`; other targets keep their names."""
    return target.removeprefix("error_").removeprefix("lag_")


def kinematics_of(data: Data) -> Kinematics:
    """How the axes of the targets are driven; x or y alone has no motors of x + y and x - y."""
    of_traces = data.simulate.kinematics if data.simulate else "cartesian"
    is_xy = tuple(map(axis_of, data.targets)) == ("x", "y")
    return (data.kinematics or of_traces) if is_xy else "cartesian"


def own_velocities(data: Data) -> tuple[int, ...] | None:
    """Which column of the features is each target's velocity; None where one has none.

    `error_x` belongs to `vx_ref`, or to `vx_cmd` where the model is given the command.
    """
    found = []
    for target in data.targets:
        axis = axis_of(target)
        names = [name for name in (f"v{axis}_ref", f"v{axis}_cmd") if name in data.features]
        if not names:
            return None
        found.append(data.features.index(names[0]))
    return tuple(found)


def own_positions(data: Data) -> tuple[int, ...] | None:
    """Which column of the features is the position that each of `own_velocities` belongs to."""
    names = [data.features[column].removeprefix("v") for column in own_velocities(data) or ()]
    if not names or not set(names) <= set(data.features):
        return None
    return tuple(map(data.features.index, names))


def _override(table: dict[str, Any], text: str) -> None:
    path, equals, raw = text.partition("=")
    keys = [key.strip() for key in path.split(".")]
    if not equals or len(keys) < 2 or not all(keys):
        raise InputError(
            f"--set {show(text)}: expected section.key=value, got {show(text)}. "
            "Example: train.epochs=5."
        )
    if len(keys) > MOST_LEVELS:
        raise InputError(
            f"--set {show(text)}: expected at most {MOST_LEVELS} levels, got {len(keys)}. Mend the "
            "path."
        )
    try:
        value = parse_toml(f"value = {raw}")["value"]
    except ValueError:
        value = raw.strip()
    for key in keys[:-1]:
        inner = table.setdefault(key, {})
        if not isinstance(inner, dict):
            raise InputError(
                f"--set {show(text)}: expected '{shorten(key)}' to be a section, got "
                f"{show(inner)}. Mend the path."
            )
        table = inner
    if isinstance(value, str) and isinstance(table.get(keys[-1]), list):
        value = [value]
    if keys[-1].removesuffix("_ms") in IN_MS:  # samples take the place of ms, and ms of samples
        for twin in (keys[-1].removesuffix("_ms"), f"{keys[-1].removesuffix('_ms')}_ms"):
            table.pop(twin, None)
    table[keys[-1]] = value
