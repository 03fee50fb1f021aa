"""Turns G-code text into moves: straight segments with a length, a feedrate and the limits in force.

Units are converted here, once: mm and mm/s leave this module, never inches or mm/min. It does not
know how fast a corner is taken, how long a move lasts, or that the printer shakes.
"""

from dataclasses import dataclass

import numpy as np

# Index = code. "travel" is motion without extrusion, "retraction" is extrusion without motion; both
# are decided by the move itself. "unknown" is extrusion under no label, or one that is not known.
FEATURES: tuple[str, ...] = (
    "travel",
    "retraction",
    "unknown",
    "custom",
    "outer_wall",
    "inner_wall",
    "overhang_wall",
    "infill",
    "solid_infill",
    "top_surface",
    "bottom_surface",
    "bridge",
    "gap_fill",
    "ironing",
    "skirt",
    "brim",
    "support",
    "support_interface",
    "prime_tower",
)


@dataclass(frozen=True)
class Limits:
    """Motion limits in force for a move. Axis order: x, y, z, e."""

    max_feedrate_mm_s: tuple[float, float, float, float]  # M203
    max_accel_mm_s2: tuple[float, float, float, float]  # M201
    print_accel_mm_s2: float  # M204 P
    travel_accel_mm_s2: float  # M204 T
    retract_accel_mm_s2: float  # M204 R
    classic_jerk_mm_s: tuple[float, float, float, float] | None  # M205 X Y Z E
    junction_deviation_mm: float | None  # M205 J; the scheme set last is in force, the other None


# Source: Marlin's stock configuration of the Creality Ender-3 V2.
ENDER3_V2 = Limits(
    max_feedrate_mm_s=(500.0, 500.0, 5.0, 25.0),
    max_accel_mm_s2=(500.0, 500.0, 100.0, 5000.0),
    print_accel_mm_s2=500.0,
    travel_accel_mm_s2=500.0,
    retract_accel_mm_s2=500.0,
    classic_jerk_mm_s=(8.0, 8.0, 0.4, 5.0),
    junction_deviation_mm=None,
)


@dataclass(frozen=True)
class Program:
    """Straight moves in execution order. Axes: N moves, 3 = x, y, z in mm; L layers."""

    start_mm: np.ndarray  # (N, 3) float64
    end_mm: np.ndarray  # (N, 3) float64; equal to start_mm where only E moves
    extrude_mm: np.ndarray  # (N,) float64, filament; negative for a retraction
    feedrate_mm_s: np.ndarray  # (N,) float64, as requested, after M220
    dwell_s: np.ndarray  # (N,) float64, pause before the move
    layer: np.ndarray  # (N,) int32, from 0; -1 where the move belongs to no layer
    feature: np.ndarray  # (N,) uint8, index into FEATURES
    line: np.ndarray  # (N,) int32, source line, from 1
    limits: tuple[Limits, ...]
    limits_index: np.ndarray  # (N,) int32, index into limits
    layer_z_mm: np.ndarray  # (L,) float64
    slicer: str
    unknown_commands: dict[str, int]

    @property
    def num_layers(self) -> int:
        """Number of layers."""
        return len(self.layer_z_mm)
