"""Bootstrap: sums against the metrics themselves, coverage on synthetic data, differences."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxcorr import bootstrap, metrics


def equal_blocks(num_blocks, length):
    num_rows = np.full(num_blocks, length)
    first_row = np.cumsum(num_rows) - num_rows
    return bootstrap.cut(first_row, num_rows, np.ones(num_blocks * length, np.bool_))


@given(st.integers(2, 9), st.integers(2, 30), st.integers(0, 2**32 - 1))
def test_sums_of_a_resample_give_the_metrics_of_its_rows(num_blocks, length, seed):
    rng = np.random.default_rng(seed)
    true, predicted = rng.normal(3.0, 1.0, size=(2, num_blocks * length, 2))
    blocks = bootstrap.Blocks(np.repeat(np.arange(num_blocks), length), num_blocks, "blocks")
    drawn = bootstrap.weights(num_blocks, seed, 1)
    rows = np.concatenate(
        [np.flatnonzero(blocks.of_row == b) for b in np.repeat(np.arange(num_blocks), drawn[0])]
    )
    found = bootstrap.figures(bootstrap.summarize(true, predicted, blocks), drawn)
    expected = metrics.measure(true[rows], predicted[rows])
    for name in bootstrap.METRICS:
        assert found[name][0] == pytest.approx(getattr(expected, name), rel=1e-9, abs=1e-9)


def test_eight_traces_are_blocks_and_fewer_are_cut():
    blocks = equal_blocks(8, 50)
    assert (blocks.num_blocks, blocks.method) == (8, "whole traces")
    assert np.bincount(blocks.of_row).tolist() == [50] * 8
    counts = np.ones(5000, np.bool_)
    counts[:10] = False
    blocks = bootstrap.cut(np.array([0, 3000]), np.array([3000, 2000]), counts)
    sizes = np.bincount(blocks.of_row[counts])
    assert blocks.num_blocks == len(sizes)
    assert 35 <= len(sizes) <= 45
    assert sizes.min() >= bootstrap.SHORTEST_BLOCK - 10
    assert (blocks.of_row[:10] == -1).all()
    assert set(blocks.of_row[10:3000]).isdisjoint(blocks.of_row[3000:])
    short = bootstrap.cut(np.array([0]), np.array([30]), np.ones(30, np.bool_))
    assert short.num_blocks == 1


def test_a_trace_without_rows_that_count_is_no_block():
    counts = np.ones(80, np.bool_)
    counts[10:20] = False
    num_rows = np.full(8, 10)
    blocks = bootstrap.cut(np.arange(8) * 10, num_rows, counts)
    assert blocks.num_blocks == 7
    assert np.bincount(blocks.of_row[counts]).tolist() == [10] * 7


@pytest.mark.parametrize("num_blocks", [8, 30])
def test_intervals_hold_the_truth_as_often_as_they_say(num_blocks, monkeypatch):
    """Blocks share a scale, so samples are no independent draws: 95% must hold all the same."""
    monkeypatch.setattr(bootstrap, "NUM_RESAMPLES", 500)
    rng, length, num_trials = np.random.default_rng(1), 20, 400
    blocks = equal_blocks(num_blocks, length)
    truth = {"mae_mm": np.sqrt(2 / np.pi), "rmse_mm": np.sqrt(1 + 1 / 12), "r2": 1 - 13 / 12 / 25}
    hits = dict.fromkeys(truth, 0)
    for trial in range(num_trials):
        size = np.repeat(rng.uniform(0.5, 1.5, num_blocks), length)[:, None]
        residual = size * rng.normal(size=(num_blocks * length, 1))
        true = 5 * rng.normal(size=residual.shape)
        sums = bootstrap.summarize(true, true + residual, blocks)
        drawn = bootstrap.weights(num_blocks, trial, 500)
        for name, values in bootstrap.figures(sums, drawn).items():
            if name in truth:
                low, high = bootstrap.interval(values, num_blocks)
                hits[name] += low <= truth[name] <= high
    # The standard error of 400 trials is 1.1 points; blocks of unequal variance cost a little.
    for name, count in hits.items():
        assert 0.91 <= count / num_trials <= 0.985, name


def answers(gain, seed, num_blocks=20, length=50):
    """Truth and two predictions that share most of their residual; b's is `gain` times a's."""
    rng = np.random.default_rng(seed)
    hard = np.repeat(rng.uniform(0.2, 3.0, num_blocks), length)[:, None]
    true = 5 * rng.normal(size=(num_blocks * length, 2))
    shared = hard * rng.normal(size=true.shape)
    a, b = (shared + 0.3 * hard * rng.normal(size=true.shape) for _ in range(2))
    blocks = equal_blocks(num_blocks, length)
    return [bootstrap.summarize(true, true + r, blocks) for r in (a, gain * b)]


def test_a_real_difference_is_told_though_single_intervals_overlap():
    a, b = answers(1.1, 0)
    ours, theirs = bootstrap.intervals(a)["rmse_mm"], bootstrap.intervals(b)["rmse_mm"]
    assert ours[1] > theirs[0]
    found = bootstrap.compare(a, b)
    assert found["rmse_mm"].interval[1] < 0 < found["r2"].interval[0]
    assert found["rmse_ratio"].interval[1] < 1
    assert found["rmse_ratio"].value == pytest.approx(1 / 1.1, rel=0.02)


def test_no_difference_is_seldom_taken_for_one():
    found = [bootstrap.compare(*answers(1.0, seed))["rmse_mm"] for seed in range(60)]
    false_alarms = sum(not low <= 0 <= high for low, high in (f.interval for f in found))
    assert false_alarms <= 8  # 3 are expected; more than 8 happen once in two hundred
    same, _ = answers(1.0, 0)
    found = bootstrap.compare(same, same)
    assert found["mae_mm"] == (0.0, (0.0, 0.0))
    assert found["rmse_ratio"].value == 1.0


def test_what_is_undefined_has_no_interval():
    blocks = equal_blocks(10, 20)
    still = np.full((200, 2), 0.1)
    noise = still + np.random.default_rng(0).normal(size=still.shape)
    found = bootstrap.intervals(bootstrap.summarize(still, noise, blocks))
    assert found["r2"] is found["correlation"] is None
    assert found["mae_mm"][0] < found["mae_mm"][1]
    one = bootstrap.Blocks(np.zeros(200, int), 1, "one block")
    assert set(bootstrap.intervals(bootstrap.summarize(noise, still, one)).values()) == {None}
    exact = bootstrap.summarize(noise, noise, blocks)
    assert bootstrap.compare(exact, exact)["rmse_ratio"] == (None, None)


def test_the_seed_decides_the_resamples():
    sums, _ = answers(1.0, 3)
    assert bootstrap.intervals(sums, 1) == bootstrap.intervals(sums, 1)
    assert bootstrap.intervals(sums, 1) != bootstrap.intervals(sums, 2)
