"""An experiment's spec: one TOML file in, one frozen `Spec` out, or every mistake in it at once.

This is the only place where defaults live, a printer's among them.
"""

import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import tomli
from pydantic import BeforeValidator, Field, model_validator

from jaxcorr.errors import InputError
from jaxcorr.schema import (
    Count,
    Fraction,
    Names,
    NonNegative,
    Positive,
    Rate,
    Section,
    Seed,
    check,
)

# The reference's networks: hidden_size, num_layers.
SIZES = {"small": (56, 2), "medium": (96, 2), "large": (128, 3)}
NUM_LAGS = 20  # samples that the linear regressions look back on, the newest included
# Where a trace's error comes from; see printer/simulate.py.
Source = Literal["junction_deviation", "resonance", "friction", "microstep", "jitter", "floor"]
SOURCES: tuple[str, ...] = typing.get_args(Source)
# Above this, friction held over a step of the plant overshoots its own sign (2 is the end of
# stability).
MAX_FRICTION_STEP = 1.5


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


class Printer(Section):
    """What is known of a printer; pairs are of x and y.

    The spec, the options of the commands, the call of GNU Octave and the `params` of a trace follow
    from these fields, so that a parameter is declared here and in MATLAB's simulate_options alone.
    The serialization alias is its name as an option and in MATLAB where that differs.
    """

    mass_kg: tuple[Positive, Positive] = Field(
        default=(0.35, 0.45), description="Moving mass, x and y."
    )
    stiffness_n_m: tuple[Positive, Positive] = Field(
        default=(8000.0, 8000.0), description="Belt stiffness, x and y."
    )
    damping_ns_m: tuple[NonNegative, NonNegative] = Field(
        default=(15.0, 15.0), description="Damping, x and y."
    )
    friction_n: tuple[NonNegative, NonNegative] = Field(
        default=(0.8, 0.8), description="Friction force, x and y."
    )
    friction_velocity_mm_s: Positive = Field(
        default=2.0, description="Speed at which friction has three quarters of its force."
    )
    damping: Literal["relative", "ground"] = Field(
        default="relative", description="Damping of the head against its motor or the frame."
    )
    sources_off: tuple[Source, ...] = Field(
        default=(),
        description="Switch a source of error off; repeat the option.",
        serialization_alias="off",
    )
    microstep_um: NonNegative = Field(default=4.0, description="Amplitude of each period.")
    jitter_cycles: NonNegative = Field(
        default=50.0, description="Half range of a step pulse's lateness, 72 MHz cycles."
    )
    floor_um: NonNegative = Field(default=2.0, description="RMS of the disturbance per axis.")
    floor_hz: Positive = Field(default=30.0, description="Bandwidth of the disturbance.")

    @property
    def sources(self) -> tuple[str, ...]:
        """The sources of error that are on."""
        return tuple(source for source in SOURCES if source not in self.sources_off)

    @property
    def microstep_mm(self) -> float:
        """Amplitude of each period; zero where the source is off."""
        return self.microstep_um / 1000.0 if "microstep" in self.sources else 0.0


class Simulation(Printer):
    """A printer, and how its layers are simulated."""

    rate_hz: Positive = Field(default=100.0, description="Rate of the traces.")
    plant_rate_hz: Positive = Field(default=2000.0, description="Rate of the integration.")
    seed: Seed = Field(default=0, description="Of the random sources.")
    accel_mm_s2: tuple[Positive, ...] = Field(
        default=(),
        description="Each layer once per acceleration; repeat the option.",
        serialization_alias="sweep_accel_mm_s2",
    )
    velocity_mm_s: tuple[Positive, ...] = Field(
        default=(),
        description="Each layer once per feedrate; repeat the option.",
        serialization_alias="sweep_velocity_mm_s",
    )
    # No correction comes near a millimetre.
    probe_um: tuple[Annotated[float, Field(gt=0.0, le=1000.0)], ...] = Field(
        default=(),
        description="Each layer once more per value: RMS of a random change of the command.",
    )

    @property
    def every(self) -> int:
        """Samples of the integration per sample of the trace."""
        return round(self.plant_rate_hz / self.rate_hz)

    @model_validator(mode="after")
    def _rates_suit_the_printer(self) -> "Simulation":
        if self.plant_rate_hz % self.rate_hz:
            rule = f"rate_hz to divide plant_rate_hz = {self.plant_rate_hz:g}"
            raise ValueError(f"{rule}|{self.rate_hz:g}")
        if self.floor_hz >= self.plant_rate_hz / 2:
            raise ValueError(f"floor_hz < {self.plant_rate_hz / 2:g}|{self.floor_hz:g}")
        forces = zip(self.friction_n, self.mass_kg, strict=True)
        slope = max(1000.0 * force / mass for force, mass in forces) / self.friction_velocity_mm_s
        lowest = slope / MAX_FRICTION_STEP
        if not self.plant_rate_hz >= lowest:
            rule = f"plant_rate_hz >= {lowest:.0f} for this friction"
            raise ValueError(f"{rule}|{self.plant_rate_hz:g}")
        return self


class Simulate(Simulation):
    """How to make the traces with the simulator where there are none."""

    parts: Names  # bundled parts, or G-code files
    layers: Annotated[str, BeforeValidator(_number_as_text)] = "sampled:5"


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
    path: Literal["none", "plant", "binned"] = "none"  # fitted first; the network learns the rest


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
    epochs: Annotated[int, Field(ge=0)] = 40  # 0: the path alone
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
    def _path_has_what_it_follows(self) -> "Spec":
        path, own = self.model.path, own_velocities(self.data)
        rule = {
            "none": "",
            "plant": "" if own_positions(self.data) else "each target's position and velocity",
            "binned": "" if own and len(own) == 2 else "two targets with their velocities",
        }[path]
        if rule:
            got = f"{list(self.data.targets)} of {list(self.data.features)}"
            raise ValueError(f"{rule} among data.features for model.path = {path!r}|{got}")
        return self

    @model_validator(mode="after")
    def _window_holds_what_a_linear_path_looks_back_on(self) -> "Spec":
        if self.model.path == "binned" and self.data.window < NUM_LAGS:
            rule = f"data.window >= {NUM_LAGS} for model.path = 'binned'"
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
    return check(Spec, table, where)


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
