"""A printer: what is known of its axes and firmware, and how its layers are simulated.

The spec, the options of the commands, the call of GNU Octave and the `params` of a trace follow
from the fields of `Printer` and `Simulation`, so that a parameter is declared here and in MATLAB's
simulate_options alone. Printers that the package knows are in printer/presets, one TOML file each;
a user's own file has the same keys.
"""

import math
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from jaxcorr.errors import InputError
from jaxcorr.schema import NonNegative, Positive, Rate, Section, Seed, check, read_toml

PRESETS = Path(__file__).parent / "printer" / "presets"
# Where a trace's error comes from; see printer/simulate.py.
Source = Literal["junction_deviation", "resonance", "friction", "microstep", "jitter", "floor"]
SOURCES: tuple[str, ...] = typing.get_args(Source)
Firmware = Literal["marlin2.0", "marlin2.1", "klipper", "reprapfirmware"]
Kinematics = Literal["cartesian", "corexy"]
# Above this, friction held over a step of the plant overshoots its own sign (2 is the end of
# stability).
MAX_FRICTION_STEP = 1.5
PLANT_RATE_HZ = 2000.0  # of the plant's integration
CORNERS = ("classic_jerk_mm_s", "junction_deviation_mm", "square_corner_velocity_mm_s")
Axes = tuple[Positive, Positive, Positive, Positive]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class MotionLimits(Section):
    """What replaces a firmware's own limits before the G-code sets any; see printer/motion_limits.

    Lists are of x, y, z and e. Of the three measures of a corner at most one is given.
    """

    max_feedrate_mm_s: Axes | None = None
    max_accel_mm_s2: Axes | None = None
    print_accel_mm_s2: Positive | None = None
    travel_accel_mm_s2: Positive | None = None
    retract_accel_mm_s2: Positive | None = None
    max_velocity_mm_s: Positive | None = None
    classic_jerk_mm_s: Axes | None = None
    junction_deviation_mm: Positive | None = None
    square_corner_velocity_mm_s: Positive | None = None
    minimum_cruise_ratio: Rate | None = None  # Klipper's

    @property
    def given(self) -> dict[str, Any]:
        """Those that are set."""
        return self.model_dump(exclude_none=True)

    @model_validator(mode="after")
    def _corners_are_measured_once(self) -> "MotionLimits":
        measured = [name for name in CORNERS if getattr(self, name) is not None]
        if len(measured) > 1:
            raise ValueError(f"one of {', '.join(CORNERS)}|{' and '.join(measured)}")
        return self


class Printer(Section):
    """What is known of a printer; pairs are of x and y.

    Motors of a CoreXY drive a = x + y and b = x - y: there pairs of belts and motors (stiffness,
    damping, friction) are of a and b. An axis's main mode is its mass on its belts, with the share
    of the motion that a second mode and what follows the motor stiffly leave to it, as
    identify/resonance_test.py has them. The serialization alias is a field's name as an option and
    in MATLAB where that differs.
    """

    printer: str = Field(
        default="reference", description="Printer file, or one that comes with jaxcorr."
    )
    firmware: Firmware | None = Field(
        default=None, description="Firmware; found in the G-code if left out."
    )
    limits: MotionLimits = MotionLimits()
    steps_per_mm: tuple[Positive, Positive] | None = Field(
        default=None, description="Steps of the motors by mm of x and y; moves end on whole ones."
    )
    kinematics: Kinematics = Field(
        default="cartesian", description="Motors drive x and y, or x + y and x - y."
    )
    mass_kg: tuple[Positive, Positive] = Field(
        default=(0.35, 0.45), description="Moving mass, x and y."
    )
    stiffness_n_m: tuple[Positive, Positive] = Field(
        default=(8000.0, 8000.0), description="Stiffness of the belts."
    )
    damping_ns_m: tuple[NonNegative, NonNegative] = Field(
        default=(15.0, 15.0), description="Damping of the belts."
    )
    friction_n: tuple[NonNegative, NonNegative] = Field(
        default=(0.8, 0.8), description="Friction force of the belts."
    )
    friction_velocity_mm_s: Positive = Field(
        default=2.0, description="Speed at which friction has three quarters of its force."
    )
    damping: Literal["relative", "ground"] = Field(
        default="relative", description="Damping of the head against its motor or the frame."
    )
    second_frequency_hz: tuple[NonNegative, NonNegative] = Field(
        default=(0.0, 0.0), description="Frequency of a second mode, x and y."
    )
    second_damping_ratio: tuple[Rate, Rate] = Field(
        default=(0.08, 0.08), description="Damping of a second mode, x and y."
    )
    second_share: tuple[Finite, Finite] = Field(
        default=(0.0, 0.0), description="Share of the second mode in the motion; 0 for none."
    )
    stiff_share: tuple[Finite, Finite] = Field(
        default=(0.0, 0.0), description="Share of the motion that follows the motor stiffly."
    )
    bed_axis: Literal["x", "y"] | None = Field(
        default=None, description="Axis that moves the bed, and with it what is printed."
    )
    filament_diameter_mm: Positive = Field(default=1.75, description="Diameter of the filament.")
    filament_density_g_cm3: Positive = Field(default=1.24, description="Density of the filament.")
    bed_size_mm: tuple[Positive, Positive] | None = Field(
        default=None, description="Where the nozzle may go, from 0; x and y."
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

    @model_validator(mode="before")
    @classmethod
    def _begin_with_the_named_printer(cls, table: Any) -> Any:
        """What the table leaves open is the named printer's; a complete table needs no file."""
        if not isinstance(table, Mapping) or not isinstance(table.get("printer"), str):
            return table
        if set(Printer.model_fields) <= set(table):
            return table
        return read_printer(table["printer"]) | dict(table)

    @property
    def pulls(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """How far each motor goes, a row each, per mm of x and of y."""
        if self.kinematics == "cartesian":
            return ((1.0, 0.0), (0.0, 1.0))
        return ((1.0, 1.0), (1.0, -1.0))

    @property
    def axis_stiffness_n_m(self) -> tuple[float, float]:
        """Of the belts that hold x and y."""
        return self._held_by(self.stiffness_n_m)

    @property
    def axis_damping_ns_m(self) -> tuple[float, float]:
        """Of the belts that hold x and y."""
        return self._held_by(self.damping_ns_m)

    @property
    def has_second_mode(self) -> bool:
        """Whether an axis has a second mode."""
        return any(self.second_share)

    @property
    def main_share(self) -> tuple[float, float]:
        """Of the motion of x and y, what the main mode has."""
        x, y = (
            1.0 - second - stiff
            for second, stiff in zip(self.second_share, self.stiff_share, strict=True)
        )
        return x, y

    @property
    def friction_slope_hz(self) -> float:
        """Speed that friction takes in a second near rest, by that speed: its fastest decay."""
        modes = zip(self.main_share, self.second_share, self.mass_kg, strict=True)
        yields = [(abs(main) + abs(second)) / mass for main, second, mass in modes]

        def shared(one: tuple[float, float], other: tuple[float, float]) -> float:
            return abs(sum(map(math.prod, zip(one, other, yields, strict=True))))

        fastest = max(
            sum(
                force * shared(motor, other)
                for other, force in zip(self.pulls, self.friction_n, strict=True)
            )
            for motor in self.pulls
        )
        return 1000.0 * fastest / self.friction_velocity_mm_s

    def loaded(self, filament_mm: float) -> Self:
        """The printer once so much filament lies on its bed."""
        if self.bed_axis is None:
            return self
        area_mm2 = math.pi * self.filament_diameter_mm**2 / 4.0
        # To the milligram, so that a sum in another order is no other printer.
        printed_kg = round(filament_mm * area_mm2 * self.filament_density_g_cm3 * 1e-6, 6)
        return self.with_mass_on_bed(max(printed_kg, 0.0))

    def with_mass_on_bed(self, mass_kg: float) -> Self:
        """The printer with a mass on what moves its bed."""
        x, y = (
            mass + mass_kg * (axis == self.bed_axis)
            for axis, mass in zip("xy", self.mass_kg, strict=True)
        )
        return self.model_copy(update={"mass_kg": (x, y)})

    def _held_by(self, of_belts: tuple[float, float]) -> tuple[float, float]:
        x, y = (
            sum(abs(pull[axis]) * value for pull, value in zip(self.pulls, of_belts, strict=True))
            for axis in (0, 1)
        )
        return x, y

    @model_validator(mode="after")
    def _modes_belong_together(self) -> Self:
        for axis, hertz, second, main in zip(
            "xy", self.second_frequency_hz, self.second_share, self.main_share, strict=True
        ):
            if second and not hertz:
                raise ValueError(
                    f"second_frequency_hz > 0 where {axis} has a second mode|{hertz:g}"
                )
            if not main > 0.0:
                rule = f"second_share + stiff_share < 1, the rest {axis}'s main mode's"
                raise ValueError(f"{rule}|{1.0 - main:g}")
        return self

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
    knot_rate_hz: Positive | None = Field(
        default=None, description="Rate of a probe's knots; that of the traces if left out."
    )
    plant_rate_hz: Positive = Field(
        default=PLANT_RATE_HZ,
        description="Rate of the integration; a little more where rate_hz does not divide it.",
    )
    seed: Seed = Field(default=0, description="Seed of the random sources.")
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
    def knots_hz(self) -> float:
        """Knots of probes and corrections per second."""
        return self.knot_rate_hz or self.rate_hz

    @property
    def every(self) -> int:
        """Samples of the integration per sample of the trace."""
        return round(self.plant_rate_hz / self.rate_hz)

    @model_validator(mode="before")
    @classmethod
    def _integrate_at_a_multiple(cls, table: Any) -> Any:
        """A rate that does not divide the default one is integrated at the next multiple."""
        if not isinstance(table, Mapping) or "plant_rate_hz" in table:
            return table
        rate_hz = table.get("rate_hz")
        if not isinstance(rate_hz, int | float) or not 0 < rate_hz <= PLANT_RATE_HZ:
            return table
        num_steps = math.ceil(PLANT_RATE_HZ / rate_hz - 1e-9)
        return {**table, "plant_rate_hz": num_steps * float(rate_hz)}

    @model_validator(mode="after")
    def _rates_suit_the_printer(self) -> "Simulation":
        ratio = self.plant_rate_hz / self.rate_hz
        if abs(ratio - round(ratio)) > 1e-9 or ratio < 1:
            rule = f"rate_hz to divide plant_rate_hz = {self.plant_rate_hz:g}"
            raise ValueError(f"{rule}|{self.rate_hz:g}")
        if self.rate_hz % self.knots_hz:
            raise ValueError(f"knot_rate_hz to divide rate_hz = {self.rate_hz:g}|{self.knots_hz:g}")
        if self.floor_hz >= self.plant_rate_hz / 2:
            raise ValueError(f"floor_hz < {self.plant_rate_hz / 2:g}|{self.floor_hz:g}")
        lowest = self.friction_slope_hz / MAX_FRICTION_STEP
        if not self.plant_rate_hz >= lowest:
            rule = f"plant_rate_hz >= {lowest:.0f} for this friction"
            raise ValueError(f"{rule}|{self.plant_rate_hz:g}")
        return self


def read_printer(name: str) -> dict[str, Any]:
    """The keys that a printer file sets, checked.

    Args:
        name: one of `presets`, or a path of a TOML file with keys of `Printer`.
    Raises:
        InputError: there is no such file, or with one line for each mistake in it.
    """
    known = {path.stem: path for path in sorted(PRESETS.glob("*.toml"))}
    path = known.get(name, Path(name))
    table = read_toml(path, "a printer file", f"Name one, or {' or '.join(known)}.")
    if "printer" in table:
        raise InputError(f"{path}: unknown key 'printer': the file's name is the printer's.")
    return check(Printer, table, str(path)).model_dump(exclude_unset=True)
