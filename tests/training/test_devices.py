"""Several devices: the same history to rounding, resumed bit for bit, and clear refusals."""

import jax
import numpy as np
import oscillator
import pytest
from histories import LIVELY, assert_same, rows

from jaxcorr.errors import InputError
from jaxcorr.training import devices, experiment

DEVICES = 4  # conftest.py asks for them

pytestmark = pytest.mark.skipif(jax.default_backend() != "cpu", reason="counts CPU devices")


def begin(layers, folder, num_devices):
    folder.mkdir(exist_ok=True)
    changes = {
        "train": LIVELY["train"] | {"num_devices": num_devices},
        "model": LIVELY["model"] | {"num_layers": 1},  # compiles sooner
    }
    return oscillator.begin(layers, folder, **(LIVELY | changes))


@pytest.fixture(scope="module")
def by_two(layers, tmp_path_factory):
    begun = begin(layers, tmp_path_factory.mktemp("by_two"), 2)
    assert oscillator.fit(begun)[0].num_devices == 2
    return begun


def test_number_of_devices_changes_no_more_than_the_rounding(by_two, layers, tmp_path):
    expected = rows(by_two)
    for count in (1, DEVICES):
        begun = begin(layers, tmp_path / str(count), count)
        events = oscillator.fit(begun)
        assert events[0].num_devices == count
        for row, other in zip(rows(begun), expected, strict=True):
            assert row == pytest.approx(other, rel=1e-3)
        assert begun.run.history.read_bytes() != by_two.run.history.read_bytes()


def test_training_resumes_on_as_many_devices_bit_for_bit(by_two, layers, tmp_path):
    begun = begin(layers, tmp_path, 2)
    asked = iter([False] * 5 + [True])  # within the second epoch
    assert oscillator.fit(begun, should_stop=lambda: next(asked))[-1].reason == "interrupted"
    assert oscillator.fit(experiment.reopen(begun.run))[-1].reason == "epochs"
    assert_same(begun, by_two)


def test_what_is_saved_is_on_one_device(by_two):
    for path in by_two.run.checkpoints.glob("*/best/_sharding"):
        assert "NamedSharding" not in path.read_text()
    assert list(by_two.run.checkpoints.glob("*/best"))


def test_run_remembers_its_devices(layers, tmp_path):
    begun = oscillator.begin(layers, tmp_path, data={"batch_size": 16})
    assert begun.spec.train.num_devices == 0
    assert begun.run.resolved().num_devices == 2
    assert experiment.reopen(begun.run).spec.train.num_devices == 2


@pytest.mark.parametrize(
    ("batch_size", "available", "expected"),
    [
        (32, 1, 1),
        (32, 2, 2),
        (32, 3, 2),
        (32, 64, 4),
        (33, 4, 3),
        (31, 4, 1),
        (4, 8, 1),
        (24, 8, 3),
    ],
)
def test_shares_are_equal_and_worth_it(batch_size, available, expected):
    assert devices.count_useful(batch_size, available) == expected


@pytest.mark.parametrize(
    ("batch_size", "available", "num_processes", "expected"),
    [(32, 8, 2, 4), (32, 2, 2, 2), (24, 6, 3, 3), (6, 4, 2, 2), (5, 4, 2, 0)],
)
def test_processes_take_part_with_as_many_each(batch_size, available, num_processes, expected):
    assert devices.count_useful(batch_size, available, num_processes) == expected


@pytest.mark.parametrize(
    ("num_devices", "rule"),
    [(1, "num_devices: expected a multiple of 2 processes, at"), (0, "equal shares for 2 proc")],
)
def test_processes_without_shares_are_refused(monkeypatch, num_devices, rule):
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    with pytest.raises(InputError, match=rule):
        devices.make_mesh(oscillator.make_spec(train={"num_devices": num_devices}))


def test_windows_are_dealt_in_order_and_come_back():
    mesh = devices.make_mesh(oscillator.make_spec(train={"num_devices": DEVICES}))
    assert devices.count(mesh) == DEVICES
    batches = np.arange(2 * 3 * 8 * 5, dtype=np.float32).reshape(2, 3, 8, 5)
    dealt = devices.deal(mesh, batches)
    shares = [np.asarray(shard.data) for shard in dealt.addressable_shards]
    np.testing.assert_array_equal(np.concatenate(shares, axis=2), batches)
    whole = devices.copy_to_all(mesh, {"a": batches})
    alone = devices.first_copy(mesh, whole)["a"]
    np.testing.assert_array_equal(alone, batches)
    assert len(whole["a"].devices()) == DEVICES
    assert alone.devices() == {jax.local_devices()[0]}


def test_one_device_needs_no_mesh():
    mesh = devices.make_mesh(oscillator.make_spec(train={"num_devices": 1}))
    assert mesh is None
    batches = np.zeros((1, 2, 3, 4), np.float32)
    assert devices.deal(mesh, batches) is batches
    assert devices.first_copy(mesh, devices.copy_to_all(mesh, batches)) is batches


def test_more_devices_than_there_are_is_refused():
    spec = oscillator.make_spec(train={"num_devices": 8})
    with pytest.raises(
        InputError, match=r"num_devices: expected at most the 4 cpu devices .*got 8"
    ):
        devices.make_mesh(spec)


def test_unequal_shares_are_refused():
    with pytest.raises(InputError, match=r"num_devices to divide data\.batch_size = 8, got 3\."):
        oscillator.make_spec(train={"num_devices": 3})


@pytest.mark.parametrize(
    ("num_windows", "most", "expected"),
    [
        (256, 16, 16),
        (16, 16, 1),
        (24, 16, 2),
        (20, 16, 2),
        (36, 16, 3),
        (37, 16, 1),
        (256, None, 1),
    ],
)
def test_portions_are_equal_and_none_is_tiny(num_windows, most, expected):
    found = devices.count_portions(num_windows, most)
    assert found == expected
    assert num_windows % found == 0
    assert found == 1 or devices.FEWEST_WINDOWS <= num_windows / found <= most


def test_a_cpu_works_by_portions(monkeypatch):
    assert devices.most_at_once(None) == devices.MOST_ON_CPU
    monkeypatch.setattr(devices, "_platform", lambda _: "gpu")
    assert devices.most_at_once(None) is None
    assert devices.compiler_options(None) == {}


@pytest.mark.parametrize(
    ("num_workers", "train", "expected"),
    [(1, {}, 0), (2, {}, 2), (3, {}, 1), (9, {}, 1), (2, {"num_devices": 4}, 4)],
)
def test_workers_share_the_cores(num_workers, train, expected):
    spec = oscillator.make_spec(data={"batch_size": 64}, train=train)
    assert devices.count_for_worker(spec, num_workers) == expected
