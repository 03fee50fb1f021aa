"""The gate: open on what training has seen, closed on garbage."""

import numpy as np
import pytest

from jaxcorr.compensation import gate
from jaxcorr.compensation.gate import Gate
from jaxcorr.models.ranges import measure_ranges

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


TRUST = Gate(np.full(2, 100.0), np.full(2, 2000.0), np.full(2, 0.5), np.full(2, 1.0))


def straight(num_knots=100):
    time = np.arange(num_knots)[:, None] / RATE_HZ
    speed = np.tile([50.0, 0.0], (num_knots, 1))
    return np.hstack([time * [50.0, 0.0], speed])


def test_what_training_has_seen_is_kept():
    knots = 0.01 * np.ones((100, 2))
    kept = gate.trusted_knots(TRUST, straight(), 0.2 * np.ones((100, 2)), knots, RATE_HZ)
    assert kept.all()
    np.testing.assert_allclose(gate.fade(knots, kept, RATE_HZ), knots)


def test_only_the_block_unlike_training_is_left():
    reference, small = straight(), np.full((100, 2), 0.01)
    reference[45, 2] = 200.0
    kept = gate.trusted_knots(TRUST, reference, 20 * small, small, RATE_HZ)
    assert np.flatnonzero(~kept).tolist() == list(range(40, 50))


def test_knots_further_apart_than_commands_are_judged_by_all_of_these():
    commands, small = straight(), np.full((25, 2), 0.01)
    commands[46, 2] = 200.0
    kept = gate.trusted_knots(TRUST, commands, 20 * small, small, RATE_HZ, per_knot=4)
    assert np.flatnonzero(~kept).tolist() == [10, 11]


@pytest.mark.parametrize("fault", ["no gain", "implausible", "not finite"])
def test_where_predictions_are_no_good_the_surroundings_are_left_too(fault):
    commands = straight(400)
    before, after = np.full((400, 2), 0.2), np.full((400, 2), 0.01)
    if fault == "no gain":
        after[200:210] = 1.0
    elif fault == "implausible":
        before[203] = 5.0
    else:
        after[207] = np.nan
    kept = gate.trusted_knots(TRUST, commands, before, after, RATE_HZ)
    assert np.flatnonzero(~kept).tolist() == list(range(150, 260))


def test_a_rest_without_gain_is_no_reason_to_stop():
    before, after = np.full((400, 2), 0.2), np.full((400, 2), 0.01)
    before[200:210] = 0.0
    kept = gate.trusted_knots(TRUST, straight(400), before, after, RATE_HZ)
    assert kept.all()


def test_a_correction_fades_within_a_block():
    knots, kept = np.ones((100, 2)), np.ones(100, np.bool_)
    kept[40:50] = False
    found = gate.fade(knots, kept, RATE_HZ)
    assert np.all(found[40:50] == 0.0)
    np.testing.assert_allclose(found[:30], 1.0)
    np.testing.assert_allclose(found[60:], 1.0)
    assert np.abs(np.diff(found, axis=0)).max() < 0.1
    assert np.all((found >= 0.0) & (found <= 1.0))


def test_everything_left_is_exactly_zero():
    assert np.all(gate.fade(np.ones((30, 2)), np.zeros(30, np.bool_), RATE_HZ) == 0.0)
