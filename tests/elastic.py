"""The simulator's own plant at a fine rate, in the numbers of an identification, and a motion."""

import functools

import numpy as np

from jaxcorr.models import plant_path
from jaxcorr.models.plant_path import Axes
from jaxcorr.printer import disturbance, plant
from jaxcorr.printer_spec import Printer

RATE_HZ = 100.0
AMPLITUDE_MM = 0.004
PLANT = Printer()
COREXY = Printer(printer="corexy", friction_n=(0.4, 0.8))
PLANT_RATE_HZ = 4000.0


def axes_of(printer: Printer, amplitude_mm: float = AMPLITUDE_MM) -> Axes:
    """The simulator's numbers in the terms of a measurement."""
    mass, stiffness, damping, force = (
        np.array(pair)
        for pair in (
            printer.mass_kg,
            printer.axis_stiffness_n_m,
            printer.axis_damping_ns_m,
            printer.friction_n,
        )
    )
    w, is_corexy = np.sqrt(stiffness / mass), printer.kinematics == "corexy"
    sine = np.zeros((len(plant_path.PERIODS_MM), 2))
    sine[[plant_path.PERIODS_MM.index(p) for p in disturbance.MICROSTEP_PERIODS_MM]] = amplitude_mm
    return Axes(
        frequency_hz=w / (2 * np.pi),
        damping_ratio=damping / mass / (2 * w),
        friction_mm=1000 * force / stiffness,
        friction_velocity_mm_s=np.full(2, printer.friction_velocity_mm_s),
        viscous_s=np.zeros(2),
        offset_mm=np.zeros(2),
        sine_mm=sine,
        cosine_mm=np.zeros_like(sine),
        other_friction_mm=1000 * force[::-1] / stiffness if is_corexy else None,
    )


@functools.cache
def motion(seconds: float = 6.0, seed: int = 3, printer: Printer = PLANT, rate_hz: float = RATE_HZ):
    """A smooth command at the plant's rate (it turns in both axes), and the printer's lag."""
    rng, time = np.random.default_rng(seed), np.arange(round(seconds * PLANT_RATE_HZ) + 1)
    time = time / PLANT_RATE_HZ
    position, velocity = np.full((len(time), 2), 100.0), np.zeros((len(time), 2))
    for frequency in (0.4, 0.9, 1.7):
        phase, size = rng.uniform(0, 6, 2), rng.uniform(10, 20, 2) / (2 * np.pi * frequency)
        angle = 2 * np.pi * frequency * time[:, None] + phase
        position += size * np.sin(angle)
        velocity += 2 * np.pi * frequency * size * np.cos(angle)
    lag = drive(printer, position, velocity)
    every = slice(None, None, round(PLANT_RATE_HZ / rate_hz))
    return position[every], velocity[every], lag[every]


def drive(printer: Printer, position: np.ndarray, velocity: np.ndarray) -> np.ndarray:
    """The printer's lag behind a command, by its resonance and its stepper."""
    motors, speeds = plant.to_motors(printer, position), plant.to_motors(printer, velocity)
    micro, slope = disturbance.microstep(motors, AMPLITUDE_MM)
    micro, faster = (plant.from_motors(printer, part) for part in (micro, speeds * slope))
    moved = plant.track(printer, position + micro, velocity + faster, PLANT_RATE_HZ)
    return np.asarray(moved.error_mm) + micro
