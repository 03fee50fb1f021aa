"""A toy printer whose error can be learned in seconds, and specs that do so.

Each axis is an oscillator that follows random accelerations; its deviation is the error.
"""

from pathlib import Path
from typing import Any

import numpy as np
import scipy.signal
import tomli_w
from toy import DAMPING, FREQUENCY_HZ

from jaxcorr import spec
from jaxcorr.compensation.model_map import INPUTS
from jaxcorr.data import trace
from jaxcorr.printer import correction_curve
from jaxcorr.spec import Spec
from jaxcorr.training import experiment, loop
from jaxcorr.training.experiment import Experiment

RATE_HZ = 100.0
SETTINGS: dict[str, dict[str, Any]] = {
    "data": {"window": 20, "stride": 10, "batch_size": 8},
    "model": {"hidden_size": 8, "encoder_size": 8},
    "train": {"epochs": 12, "steps_per_dispatch": 4, "tensorboard": False},
}


def make_layer(rng: np.random.Generator, num_samples: int) -> dict[str, np.ndarray]:
    """The columns of one trace."""
    columns = {"time": np.arange(num_samples) / RATE_HZ}
    for axis, frequency_hz in FREQUENCY_HZ.items():
        push = np.repeat(rng.uniform(-800, 800, -(-num_samples // 10)), 10)[:num_samples]
        speed = scipy.signal.lfilter([1 / RATE_HZ], [1, -0.97], push)
        w = 2 * np.pi * frequency_hz
        answer = ([-1.0], [1.0, 2 * DAMPING * w, w * w])
        accel = np.gradient(speed, columns["time"])
        columns[f"{axis}_ref"] = np.cumsum(speed) / RATE_HZ
        columns[f"v{axis}_ref"] = speed
        columns[f"error_{axis}"] = scipy.signal.lsim(answer, accel, columns["time"])[1]
    return columns


def write_layers(folder: Path, num_layers: int = 6, num_samples: int = 300) -> str:
    """Writes traces of one part; returns the pattern that finds them."""
    rng = np.random.default_rng(0)
    for layer in range(num_layers):
        path = folder / "data_simulation_toy_all" / f"layer{layer:02d}.mat"
        trace.write(path, make_layer(rng, num_samples), {"layer": layer})
    return f"{folder}/data_simulation_toy_all/*.mat"


def make_table(traces: str, **sections: dict[str, Any]) -> dict[str, Any]:
    """The toy spec as a table, with keys of some sections added or replaced."""
    names = SETTINGS.keys() | sections.keys()
    table = {name: SETTINGS.get(name, {}) | sections.get(name, {}) for name in names}
    table["data"]["traces"] = [traces]
    return table


def make_spec(traces: str = "none", **sections: dict[str, Any]) -> Spec:
    """The toy spec, checked."""
    return spec.from_table(make_table(traces, **sections), "toy.toml")


def begin(traces: str, folder: Path, **sections: dict[str, Any]) -> Experiment:
    """A run of the toy spec, not yet trained."""
    path = folder / "toy.toml"
    path.write_text(tomli_w.dumps(make_table(traces, **sections)), encoding="utf-8")
    return experiment.begin(path, [], folder / "runs")


def fit(begun: Experiment, **options: Any) -> list[loop.Event]:
    """Trains to the end (or to where it stops); returns what happened."""
    return list(loop.fit(begun.spec, begun.data, begun.run, **options))


def reference(num_samples, seed=5):
    columns = make_layer(np.random.default_rng(seed), num_samples)
    return np.stack([columns[name] for name in INPUTS[1]], axis=1)


def true_error(path, knots):
    """RMS of actual - reference of the toy printer along a corrected path."""
    speed = path[:, 2:] + correction_curve.slopes(knots, RATE_HZ)
    time = np.arange(len(path)) / RATE_HZ
    lag = np.zeros_like(knots)
    for axis, frequency_hz in enumerate(FREQUENCY_HZ.values()):
        w = 2 * np.pi * frequency_hz
        answer = ([-1.0], [1.0, 2 * DAMPING * w, w * w])
        lag[:, axis] = scipy.signal.lsim(answer, np.gradient(speed[:, axis], time), time)[1]
    return np.sqrt(np.mean((knots + lag) ** 2))
