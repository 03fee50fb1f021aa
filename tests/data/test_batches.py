"""Batches: each window once a pass, in an order that the seed alone decides."""

import itertools
import json
from collections import Counter

import numpy as np
import pytest
from toy import counters

from jaxcorr.data import windows
from jaxcorr.data.batches import plan_epoch, training_batches
from jaxcorr.spec import Augment, Data

WINDOW = 5
DATA = Data(traces=("x",), window=WINDOW, stride=2, batch_size=4)


def batches(lengths, parts=None, seed=0, steps=2, **changes):
    data = DATA.model_copy(update=changes)
    samples = windows.tabulate(counters(lengths, parts), data)
    return samples, training_batches(samples, data, steps, seed)


def first_rows(iterator, count):
    return np.concatenate([b.first.ravel() for b in itertools.islice(iterator, count)])


def test_batches_are_time_major_and_hold_the_windows_they_name():
    samples, iterator = batches([31, 31], horizon=1)
    batch = next(iterator)
    assert batch.features.shape == (2, WINDOW, 4, 4)
    assert batch.targets.shape == (2, WINDOW, 4, 2)
    for step, column in np.ndindex(2, 4):
        rows = batch.first[step, column] + np.arange(WINDOW)
        np.testing.assert_array_equal(batch.features[step, :, column], samples.features[rows])
        np.testing.assert_array_equal(batch.targets[step, :, column], samples.targets[rows])


def test_a_pass_sees_every_window_once_and_every_pass_has_an_order_of_its_own():
    samples, iterator = batches([35, 35])  # 16 windows in each trace: 4 dispatches a pass
    expected = windows.starts(samples, WINDOW, DATA.stride)["part"]
    passes = [first_rows(iterator, 4) for _ in range(4)]
    for order in passes:
        np.testing.assert_array_equal(np.sort(order), expected)
    assert len({tuple(order) for order in passes}) == 4
    assert tuple(expected) not in {tuple(order) for order in passes}


@pytest.mark.parametrize("seed", [0, 7, 2**31 - 1])
def test_the_order_follows_from_the_seed(seed):
    orders = [first_rows(batches([35, 35], seed=s)[1], 6) for s in (seed, seed, seed // 2 + 1)]
    np.testing.assert_array_equal(orders[0], orders[1])
    assert not np.array_equal(orders[0], orders[2])


def test_parts_are_balanced_within_every_batch():
    samples, iterator = batches([200, 20, 40], ["a", "b", "c"], batch_size=12)
    for batch in itertools.islice(iterator, 10):
        for step in batch.first:
            trace = np.searchsorted(samples.first_row, step, side="right") - 1
            assert Counter(trace.tolist()) == {0: 4, 1: 4, 2: 4}


def test_a_small_part_is_repeated_evenly():
    samples, iterator = batches([200, 15], ["a", "b"], batch_size=12)  # 6 windows in b
    seen = Counter(first_rows(iterator, 10).tolist())
    of_b = [seen[row] for row in windows.starts(samples, WINDOW, DATA.stride)["b"].tolist()]
    assert of_b == [20] * 6
    assert max(n for row, n in seen.items() if row < 200) <= 2


def test_unbalanced_parts_come_in_proportion_to_their_windows():
    samples, iterator = batches([65, 25], ["a", "b"], balance_parts=False, batch_size=7)
    is_first = first_rows(iterator, 36).reshape(12, 42) < samples.first_row[1]  # 31 and 11 windows
    assert set(is_first.sum(axis=1)) == {31}
    runs = "".join("ab"[not first] for first in is_first[0]).split("b")
    assert {len(run) for run in runs[1:-1]} == {2, 3}  # spread, not one part after the other


@pytest.mark.parametrize("time_shift", [0, 3])
def test_a_resumed_iterator_goes_on_exactly(time_shift):
    changes = {"augment": Augment(time_shift=time_shift)}
    _, iterator = batches([65, 25], ["a", "b"], **changes)
    first_rows(iterator, 5)
    state = json.loads(json.dumps(iterator.get_state()))
    after = first_rows(iterator, 7)
    _, fresh = batches([65, 25], ["a", "b"], **changes)
    fresh.set_state(state)
    np.testing.assert_array_equal(first_rows(fresh, 7), after)


@pytest.mark.parametrize("horizon", [-2, 0, 2])
def test_time_shift_moves_windows_both_ways_within_their_traces(horizon):
    changes = {"stride": 20, "horizon": horizon, "batch_size": 3, "window": 20}
    shift = {"augment": Augment(time_shift=4)}
    samples, plain = batches([60, 25, 60], **changes)
    _, shifted = batches([60, 25, 60], **changes, **shift)
    moves = []
    for before, after in itertools.islice(zip(plain, shifted, strict=False), 25):
        moves.append(after.first - before.first)
        trace, time = np.divmod(after.features[..., 0], 1000)
        assert np.all(trace == trace[:, :1])
        np.testing.assert_array_equal(after.targets[..., 0], 1000 * trace + time + horizon)
    assert set(np.unique(moves)) == set(range(-4, 5))
    assert samples.num_rows.min() < 20 + 4 + 4  # in the short trace the edges were in reach


@pytest.mark.parametrize(
    ("num_windows", "batch_size", "most", "plan"),
    [(1000, 10, 16, (7, 15)), (3, 10, 16, (1, 1)), (160, 10, 16, (1, 16)), (170, 10, 16, (2, 9))],
)
def test_an_epoch_is_cut_into_equal_dispatches(num_windows, batch_size, most, plan):
    found = plan_epoch(num_windows, batch_size, most)
    assert found[:2] == plan
    assert found.steps_per_dispatch <= most
    assert found.steps_per_epoch * batch_size >= num_windows - batch_size / 2
