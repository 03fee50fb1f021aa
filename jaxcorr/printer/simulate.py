"""The simulated printer: layers of a program planned and driven, with the error by source.

The built-in twin of `matlab/`. Results come as arrays, one layer at a time, and memory does not
grow with their number.

Errors are differences between runs that have one source more, so that they add up to the total:

  junction_deviation   linear plant on the velocity steps at junctions alone
  resonance            linear plant on the whole reference, less that
  friction             plant with friction, less linear
  microstep            the same on r + d(r), plus d(r), less that
  jitter               the same on r + d(r) - v tau, plus its deviations, less that
  floor                noise added at the end

A source that is off contributes zero and is left out of the runs after it. With the random
sources (jitter, floor) off, a trace is a function of the program and the options alone; otherwise
its random numbers come from seed, part, layer, acceleration and speed, not from what else is
simulated.

A probed trace follows a command that is not the reference: r above is then the command, reference
plus the curve of correction_curve.py through the probe's knots, and the trace has it as x_cmd,
y_cmd, vx_cmd, vy_cmd. The sources add up to actual - command; error stays actual - reference.
"""

import dataclasses
import zlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float
from numpy import ndarray

from jaxcorr.printer import disturbance
from jaxcorr.printer.correction_curve import curve
from jaxcorr.printer.disturbance import floor_noise, microstep, timer_lateness
from jaxcorr.printer.gcode import Program
from jaxcorr.printer.planner import (
    Plan,
    PlanOptions,
    plan_layer,
    sample_plan,
    sample_velocity_steps,
)
from jaxcorr.printer.plant import (
    StepMatrices,
    discretize,
    from_motors,
    initial_state,
    mean_velocity,
    respond,
    stack,
    to_motors,
)
from jaxcorr.printer_spec import SOURCES, Simulation

BATCH = 8  # layers that run side by side; memory grows with this, not with the number of layers
BLOCK = 256  # output samples per call, so that every layer runs through one compiled function
AS_IN_FILE = PlanOptions()  # cornering, accelerations and speeds of the G-code
NUM_LANES = 5  # steps, reference, with friction, with microsteps, with jitter
# What varies between the traces of a folder, what their params spell in another way, and what is
# there only where a printer has it.
NOT_IN_PARAMS = {"accel_mm_s2", "velocity_mm_s", "probe_um", "sources_off", "seed"}
NOT_IN_PARAMS |= {"rate_hz", "plant_rate_hz", "printer", "firmware", "limits", "bed_size_mm"}
NOT_IN_PARAMS |= {"steps_per_mm"}
SECOND_MODE = {"second_frequency_hz", "second_damping_ratio", "second_share", "stiff_share"}
BED = {"bed_axis", "filament_diameter_mm", "filament_density_g_cm3"}


class Job(NamedTuple):
    """One trace to be made."""

    layer: int  # from 1
    plan: PlanOptions
    probe_um: float = 0.0  # RMS deviation of the command from the reference, per axis
    seed: int | None = None  # of the random sources, in place of the options' own


class Simulated(NamedTuple):
    """One simulated layer."""

    job: Job
    fields: dict[str, ndarray]  # name -> (N,), every field of DESIGN.md's trace
    params: dict[str, Any]  # nested, how it was made


def make_jobs(
    options: Simulation, layers: Sequence[int], plan: PlanOptions = AS_IN_FILE
) -> list[Job]:
    """All traces of these layers: points of the sweep, each plain and then once per probe.

    Args:
        options: sweeps and probes.
        layers: from 1.
        plan: of the traces; a sweep takes the place of its acceleration and its velocity.
    """
    accels = options.accel_mm_s2 or (plan.accel_mm_s2,)
    velocities = options.velocity_mm_s or (plan.velocity_mm_s,)
    plans = [
        dataclasses.replace(plan, accel_mm_s2=accel, velocity_mm_s=velocity)
        for accel, velocity in product(accels, velocities)
    ]
    probes = (0.0, *options.probe_um)
    return [Job(*chosen) for chosen in product(layers, plans, probes)]


def simulate_jobs(
    program: Program,
    jobs: Sequence[Job],
    options: Simulation,
    part: str = "",
) -> Iterator[Simulated]:
    """Simulates traces one after the other, each layer planned alone, in float64.

    Args:
        program: from `gcode.read`.
        jobs: from `make_jobs`, or chosen pairs of a layer and a plan's options.
        options: how; what varies between traces is in the jobs.
        part: enters the random numbers and `params`.

    Yields:
        A trace a job, in their order.

    Raises:
        InputError: a layer does not exist.
    """
    for first in range(0, len(jobs), BATCH):
        batch = jobs[first : first + BATCH]
        plans = [plan_layer(program, job.layer - 1, job.plan) for job in batch]
        randoms = [_draw(plan, job, options, part) for plan, job in zip(plans, batch, strict=True)]
        loads = [program.filament_before_mm(job.layer - 1) for job in batch]
        elastic = _run(plans, randoms, options, loads)
        for job, plan, random, error in zip(batch, plans, randoms, elastic, strict=True):
            fields = _fields(plan, job, random, error, options)
            yield Simulated(job, fields, params_of(job, options, part, program))


def rms_by_source(fields: Mapping[str, ndarray]) -> dict[str, float]:
    """RMS over x and y together, in um, of the total error and of each source that is there."""
    pairs = {"total": "error"} | {source: source for source in SOURCES}
    return {
        name: 1000.0 * float(np.sqrt(np.mean(fields[f"{p}_x"] ** 2 + fields[f"{p}_y"] ** 2)))
        for name, p in pairs.items()
        if f"{p}_x" in fields
    }


class _Randoms(NamedTuple):
    """All that is random in a trace, drawn before it runs. Axes: T plant samples, 2 = x, y."""

    late_s: Float[ndarray, "T 2"]
    floor_mm: Float[ndarray, "T 2"]
    probe_mm: Float[ndarray, "T 2"]
    probe_mm_s: Float[ndarray, "T 2"]


def draw_noise(
    words: int | Sequence[int], num_samples: int, options: Simulation, rate_hz: float
) -> tuple[Float[ndarray, "T 2"], Float[ndarray, "T 2"]]:
    """Lateness of the step pulses in s and floor in mm; zero where the source is off.

    Args:
        words: seed; the same give the same.
        num_samples: T, at the plant's rate.
        options: which sources are on, and how large.
        rate_hz: of the plant.
    """
    for_jitter, for_floor = np.random.default_rng(words).spawn(2)
    cycles = options.jitter_cycles if "jitter" in options.sources else 0.0
    rms_mm = options.floor_um / 1000.0 if "floor" in options.sources else 0.0
    late_s = timer_lateness(for_jitter, num_samples, cycles)
    return late_s, floor_noise(for_floor, num_samples, rms_mm, options.floor_hz, rate_hz)


class Deviation(NamedTuple):
    """How motors stand off their command, in x and y; shapes (..., 2)."""

    micro_mm: Float[ndarray, "*samples 2"]
    late_mm: Float[ndarray, "*samples 2"]
    velocity_mm_s: Float[ndarray, "*samples 2"]  # of the motors, microsteps included


def deviate(
    options: Simulation,
    position_mm: Float[ndarray, "*samples 2"],
    velocity_mm_s: Float[ndarray, "*samples 2"],
    late_s: Float[ndarray, "*#samples 2"],
) -> Deviation:
    """Microsteps and lateness of motors along a command.

    Args:
        options: the printer whose motors they are, and its microsteps.
        position_mm, velocity_mm_s: of the command, in x and y.
        late_s: of the step pulses of each motor.
    """
    at, speed = to_motors(options, position_mm), to_motors(options, velocity_mm_s)
    amplitude = options.microstep_mm
    micro, slope = microstep(at, amplitude) if amplitude else (np.zeros_like(at), 0.0)
    moved = (micro, -(speed * late_s), speed * (1.0 + slope))
    return Deviation(*(from_motors(options, part) for part in moved))


def _draw(plan: Plan, job: Job, options: Simulation, part: str) -> _Randoms:
    words = [_seed(job, options), zlib.crc32(part.encode()), job.layer]
    words += [round(1000 * (v or 0)) for v in (job.plan.accel_mm_s2, job.plan.velocity_mm_s)]
    num_samples = _num_samples(plan, options)
    length = (num_samples - 1) * options.every + 1
    noise = draw_noise(words, length, options, options.plant_rate_hz)
    return _Randoms(*noise, *_probe(num_samples, job, options, part))


def _probe(
    num_samples: int, job: Job, options: Simulation, part: str
) -> tuple[Float[ndarray, "T 2"], Float[ndarray, "T 2"]]:
    """Position and velocity of the probe at the plant's rate; zero without one."""
    # Of the options' seed: a command stays the same while the random sources change.
    words = [options.seed, *part.encode(), 256, job.layer]
    points = (job.plan.accel_mm_s2, job.plan.velocity_mm_s, job.probe_um)
    seed = disturbance.seed_of([*words, *(round(1000 * (value or 0)) for value in points)])
    per_knot = round(options.plant_rate_hz / options.knots_hz)
    length = (num_samples - 1) * options.every
    num_knots = -(-length // per_knot) + 1
    knots = disturbance.draw_knots(seed, num_knots, job.probe_um / 1000.0, options.knots_hz)
    position, velocity = curve(knots, options.knots_hz, per_knot)
    return position[: length + 1], velocity[: length + 1]


def _seed(job: Job, options: Simulation) -> int:
    return options.seed if job.seed is None else job.seed


def _num_samples(plan: Plan, options: Simulation) -> int:
    """Samples of a trace, two at least; the last is at the end, within 1e-6 samples, or before."""
    return max(int(np.floor(plan.total_s * options.rate_hz + 1e-6)) + 1, 2)


def _run(
    plans: list[Plan], randoms: list[_Randoms], options: Simulation, loads_mm: list[float]
) -> list[Float[ndarray, "N 5 2"]]:
    """The plant's error of every lane of each plan, at the rate of the trace, float64.

    Blocks of one length and a full batch, so that one compiled function serves all; what is missing
    of a batch rests at zero. The host samples a block while the device runs the one before.
    """
    counts = [_num_samples(plan, options) for plan in plans]
    friction = "friction" in options.sources
    scale = np.array([0.0, 0.0, friction, friction, friction])[:, None]
    matrices, steps = _matrices(options, loads_mm), BLOCK * options.every
    shape = (BATCH, NUM_LANES, 2)
    blocks = [np.zeros((1, *shape))]
    with jax.enable_x64(True), jax.default_device(jax.local_devices(backend="cpu")[0]):
        state = initial_state(matrices, jax.numpy.zeros(shape))
        for first in range(0, (max(counts) - 1) * options.every, steps):
            velocity = np.zeros((steps + 1, *shape))
            mean_v = np.zeros((steps, *shape))
            for i, (plan, random) in enumerate(zip(plans, randoms, strict=True)):
                u, velocity[:, i] = _commands(plan, random, options, first, steps)
                mean_v[:, i] = mean_velocity(u, options.plant_rate_hz)
            states, state = respond(matrices, state, velocity, mean_v, scale, every=options.every)
            blocks.append(states.error_mm)
        error = np.concatenate([np.asarray(block) for block in blocks])
    return [error[:count, i] for i, count in enumerate(counts)]


def _matrices(options: Simulation, loads_mm: list[float]) -> StepMatrices:
    """One step of the printer, or of a batch of layers with their filament on the bed."""
    if options.bed_axis is None:
        return discretize(options, options.plant_rate_hz)
    loads_mm = loads_mm + loads_mm[-1:] * (BATCH - len(loads_mm))
    loaded = [discretize(options.loaded(load), options.plant_rate_hz) for load in loads_mm]
    return stack(loaded, num_lanes_after=1)


def _commands(
    plan: Plan, random: _Randoms, options: Simulation, first: int, steps: int
) -> tuple[Float[ndarray, "T 5 2"], Float[ndarray, "T 5 2"]]:
    """Positions and velocities of the motors, per lane, of steps + 1 plant samples from `first`."""
    time = (first + np.arange(steps + 1)) / options.plant_rate_hz
    at = sample_plan(plan, time)
    # Past the end of the trace nobody looks; the last value stands there.
    rows = np.minimum(first + np.arange(steps + 1), len(random.late_s) - 1)
    r = at.position_mm[:, :2] + random.probe_mm[rows]
    v = at.velocity_mm_s[:, :2] + random.probe_mm_s[rows]
    step_v, step_u = sample_velocity_steps(plan, time)
    off = deviate(options, r, v, random.late_s[rows])
    stepped = r + off.micro_mm
    position = np.stack([step_u[:, :2], r, r, stepped, stepped + off.late_mm], axis=1)
    return position, np.stack([step_v[:, :2], v, v, *[off.velocity_mm_s] * 2], axis=1)


def _fields(
    plan: Plan,
    job: Job,
    random: _Randoms,
    elastic: Float[ndarray, "N 5 2"],
    options: Simulation,
) -> dict[str, ndarray]:
    """Every column of a trace; `error` is the probe and the sum of the sources that are on."""
    time = np.arange(len(elastic)) / options.rate_hz
    at = sample_plan(plan, time)
    jerk = np.diff(at.accel_mm_s2, axis=0, prepend=at.accel_mm_s2[:1]) * options.rate_hz
    keep = slice(None, None, options.every)
    command_mm = at.position_mm[:, :2] + random.probe_mm[keep]
    command_mm_s = at.velocity_mm_s[:, :2] + random.probe_mm_s[keep]
    per_source = _per_source(command_mm, command_mm_s, random, elastic, options)
    error = sum(per_source.values(), random.probe_mm[keep])
    has_path = np.any(plan.direction != 0.0, axis=1)[at.move]
    extrudes = (plan.extrude_mm > 0.0)[at.move]
    fields = {"time": time}
    fields |= _axes("{}_ref", at.position_mm)
    fields |= {
        "x_act": at.position_mm[:, 0] + error[:, 0],
        "y_act": at.position_mm[:, 1] + error[:, 1],
        "z_act": at.position_mm[:, 2],
    }
    for letter, vector, size in (
        ("v", at.velocity_mm_s, "v_mag_ref"),
        ("a", at.accel_mm_s2, "a_mag_ref"),
        ("j", jerk, "jerk_mag"),
    ):
        fields |= _axes(letter + "{}_ref", vector)
        fields[size] = np.linalg.norm(vector, axis=1)
    fields |= _axes("error_{}", error)
    fields["error_magnitude"] = np.hypot(error[:, 0], error[:, 1])
    fields["error_direction"] = np.arctan2(error[:, 1], error[:, 0])
    fields["is_extruding"] = has_path & extrudes
    fields["is_travel"] = has_path & ~extrudes
    fields["layer_num"] = np.full(len(time), float(job.layer))
    fields["feature_code"] = plan.feature[at.move].astype(np.float64)
    for source, part in per_source.items():
        fields |= _axes(source + "_{}", part)
    if job.probe_um:
        fields |= _axes("{}_cmd", command_mm) | _axes("v{}_cmd", command_mm_s)
    return fields


def _per_source(
    r: Float[ndarray, "N 2"],
    v: Float[ndarray, "N 2"],
    random: _Randoms,
    elastic: Float[ndarray, "N 5 2"],
    options: Simulation,
) -> dict[str, Float[ndarray, "N 2"]]:
    """What each source adds, in the order of SOURCES; zero where it is off."""
    keep = slice(None, None, options.every)
    micro, late, _ = deviate(options, r, v, random.late_s[keep])
    steps, linear, rubbed, stepped, jittered = elastic.transpose(1, 0, 2)
    added = (
        steps,
        linear - steps,
        rubbed - linear,
        stepped + micro - rubbed,
        jittered + late - stepped,
        random.floor_mm[keep],
    )
    return {s: part * (s in options.sources) for s, part in zip(SOURCES, added, strict=True)}


def _axes(pattern: str, values: ndarray) -> dict[str, ndarray]:
    """Columns of (N, 2 or 3) values by axis name."""
    return {pattern.format(axis): values[:, i] for i, axis in enumerate("xyz"[: values.shape[1]])}


def params_of(job: Job, options: Simulation, part: str, program: Program) -> dict[str, Any]:
    """How a trace was made, nested, without None (NaN stands for "as in the file")."""
    loaded = options.loaded(program.filament_before_mm(job.layer - 1))
    given = loaded.model_dump(include=set(Simulation.model_fields) - _left_out(options))
    axes = {
        axis: {name: pair[i] for name, pair in given.items() if isinstance(pair, tuple)}
        for i, axis in enumerate("xy")
    }
    of_plant = ("friction_velocity_mm_s", "damping", "kinematics")
    plant = {name: given.pop(name) for name in of_plant if name in given}
    limits = options.limits.given
    return {
        "simulator": "jaxcorr",
        "sign": "error = actual - reference",
        "part": part,
        "slicer": program.slicer,
        "firmware": program.firmware,
        "layer": job.layer,
        "seed": _seed(job, options),
        "sample_rate_hz": options.rate_hz,
        "sources": {source: float(source in options.sources) for source in SOURCES},
        "probe_um": job.probe_um,
        **({"limits": options.limits.model_dump_json(exclude_none=True)} if limits else {}),
        **{name: value for name, value in given.items() if not isinstance(value, tuple)},
        "plan": {k: np.nan if v is None else v for k, v in vars(job.plan).items()},
        "plant": {**axes, **plant, "rate_hz": options.plant_rate_hz},
    }


def _left_out(options: Simulation) -> set[str]:
    """Fields that are not in params: those that say nothing of this printer among them."""
    left = NOT_IN_PARAMS | ({"kinematics"} if options.kinematics == "cartesian" else set())
    left |= {"knot_rate_hz"} if options.knots_hz == options.rate_hz else set()
    if not any((*options.second_share, *options.stiff_share)):
        left |= SECOND_MODE
    return left if options.bed_axis else left | BED
