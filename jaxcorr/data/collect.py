"""Folders of traces: made from G-code by the simulator, completed, and found plausible or not.

A finished file is kept when it was made in the same way, by whichever simulator, so that an
interrupted collection goes on where it stopped.
"""

import fnmatch
import glob
import math
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jaxcorr.data import parts, trace, trace_checks
from jaxcorr.data.parts import Layers, folder_name, select_layers
from jaxcorr.errors import InputError
from jaxcorr.files import remove_leftovers
from jaxcorr.printer import gcode
from jaxcorr.printer.planner import PlanOptions
from jaxcorr.printer.simulate import (
    AS_IN_FILE,
    Job,
    make_jobs,
    params_of,
    rms_by_source,
    simulate_jobs,
)
from jaxcorr.printer_spec import Simulation
from jaxcorr.spec import Data, Simulate

# What a printer of this class shows with its disturbances on; outside of it look at the options.
PLAUSIBLE_RMS_UM = (20.0, 500.0)
MIN_S = 2.0


class Collected(NamedTuple):
    """One finished trace file."""

    path: Path
    layer: int
    num_samples: int
    rms_um: dict[str, float]  # "total", and each source
    is_new: bool  # False where the file was there already
    total: int  # how many files the whole collection has


def traces_to_make(data: Data) -> Simulate | None:
    """How to make the traces first; None where the pattern means files of another origin.

    A set that an interrupted simulation left incomplete is completed: `simulate_part` skips what
    is there.
    """
    options = data.simulate
    if options is None:
        return None
    for name in options.parts:
        parts.find_part(name)
    names, home = map(parts.part_name, options.parts), home_of(data)
    folders = [home / folder_name(name, options.layers) for name in names]
    found = {path.parent.absolute() for path in trace.match(data.traces)}
    would_match = any(
        fnmatch.fnmatch(str(folder / "layer01_ender3v2.mat"), pattern)
        for folder in folders
        for pattern in data.traces
    )
    is_own = would_match and found <= {folder.absolute() for folder in folders}
    return options if is_own else None


def home_of(data: Data) -> Path:
    """Where folders of traces are made: what the first pattern has before a folder's name.

    `data/stiff/data_simulation_*_all/*.mat` -> data/stiff, so that printers do not mix.
    """
    home = Path(data.traces[0]).expanduser().parent.parent
    return Path() if glob.has_magic(str(home)) else home


def simulate_part(options: Simulate, name: str, home: Path = Path()) -> Iterator[Collected]:
    """Makes a part's traces, one after the other.

    Args:
        home: where their folder goes.
    Raises:
        InputError: the part is unknown, or files are there that were made in another way.
    """
    path, _ = parts.find_part(name)
    yield from collect(parts.part_name(name), path, options.layers, options, home)


def collect(
    part: str,
    path: Path,
    selection: Layers,
    options: Simulation,
    out: Path,
    plan: PlanOptions = AS_IN_FILE,
    program: gcode.Program | None = None,
) -> Iterator[Collected]:
    """Simulates the chosen layers of a part into `out/data_simulation_<part>_<layers>/`.

    Args:
        part: the part's name, for the folder, the random numbers and the files' `params`.
        path: its G-code, from `parts.find_part`.
        selection: see `parts.select_layers`.
        options: the printer, sources and rates; sweeps and probes give several files per layer.
        out: where the folder goes.
        plan: what the firmware's plan takes in place of the G-code's.
        program: what `path` holds, where it has been read already.

    Yields:
        Every file, those that were there first, then each new one as soon as it is complete.

    Raises:
        InputError: the G-code or the selection is refused, or a file that is there was made in
            another way.
    """
    program = program or gcode.read(path, printer=options)
    files = files_of(program, part, selection, options, out, plan)
    for folder in {file.parent for file in files.values()}:
        remove_leftovers(folder)
    origin = {"gcode": path.name, "gcode_checksum": float(zlib.adler32(path.read_bytes()))}
    missing = []
    for job, file in files.items():
        if not file.exists():
            missing.append(job)
            continue
        there = trace.read(file)
        if not _is_made_so(there, params_of(job, options, part, program) | origin):
            raise InputError(
                f"{file}: expected a file made with these options and this G-code, got one "
                "made otherwise. Delete the folder, or choose another, such as --set data.traces="
                f"'[\"data/other/{folder_name(part, selection)}/*.mat\"]'."
            )
        yield _collected(there, job, False, len(files), options)
    for result in simulate_jobs(program, missing, options, part):
        file, params = files[result.job], result.params | origin
        trace.write(file, result.fields, params)
        made = trace.Trace(file, part, result.fields, params)
        yield _collected(made, result.job, True, len(files), options)


def files_of(
    program: gcode.Program,
    part: str,
    selection: Layers,
    options: Simulation,
    out: Path,
    plan: PlanOptions = AS_IN_FILE,
) -> dict[Job, Path]:
    """Where each trace of the chosen layers goes, in the order in which they are made."""
    folder = out / folder_name(part, selection)
    jobs = make_jobs(options, select_layers(selection, program.num_layers), plan)
    return {job: folder / file_name(job, options) for job in jobs}


def file_name(job: Job, options: Simulation) -> str:
    """`layer07_ender3v2.mat`; in a sweep, with a probe, `layer07_a300_v100_p50_ender3v2.mat`."""
    point = f"_a{job.plan.accel_mm_s2:g}" if options.accel_mm_s2 else ""
    point += f"_v{job.plan.velocity_mm_s:g}" if options.velocity_mm_s else ""
    point += f"_p{job.probe_um:g}" if job.probe_um else ""
    return f"layer{job.layer:02d}{point}_ender3v2.mat"


def judge_files(files: Sequence[Collected], rate_hz: float) -> list[str]:
    """What is wrong with a collection, a line per problem; none where it is fit to train on."""
    problems = [] if files else ["no layers"]
    low, high = PLAUSIBLE_RMS_UM
    for file in files:
        seconds = file.num_samples / rate_hz
        if seconds < MIN_S:
            problems.append(f"{file.path.name}: {seconds:.2f} s, less than {MIN_S:g}")
        if not low <= file.rms_um["total"] <= high:
            rms = f"{file.rms_um['total']:.1f} um"
            problems.append(f"{file.path.name}: RMS {rms}, not within {low:g} to {high:g} um")
    return problems


def _collected(
    made: trace.Trace, job: Job, is_new: bool, total: int, options: Simulation
) -> Collected:
    trace_checks.check(made, options.rate_hz)
    rms = rms_by_source(made.fields)
    return Collected(made.path, job.layer, made.num_samples, rms, is_new, total)


def _is_made_so(there: trace.Trace, params: dict[str, Any]) -> bool:
    """Whether a file was made as these params say, by whichever simulator."""
    wanted = {name: value for name, value in params.items() if name != "simulator"}
    return _is_same(wanted, {name: there.params.get(name) for name in wanted})


def _is_same(ours: Any, theirs: Any) -> bool:
    if isinstance(ours, dict):
        return isinstance(theirs, dict) and all(_is_same(ours[k], theirs.get(k)) for k in ours)
    is_nan = isinstance(ours, float) and math.isnan(ours)
    return isinstance(theirs, float) and math.isnan(theirs) if is_nan else bool(ours == theirs)
