"""Fits of the smooth path: known machines found, at any rate; ramps only where they help."""

import numpy as np
import pytest

from jaxcorr.data.windows import Samples
from jaxcorr.models import baselines, smooth_fit
from jaxcorr.models.smooth_fit import LEANEST
from jaxcorr.models.smooth_path import NUM_RAMPS, NUM_RINGING

LAG_S = 0.03


def lag_with_friction(v, rate_hz):
    """An axis behind its command, and an offset that friction pulls to its other side."""
    steps = round(LAG_S * rate_hz)
    late = np.concatenate([np.zeros((steps, v.shape[1])), v])[: len(v)]
    return -6e-3 * late + 0.05 * np.tanh(v / (0.01 * 60)) + 0.01


def by_band_of_speed(v, rate_hz):
    """An error at one corner's speed alone, along the path."""
    del rate_hz
    speed = np.linalg.norm(v, axis=1, keepdims=True)
    return 0.05 * v / np.maximum(speed, 1e-9) * np.maximum(1 - np.abs(speed / 10 - 1), 0)


def table(answer, tops, rate_hz=100.0, seconds=4, lead=0):
    """Moves at several speeds, each trace with a top speed of its own."""
    rng = np.random.default_rng(5)
    count, traces = round(seconds * rate_hz), []
    for top in tops:
        levels = rng.uniform(-1, 1, (seconds * 5, 2)) * top / np.sqrt(2)
        levels[3] = top / np.sqrt(2)
        wide = round(0.2 * rate_hz)
        v = np.repeat(levels, wide, axis=0)[:count]
        ramp = np.ones(wide // 2) / (wide // 2)
        traces.append(np.apply_along_axis(np.convolve, 0, v, ramp, mode="same"))
    num_rows = np.full(len(traces), count)
    return Samples(
        features=np.concatenate(traces).astype(np.float32),
        targets=np.concatenate([answer(v, rate_hz) for v in traces]).astype(np.float32),
        first_row=np.cumsum(num_rows) - num_rows,
        num_rows=num_rows,
        lead=lead,
        names=tuple(map(str, range(len(traces)))),
        parts=("p",) * len(traces),
    )


def left(path, unseen, rate_hz=100.0):
    """RMS of what a path leaves, to that of the error."""
    predicted = baselines.apply_smooth(path, rate_hz, (0, 1), unseen)
    return np.std(predicted - unseen.targets) / np.std(unseen.targets)


@pytest.mark.parametrize("rate_hz", [50.0, 200.0])
def test_a_lag_and_friction_are_found_and_hold_at_a_speed_that_was_never_run(rate_hz):
    train = table(lag_with_friction, [20, 30, 40, 50, 55, 60], rate_hz)
    path = smooth_fit.fit(train, (0, 1), rate_hz)
    assert left(path, table(lag_with_friction, [90], rate_hz), rate_hz) < 0.02


def test_what_belongs_to_a_band_of_speed_takes_ramps():
    train = table(by_band_of_speed, [60] * 6)
    path = smooth_fit.fit(train, (0, 1), 100.0)
    assert np.any(path["response"][NUM_RINGING:])
    assert left(path, table(by_band_of_speed, [58])) < 0.1


def test_fewer_coefficients_are_longer_hats_and_ramps():
    knots = np.cumsum(np.linspace(1, 3, NUM_RAMPS + 1))
    kernels = smooth_fit._kernels(100.0)
    _, velocity, *_, ramps, again = smooth_fit._parts(
        kernels, np.diff(knots), LEANEST._replace(ramp_spacing=2)
    )
    np.testing.assert_array_equal(ramps, again)
    speed = np.linspace(0, 50, 200)[:, None]
    short = np.clip((speed - knots[:-1]) / np.diff(knots), 0, 1)
    ends = knots[[*range(0, NUM_RAMPS, 2), NUM_RAMPS]]
    long = np.clip((speed - ends[:-1]) / np.diff(ends), 0, 1)
    num_lags = len(kernels[-1])
    np.testing.assert_allclose(short @ ramps[::num_lags, ::num_lags], long, atol=1e-12)
    hats = velocity.T @ kernels[0]
    np.testing.assert_allclose(hats.sum(axis=0), 1.0)
    assert len(hats) < len(kernels[0])


def test_one_trace_is_cut_into_blocks_and_rows_without_a_target_are_not_learned_from():
    train = table(lag_with_friction, [60], seconds=12, lead=3)
    train.targets[:3] = 1e3
    path = smooth_fit.fit(train, (0, 1), 100.0)
    assert left(path, table(lag_with_friction, [50])) < 0.05


def test_one_sample_in_a_rare_state_is_not_believed():
    """A wild target at a speed that was run once does not come back whole at that speed."""
    train = table(by_band_of_speed, [40] * 6)
    train.features[300], train.targets[300] = (0.0, 95.0), (4.0, -4.0)
    path = smooth_fit.fit(train, (0, 1), 100.0)
    unseen = table(by_band_of_speed, [95])
    predicted = baselines.apply_smooth(path, 100.0, (0, 1), unseen)
    assert np.abs(predicted).max() < 0.6 * 4.0
