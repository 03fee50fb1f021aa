"""Time and memory of training by the size of the data: made-up layers, a fresh process each size.

A process measures itself from its first trace to a validation, so that its peak is that of a
training. Layers are few different files under many names: what is read, checked, hashed and kept is
that of so many files, only the disk is spared.
"""

import concurrent.futures
import json
import multiprocessing
import os
import re
import resource
import time
from collections.abc import Sequence
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import numpy as np
from numpy import ndarray

from jaxcorr import files
from jaxcorr import spec as specs
from jaxcorr.bench import training
from jaxcorr.data import dataset, trace
from jaxcorr.errors import InputError
from jaxcorr.training import experiment
from jaxcorr.training import loop as train

NUM_DIFFERENT = 8
NUM_COLUMNS = 38  # in a simulator's file, of which a spec needs seven
NATURAL_HZ = {"x": 24.06, "y": 21.22}


def measure(
    spec: Path, overrides: Sequence[str], num_layers: int, num_samples: int, seconds: float
) -> dict[str, Any]:
    """Begins a run on layers made for it and trains for a while, in a process of its own.

    Args:
        spec, overrides: the experiment; only its traces are replaced.
        num_layers: trace files.
        num_samples: in each.
        seconds: of training steps, after the compilation.
    Returns:
        layers, samples; load_us: reading and hashing; begin_us: all until the run has begun, that
        again, scales and baselines; train_us: training steps; batch_us: making batches for them,
        while nothing else runs; validate_us. All these are of one sample, train_us and batch_us of
        one target. begin_s; targets_per_s of training; peak_mib, the largest resident set.
    Raises:
        InputError: the spec or the layers are refused, or the process was killed.
    """
    with files.scratch_folder() as folder:
        rate_hz = specs.load(spec, overrides).data.sample_rate_hz
        pattern = write_layers(folder, num_layers, num_samples, rate_hz)
        changes = [*overrides, f"data.traces={json.dumps([pattern])}"]
        # Not a fork: a copy of this process would begin with its memory.
        context = multiprocessing.get_context("spawn")
        with concurrent.futures.ProcessPoolExecutor(1, context) as pool:
            try:
                job = pool.submit(_measure_here, spec, changes, folder / "runs", seconds)
                return {"layers": num_layers, **job.result()}
            except BrokenProcessPool:
                raise InputError(
                    f"{num_layers} layers: expected room in memory, got a killed process. "
                    "Measure fewer."
                ) from None


def write_layers(folder: Path, num_layers: int, num_samples: int, sample_rate_hz: float) -> str:
    """Writes layers as large as a simulator's; returns the pattern that finds them."""
    home = folder / "data_simulation_made_all"
    for layer in range(num_layers):
        path = home / f"layer{layer:06d}.mat"
        if layer < NUM_DIFFERENT:
            columns = make_columns(np.random.default_rng(layer), num_samples, sample_rate_hz)
            trace.write(path, columns, {})
        else:
            os.link(home / f"layer{layer % NUM_DIFFERENT:06d}.mat", path)
    return f"{home}/*.mat"


def make_columns(
    rng: np.random.Generator, num_samples: int, sample_rate_hz: float
) -> dict[str, ndarray]:
    """A motion of three sines an axis, the error of a spring that follows it, and noise beside."""
    time_s = np.arange(num_samples) / sample_rate_hz
    columns = {"time": time_s}
    for axis, natural_hz in NATURAL_HZ.items():
        w = 2 * np.pi * rng.uniform(0.2, 3.0, (3, 1))
        angle, peak_mm_s = (
            w * time_s + rng.uniform(0, 2 * np.pi, (3, 1)),
            rng.uniform(5, 30, (3, 1)),
        )
        columns[f"{axis}_ref"] = 110 - np.sum(peak_mm_s / w * np.cos(angle), axis=0)
        columns[f"v{axis}_ref"] = np.sum(peak_mm_s * np.sin(angle), axis=0)
        accel = np.sum(peak_mm_s * w * np.cos(angle), axis=0)
        columns[f"error_{axis}"] = -accel / (2 * np.pi * natural_hz) ** 2
    more = range(len(columns), NUM_COLUMNS)
    return columns | {f"source_{i}": rng.normal(size=num_samples) for i in more}


def _measure_here(path: Path, overrides: list[str], folder: Path, seconds: float) -> dict[str, Any]:
    began = time.perf_counter()
    dataset.fingerprint(dataset.load(specs.load(path, overrides).data))
    load_s, began = time.perf_counter() - began, time.perf_counter()
    _, spec, data = experiment.begin(path, overrides, folder)
    begin_s = time.perf_counter() - began

    loop = training.Loop(spec, data)
    timing = loop.run(seconds)
    batch_s = loop.time_pipeline() / loop.targets_per_dispatch
    weights = loop.weights()
    train.validate(spec, weights, data)  # compiles
    began = time.perf_counter()
    train.validate(spec, weights, data)
    validate_s = time.perf_counter() - began
    num_samples = sum(len(samples.features) for samples in (data.train, data.val, data.test))
    return {
        "samples": num_samples,
        "load_us": 1e6 * load_s / num_samples,
        "begin_s": begin_s,
        "begin_us": 1e6 * begin_s / num_samples,
        "train_us": 1e6 * timing.seconds / timing.targets,
        "batch_us": 1e6 * batch_s,
        "validate_us": 1e6 * validate_s / max(len(data.val.features), 1),
        "targets_per_s": timing.targets / timing.seconds,
        "peak_mib": peak_mib(),
    }


def peak_mib() -> float:
    """The largest resident set of this process so far.

    Source: proc_pid_status(5); getrusage(2) would count the process that started this one.
    """
    status = Path("/proc/self/status")
    if status.exists():
        found = re.search(r"^VmHWM:\s+(\d+) kB", status.read_text(), re.MULTILINE)
        assert found, "Linux names the peak"
        return int(found.group(1)) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # bytes on macOS
