"""The noise ceiling is what the simulator's own random sources leave."""

from pathlib import Path

import numpy as np
import pytest

from jaxcorr import spec
from jaxcorr.data import windows
from jaxcorr.data.trace import Trace
from jaxcorr.evaluation import ceiling

PARTS = {"parts": ["standard_trajectory"], "layers": "1"}


def _data(**changes):
    table = {"traces": ["none/*.mat"], "simulate": PARTS} | changes
    return spec.from_table({"data": table}, "test").data


def _samples(data, name="data_simulation_standard_trajectory_layer1/layer01_ender3v2"):
    fields = {n: np.zeros(100) for n in (*data.features, *data.targets)}
    table = windows.tabulate([Trace(Path("f/g.mat"), "p", fields, {})], data)
    return table._replace(names=(name,))


@pytest.mark.parametrize("horizon", [0, 2, -2])
def test_ceiling_is_the_floor_noise(horizon):
    """All that is random is the floor of 2 um RMS per axis (jitter is a hundredth of a um)."""
    data = _data(horizon=horizon)
    found = ceiling.noise_ceiling(data, _samples(data))
    assert found is not None
    assert found.rmse_mm == pytest.approx(2.0e-3, rel=0.03)
    # The mean absolute value of a normal variable is sqrt(2 / pi) of its deviation.
    assert found.mae_mm == pytest.approx(2.0e-3 * np.sqrt(2 / np.pi), rel=0.03)
    assert 0.999 < found.r2 < 1.0


def test_a_probe_is_known_and_lowers_no_ceiling():
    """The command stays the same in every repetition; only the floor differs."""
    commands = ["x_cmd", "y_cmd", "vx_cmd", "vy_cmd"]
    data = _data(features=commands, targets=["lag_x", "lag_y"])
    options = data.simulate.model_copy(update={"probe_um": (80.0,)})
    data = data.model_copy(update={"simulate": options})
    name = _samples(data).names[0].replace("_ender3v2", "_p80_ender3v2")
    found = ceiling.noise_ceiling(data, _samples(data, name))
    assert found is not None
    assert found.rmse_mm == pytest.approx(2.0e-3, rel=0.03)


def test_foreign_traces_have_no_known_ceiling():
    data = _data()
    assert ceiling.noise_ceiling(data, _samples(data, "elsewhere/layer01")) is None
    assert ceiling.noise_ceiling(data.model_copy(update={"simulate": None}), _samples(data)) is None


def test_traces_that_repeat_a_plan_have_their_spread_as_ceiling():
    """Three plans, two of them four times with 5 um of noise; the third one tells nothing."""
    rng, time = np.random.default_rng(0), np.arange(2000) / 100
    data = _data(features=["x_ref", "vx_ref"], targets=["error_x"])
    traces = []
    for number in (0, 1, 0, 1, 0, 1, 0, 1, 2):
        fields = {"time": time, "x_ref": (10 + number) * np.sin(time)}
        fields["vx_ref"] = np.gradient(fields["x_ref"], time)
        fields["error_x"] = 0.1 * np.cos(time) + 0.005 * rng.normal(size=2000)
        traces.append(Trace(Path("f/g.mat"), "p", fields, {}))
    found = ceiling.repeated_ceiling(windows.tabulate(traces, data), 100.0)
    assert found is not None
    assert found.is_measured
    assert (found.repetitions, found.num_samples) == (4, 8 * (2000 - 20))  # all begin in motion
    assert found.rmse_mm == pytest.approx(5.0e-3, rel=0.03)
    only = windows.tabulate(traces[:2], data)
    assert ceiling.repeated_ceiling(only, 100.0) is None
    again = ceiling.repeated_ceiling(windows.tabulate(traces[:4], data), 100.0)
    assert again is not None
    assert again.num_samples is None
