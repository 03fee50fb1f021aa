"""The gate: open on what training has seen, closed on garbage."""

import numpy as np
import pytest

from jaxcorr.compensation import gate
from jaxcorr.data.ranges import measure_ranges
from jaxcorr.errors import InputError

FEATURES = ("x_cmd", "y_cmd", "vx_cmd", "vy_cmd")
RATE_HZ = 100.0
RNG = np.random.default_rng(0)


def path(num_samples=400, accel=500.0, seed=0):
    """A smooth walk: accelerations that change every tenth of a second, exactly integrated."""
    rng = np.random.default_rng(seed)
    push = np.repeat(rng.uniform(-accel, accel, (num_samples // 10 + 1, 2)), 10, axis=0)
    speed = np.cumsum(push[:num_samples] - push[:num_samples].mean(axis=0), axis=0) / RATE_HZ
    position = np.cumsum(speed, axis=0) / RATE_HZ - speed / (2 * RATE_HZ)
    return np.hstack([position, speed])


@pytest.fixture(scope="module")
def trust():
    rows = path()
    return gate.make_gate(
        measure_ranges(FEATURES, rows, np.array([0]), RATE_HZ), np.array([0.1, 0.1])
    )


def test_opens_on_training_and_a_little_beyond(trust):
    rows = path()
    assert trust.trusts(rows, RATE_HZ)
    assert trust.trusts(1.2 * rows, RATE_HZ)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda rows: 3.0 * rows,  # all three times as fast
        lambda rows: rows + RNG.normal(0.0, 5.0, rows.shape),  # noise
        lambda rows: rows + np.where(np.arange(len(rows)) == 50, 5.0, 0.0)[:, None],  # a teleport
        lambda rows: rows * np.where(np.arange(len(rows)) == 50, np.nan, 1.0)[:, None],
        lambda rows: rows[:, [2, 3, 0, 1]] * 10.0,  # columns mixed up
        lambda rows: RNG.uniform(-200.0, 200.0, rows.shape),
    ],
)
def test_closes_on_garbage(trust, spoil):
    assert not trust.trusts(spoil(path()), RATE_HZ)


def test_believes_only_in_plausible_errors_that_shrink(trust):
    error = RNG.normal(0.0, 0.1, (50, 2))
    assert trust.believes(error, 0.1 * error)
    assert not trust.believes(error, 1.1 * error)
    assert not trust.believes(100.0 * error, error)
    assert not trust.believes(error, np.nan * error)


def test_runs_without_ranges_are_refused():
    with pytest.raises(InputError, match=r"^compensate: expected a run that keeps the ranges"):
        gate.make_gate(None, np.ones(2))
